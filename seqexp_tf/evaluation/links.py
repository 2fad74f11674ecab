"""Known regulatory elements to hold a ranking against: BED or element-gene tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.gene_masks import GeneWindow
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.files import text_lines
from seqexp_tf.genome.intervals import interval_mask, read_bed

_CONTIG = ("contig", "chr", "chrom", "chromosome")
_START = ("start", "chromstart", "chrstart")
_END = ("end", "chromend", "chrend")
_GENE = (
    "gene", "gene_id", "gene_name", "targetgene", "targetgeneensembl_id",
    "targetgenesymbol", "measuredgenesymbol", "measuredgeneensemblid",
)  # fmt: skip
_POSITIVE = ("positive", "regulated")
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no", "")

_ACTING = ("promoter_motif", "enhancer")
_PLANTED = (*_ACTING, "decoy")
"""Kinds of a simulation's elements that may act on a gene, and those that look it."""


@dataclass(frozen=True)
class Links:
    """Elements, and the genes they act on where that is known.

    Attributes:
        path: the file.
        elements: contig, start, end (0-based half-open), gene (of the dataset; None
            where the file names another or none) and positive; a row a pair of
            element and gene, each once.
        by_gene: whether the file says on which gene an element acts; otherwise it
            counts for every gene whose window it lies in.
        skipped: what was left aside, reason -> rows.
    """

    path: Path
    elements: pd.DataFrame
    by_gene: bool
    skipped: dict[str, int]

    def positives(self, window: GeneWindow) -> np.ndarray:
        """Returns True at the bases of a gene's elements, bool ``(n,)``."""
        if self.by_gene:
            rows = self._positive_by_gene.get(window.gene, self.elements[:0])
        else:
            rows = self._within(self._by_contig, window)
        rows = rows[rows.contig == window.contig]
        painted = interval_mask(rows.start, rows.end, window.start, window.end)
        return painted.astype(bool)

    def candidates(self, window: GeneWindow) -> pd.DataFrame:
        """Returns every element whose middle lies in a gene's window.

        Returns:
            start, end (cut to the window) and positive, whether the element acts on
            this gene; from left to right.
        """
        rows = self._within(self._places, window)
        middle = (rows.start + rows.end) // 2
        rows = rows[(middle >= window.start) & (middle < window.end)]
        own = self._positive_by_gene.get(window.gene, self.elements[:0])
        own = own[own.contig == window.contig]
        acting = set(zip(own.start, own.end, strict=True))
        positive = [pair in acting for pair in zip(rows.start, rows.end, strict=True)]
        return pd.DataFrame(
            {
                "start": rows.start.clip(lower=window.start).to_numpy(),
                "end": rows.end.clip(upper=window.end).to_numpy(),
                "positive": np.array(positive, dtype=bool),
            }
        )

    @cached_property
    def _positive_by_gene(self) -> dict[str, pd.DataFrame]:
        return dict(iter(self.elements[self.elements.positive].groupby("gene")))

    @cached_property
    def _by_contig(self) -> dict[str, pd.DataFrame]:
        return dict(iter(self.elements.groupby("contig")))

    @cached_property
    def _places(self) -> dict[str, pd.DataFrame]:
        """Every element once, by contig."""
        places = self.elements.drop_duplicates(["contig", "start", "end"])
        return dict(iter(places.sort_values(["start", "end"]).groupby("contig")))

    def _within(
        self, tables: Mapping[str, pd.DataFrame], window: GeneWindow
    ) -> pd.DataFrame:
        rows = tables.get(window.contig, self.elements[:0])
        return rows[(rows.start < window.end) & (rows.end > window.start)]


