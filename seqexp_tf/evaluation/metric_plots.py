"""A picture of the table of metrics: a model beside its random baselines."""

from typing import TYPE_CHECKING

import numpy as np

from seqexp_tf.evaluation.style import GREY, colour, context, new_figure
from seqexp_tf.evaluation.tables import HEADINGS, ROWS, MetricsTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POPULATION = "masked"
_MODALITIES = {"rna": "RNA, hidden labels", "dna": "DNA, selected bases"}
_LOOK = {
    "uniform_random": {"marker": "o", "markerfacecolor": "white", "color": GREY},
    "stratified_random": {"marker": "o", "color": GREY},
    "model": {"marker": "D", "color": colour(0)},
}


def plot_metrics(table: MetricsTable) -> "Figure":
    """Draws the headline metrics at masked positions, a row of panels a modality.

    Left the scores from 0 to 1, right the loss (nats). Bars through the model's marks
    are its confidence intervals, where there are any.
    """
    results = table.model.get(_POPULATION, {})
    shown = [modality for modality in _MODALITIES if modality in results]
    with context():
        figure = new_figure(width=7, height=0.6 + 1.5 * len(shown))
        axes = figure.subplots(len(shown), 2, width_ratios=(3, 2), squeeze=False)
        for modality, (scores, loss) in zip(shown, axes, strict=True):
            names = [name for name in ROWS if name in results[modality]]
            _plot_rows(table, modality, [n for n in names if n != "loss"], ax=scores)
            _plot_rows(table, modality, ["loss"], ax=loss)
            scores.set(xlim=(-0.02, 1.02), title=_MODALITIES[modality])
            loss.margins(x=0.1)
            loss.set_xlim(left=0)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=3, frameon=False
        )
    return figure


def _plot_rows(
    table: MetricsTable, modality: str, metrics: list[str], *, ax: "Axes"
) -> None:
    rows = np.arange(len(metrics))
    for predictor, look in _LOOK.items():
        found = getattr(table, predictor)[_POPULATION][modality]
        values = np.array([found.get(metric, np.nan) for metric in metrics], float)
        label = HEADINGS[predictor]
        ax.plot(values, rows, linestyle="none", markersize=5, label=label, **look)
    intervals = table.intervals.get(_POPULATION, {}).get(modality, {})
    for row, metric in enumerate(metrics):
        if metric in intervals:
            ax.plot(intervals[metric], (row, row), color=colour(0), linewidth=2)
    ax.set(ylim=(len(metrics) - 0.5, -0.5))
    ax.set_yticks(rows, [ROWS[metric] for metric in metrics])
    ax.grid(axis="x")
