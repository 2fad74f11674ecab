"""Figure of how well masks and their baselines rank known elements."""

import math
from typing import TYPE_CHECKING, Any

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.element_scores import ElementScores, MethodScore
from seqexp_tf.evaluation.element_tables import summary
from seqexp_tf.evaluation.rankings import DISTANCE, MASK, RANDOM, UPSTREAM, kind_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHANCE = 0.02
_LABELS = {
    MASK: "learnt mask",
    DISTANCE: "distance to TSS",
    UPSTREAM: "distance, upstream first",
    RANDOM: "random (prevalence)",
}


def plot_element_scores(scores: ElementScores, *, signals: tuple[str, ...]) -> "Figure":
    """Draws pooled precision-recall curves beside average precision with intervals.

    Args:
        scores: of one unit.
        signals: names of the signals; a signal and its product with contact share a
            colour.
    """
    looks = _looks(scores, signals)
    rows = len(scores.methods)
    with style.context():
        figure = style.new_figure(width=8.4, height=max(3.2, 0.9 + 0.26 * rows))
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        plot_curves(scores, looks, ax=left)
        plot_intervals(scores, looks, ax=right)
        figure.suptitle(summary(scores), fontsize=8, x=0.01, ha="left")
    return figure


def plot_curves(
    scores: ElementScores, looks: dict[str, dict[str, Any]], *, ax: "Axes"
) -> "Axes":
    """Draws precision by recall, a line a method."""
    with style.context():
        for score in _ranked(scores)[::-1]:
            look = looks[score.method]
            curve = score.curve
            if score.method == RANDOM:
                ax.axhline(curve.precision[-1], **look)
            elif len(curve.recall) == 2:
                # A binary score makes one call: a point, not a curve.
                ax.plot(
                    curve.recall[:1],
                    curve.precision[:1],
                    color=look["color"],
                    marker="s",
                    markersize=4.5,
                    linestyle="none",
                    zorder=4,
                )
            else:
                ax.plot(curve.recall, curve.precision, **look)
        # The first few calls are chance: they do not set the scale.
        top = max(
            score.curve.precision[score.curve.recall >= _CHANCE].max()
            for score in scores.methods
        )
        ax.set(xlabel="Recall", ylabel="Precision", xlim=(-0.01, 1.01))
        ax.set_ylim(0, min(1.15 * top, 1.02))
        ax.set_title("Precision-recall, all genes pooled")
    return ax


def plot_intervals(
    scores: ElementScores, looks: dict[str, dict[str, Any]], *, ax: "Axes"
) -> "Axes":
    """Draws average precision and its 95 % interval, a row a method.

    Beside each is the ratio of the mask's to it.
    """
    ranked = _ranked(scores)
    with style.context():
        for row, score in enumerate(ranked):
            found = score.average_precision["pooled"]
            colour = looks[score.method]["color"]
            if not math.isnan(found.low):
                ax.plot([found.low, found.high], [row, row], color=colour, linewidth=2)
            hollow = looks[score.method].get("linestyle", "-") != "-"
            ax.plot(
                [found.value],
                [row],
                marker="o",
                markersize=5,
                color=colour,
                markerfacecolor="white" if hollow else colour,
            )
            mean = score.average_precision["mean"].value
            ax.plot([mean], [row], marker="|", markersize=7, color=colour, alpha=0.6)
            ratio = score.ratio.get("pooled")
            if ratio is not None and math.isfinite(ratio.value):
                ax.annotate(
                    f"{ratio.value:.2f}×",
                    (1, row),
                    (4, 0),
                    xycoords=ax.get_yaxis_transform(),
                    textcoords="offset points",
                    va="center",
                    fontsize=7,
                )
        if any(score.ratio for score in ranked):
            ax.annotate(
                "mask /\nthis",
                (1, 1),
                (4, 3),
                xycoords="axes fraction",
                textcoords="offset points",
                va="bottom",
                fontsize=6.5,
                color=style.GREY,
            )
        ax.set_yticks(
            range(len(ranked)), [label(score.method) for score in ranked], fontsize=7.5
        )
        ax.set(ylim=(len(ranked) - 0.4, -0.6), xlabel="Average precision")
        ax.set_xlim(left=0)
        ax.grid(True, axis="x")
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
        ax.set_title("Average precision, pooled")
        _draw_legend(ax, dashed=any("linestyle" in look for look in looks.values()))
    return ax


def _draw_legend(ax: "Axes", *, dashed: bool) -> None:
    from matplotlib.lines import Line2D

    grey = {"color": "#555555", "linestyle": "none"}
    handles = [Line2D([], [], marker="|", markersize=7, **grey, label="mean of genes")]
    if dashed:
        hollow = {"marker": "o", "markersize": 5, "markerfacecolor": "white"}
        handles.append(Line2D([], [], **hollow, **grey, label="dashed on the left"))
    ax.legend(handles=handles, loc="lower right", fontsize=6.5, handletextpad=0.1)


def label(method: str) -> str:
    """Returns a method as a reader wants it named."""
    return _LABELS.get(method, method.replace(" x ", " × "))


def _ranked(scores: ElementScores) -> list[MethodScore]:
    return sorted(
        scores.methods,
        key=lambda score: (score.method == MASK, _value(score)),
        reverse=True,
    )


def _value(score: MethodScore) -> float:
    return score.average_precision["pooled"].value


def _looks(
    scores: ElementScores, signals: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    """Returns how each method is drawn."""
    colours = {name: style.colour(1 + index) for index, name in enumerate(signals)}
    looks: dict[str, dict[str, Any]] = {}
    for score in scores.methods:
        method = score.method
        kind = kind_of(method, signals=signals)
        look: dict[str, Any] = {"linewidth": 1.2}
        if kind == MASK:
            look |= {"color": style.colour(0), "linewidth": 2.2, "zorder": 3}
        elif kind == "signal":
            look |= {"color": colours[method]}
        elif kind == "product":
            first = method.rpartition(" x ")[0]
            look |= {"color": colours.get(first, "#000000"), "linestyle": (0, (4, 2))}
        elif kind == DISTANCE:
            look |= {"color": style.GREY}
            if method == UPSTREAM:
                look |= {"linestyle": (0, (4, 2))}
        elif kind == RANDOM:
            look |= {"color": style.GREY, "linestyle": (0, (1, 2))}
        else:
            look |= {"color": "#7A5195"}
        looks[method] = look
    return looks
