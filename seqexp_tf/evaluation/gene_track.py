"""Genes as arrows under a figure of a region."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.evaluation import style
from seqexp_tf.records.regions import Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LETTER = 0.0085  # of the width of the axes
_TIP = 0.010
_GAP = 0.010
_CHEVRONS = 0.06


def arrange_genes(genes: pd.DataFrame, region: Region) -> pd.DataFrame:
    """Returns the genes that overlap a region, each with a row to be drawn in.

    Rows count from the top; those of the plus strand come first. Genes of one row
    overlap neither with each other nor with each other's names.

    Args:
        genes: contig, start, end (0-based half-open), strand and label.
        region: the bases shown.

    Returns:
        The columns of ``genes``, ``middle`` (1-based position of the name) and
        ``row``.
    """
    overlaps = (
        (genes.contig == region.contig)
        & (genes.start < region.end)
        & (genes.end > region.start)
    )
    found = genes[overlaps].sort_values(["start", "end"])
    first = found.start.clip(lower=region.start)
    last = found.end.clip(upper=region.end)
    half = found.label.str.len() * _LETTER * len(region) / 2
    middle = np.clip((first + last) / 2, region.start + half, region.end - half)
    left, right = np.minimum(first, middle - half), np.maximum(last, middle + half)
    rows = pd.Series(0, index=found.index, dtype=int)
    above = 0
    for plus in (True, False):
        chosen = found.index[(found.strand == "+") == plus]
        taken: list[float] = []
        for index in chosen:
            free = (row for row, end in enumerate(taken) if end < left[index])
            row = next(free, len(taken))
            taken[row : row + 1] = [right[index] + _GAP * len(region)]
            rows[index] = above + row
        above += len(taken)
    return found.assign(middle=middle + 0.5, row=rows).reset_index(drop=True)


def plot_genes(arranged: pd.DataFrame, region: Region, *, ax: "Axes") -> "Axes":
    """Draws arrows in the direction of transcription, their names above them.

    A gene that goes on beyond the region has no tip there; chevrons along it point the
    same way.

    Args:
        arranged: what ``arrange_genes`` returned.
        region: the bases shown; positions on the axis are 1-based.
        ax: axes to draw on.
    """
    from matplotlib.patches import Polygon

    tip = _TIP * len(region)
    with style.context():
        for gene in arranged.itertuples():
            first = max(gene.start, region.start) + 0.5
            last = min(gene.end, region.end) + 0.5
            colour = style.colour(0 if gene.strand == "+" else 1)
            if gene.strand is None:
                colour = style.GREY
            ends = gene.end <= region.end, gene.start >= region.start
            whole = ends[gene.strand == "-"]
            outline = _outline(
                first, last, gene.row, gene.strand if whole else None, tip
            )
            ax.add_patch(Polygon(outline, facecolor=colour, alpha=0.75, linewidth=0))
            if gene.strand is not None:
                number = int((last - first) / (_CHEVRONS * len(region)))
                places = first + (last - first) * (np.arange(number) + 0.5) / number
                ax.plot(
                    places,
                    np.full(number, gene.row),
                    linestyle="none",
                    marker=">" if gene.strand == "+" else "<",
                    markersize=2.2,
                    color="white",
                )
            ax.text(
                gene.middle,
                gene.row - 0.22,
                gene.label,
                ha="center",
                va="bottom",
                fontsize=6.5,
                style="italic",
            )
        rows = arranged.row.max() + 1 if len(arranged) else 1
        ax.set(ylim=(rows - 0.5, -0.95), yticks=(), ylabel="Genes")
        ax.grid(False)
        ax.spines["left"].set_visible(False)
    return ax


def _outline(
    first: float, last: float, row: int, strand: str | None, tip: float
) -> list[tuple[float, float]]:
    top, bottom = row - 0.2, row + 0.2
    tip = min(tip, last - first)
    if strand == "+":
        neck = last - tip
        return [
            (first, top), (neck, top), (last, row), (neck, bottom), (first, bottom),
        ]  # fmt: skip
    if strand == "-":
        neck = first + tip
        return [
            (last, top), (neck, top), (first, row), (neck, bottom), (last, bottom),
        ]  # fmt: skip
    return [(first, top), (last, top), (last, bottom), (first, bottom)]
