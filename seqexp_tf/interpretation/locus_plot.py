"""Figure of one gene's window: what a model read there, and what it made of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.borders import find_runs
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.evaluation.gene_track import arrange_genes, plot_genes
from seqexp_tf.evaluation.rankings import BLACKLIST
from seqexp_tf.interpretation.elements import learnt
from seqexp_tf.records.expression_details import CONTACT
from seqexp_tf.records.regions import Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 1_400
"""Bins across the figure at most; one base each in short windows."""

_MASK = style.colour(0)
_ELEMENT = style.colour(1)
_TRUTH = style.colour(2)
_NARROWEST = 1 / 700
"""Of the window: narrower boxes are drawn this wide, to be seen at all."""

_STRIP, _TRACK, _TALL = 0.2, 0.62, 1.15


@dataclass(frozen=True)
class _Panel:
    """A row of the figure: its height in inches, and what draws it."""

    height: float
    draw: Any


def plot_locus(
    gene: GeneMask,
    *,
    elements: pd.DataFrame | None = None,
    genes: pd.DataFrame | None = None,
    known: np.ndarray | None = None,
    known_label: str = "known elements",
    promoter: int = 0,
) -> "Figure":
    """Draws one gene's window from left to right, a track under the other.

    Genes, every signal, contact to the TSS, channels, known elements, and the mask
    with the elements selected from it. Windows longer than the figure has columns
    are drawn in bins: the mean of the mask and of contact, the largest signal.

    Args:
        gene: with or without a mask.
        elements: of ``element_table``; the learnt ones are shaded.
        genes: contig, start, end (0-based half-open), strand and label; None leaves
            them out.
        known: bool ``(n,)`` of the gene's known elements; None leaves them out.
        known_label: what they are.
        promoter: bases around the TSS that the mask keeps whatever was learnt: they
            are hatched, and the mask is drawn of the others.
    """
    window = gene.window
    region = Region(window.contig, window.start, window.end)
    elements = None if elements is None else learnt(elements)
    spans = [] if elements is None else elements[["start", "end"]].to_numpy().tolist()
    panels: list[_Panel] = []
    if genes is not None:
        arranged = arrange_genes(genes, region)
        rows = arranged.row.max() + 1 if len(arranged) else 1
        panels.append(_Panel(0.1 + 0.24 * rows, _genes(arranged, region)))
    tracks = [name for name in gene.signals if name != CONTACT]
    for index, name in enumerate(tracks):
        panels.append(_Panel(_TRACK, _signal(gene, name, style.colour(2 + index))))
    if CONTACT in gene.signals:
        panels.append(_Panel(_TRACK, _signal(gene, CONTACT, "#555555")))
    for name, values in gene.channels.items():
        if name != BLACKLIST or values.any():
            panels.append(_Panel(_STRIP, _strip(window, values, name, "#555555")))
    if known is not None:
        panels.append(_Panel(_STRIP, _strip(window, known, known_label, _TRUTH)))
    if gene.mask is not None:
        draw = _mask(gene, promoter, selected=bool(spans))
        panels.append(_Panel(_TALL, draw))
    if elements is not None:
        panels.append(_Panel(_STRIP, _elements(window, elements)))
    heights = [panel.height for panel in panels]
    with style.context():
        figure = style.new_figure(
            width=8.4, height=1.05 + 0.06 * len(heights) + sum(heights)
        )
        axes = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, height_ratios=heights
        )[:, 0]
        for ax, panel in zip(axes, panels, strict=True):
            panel.draw(ax)
            ax.axvline(
                window.tss + 1,
                color="#222222",
                linewidth=0.7,
                linestyle=(0, (3, 2)),
                zorder=0.6,
            )
            ax.grid(False)
            if panel.height > _STRIP:
                _shade(ax, spans, len(window), alpha=0.16)
            if ax is not axes[-1]:
                ax.tick_params(axis="x", length=0)
                ax.spines["bottom"].set_visible(panel.height in (_TRACK, _TALL))
        _position_axis(axes[-1], region)
        _distance_axis(axes[0], window)
        figure.align_ylabels(axes)
        _title(axes[0], gene, elements, promoter)
    return figure


def _title(
    ax: "Axes", gene: GeneMask, elements: pd.DataFrame | None, promoter: int
) -> None:
    """Writes name and place, and under them what was found."""
    window = gene.window
    name = window.name
    if window.gene not in ("", name):
        name += f" ({window.gene})"
    region = Region(window.contig, window.start, window.end)
    ax.set_title(f"{name}, {region} ({window.gene_strand})", pad=30)
    parts = []
    if math.isfinite(gene.prediction):
        # Without a minus before 0.00.
        predicted = round(gene.prediction, 2) + 0.0
        parts.append(f"predicted {predicted:.2f}, measured {gene.target:.2f}")
    if elements is not None:
        kept = int(window.promoter(promoter).sum())
        share = elements.length.sum() / max(len(window) - kept, 1)
        noun = "element" if len(elements) == 1 else "elements"
        outside = " outside the promoter" if kept else ""
        parts.append(f"{len(elements)} {noun}, {share:.1%} of bases{outside}")
    ax.annotate(
        "   |   ".join(parts),
        (0, 1),
        (0, 20),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=7.5,
        color="#444444",
    )


def _genes(arranged: pd.DataFrame, region: Region) -> Any:
    def draw(ax: "Axes") -> None:
        plot_genes(arranged, region, ax=ax)
        _name(ax, "genes")

    return draw


def _signal(gene: GeneMask, name: str, colour: str) -> Any:
    values = gene.signals[name]
    reduce = np.mean if name == CONTACT else np.max

    def draw(ax: "Axes") -> None:
        x, y = _binned(gene.window, values, reduce)
        low = min(float(y.min()), 0.0)
        ax.fill_between(x, y, low, step="post", color=colour, linewidth=0, alpha=0.75)
        top = float(y.max())
        ax.set_ylim(low, top * 1.08 if top > low else low + 1)
        _few_ticks(ax)
        _name(ax, name)

    return draw


def _mask(gene: GeneMask, promoter: int, *, selected: bool) -> Any:
    window = gene.window

    def draw(ax: "Axes") -> None:
        from matplotlib.patches import Patch

        kept = window.promoter(promoter)
        x, y = _binned(window, np.where(kept, 0.0, gene.mask), np.mean)
        ax.fill_between(x, y, step="post", color=_MASK, linewidth=0, alpha=0.85)
        top = float(y.max())
        ax.set_ylim(0, min(top * 1.15, 1.02) or 1.02)
        _few_ticks(ax)
        _name(ax, "learnt mask")
        legend = []
        if kept.any():
            (start, end), *_ = find_runs(kept).tolist()
            look = {"facecolor": "none", "edgecolor": "0.6", "hatch": "////"}
            ax.axvspan(
                window.start + start + 0.5, window.start + end + 0.5, lw=0, **look
            )
            legend.append(Patch(lw=0, label="always kept", **look))
        if selected:
            legend.append(Patch(color=_ELEMENT, alpha=0.3, lw=0, label="selected"))
        if legend:
            ax.legend(
                handles=legend, loc="upper right", fontsize=6, ncols=2, borderpad=0.3
            )

    return draw


def _strip(window: GeneWindow, values: np.ndarray, name: str, colour: str) -> Any:
    def draw(ax: "Axes") -> None:
        runs = find_runs(values) + window.start
        _boxes(ax, runs.tolist(), len(window), [colour] * len(runs))
        _bare(ax, name)

    return draw


def _elements(window: GeneWindow, elements: pd.DataFrame) -> Any:
    def draw(ax: "Axes") -> None:
        runs = elements[["start", "end"]].to_numpy().tolist()
        _boxes(ax, runs, len(window), [_ELEMENT] * len(runs))
        _bare(ax, "selected")

    return draw


def _boxes(
    ax: "Axes", runs: Sequence[Sequence[int]], length: int, colours: Sequence[str]
) -> None:
    spans = [_visible(start, end, length) for start, end in runs]
    if spans:
        ax.broken_barh(spans, (0.15, 0.7), facecolors=colours, linewidth=0)


def _shade(
    ax: "Axes", runs: Sequence[Sequence[int]], length: int, *, alpha: float
) -> None:
    spans = [_visible(start, end, length) for start, end in runs]
    if spans:
        ax.broken_barh(
            spans,
            (0, 1),
            transform=ax.get_xaxis_transform(),
            facecolors=_ELEMENT,
            alpha=alpha,
            linewidth=0,
            zorder=0.5,
        )


def _visible(start: int, end: int, length: int) -> tuple[float, float]:
    """Returns left edge and width of a box, at least ``_NARROWEST`` wide."""
    width = max(end - start, _NARROWEST * length)
    return (start + end - width) / 2 + 0.5, width


def _binned(
    window: GeneWindow, values: np.ndarray, reduce: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Returns left edges (1-based, half a base before) and values of bins.

    The last value stands twice, as drawing steps after their edges needs it.
    """
    size = -(-values.size // _COLUMNS)
    starts = np.arange(0, values.size, size)
    method = np.add if reduce is np.mean else np.maximum
    binned = method.reduceat(values.astype(np.float64), starts)
    if reduce is np.mean:
        binned /= np.diff(np.append(starts, values.size))
    edges = np.append(starts, values.size) + window.start + 0.5
    return edges, np.append(binned, binned[-1])


def _name(ax: "Axes", text: str) -> None:
    ax.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=7.5)


