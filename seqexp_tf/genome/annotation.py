"""GFF3 and GTF annotation as one table."""

import re
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.files import text_lines

COLUMNS = (
    "contig",
    "source",
    "feature",
    "start",
    "end",
    "score",
    "strand",
    "phase",
    "id",
    "name",
    "parent",
    "gene_id",
    "transcript_id",
    "biotype",
)

GENES = frozenset({"gene", "ncRNA_gene", "pseudogene", "transposable_element_gene"})
TRANSCRIPTS = frozenset(
    "mRNA transcript primary_transcript ncRNA lnc_RNA lncRNA miRNA rRNA tRNA snRNA "
    "snoRNA pseudogenic_transcript unconfirmed_transcript".split()
)
_GTF_PAIR = re.compile(r'([^\s;]+)\s+(?:"([^"]*)"|([^\s;"]+))')
_GTF_START = re.compile(r'\s*[^\s;="]+\s+"')

_Attributes = dict[str, str]


def _gff3_attributes(text: str) -> _Attributes:
    found: _Attributes = {}
    for part in text.split(";"):
        key, equals, value = part.strip().partition("=")
        if equals and value:
            found.setdefault(key, unquote(value) if "%" in value else value)
    return found


def _gtf_attributes(text: str) -> _Attributes:
    found: _Attributes = {}
    for key, quoted, plain in _GTF_PAIR.findall(text):
        if quoted or plain:
            found.setdefault(key, quoted or plain)
    return found


def _first(attributes: _Attributes, *keys: str) -> str | None:
    return next((attributes[key] for key in keys if key in attributes), None)


def _identity(feature: str, attributes: _Attributes, *, gtf: bool) -> tuple:
    """The columns from ``id`` on."""
    get = attributes.get
    gene, transcript = get("gene_id"), get("transcript_id")
    if not gtf:
        biotype = _first(attributes, "biotype", "gene_biotype", "gene_type")
        name = _first(attributes, "Name", "gene_name", "gene")
        return get("ID"), name, get("Parent"), gene, transcript, biotype
    if feature in GENES:
        identity, parent, name = gene, None, get("gene_name")
    elif feature in TRANSCRIPTS:
        identity, parent = transcript, gene
        name = _first(attributes, "transcript_name", "gene_name")
    else:
        identity, parent, name = None, transcript, get("gene_name")
    keys = ("biotype", "gene_biotype", "gene_type")
    if feature not in GENES:
        keys = ("transcript_biotype", "transcript_type", *keys)
    return identity, name, parent, gene, transcript, _first(attributes, *keys)


def _place(path: Path, number: int, fields: list[str]) -> tuple:
    """The columns up to ``phase``, checked."""
    contig, source, feature, start, end, score, strand, phase = fields[:8]
    where = f"{path}: line {number}"
    if not contig or not feature:
        raise InputError(f"{where}: an empty contig or feature column")
    try:
        first, last = int(start), int(end)
    except ValueError as error:
        raise InputError(
            f"{where}: start {start!r} and end {end!r} must be whole numbers"
        ) from error
    if not 1 <= first <= last:
        raise InputError(
            f"{where}: start {first}, end {last}: expected 1 <= start <= end (1-based)"
        )
    try:
        value = float("nan") if score in (".", "") else float(score)
    except ValueError as error:
        raise InputError(f"{where}: score {score!r} is no number or '.'") from error
    if strand not in ("+", "-", ".", "?"):
        raise InputError(f"{where}: strand {strand!r}: expected + - . or ?")
    if phase not in ("0", "1", "2", "."):
        raise InputError(f"{where}: phase {phase!r}: expected 0 1 2 or .")
    return (
        contig,
        None if source == "." else source,
        feature,
        first - 1,
        last,
        value,
        strand if strand in "+-" else None,
        None if phase == "." else int(phase),
    )


def _is_gtf(path: Path, attributes: str) -> bool:
    """Tells GTF from GFF3 by the first attributes, by the name where these are none."""
    if _GTF_START.match(attributes):
        return True
    return "=" not in attributes and ".gtf" in path.suffixes


