"""Whether predicted probabilities mean what they say: reliability by class."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.metrics import sigmoid, softmax
from seqexp_tf.evaluation.selection import chunks, select_labels, select_logits
from seqexp_tf.genome.alphabet import ALPHABET, BASES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Reliability:
    """Mean prediction and true frequency in equal-width bins of probability.

    Bin k of K holds the positions whose predicted probability p of the class lies
    in ``[k / K, (k + 1) / K)``; the last also holds p = 1. For the positions B_k of
    a bin, ``mean_predicted`` is the mean of p and ``true_frequency`` the share whose
    label is the class. The expected calibration error is ``ece = sum over bins of
    |B_k| / n x |true_frequency - mean_predicted|`` and ``brier`` the mean of
    ``(p - [label is the class])^2`` over all positions. Sums are float64: batches
    may come in any order and size, and accumulators can be merged.

    Use ``ExpressionReliability``, ``NucleotideReliability`` or
    ``TopLabelReliability``.

    Args:
        classes: names of the classes, each judged against the rest.
        bins: K.
    """

    def __init__(self, classes: tuple[str, ...], *, bins: int = 10):
        self.classes = classes
        self.bins = bins
        shape = (len(classes), bins)
        self._counts = np.zeros(shape, dtype=np.int64)
        self._hits = np.zeros(shape, dtype=np.int64)
        self._predicted = np.zeros(shape)
        self._squared_error = np.zeros(len(classes))

    def merge(self, other: "Reliability") -> None:
        """Adds what ``other`` has seen.

        Raises:
            RunError: the classes or the bins differ.
        """
        if (self.classes, self.bins) != (other.classes, other.bins):
            raise RunError(
                f"cannot merge reliability of {other.classes} in {other.bins} bins "
                f"into that of {self.classes} in {self.bins} bins"
            )
        self._counts += other._counts
        self._hits += other._hits
        self._predicted += other._predicted
        self._squared_error += other._squared_error

    def result(self) -> dict[str, dict[str, Any]]:
        """Returns, by class, lists of length K and the two scores.

        Keys: ``edges`` (K + 1), ``counts``, ``mean_predicted``, ``true_frequency``
        (NaN where a bin is empty), ``ece``, ``brier`` (NaN without positions).
        """
        return {name: self._curve(row) for row, name in enumerate(self.classes)}

    def _add(self, row: int, p: np.ndarray, hit: np.ndarray) -> None:
        index = np.minimum((p * self.bins).astype(np.int64), self.bins - 1)
        self._counts[row] += np.bincount(index, minlength=self.bins)
        self._hits[row] += np.bincount(index[hit], minlength=self.bins)
        self._predicted[row] += np.bincount(index, weights=p, minlength=self.bins)
        self._squared_error[row] += float(np.sum((p - hit) ** 2))

    def _curve(self, row: int) -> dict[str, Any]:
        counts = self._counts[row]
        total = counts.sum()
        with np.errstate(invalid="ignore"):
            mean = self._predicted[row] / counts
            frequency = self._hits[row] / counts
            gap = np.abs(self._hits[row] - self._predicted[row]).sum()
            ece, brier = gap / total, self._squared_error[row] / total
        return {
            "edges": [k / self.bins for k in range(self.bins + 1)],
            "counts": counts.tolist(),
            "mean_predicted": mean.tolist(),
            "true_frequency": frequency.tolist(),
            "ece": float(ece),
            "brier": float(brier),
        }


class ExpressionReliability(Reliability):
    """Reliability of p(expressed)."""

    def __init__(self, *, bins: int = 10):
        super().__init__(("expressed",), bins=bins)

    def update(
        self, labels: np.ndarray, logits: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Adds one batch; arguments and errors as ``BinaryMetrics.update``."""
        true, selected = select_labels(labels, mask, classes=2, scored=2)
        scores = select_logits(logits, selected, classes=None)
        for label, logit in chunks(true, scores):
            self._add(0, sigmoid(logit.astype(np.float64)), label == 1)