def read_links(
    path: str | Path, *, sizes: Mapping[str, int], genes: pd.DataFrame
) -> Links:
    """Reads elements on the contigs of a dataset.

    A file with a heading is a table of pairs, plain or gzip: tab-separated, with
    columns for contig, start and end (0-based half-open) and one or more for the
    gene, by identifier (a version is ignored) or name, as in the predictions of ABC
    and ENCODE-rE2G. A column ``positive`` or ``Regulated`` tells pairs that were
    tested and found inactive. Of the ``elements.tsv`` of a simulation, promoter
    motifs and enhancers with an effect are positive. Any other file is BED: its
    elements count for every gene.

    Args:
        path: the file.
        sizes: contig -> length of the dataset.
        genes: gene and name of each gene of the dataset.

    Raises:
        InputError: no element at all, none on a contig of the dataset, none of a
            gene of it; or a malformed line, with its number.
    """
    path = Path(path)
    heading = _heading(path)
    if heading is None:
        table = read_bed(path)[["contig", "start", "end"]]
        table = table.assign(gene=None, positive=True)
    else:
        table = _read_table(path, heading, genes)
    if table.empty:
        raise InputError(f"{path}: no element in it; give a BED file or a table")
    rows = len(table)
    resolver = ContigNames(sizes)
    own = dict.fromkeys(table.contig)
    names = {name: resolver.resolve(name, among=own) for name in own}
    table = table.assign(contig=table.contig.map(names))
    known = table[table.contig.notna()]
    if known.empty:
        first = next(iter(own))
        raise InputError(
            f"{path}: no contig of it is in the dataset (the first is {first!r}); "
            f"{nearest(first, sizes)}"
        )
    skipped = {"contigs the dataset lacks": rows - len(known)}
    known = known[known.end > known.start]
    if heading is not None:
        unnamed = known.gene.isna() & known.positive
        if not (known.gene.notna() & known.positive).any():
            raise InputError(
                f"{path}: none of its {len(known):,} links is of a gene of the "
                "dataset; give identifiers or names as in the dataset's genes"
            )
        skipped["genes the dataset lacks"] = int(unnamed.sum())
    known = (
        known.sort_values("positive", ascending=False, kind="stable")
        .drop_duplicates(["contig", "start", "end", "gene"])
        .sort_values(["contig", "start", "end"], kind="stable", ignore_index=True)
    )
    skipped = {reason: count for reason, count in skipped.items() if count}
    return Links(path, known, heading is not None, skipped)


def _heading(path: Path) -> list[str] | None:
    """Returns the columns of a table; None of BED."""
    for _, line in text_lines(path):
        if line.strip():
            fields = [name.strip() for name in line.lstrip("#").split("\t")]
            lower = [name.lower() for name in fields]
            found = all(_find(lower, names) for names in (_CONTIG, _START, _END))
            return fields if found else None
    return None


def _find(columns: list[str], names: tuple[str, ...]) -> list[int]:
    return [index for index, column in enumerate(columns) if column in names]


def _read_table(path: Path, heading: list[str], genes: pd.DataFrame) -> pd.DataFrame:
    lower = [name.lower() for name in heading]
    places = [_find(lower, names)[0] for names in (_CONTIG, _START, _END)]
    named = _find(lower, _GENE)
    if not named:
        raise InputError(
            f"{path}: no column names the gene; call it gene, gene_id or TargetGene, "
            "or give BED without a heading"
        )
    planted = {"kind", "effect", "gene"} <= set(lower)
    judged = _find(lower, _POSITIVE)
    resolve = _gene_names(genes)
    rows: list[tuple] = []
    lines = text_lines(path)
    for number, line in lines:
        if not line.strip() or (line.startswith("#") and rows):
            continue
        fields = line.lstrip("#").split("\t")
        if [field.strip() for field in fields] == heading:
            continue
        where = f"{path}: line {number}"
        if len(fields) != len(heading):
            raise InputError(
                f"{where}: {len(fields)} columns, the heading has {len(heading)}"
            )
        positive = True
        if planted:
            kind = fields[lower.index("kind")]
            if kind not in _PLANTED:
                continue
            effect = _number(fields[lower.index("effect")], where, "effect")
            positive = kind in _ACTING and effect > 0
        elif judged:
            positive = _truth(fields[judged[0]], where, heading[judged[0]])
        contig, first, last = (fields[index] for index in places)
        start, end = (_number(text, where, "position") for text in (first, last))
        if not 0 <= start <= end:
            raise InputError(
                f"{where}: start {first}, end {last}: expected 0 <= start <= end"
            )
        found = (resolve(fields[index]) for index in named)
        gene = next((name for name in found if name), None)
        rows.append((contig, int(start), int(end), gene, positive))
    columns = ["contig", "start", "end", "gene", "positive"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"gene": object, "positive": bool})


def _gene_names(genes: pd.DataFrame):
    """Returns a function from what a file calls a gene to the dataset's identifier."""
    known = {
        _bare(name): gene for gene, name in zip(genes.gene, genes.name, strict=True)
    }
    known |= {_bare(gene): gene for gene in genes.gene}
    return lambda text: known.get(_bare(text.strip()))


def _bare(name: str) -> str:
    """An Ensembl identifier without its version, else the name as it is."""
    stem, _, version = name.partition(".")
    return stem if stem.startswith("ENS") and version.isdigit() else name


def _number(text: str, where: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{where}: {what} {text!r} is no number") from None


def _truth(text: str, where: str, column: str) -> bool:
    value = text.strip().lower()
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise InputError(f"{where}: {column} is {text!r}; expected true or false")