def read_annotation(path: str | Path) -> pd.DataFrame:
    """Reads a GFF3 or GTF file, plain or gzip, into one table.

    Columns, in order: contig, source, feature, start and end (0-based half-open),
    score (float, NaN if absent), strand ("+", "-" or None), phase (0, 1, 2 or None),
    id, name, parent, gene_id, transcript_id, biotype. Absent text is None. In GTF the
    id of a gene or transcript is its gene_id or transcript_id, and the parent of any
    other feature its transcript_id. In GFF3 a parent list stays comma-separated, and
    gene_id and transcript_id, where not written, come from the chain of parents.

    Raises:
        InputError: a line with too few columns or a wrong value (with its number),
            no feature at all, or an unreadable file.

    Reference: the GFF3 specification 1.26 of the Sequence Ontology; GTF 2.2.
    """
    path = Path(path)
    rows: list[tuple] = []
    gtf: bool | None = None
    for number, line in text_lines(path):
        if line.startswith(("##FASTA", ">")):
            break
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) != 9:
            raise InputError(
                f"{path}: line {number}: {len(fields)} tab-separated columns, "
                "expected 9 (GFF3 or GTF)"
            )
        if gtf is None:
            gtf = _is_gtf(path, fields[8])
        parse = _gtf_attributes if gtf else _gff3_attributes
        place = _place(path, number, fields)
        rows.append((*place, *_identity(fields[2], parse(fields[8]), gtf=gtf)))
    if not rows:
        raise InputError(f"{path}: no feature line; expected GFF3 or GTF")
    columns = {
        name: np.array(values, dtype=np.int64)
        if name in ("start", "end")
        else pd.Series(
            values, dtype=np.float64 if name == "score" else object, copy=False
        )
        for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True)
    }
    table = pd.DataFrame(columns)
    if not gtf:
        _inherit(table)
    return table


def _inherit(table: pd.DataFrame) -> None:
    """Fills gene_id and transcript_id of GFF3 features from their parents."""
    own = zip(
        table["id"],
        table["feature"],
        table["parent"],
        table["gene_id"],
        table["transcript_id"],
        strict=True,
    )
    known = {}
    for identity, feature, parent, gene, transcript in own:
        if feature in GENES:
            gene = gene or identity
        elif feature in TRANSCRIPTS:
            transcript = transcript or identity
        known.setdefault(identity, (parent, gene, transcript))

    def climb(identity: str | None, column: int) -> str | None:
        seen = set()
        while identity is not None and identity not in seen:
            seen.add(identity)
            entry = known.get(identity)
            if entry is None:
                return None
            if entry[column] is not None:
                return entry[column]
            identity = entry[0].split(",")[0] if entry[0] else None
        return None

    for name, column, features in (
        ("gene_id", 1, GENES),
        ("transcript_id", 2, TRANSCRIPTS),
    ):
        table[name] = pd.Series(
            [
                value
                or (identity if feature in features else None)
                or climb(parent.split(",")[0] if parent else None, column)
                for value, identity, feature, parent in zip(
                    table[name],
                    table["id"],
                    table["feature"],
                    table["parent"],
                    strict=True,
                )
            ],
            dtype=object,
        )


def sequence_regions(path: str | Path) -> dict[str, int]:
    """Returns contig -> length from the ``##sequence-region`` lines; {} without any.

    Raises:
        InputError: a malformed line, or two lengths for one contig.
    """
    sizes: dict[str, int] = {}
    for number, line in text_lines(path):
        if line.startswith(("##FASTA", ">")):
            break
        if not line.startswith("##sequence-region"):
            continue
        fields = line.split()
        if len(fields) != 4 or not fields[3].isdecimal() or int(fields[3]) < 1:
            raise InputError(
                f"{path}: line {number}: expected '##sequence-region CONTIG START "
                f"END', found {line!r}"
            )
        contig, size = fields[1], int(fields[3])
        if sizes.setdefault(contig, size) != size:
            raise InputError(
                f"{path}: line {number}: contig {contig!r} ends at {size}, but at "
                f"{sizes[contig]} in an earlier line"
            )
    return sizes


def transcripts(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the transcripts of an annotation, or its genes where it has none.

    Args:
        table: what `read_annotation` returned.

    Returns:
        Columns contig, start, end (0-based half-open), strand, id; in file order.
    """
    chosen, column = table[table["feature"].isin(TRANSCRIPTS)], "transcript_id"
    if chosen.empty:
        chosen, column = table[table["feature"].isin(GENES)], "gene_id"
    result = chosen[["contig", "start", "end", "strand"]].reset_index(drop=True)
    named = [
        specific or general
        for specific, general in zip(chosen[column], chosen["id"], strict=True)
    ]
    result["id"] = pd.Series(named, dtype=object)
    return result
