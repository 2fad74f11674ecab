"""Figures of expression profiles over a split: model against annotation."""

from typing import TYPE_CHECKING

import numpy as np

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.profile_scores import (
    ANNOTATION,
    MAJORITY,
    MODEL,
    SEGMENTS,
    WIDENED,
    ProfileEvaluation,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LABELS = {
    MODEL: "model, p > 0.5",
    SEGMENTS: "model, segments",
    ANNOTATION: "annotated ORFs",
    WIDENED: "ORFs and usual UTRs",
}
_COLOURS = {MODEL: 0, SEGMENTS: 2, ANNOTATION: 1, WIDENED: 3}
_MARKERS = {MODEL: "o", SEGMENTS: "D", ANNOTATION: "s", WIDENED: "^"}


def plot_profiles(evaluation: ProfileEvaluation) -> "Figure":
    """Draws ROC, precision-recall and border F1 by tolerance side by side.

    All contigs and both strands. Calls without a probability are single points.
    """
    with style.context():
        figure = style.new_figure(width=8.4, height=3.1)
        axes = figure.subplots(1, 3)
        plot_roc(evaluation, ax=axes[0])
        plot_precision_recall(evaluation, ax=axes[1])
        plot_border_f1(evaluation, ax=axes[2])
        handles, names = axes[2].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def plot_roc(evaluation: ProfileEvaluation, *, ax: "Axes") -> "Axes":
    """Draws the share of expressed bases found against false alarms."""
    with style.context():
        ax.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        curve = evaluation.curves[MODEL]
        ax.plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            color=style.colour(_COLOURS[MODEL]),
        )
        for name in _drawn(evaluation):
            recall, fallout, _ = evaluation.curves[name].at_half()
            _draw_point(name, fallout, recall, ax)
        area = evaluation.score(MODEL).metrics["roc_auc"]
        ax.set_title(f"ROC (area {area:.3f})")
        ax.set(xlabel="False positive rate", ylabel="True positive rate")
        _unit_square(ax)
    return ax


def plot_precision_recall(evaluation: ProfileEvaluation, *, ax: "Axes") -> "Axes":
    """Draws the precision of expressed calls against the share found."""
    with style.context():
        metrics = evaluation.score(MODEL).metrics
        ax.axhline(
            metrics["positive_fraction"],
            color=style.GREY,
            linewidth=0.8,
            linestyle=(0, (4, 3)),
        )
        curve = evaluation.curves[MODEL]
        ax.plot(
            curve.true_positive_rate,
            curve.precision,
            color=style.colour(_COLOURS[MODEL]),
        )
        for name in _drawn(evaluation):
            recall, _, precision = evaluation.curves[name].at_half()
            _draw_point(name, recall, precision, ax)
        area = metrics["average_precision"]
        ax.set_title(f"Precision-recall (area {area:.3f})")
        ax.set(xlabel="Recall", ylabel="Precision")
        _unit_square(ax)
    return ax


def plot_border_f1(evaluation: ProfileEvaluation, *, ax: "Axes") -> "Axes":
    """Draws the F1 of borders by the distance at which they match."""
    with style.context():
        for name in _drawn(evaluation):
            borders = evaluation.score(name).borders
            x = np.arange(len(borders))
            ax.plot(
                x,
                [agreement.both.f1 for agreement in borders],
                color=style.colour(_COLOURS[name]),
                marker=_MARKERS[name],
                markersize=4,
                label=_LABELS[name],
            )
            ax.set_xticks(x, [str(agreement.tolerance) for agreement in borders])
        ax.set_title("Borders found")
        ax.set(xlabel="Tolerance (bp)", ylabel="F1 of borders", ylim=(0, None))
        ax.margins(x=0.06)
    return ax


def _drawn(evaluation: ProfileEvaluation) -> list[str]:
    return [name for name in evaluation.curves if name != MAJORITY]


def _draw_point(name: str, x: float, y: float, ax: "Axes") -> None:
    ax.plot(
        [x],
        [y],
        color=style.colour(_COLOURS[name]),
        marker=_MARKERS[name],
        markersize=5,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=3,
    )


def _unit_square(ax: "Axes") -> None:
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    ax.set_box_aspect(1)
