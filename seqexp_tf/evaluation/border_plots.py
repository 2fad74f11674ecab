"""Figure of measured, rebuilt and predicted expression of one region."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.borders import find_runs
from seqexp_tf.evaluation.gene_track import arrange_genes, plot_genes
from seqexp_tf.evaluation.reconstruction import (
    DNA_ALONE,
    RECONSTRUCTION,
    VISIBLE,
    Reconstruction,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    RECONSTRUCTION: {"color": style.colour(0), "linewidth": 1.2},
    DNA_ALONE: {"color": style.colour(2), "linewidth": 1.2},
    VISIBLE: {"color": "#000000", "linewidth": 0.8, "linestyle": (0, (1, 1.5))},
}
_NAMES = {
    RECONSTRUCTION: "reconstruction",
    DNA_ALONE: "DNA alone",
    VISIBLE: "labels visible",
}
_HIDDEN = {"color": style.colour(4), "alpha": 0.14, "linewidth": 0}
_UNMEASURED = {
    "facecolor": "none",
    "edgecolor": "0.8",
    "hatch": "////",
    "linewidth": 0,
}
_LEGEND_COLUMNS = 6
"""As many names as fit beside each other; more take two lines."""

_TICKS = (-0.13, -0.05)
_CALLS = (1.04, 1.1)


def plot_borders(
    strands: Sequence[Reconstruction], *, genes: pd.DataFrame | None = None
) -> "Figure":
    """Draws truth and predictions, a strand a panel, and genes underneath.

    Args:
        strands: of one region.
        genes: contig, start, end (0-based half-open), strand and label; None leaves
            them out.
    """
    region = strands[0].region
    arranged = None if genes is None else arrange_genes(genes, region)
    heights = [1.5] * len(strands)
    if arranged is not None:
        rows = arranged.row.max() + 1 if len(arranged) else 1
        heights.append(0.12 + 0.24 * rows)
    with style.context():
        figure = style.new_figure(
            width=8, height=0.75 + 0.64 * len(strands) + sum(heights)
        )
        axes = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
        )[:, 0]
        for ax, strand in zip(axes, strands, strict=False):
            plot_strand(strand, ax=ax)
        if arranged is not None:
            plot_genes(arranged, region, ax=axes[-1])
        axes[-1].set_xlabel(f"Position on {region.contig} (bp)")
        axes[-1].tick_params(axis="x", labelbottom=True)
        named = {}
        for ax in axes[: len(strands)]:
            handles, names = ax.get_legend_handles_labels()
            named |= dict(zip(names, handles, strict=True))
        columns = len(named) if len(named) <= _LEGEND_COLUMNS else _LEGEND_COLUMNS - 2
        figure.legend(named.values(), named, loc="outside upper center", ncols=columns)
    return figure


def plot_strand(strand: Reconstruction, *, ax: "Axes") -> "Axes":
    """Draws one strand on ``ax``: positions are 1-based and grow to the right.

    Bars on top are the segments called expressed from DNA alone.
    """
    region = strand.region
    position = np.arange(region.start, region.end) + 1
    with style.context():
        ax.fill_between(
            position,
            np.where(strand.valid, strand.labels, 0),
            step="mid",
            color="0.82",
            linewidth=0,
            label="expressed (truth)",
        )
        _shade(strand.hidden, region.start, ax, "RNA mask", **_HIDDEN)
        _shade(~strand.valid, region.start, ax, "not measured", **_UNMEASURED)
        if strand.masked.any():
            ax.vlines(
                position[strand.masked],
                *_TICKS,
                color=style.colour(3),
                linewidth=0.5,
                label="DNA mask",
            )
        for name, probability in strand.predictions.items():
            ax.plot(position, probability, label=_NAMES[name], **_LOOKS[name])
        for index, (start, end) in enumerate(find_runs(strand.segments).tolist()):
            ax.fill_between(
                (region.start + start + 0.5, region.start + end + 0.5),
                *_CALLS,
                color=_LOOKS[DNA_ALONE]["color"],
                linewidth=0,
                label=None if index else f"{_NAMES[DNA_ALONE]}, segments",
            )
        ax.axhline(0.5, color="0.5", linewidth=0.6, linestyle=":")
        ax.set(
            xlim=(region.start + 0.5, region.end + 0.5),
            ylim=(_TICKS[0] - 0.03, _CALLS[1] + 0.03),
            yticks=(0, 0.5, 1),
            ylabel="p(expressed)",
        )
        ax.grid(False)
        ax.locator_params(axis="x", nbins=8)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        total = strand.expressed
        noun = "region" if total.regions == 1 else "regions"
        title = f"{summary(strand)}\n{scored_positions(strand)}"
        ax.set_title(title, fontsize=7, fontweight="normal", pad=3)
        ax.annotate(
            f"{region} ({strand.strand})   Total expressed = {total.bases:,} bp, "
            f"{total.regions} {noun}",
            (0, 1),
            (0, 24),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=8.5,
            fontweight="bold",
        )
    return ax


def summary(strand: Reconstruction) -> str:
    """Returns what was hidden, and loss and accuracy of each prediction."""
    parts = []
    for name, score in strand.scores.items():
        what = _NAMES[name]
        if name == RECONSTRUCTION:
            what = (
                f"RNA mask {strand.hidden.sum():,} bp, "
                f"DNA mask {strand.masked.sum():,} bp"
            )
        parts.append(f"{what}: loss {_text(score.loss)}, acc. {_text(score.accuracy)}")
    return "  |  ".join(parts)


def scored_positions(strand: Reconstruction) -> str:
    """Returns at which labels each prediction is scored."""
    others = [name for name in strand.scores if name != RECONSTRUCTION]
    named = " and ".join(_NAMES[name] for name in others)
    return (
        f"Scored at measured labels: the reconstruction at the "
        f"{strand.scores[RECONSTRUCTION].positions:,} under the RNA mask, {named} at "
        f"all {strand.scores[others[0]].positions:,}"
    )


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _shade(
    chosen: np.ndarray, offset: int, ax: "Axes", label: str, **look: Any
) -> None:
    for index, (start, end) in enumerate(find_runs(chosen).tolist()):
        ax.axvspan(
            offset + start + 0.5,
            offset + end + 0.5,
            label=label if index == 0 else None,
            **look,
        )
