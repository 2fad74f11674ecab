"""Genes with their transcription start site (TSS), from a table or an annotation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from seqexp_tf.config import require
from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.annotation import GENES, TRANSCRIPTS, read_annotation
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.tables import is_missing, read_table, typed

COLUMNS = ("gene", "name", "contig", "tss", "strand")
ANNOTATED = (*COLUMNS, "transcript", "start", "end", "biotype")
"""Columns of genes out of an annotation."""


@dataclass(frozen=True)
class GeneColumns:
    """What a table calls the columns of a gene.

    Attributes:
        gene: identifier, unique.
        contig: contig name, in any spelling of the genome's.
        tss: position of the first transcribed base.
        strand: ``+`` or ``-``.
        name: common name; the identifier where empty.
        start: with ``end``, where the gene (or its coding sequence) lies: its 5' end
            then stands for the TSS, whatever column is called ``tss``.
        end: likewise; one past the last base where positions count from 0, the last
            base where they count from 1.
    """

    gene: str = "gene"
    contig: str = "contig"
    tss: str = "tss"
    strand: str = "strand"
    name: str = ""
    start: str = ""
    end: str = ""

    def __post_init__(self) -> None:
        require(
            bool(self.start) == bool(self.end),
            "columns.start and columns.end go together; give both or neither",
        )
        require(
            not self.start or self.tss == "tss",
            f"columns.tss is {self.tss!r} beside columns.start and columns.end; give "
            "the TSS or the ends",
        )


def read_gene_sites(
    path: str | Path,
    sizes: Mapping[str, int],
    *,
    columns: GeneColumns | None = None,
    tss_base: Literal[0, 1] = 0,
    aliases: Mapping[str, str] | None = None,
    on_missing: Literal["error", "drop"] = "error",
) -> pd.DataFrame:
    """Reads genes from a TSV, CSV (plain or gzip) or parquet table.

    Args:
        path: the table; text has one header line, tab- or comma-separated.
        sizes: contig -> length of the genome.
        columns: the table's names of the columns needed.
        tss_base: 0 where the table counts the first base of a contig as 0 and an end
            is one past the last base (BED), 1 where as 1 and an end is the last base
            (GFF3, genome browsers).
        aliases: other contig name -> name in ``sizes``.
        on_missing: what to do about a gene on a contig that the genome lacks.

    Returns:
        gene, name, contig (as in ``sizes``), tss (0-based position of the first
        transcribed base, whatever the strand), strand ("+" or "-"), then every other
        column of the table: numbers where all its values are numbers or missing,
        else text. In the order of the table; ``attrs["dropped"]`` counts the genes
        left out.

    Raises:
        InputError: an unreadable or empty table, a missing column, or a gene that
            has no identifier or one used before, no TSS, one that is no whole
            number or outside its contig, an unknown contig, or no strand.
    """
    path, columns = Path(path), columns or GeneColumns()
    if tss_base not in (0, 1):
        raise ConfigError(f"tss_base = {tss_base!r}: expected 0 or 1")
    frame, places = read_table(path)
    roles, others = gene_columns(path, frame, columns)
    if frame.empty:
        raise InputError(f"{path}: a header without genes; expected a line a gene")
    text = {role: _as_text(frame[column]) for role, column in roles.items()}
    positions = {
        role: [
            _position(f"{path}: {place}: column {roles[role]!r}", gene, value)
            for place, gene, value in zip(places, text["gene"], text[role], strict=True)
        ]
        for role in ("tss", "start", "end")
        if role in roles
    }
    genes = pd.DataFrame(
        {
            "gene": pd.Series(text["gene"], dtype=object),
            "name": pd.Series(text["name"], dtype=object),
            "contig": pd.Series(text["contig"], dtype=object),
            "tss": _first_bases(positions, text["strand"], tss_base),
            "strand": pd.Series(text["strand"], dtype=object),
            **{name: typed(frame[name]) for name in others},
        }
    )
    where = [f"{path}: {place}" for place in places]
    if "start" in positions:
        _check_ends(where, genes.gene, positions, least=1 - tss_base)
    return _placed(
        genes,
        where,
        ContigNames(sizes, aliases),
        on_missing=on_missing,
        base=tss_base,
    )


def gene_columns(
    path: str | Path, frame: pd.DataFrame, columns: GeneColumns
) -> tuple[dict[str, str], list[str]]:
    """Returns the column of each role, and the other columns, of a table of genes.

    Raises:
        InputError: a column is missing, or has the name of a role it does not have.
    """
    roles = {
        "gene": columns.gene,
        "name": columns.name or columns.gene,
        "contig": columns.contig,
        "strand": columns.strand,
    }
    if columns.start:
        roles |= {"start": columns.start, "end": columns.end}
        frame = frame.drop(columns="tss", errors="ignore")
    else:
        roles["tss"] = columns.tss
    for role, column in roles.items():
        if column not in frame:
            raise InputError(
                f"{path}: has no column {column!r} for the {role}; "
                f"{nearest(column, frame.columns)}; map it to one of these"
            )
    others = [name for name in frame if name not in roles.values()]
    for name in others:
        if name in roles:
            raise InputError(
                f"{path}: column {name!r} is not the one mapped as {name} "
                f"({roles[name]!r}); map it or rename it"
            )
    return roles, others


def annotated_gene_sites(
    path: str | Path,
    sizes: Mapping[str, int],
    *,
    protein_coding: bool = True,
    aliases: Mapping[str, str] | None = None,
    on_missing: Literal["error", "drop"] = "error",
) -> pd.DataFrame:
    """Takes genes from a GFF3 or GTF annotation, plain or gzip.

    The TSS is the 5' end of the gene's longest transcript (by span; the first of
    equally long ones), or of the gene where the file has no transcripts for it: the
    start on the plus strand, end - 1 on the minus strand. Transcripts without a gene
    feature make up genes by their gene_id, or alone.

    Args:
        path: the annotation.
        sizes: contig -> length of the genome.
        protein_coding: keep genes of biotype ``protein_coding`` only; where the file
            gives no biotypes, genes with a CDS; where it has no CDS either, all.
        aliases: other contig name -> name in ``sizes``.
        on_missing: what to do about a gene on a contig that the genome lacks.

    Returns:
        gene (gene_id, else ID), name, contig, tss, strand as ``read_gene_sites``,
        then transcript (None where the gene's own ends were taken), start and end
        (of that transcript or gene, 0-based half-open) and biotype.

    Raises:
        InputError: what ``read_annotation`` refuses, no gene left, two genes of one
            identifier, an unknown contig, a gene without strand or outside its contig.
    """
    path = Path(path)
    table = read_annotation(path)
    genes = _annotated(table)
    if genes.empty:
        raise InputError(
            f"{path}: no gene and no transcript feature; give an annotation of genes"
        )
    if protein_coding:
        genes = genes[_is_coding(genes, table)].reset_index(drop=True)
    if genes.empty:
        raise InputError(
            f"{path}: no gene of biotype protein_coding; set protein_coding = false"
        )
    return _placed(
        genes,
        [f"{path}"] * len(genes),
        ContigNames(sizes, aliases),
        on_missing=on_missing,
        base=1,
    )


def target_values(
    table: pd.DataFrame,
    column: str,
    *,
    transform: Literal["none", "log10p1", "log1p"] = "none",
    path: str | Path = "genes",
    role: str = "target",
) -> np.ndarray:
    """Returns the transformed target of every gene, float32 ``(len(table),)``.

    Args:
        table: what ``read_gene_sites`` returned.
        column: the column that holds the target.
        transform: none, log10(x + 1) or ln(x + 1).
        path: the file of the table, for messages.
        role: what the column is for, likewise.

    Raises:
        InputError: no such column, or a value that is missing, no finite number, or
            negative before a logarithm.
        ConfigError: another transform.
    """
    functions = {"none": np.positive, "log10p1": _log10p1, "log1p": np.log1p}
    if transform not in functions:
        raise ConfigError(f"transform = {transform!r}: expected {', '.join(functions)}")
    check_target(column, table.columns, path=path, role=role)
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(values)
    if transform != "none":
        wrong |= values < 0
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        value = table[column].iloc[first]
        shown = "missing" if is_missing(value) else str(value)
        more = f" (and {wrong.sum() - 1} more genes)" if wrong.sum() > 1 else ""
        raise InputError(
            f"{path}: gene {table['gene'].iloc[first]!r}: {role} {column!r} is "
            f"{shown}{more}; expected a finite number"
            f"{'' if transform == 'none' else ' of zero or more'}; leave such genes "
            "out of the table"
        )
    return functions[transform](values).astype(np.float32)


def check_target(
    column: str, columns: Iterable[str], *, path: str | Path, role: str = "target"
) -> None:
    """Raises `InputError` unless a table of genes has the column of a role."""
    if column not in columns:
        raise InputError(
            f"{path}: has no {role} column {column!r}; {nearest(column, columns)}"
        )


def _log10p1(values: np.ndarray) -> np.ndarray:
    return np.log10(values + 1)


def _as_text(column: pd.Series) -> list[str]:
    """The cells as text, missing ones empty, so that all formats are checked alike."""
    found = []
    for value in column.tolist():
        found.append("" if is_missing(value) else str(value).strip())
    return found


def _first_bases(
    positions: Mapping[str, Sequence[int]], strands: Sequence[str], base: int
) -> np.ndarray:
    """The 0-based TSS of every gene: given, or the 5' end."""
    if "tss" in positions:
        return np.array(positions["tss"], dtype=np.int64) - base
    start, end = (
        np.array(positions[role], dtype=np.int64) for role in ("start", "end")
    )
    return _five_prime(start - base, end, strands)


def _five_prime(start: ArrayLike, end: ArrayLike, strand: Sequence[str]) -> np.ndarray:
    """The first base on its strand of each 0-based half-open interval."""
    minus = np.asarray(strand) == "-"
    return np.where(minus, np.asarray(end) - 1, start).astype(np.int64)


def _check_ends(
    places: Sequence[str],
    genes: Sequence[str],
    positions: Mapping[str, Sequence[int]],
    *,
    least: int,
) -> None:
    rows = zip(places, genes, positions["start"], positions["end"], strict=True)
    for place, gene, start, end in rows:
        if end - start < least:
            raise InputError(
                f"{place}: gene {gene!r} starts at {start} and ends at {end}; the "
                "start is the left end on either strand: exchange them"
            )


def _position(where: str, gene: str, text: str) -> int:
    if not text:
        raise InputError(
            f"{where}: gene {gene!r} has no TSS; give its position or leave it out"
        )
    try:
        # A column with a gap comes out of pandas as 1234.0.
        value = float(text) if "." in text else int(text)
        if value == int(value):
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise InputError(
        f"{where}: gene {gene!r} has TSS {text!r}; expected a whole number"
    )


def _placed(
    genes: pd.DataFrame,
    places: Sequence[str],
    resolver: ContigNames,
    *,
    on_missing: str,
    base: int,
) -> pd.DataFrame:
    """Checks genes one by one and names their contigs as the genome does."""
    own = list(dict.fromkeys(genes.contig))
    names = {name: resolver.resolve(name, among=own) if name else None for name in own}
    if not any(names.values()):
        raise InputError(
            f"{places[0].partition(': line')[0].partition(': row')[0]}: no gene lies "
            f"on a contig of the genome: found {', '.join(map(repr, own[:5]))}, the "
            f"genome has {', '.join(list(resolver.sizes)[:5])}"
        )
    seen: dict[str, int] = {}
    kept = []
    columns = zip(genes.gene, genes.contig, genes.tss, genes.strand, strict=True)
    for row, (gene, contig, tss, strand) in enumerate(columns):
        where = f"{places[row]}: gene {gene!r}"
        if not gene:
            raise InputError(f"{places[row]}: a gene without identifier; name it")
        name = names[contig]
        if name is None:
            if on_missing == "drop":
                continue
            raise InputError(
                f"{where} lies on contig {contig!r}, which the genome lacks; "
                f'{nearest(contig, resolver.sizes)}; set on_missing = "drop" to leave '
                "such genes out"
            )
        if gene in seen:
            raise InputError(
                f"{where} appears twice ({contig}:{tss + base:,} and "
                f"{genes.contig[seen[gene]]}:{genes.tss[seen[gene]] + base:,}); "
                "identifiers must be unique: keep one"
            )
        seen[gene] = row
        if strand not in ("+", "-"):
            raise InputError(
                f"{where} has strand {strand or 'missing'}; expected + or -"
            )
        if not 0 <= tss < resolver.sizes[name]:
            size = resolver.sizes[name]
            raise InputError(
                f"{where} has TSS {contig}:{tss + base}, outside the contig, which is "
                f"{base} to {size - 1 + base} (counted from {base}); another assembly?"
            )
        kept.append(row)
    result = genes.iloc[kept].reset_index(drop=True)
    result["contig"] = pd.Series(
        [names[contig] for contig in result.contig], dtype=object
    )
    result["name"] = result.name.where(
        result.name.notna() & (result.name != ""), result.gene
    )
    left_out = len(genes) - len(kept)
    result.attrs["dropped"] = (
        {"on a contig that the genome lacks": left_out} if left_out else {}
    )
    return result


def _annotated(table: pd.DataFrame) -> pd.DataFrame:
    """A row a gene: its longest transcript, or its own ends."""
    genes = table[table.feature.isin(GENES)]
    models = table[table.feature.isin(TRANSCRIPTS)]
    models = models.assign(
        span=models.end - models.start,
        key=models.gene_id.where(models.gene_id.notna(), models.id),
    )
    longest = models.sort_values("span", ascending=False, kind="stable")
    longest = longest.drop_duplicates(["key", "contig", "strand"])
    if genes.empty:
        sites = longest.sort_index()
        return _site_rows(sites, sites.key, sites.name, sites.transcript_id)
    key = genes.gene_id.where(genes.gene_id.notna(), genes.id)
    chosen = dict(
        zip(
            zip(longest.key, longest.contig, longest.strand, strict=True),
            zip(longest.start, longest.end, longest.transcript_id, strict=True),
            strict=True,
        )
    )
    found: list[tuple[Any, ...]] = [
        chosen.get((gene, row.contig, row.strand), (row.start, row.end, None))
        for gene, row in zip(key, genes.itertuples(), strict=True)
    ]
    starts, ends, names = zip(*found, strict=True)
    return _site_rows(genes.assign(start=starts, end=ends), key, genes.name, names)


def _site_rows(
    table: pd.DataFrame, key: pd.Series, name: pd.Series, transcript: Sequence
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "gene": pd.Series(key.fillna("").tolist(), dtype=object),
            "name": pd.Series(name.tolist(), dtype=object),
            "contig": pd.Series(table.contig.tolist(), dtype=object),
            "tss": _five_prime(table.start, table.end, table.strand),
            "strand": pd.Series(table.strand.tolist(), dtype=object),
            "transcript": pd.Series(list(transcript), dtype=object),
            "start": table.start.to_numpy(np.int64),
            "end": table.end.to_numpy(np.int64),
            "biotype": pd.Series(table.biotype.tolist(), dtype=object),
        }
    )


def _is_coding(genes: pd.DataFrame, table: pd.DataFrame) -> pd.Series:
    if genes.biotype.notna().any():
        return genes.biotype == "protein_coding"
    coding = set(table.gene_id[table.feature == "CDS"].dropna())
    return genes.gene.isin(coding) if coding else pd.Series(True, index=genes.index)