def _nucleotides(
    labels: np.ndarray, logits: np.ndarray, mask: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields true bases ``(n,)`` and probabilities ``(n, 5)`` of scored positions."""
    true, selected = select_labels(
        labels, mask, classes=len(ALPHABET), scored=len(BASES)
    )
    scores = select_logits(logits, selected, classes=len(ALPHABET))
    for label, logit in chunks(true, scores):
        yield label, softmax(logit.astype(np.float64))


class NucleotideReliability(Reliability):
    """Reliability of p(A), p(C), p(G), p(T), each against the rest."""

    def __init__(self, *, bins: int = 10):
        super().__init__(tuple(BASES), bins=bins)

    def update(
        self, labels: np.ndarray, logits: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Adds one batch; arguments and errors as ``NucleotideMetrics.update``."""
        for label, p in _nucleotides(labels, logits, mask):
            for base in range(len(BASES)):
                self._add(base, p[:, base], label == base)


TOP_LABEL = "top label"


class TopLabelReliability(Reliability):
    """Reliability of the highest of p(A), p(C), p(G), p(T), p(N).

    The confidence calibration of Guo et al. 2017: is the base of the highest p (the
    first of equals) the true one as often as p says?
    """

    def __init__(self, *, bins: int = 10):
        super().__init__((TOP_LABEL,), bins=bins)

    def update(
        self, labels: np.ndarray, logits: np.ndarray, mask: np.ndarray | None = None
    ) -> None:
        """Adds one batch; arguments and errors as ``NucleotideMetrics.update``."""
        for label, p in _nucleotides(labels, logits, mask):
            self._add(0, p.max(axis=-1), p.argmax(axis=-1) == label)


_COLOURS = style.BASE_COLOURS | {TOP_LABEL: "#000000"}

_DRAWN = 100
"""Positions a bin needs to be drawn."""


def plot_reliability(
    curves: Mapping[str, Mapping[str, Any]], *, ax: "Axes | None" = None
) -> "Figure":
    """Draws true frequency against mean predicted probability, a line a class.

    Under the diagonal the model is overconfident, above it underconfident. The area
    of a marker grows with the share of positions in its bin; bins of fewer than 100
    positions, whose frequency is mostly chance, are not drawn.

    Args:
        curves: what ``Reliability.result`` returns.
        ax: axes to draw on; a new square figure where None.

    Returns:
        The figure.
    """
    with style.context():
        if ax is None:
            ax = style.new_figure(width=3.6, height=3.6).subplots()
        ax.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        for index, (name, curve) in enumerate(curves.items()):
            colour = _COLOURS.get(name, style.colour(index))
            mean = np.asarray(curve["mean_predicted"])
            frequency = np.asarray(curve["true_frequency"])
            counts = np.asarray(curve["counts"])
            filled = counts >= _DRAWN
            area = 6 + 60 * counts[filled] / max(counts.sum(), 1)
            label = f"{name}  (ECE {curve['ece']:.4f})"
            ax.plot(mean[filled], frequency[filled], color=colour, label=label)
            ax.scatter(
                mean[filled],
                frequency[filled],
                s=area,
                color=colour,
                edgecolor="white",
                linewidth=0.6,
                zorder=3,
            )
        ax.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
            xlabel="Mean predicted probability",
            ylabel="True frequency",
        )
        ax.legend(loc="upper left")
    return ax.figure


def plot_base_distribution(
    result: Mapping[str, float], *, ax: "Axes | None" = None
) -> "Figure":
    """Draws the shares of the true and of the predicted bases side by side.

    Args:
        result: what ``NucleotideMetrics.result`` returns.
        ax: axes to draw on; a new figure where None.

    Returns:
        The figure.
    """
    with style.context():
        if ax is None:
            ax = style.new_figure(width=3.6, height=2.6).subplots()
        total = max(result["positions"], 1)
        x = np.arange(len(BASES))
        for kind, shift, colour in (
            ("true", -0.2, style.GREY),
            ("predicted", 0.2, style.colour(0)),
        ):
            share = [100 * result[f"{kind}_count_{base}"] / total for base in BASES]
            bars = ax.bar(x + shift, share, width=0.38, color=colour, label=kind)
            ax.bar_label(bars, fmt="%.0f", padding=1, fontsize=7)
        ax.set_xticks(x, list(BASES))
        ax.tick_params(axis="x", length=0)
        ax.set_ylabel("Share of scored positions (%)")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax.figure
