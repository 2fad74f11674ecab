"""Figures of mutagenesis maps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.gene_track import arrange_genes, plot_genes
from seqexp_tf.genome.alphabet import BASES
from seqexp_tf.interpretation.mutation_map import (
    Measure,
    MutationMap,
    require_within,
)
from seqexp_tf.records.regions import Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_UNITS = {"log_odds": "|log-odds\ndifference|", "log_ratio": "|ln ratio|"}
_MEANING = {
    "log_odds": "|logit p′ − logit p|",
    "log_ratio": "|ln (p′ / p)|",
}
_MAP, _ABOVE, _BESIDE = 4.8, 0.55, 0.75  # Inches.
_CELLS = 640
_BRIGHTEST = 99.8  # Percentile; a few bases would leave the others pale.
_SHOWN = {
    "half": "labels of the window's central half hidden",
    "hidden": "all labels hidden",
}
_HIDDEN = {"color": style.colour(4), "alpha": 0.14, "linewidth": 0}
_EDGE = {"color": "0.35", "linewidth": 0.7, "linestyle": (0, (4, 3))}
_TIP = 0.012
_POSITION = "{x:,.0f}"


def plot_map(
    found: MutationMap,
    measure: Measure = "log_odds",
    *,
    zoom: Region | None = None,
    genes: pd.DataFrame | None = None,
) -> "Figure":
    """Draws a map as a heat map: mutated bases to the right, changed ones down.

    Above it the influence of each mutated base; beside it the expression predicted
    without any mutation, measured expression in grey, and labels hidden from the
    model shaded; genes along both axes. A map of more cells than can be told apart
    is drawn by the maximum of blocks.

    Args:
        found: a map.
        measure: ``log_odds`` or ``log_ratio``.
        zoom: the part drawn on both axes; all if not given.
        genes: contig, start, end (0-based half-open), strand and label; None leaves
            them out.

    Returns:
        A new figure; write it with ``save_figure``.

    Raises:
        InputError: ``zoom`` is not within both the mutated and the recorded bases.
    """
    across, down = found.region, found.recorded
    if zoom is not None:
        require_within("zoom", zoom, across, "the mutated region")
        require_within("zoom", zoom, down, "the recorded region")
        across = down = zoom
    values = found.values(measure)[_part(across, found.region)]
    values = values[:, _part(down, found.recorded)]
    with style.context():
        panels = _lay_out(across, down, genes)
        _draw_heat(values, across, down, panels, unit=_UNITS[measure])
        _draw_influence(values, across, panels)
        _draw_profile(found, down, panels)
        if genes is not None:
            plot_genes(arrange_genes(genes, across), across, ax=panels.genes)
            panels.genes.set_ylabel("")
            panels.heat.tick_params(labelbottom=False)
            _draw_genes_down(genes, down, ax=panels.side)
        panels.side.set_ylabel(f"Changed base on {down.contig} (bp)")
        lowest = panels.heat if genes is None else panels.genes
        lowest.set_xlabel(f"Mutated base on {across.contig} (bp)")
        for axis in (lowest.xaxis, panels.side.yaxis):
            axis.set_major_formatter(_POSITION)
        panels.heat.locator_params(axis="x", nbins=6)
        panels.heat.locator_params(axis="y", nbins=10)
        panels.highest.set_title(_title(found, across), pad=14)
        _explain(
            f"{_MEANING[measure]}, the largest of three mutations; "
            f"{_SHOWN[found.labels]}",
            panels.highest,
        )
    return panels.heat.figure


def plot_influence(
    found: MutationMap, *, genes: pd.DataFrame | None = None
) -> "Figure":
    """Draws the influence of each base, and the effect of each mutation, signed.

    Args:
        found: a map.
        genes: as for ``plot_map``.
    """
    region = found.region
    arranged = None if genes is None else arrange_genes(genes, region)
    heights = [0.9, 0.9, 0.7]
    if arranged is not None:
        rows = arranged.row.max() + 1 if len(arranged) else 1
        heights.append(0.1 + 0.24 * rows)
    with style.context():
        figure = style.new_figure(width=8, height=1.5 + sum(heights))
        axes = figure.subplots(
            len(heights), 1, sharex=True, height_ratios=heights, squeeze=False
        )[:, 0]
        for ax, (measure, unit) in zip(axes, _UNITS.items(), strict=False):
            _bars(found.mean_influence(measure), region, ax, color=style.colour(0))
            ax.set(ylabel=f"Mean of\n{unit}", ylim=(0, None))
        _draw_effects(found, axes[2], figure)
        if arranged is not None:
            plot_genes(arranged, region, ax=axes[3])
        axes[-1].set_xlabel(f"Mutated base on {region.contig} (bp)")
        axes[-1].tick_params(axis="x", labelbottom=True)
        axes[-1].xaxis.set_major_formatter(_POSITION)
        axes[-1].locator_params(axis="x", nbins=8)
        axes[0].set_xlim(region.start + 0.5, region.end + 0.5)
        axes[0].set_title(_title(found, region), pad=14)
        _explain(f"Largest of three mutations; {_SHOWN[found.labels]}", axes[0])
        figure.align_ylabels(axes)
    return figure


@dataclass(frozen=True)
class _Panels:
    """Axes of a map; all but ``bar`` share the bases of ``heat``."""

    heat: "Axes"
    highest: "Axes"
    mean: "Axes"
    side: "Axes"
    profile: "Axes"
    genes: "Axes"
    bar: "Axes"


def _lay_out(across: Region, down: Region, genes: pd.DataFrame | None) -> _Panels:
    """Places axes by the inch: the map square, everything else along its edges."""
    rows = [0, 0]
    if genes is not None:
        for at, region in enumerate((across, down)):
            arranged = arrange_genes(genes, region)
            rows[at] = arranged.row.max() + 1 if len(arranged) else 1
    track, strip = 0.06 + 0.24 * rows[0], 0.06 + 0.12 * rows[1]
    left, bottom, gap = 1.0 + strip, 0.5, 0.07
    below = bottom + (track + gap if genes is not None else 0)
    mean = below + _MAP + gap
    highest = mean + _ABOVE + 1.5 * gap
    beside = left + _MAP + gap
    width, height = beside + _BESIDE + 0.2, highest + _ABOVE + 0.45
    figure = style.new_figure(width=width, height=height)
    figure.set_layout_engine("none")

    def add(x: float, y: float, across: float, down: float, **shared: "Axes") -> "Axes":
        box = (x / width, y / height, across / width, down / height)
        return figure.add_axes(box, **shared)

    heat = add(left, below, _MAP, _MAP)
    panels = _Panels(
        heat=heat,
        highest=add(left, highest, _MAP, _ABOVE, sharex=heat),
        mean=add(left, mean, _MAP, _ABOVE, sharex=heat),
        side=add(left - strip - gap, below, strip, _MAP, sharey=heat),
        profile=add(beside, below, _BESIDE, _MAP, sharey=heat),
        genes=add(left, bottom, _MAP, track, sharex=heat)
        if genes is not None
        else heat,
        bar=add(beside + 0.1, highest + 0.1, _BESIDE - 0.1, 0.1),
    )
    for ax in (panels.highest, panels.mean):
        ax.yaxis.set_label_coords(-0.09, 0.5)
    panels.side.set_xticks([])
    panels.side.grid(False)
    panels.side.spines["bottom"].set_visible(False)
    return panels


def _title(found: MutationMap, across: Region) -> str:
    strand = {"+": "plus", "-": "minus"}[found.strand]
    return f"Mutagenesis of {across}: expression of the {strand} strand"


def _explain(text: str, ax: "Axes") -> None:
    """Writes a line between the title and the axes."""
    ax.annotate(
        text,
        (0, 1),
        (0, 5),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=6.5,
        color="#444444",
    )


def _draw_heat(
    values: np.ndarray, across: Region, down: Region, panels: _Panels, *, unit: str
) -> None:
    import matplotlib
    from matplotlib.ticker import MaxNLocator

    known = values[np.isfinite(values)]
    highest = float(known.max(initial=0))
    top = float(np.percentile(known, _BRIGHTEST)) if known.size else 0.0
    colours = matplotlib.colormaps["magma_r"].with_extremes(bad="0.85")
    image = panels.heat.imshow(
        _coarse(values).T,
        cmap=colours,
        vmin=0,
        vmax=top or highest or 1.0,
        aspect="auto",
        interpolation="nearest",
        extent=(across.start + 0.5, across.end + 0.5, down.end + 0.5, down.start + 0.5),
    )
    panels.heat.grid(False)
    panels.heat.tick_params(labelleft=False)
    bar = panels.heat.figure.colorbar(
        image,
        cax=panels.bar,
        orientation="horizontal",
        extend="max" if 0 < top < highest else "neither",
        extendfrac=0.1,
    )
    bar.outline.set_linewidth(0.5)
    bar.ax.set_title(unit, fontsize=7, fontweight="normal", loc="center", pad=3)
    bar.locator = MaxNLocator(2, steps=(1, 2, 5, 10))
    bar.update_ticks()


def _draw_influence(values: np.ndarray, across: Region, panels: _Panels) -> None:
    for ax, heights, label in (
        (panels.highest, values.max(axis=1), "Max"),
        (panels.mean, values.mean(axis=1), "Mean"),
    ):
        _bars(heights, across, ax, color=style.colour(0))
        ax.set(ylim=(0, None), ylabel=label)
        ax.tick_params(labelbottom=False)
        ax.locator_params(axis="y", nbins=3)


def _draw_profile(found: MutationMap, down: Region, panels: _Panels) -> None:
    """Expression without any mutation, and where labels are hidden."""
    part = _part(down, found.recorded)
    position = np.arange(down.start, down.end) + 1
    truth = np.where(found.measured[part], found.expressed[part], 0)
    ax = panels.profile
    _bars(truth, down, ax, color="0.82", orientation="horizontal")
    ax.plot(found.probability[part], position, color=style.colour(0), linewidth=1)
    ax.set(xlim=(-0.06, 1.06), xticks=(0, 1))
    ax.set_title("p(expressed)", fontsize=7, fontweight="normal", loc="center", pad=12)
    ax.tick_params(labelleft=False, labelbottom=False, labeltop=True, length=0)
    ax.grid(False)
    first, last = max(found.hidden.start, down.start), min(found.hidden.end, down.end)
    if first >= last:
        return
    ax.axhspan(first + 0.5, last + 0.5, **_HIDDEN)
    for end, edge in ((first, down.start), (last, down.end)):
        if end != edge:
            panels.heat.axhline(end + 0.5, **_EDGE)


def _bars(values: np.ndarray, region: Region, ax: "Axes", **look: Any) -> None:
    """A bar a base, each as wide as its column of the map."""
    edges = np.arange(region.start, region.end + 1) + 0.5
    ax.stairs(values, edges, fill=True, linewidth=0, **look)


def _draw_genes_down(genes: pd.DataFrame, down: Region, *, ax: "Axes") -> None:
    """Genes as arrows along the changed bases; the other axis names them."""
    from matplotlib.patches import Polygon

    arranged = arrange_genes(genes, down)
    for gene in arranged.itertuples():
        first = max(gene.start, down.start) + 0.5
        last = min(gene.end, down.end) + 0.5
        tip = min(_TIP * len(down), last - first)
        outline = [(-0.35, first), (0.35, first), (0.35, last), (-0.35, last)]
        if gene.strand == "+" and gene.end <= down.end:
            outline[2:] = [(0.35, last - tip), (0, last), (-0.35, last - tip)]
        if gene.strand == "-" and gene.start >= down.start:
            outline[:2] = [(-0.35, first + tip), (0, first), (0.35, first + tip)]
        colour = style.colour(0 if gene.strand == "+" else 1)
        ax.add_patch(
            Polygon(
                [(gene.row + x, y) for x, y in outline],
                facecolor=style.GREY if gene.strand is None else colour,
                alpha=0.75,
                linewidth=0,
            )
        )
    ax.set_xlim(-0.6, max(arranged.row.max() + 1 if len(arranged) else 1, 1) - 0.4)


def _draw_effects(found: MutationMap, ax: "Axes", figure: "Figure") -> None:
    import matplotlib

    region = found.region
    known = np.abs(found.effect[np.isfinite(found.effect)])
    top = float(np.percentile(known, _BRIGHTEST)) if known.size else 0.0
    image = ax.imshow(
        _coarse(found.effect).T,
        cmap=matplotlib.colormaps["RdBu_r"].with_extremes(bad="0.85"),
        vmin=-(top or 1),
        vmax=top or 1,
        aspect="auto",
        interpolation="nearest",
        extent=(region.start + 0.5, region.end + 0.5, 3.5, -0.5),
    )
    ax.set(yticks=range(len(BASES)), ylabel="Mutated to")
    ax.set_yticklabels(list(BASES))
    ax.grid(False)
    bar = figure.colorbar(image, ax=ax, pad=0.01, aspect=8, extend="both")
    bar.set_label("Summed\nlog-odds", fontsize=7)


def _coarse(values: np.ndarray) -> np.ndarray:
    """The extremes of blocks, so that thin stripes survive the drawing."""
    for axis in (0, 1):
        block = -(-values.shape[axis] // _CELLS)
        if block > 1:
            starts = np.arange(0, values.shape[axis], block)
            highest = np.fmax.reduceat(values, starts, axis=axis)
            lowest = np.fmin.reduceat(values, starts, axis=axis)
            values = np.where(highest >= -lowest, highest, lowest)
    return values


def _part(inner: Region, outer: Region) -> slice:
    return slice(inner.start - outer.start, inner.end - outer.start)
