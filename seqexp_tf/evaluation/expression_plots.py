"""Predicted against measured expression, a point a gene."""

from typing import TYPE_CHECKING

import numpy as np

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.expression import ExpressionEvaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELLS = 64
_DENSE = 300
"""From so many genes on, points are coloured by how many lie around them."""


def plot_scatter(evaluation: ExpressionEvaluation) -> "Figure":
    """Draws every gene of a split with the identity line and r in the corner.

    Axes have one scale. Where genes are many, a point is the darker the more genes
    lie around it, and dense regions are drawn last.
    """
    from matplotlib.colors import LinearSegmentedColormap

    table = evaluation.predictions
    x, y = table.target.to_numpy(), table.predicted.to_numpy()
    low, high = _limits(x, y)
    with style.context():
        figure = style.new_figure(width=3.4, height=3.2)
        ax = figure.subplots()
        ax.plot([low, high], [low, high], color=style.GREY, linewidth=0.8, zorder=1)
        size = float(np.clip(4000 / len(table), 3, 14))
        points = {"s": size, "linewidths": 0, "zorder": 2, "rasterized": True}
        if len(table) < _DENSE:
            ax.scatter(x, y, color=style.colour(0), alpha=0.7, **points)
        else:
            density = local_density(x, y, low=low, high=high)
            order = np.argsort(density, kind="stable")
            blues = LinearSegmentedColormap.from_list(
                "density", ["#A9CCE3", style.colour(0), "#08264A"]
            )
            drawn = ax.scatter(
                x[order], y[order], c=density[order], cmap=blues, **points
            )
            bar = figure.colorbar(drawn, ax=ax, shrink=0.55, aspect=14, pad=0.02)
            bar.outline.set_visible(False)
            bar.set_label("genes nearby", fontsize=7)
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        ax.grid(visible=False)
        label = _label(evaluation)
        ax.set_xlabel(f"Measured {label}")
        ax.set_ylabel(f"Predicted {label}")
        ax.text(
            0.04,
            0.96,
            _corner(evaluation),
            transform=ax.transAxes,
            va="top",
            fontsize=7,
        )
    return figure


def local_density(
    x: np.ndarray, y: np.ndarray, *, low: float, high: float
) -> np.ndarray:
    """Returns how many points lie around each, float64 ``(points,)``.

    A histogram of 64 x 64 cells, smoothed twice by the weights 1 2 1 along both
    axes: the points within about 3 % of the axis, nearer ones counting more.
    """
    edges = np.linspace(low, high, _CELLS + 1)
    counts, _, _ = np.histogram2d(x, y, bins=(edges, edges))
    for _ in range(2):
        for axis in (0, 1):
            padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in (0, 1)])
            sides = [np.take(padded, range(s, s + _CELLS), axis) for s in (0, 1, 2)]
            counts = (sides[0] + 2 * sides[1] + sides[2]) / 2
    scale = _CELLS / (high - low)
    i, j = (np.clip(((v - low) * scale).astype(int), 0, _CELLS - 1) for v in (x, y))
    return counts[i, j]


def _limits(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    low, high = float(min(x.min(), y.min())), float(max(x.max(), y.max()))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _label(evaluation: ExpressionEvaluation) -> str:
    target = evaluation.target
    inner = f"{target['name']}" + (f", {target['unit']}" if target["unit"] else "")
    function = {"log10p1": "log₁₀({} + 1)", "log1p": "ln({} + 1)"}
    return function.get(target["transform"], "{}").format(inner)


def _corner(evaluation: ExpressionEvaluation) -> str:
    score = evaluation.model
    line = f"r = {score.metrics['pearson']:.3f}"
    if "pearson" in score.intervals:
        low, high = score.intervals["pearson"]
        line += f" [{low:.3f}, {high:.3f}]"
    contigs = ", ".join(dict.fromkeys(evaluation.predictions.contig))
    where = contigs if len(contigs) <= 24 else evaluation.dataset["split"]
    return f"{line}\nMSE = {score.metrics['mse']:.3f}\n{score.genes:,} genes, {where}"
