"""Masks and elements of many genes as files of a genome browser and tables."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.evaluation.borders import find_runs
from seqexp_tf.evaluation.gene_masks import GeneMask
from seqexp_tf.genome.files import atomic_path
from seqexp_tf.genome.intervals import write_bed
from seqexp_tf.genome.tracks import bigwig_writer
from seqexp_tf.interpretation.elements import COLUMNS, PROMOTER, learnt, mask_ratio

STEP = 1e-4
"""Masks in a bigWig are rounded to multiples of this: runs of equal value are short
files."""

_LEVELS = round(1 / STEP)

GENE_COLUMNS = (
    "gene", "name", "contig", "tss", "strand", "split", "start", "end", "mask_mean",
    "mask_ratio", "selected", "elements", "prediction", "target",
)  # fmt: skip


class GenomeMaximum:
    """The largest mask of each base over all genes that have it in their window.

    Kept on disk, two bytes a base, in a folder that goes with the object; a context
    manager.

    Args:
        sizes: contig -> length.
        folder: where the temporary files are made.
    """

    def __init__(self, sizes: Mapping[str, int], folder: Path) -> None:
        self._sizes = dict(sizes)
        self._stack = ExitStack()
        self._folder = Path(
            self._stack.enter_context(
                tempfile.TemporaryDirectory(prefix=".masks.", dir=folder)
            )
        )
        self._levels: dict[str, np.ndarray] = {}

    def __enter__(self) -> "GenomeMaximum":
        return self

    def __exit__(self, *exception: object) -> None:
        self._levels.clear()
        self._stack.close()

    def add(self, gene: GeneMask) -> None:
        """Takes in one gene."""
        window = gene.window
        if window.contig not in self._levels:
            path = self._folder / str(len(self._levels))
            # A file of holes: what no gene covers takes no room.
            with path.open("wb") as stream:
                os.truncate(stream.fileno(), 2 * self._sizes[window.contig])
            self._levels[window.contig] = np.memmap(path, dtype=np.uint16, mode="r+")
        # 0 is a base without any gene.
        level = np.rint(gene.mask * _LEVELS).astype(np.uint16) + np.uint16(1)
        here = self._levels[window.contig][window.start : window.end]
        np.maximum(here, level, out=here)

    def write(self, path: Path) -> None:
        """Writes the bigWig, old or whole; bases without a gene are gaps.

        Raises:
            InputError: no gene was added.
        """
        with bigwig_writer(path, self._sizes) as writer:
            for contig in sorted(self._levels):
                levels = self._levels[contig]
                for start, end in find_runs(levels > 0).tolist():
                    values = (levels[start:end] - np.uint16(1)) / np.float32(_LEVELS)
                    writer.add(contig, start, values)


def write_gene_bigwig(path: Path, gene: GeneMask, sizes: Mapping[str, int]) -> None:
    """Writes the mask of one gene as a bigWig, rounded to ``STEP``."""
    window = gene.window
    values = np.rint(gene.mask * _LEVELS).astype(np.float32) / np.float32(_LEVELS)
    with bigwig_writer(path, sizes) as writer:
        writer.add(window.contig, window.start, values)


def gene_row(gene: GeneMask, elements: pd.DataFrame) -> dict[str, Any]:
    """Returns the row of ``GENE_COLUMNS`` of one gene.

    ``elements`` are its learnt ones and ``selected`` their bases; ``mask_mean`` and
    ``mask_ratio`` are of the whole window, its promoter among it.

    Args:
        gene: with a mask.
        elements: of ``element_table``.
    """
    window, mask = gene.window, gene.mask
    elements = learnt(elements)
    return {
        "gene": window.gene,
        "name": window.name,
        "contig": window.contig,
        "tss": window.tss,
        "strand": window.gene_strand,
        "split": window.split,
        "start": window.start,
        "end": window.end,
        "mask_mean": float(mask.mean(dtype=np.float64)),
        "mask_ratio": mask_ratio(mask),
        "selected": int(elements.length.sum()),
        "elements": len(elements),
        "prediction": gene.prediction,
        "target": gene.target,
    }


def join_elements(
    tables: Iterable[pd.DataFrame], sizes: Mapping[str, int]
) -> pd.DataFrame:
    """Returns the elements of many genes in genome order, as the dataset's contigs."""
    found = [table for table in tables if len(table)]
    if not found:
        return pd.DataFrame(columns=list(COLUMNS))
    order = {contig: rank for rank, contig in enumerate(sizes)}
    joined = pd.concat(found, ignore_index=True)
    rank = joined.contig.map(order)
    return (
        joined.assign(rank=rank)
        .sort_values(["rank", "start", "end", "gene"], kind="stable")
        .drop(columns="rank")
        .reset_index(drop=True)
    )


def write_elements_bed(path: Path, elements: pd.DataFrame) -> None:
    """Writes BED6: name is the gene's, score 1000 x mean mask, strand the gene's.

    The promoter that is always kept is called ``NAME:promoter``.
    """
    score = (1000 * elements.score.astype(float)).round().astype(int)
    name = elements.name.where(elements.kind != PROMOTER, elements.name + ":promoter")
    write_bed(path, elements.assign(score=score, name=name))


def summarise(genes: pd.DataFrame, elements: pd.DataFrame) -> dict[str, Any]:
    """Returns what there is to say of all genes and their learnt elements together.

    ``selected_fraction`` is the share of the bases outside promoters.

    Args:
        genes: rows of ``GENE_COLUMNS``.
        elements: of ``join_elements``.
    """
    kept = elements[elements.kind == PROMOTER].length.sum()
    elements = learnt(elements)
    distance = elements.distance.astype(float).abs()
    return {
        "genes": len(genes),
        "elements": len(elements),
        "elements_per_gene": len(elements) / len(genes),
        "selected_fraction": _share(genes.selected.sum(), _bases(genes) - kept),
        "mask_mean": float(genes.mask_mean.mean()),
        "mask_ratio": float(genes.mask_ratio.mean()),
        "median_length": float(elements.length.astype(float).median()),
        "median_distance": float(distance.median()),
    }


def _bases(genes: pd.DataFrame) -> int:
    return int((genes.end - genes.start).sum())


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a TSV, old or whole; seven digits, NaN empty."""
    text = table.to_csv(sep="\t", index=False, float_format="%.7g", lineterminator="\n")
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