def _bare(ax: "Axes", text: str) -> None:
    ax.set(ylim=(0, 1), yticks=())
    ax.spines["left"].set_visible(False)
    _name(ax, text)


def _few_ticks(ax: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator

    ax.yaxis.set_major_locator(MaxNLocator(nbins=3, min_n_ticks=3))
    ax.tick_params(axis="y", labelsize=6)


def _position_axis(ax: "Axes", region: Region) -> None:
    ax.set_xlim(region.start + 0.5, region.end + 0.5)
    ax.locator_params(axis="x", nbins=7)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel(f"Position on {region.contig} (bp)")
    ax.spines["bottom"].set_visible(True)
    ax.tick_params(axis="x", labelbottom=True, length=3)


def _distance_axis(ax: "Axes", window: GeneWindow) -> None:
    """Adds kilobases from the TSS on top, negative upstream of the gene.

    A dataset may have centred windows on start codons: the axis names neither.
    """
    from matplotlib.ticker import MaxNLocator

    sign = 1 if window.gene_strand == "+" else -1
    top = ax.secondary_xaxis(
        "top",
        functions=(
            lambda x: sign * (x - window.tss - 1) / 1000,
            lambda x: sign * x * 1000 + window.tss + 1,
        ),
    )
    top.tick_params(labelsize=6.5, length=2)
    top.xaxis.set_major_locator(MaxNLocator(9))
    top.xaxis.set_major_formatter(
        lambda value, _: "0" if abs(value) < 1e-9 else f"{value:+g} kb"
    )
