"""Metrics of both outputs, accumulated batch by batch in bounded memory.

Every metric is an average over single positions (micro-average): a position of
one window counts as much as a position of any other. The accumulators hold sums
and counts in float64 and int64, so the order of the batches and their size change
nothing beyond the last digits (below 1e-12), and two accumulators that each saw a
part can be merged. ``FORMULAS`` says what each number is.
"""

from collections.abc import Iterable

import numpy as np

from seqexp_tf.evaluation.ranking import ScoreHistogram
from seqexp_tf.evaluation.selection import chunks, select_labels, select_logits
from seqexp_tf.genome.alphabet import ALPHABET, BASES

FORMULAS: dict[str, str] = {
    "positions": "number of positions scored; every average below runs over them",
    "loss": (
        "RNA: mean over positions of -ln p(true label), p = sigmoid(logit); "
        "DNA: mean over positions of -ln p(true base), p = softmax over A,C,G,T,N"
    ),
    "accuracy": (
        "positions predicted right / positions; RNA predicts expressed where "
        "p > 0.5, DNA the base of highest p among A,C,G,T,N"
    ),
    "f1_weighted": (
        "sum over classes of (positions of the class / positions) x 2TP/(2TP+FP+FN)"
    ),
    "roc_auc": (
        "share of (positive, negative) pairs of positions ranked right, ties one "
        "half; RNA: expressed by logit; DNA: mean over the bases A,C,G,T that occur, "
        "each against the rest by its log-odds"
    ),
    "roc_auc_error": (
        "largest error binning can have made in roc_auc (0: none); DNA: mean over "
        "the bases"
    ),
    "average_precision": (
        "sum over score thresholds of (recall gained) x precision; RNA: expressed; "
        "DNA: mean over the bases A,C,G,T that occur, each against the rest"
    ),
    "brier": "RNA: mean over positions of (p(expressed) - label)^2",
    "positive_fraction": "RNA: positions labelled expressed / positions",
    "perplexity": "DNA: exp(loss), the equivalent number of equally likely bases",
} | {
    f"{kind}_count_{base}": f"DNA: positions whose {kind} base is {base}"
    for kind, alphabet in (("true", BASES), ("predicted", ALPHABET))
    for base in alphabet
}
"""One line for every metric: the formula, and the axis it is averaged over."""


class BinaryMetrics:
    """Metrics of per-base expression, 1 for expressed and 0 for not."""

    def __init__(self) -> None:
        self._confusion = np.zeros((2, 2), dtype=np.int64)
        self._loss = 0.0
        self._squared_error = 0.0
        self._ranking = ScoreHistogram()

    def update(
        self,
        labels: np.ndarray,
        logits: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        predicted: np.ndarray | None = None,
    ) -> None:
        """Adds one batch.

        Args:
            labels: 0 or 1, any shape.
            logits: log-odds of expression, floats of the shape of ``labels``.
            mask: true where a position counts, same shape; None counts all.
            predicted: labels 0 or 1 to score for accuracy and F1 in place of
                ``logits > 0``, same shape.

        Raises:
            RunError: shapes differ, a counted label is neither 0 nor 1, or a
                counted logit is not finite (the message gives their number).
        """
        true, selected = select_labels(labels, mask, classes=2, scored=2)
        logits = select_logits(logits, selected, classes=None)
        if predicted is None:
            guess = logits > 0
        else:
            guess, _ = select_labels(predicted, selected, classes=2, scored=2)
        for label, logit, choice in chunks(true, logits, guess):
            self._add(label, logit.astype(np.float64), choice.astype(np.int64))

    def merge(self, other: "BinaryMetrics") -> None:
        """Adds what ``other`` has seen."""
        self._confusion += other._confusion
        self._loss += other._loss
        self._squared_error += other._squared_error
        self._ranking.merge(other._ranking)

    def result(self) -> dict[str, float]:
        """Returns the metrics by name; NaN where undefined (see ``FORMULAS``)."""
        positions = int(self._confusion.sum())
        return {
            "positions": positions,
            "loss": _ratio(self._loss, positions),
            "accuracy": _ratio(np.trace(self._confusion), positions),
            "f1_weighted": _weighted_f1(self._confusion),
            "roc_auc": self._ranking.roc_auc(),
            "roc_auc_error": self._ranking.roc_auc_error(),
            "average_precision": self._ranking.average_precision(),
            "brier": _ratio(self._squared_error, positions),
            "positive_fraction": _ratio(self._confusion[1].sum(), positions),
        }

    def _add(self, label: np.ndarray, logit: np.ndarray, choice: np.ndarray) -> None:
        self._loss += float(np.sum(binary_cross_entropy(label, logit)))
        self._squared_error += float(np.sum((sigmoid(logit) - label) ** 2))
        self._confusion += np.bincount(2 * label + choice, minlength=4).reshape(2, 2)
        self._ranking.update(logit, label == 1)


class NucleotideMetrics:
    """Metrics of per-base nucleotide identity.

    A position whose true base is N is never counted; N may be predicted, and is
    then wrong.
    """

    def __init__(self) -> None:
        self._confusion = np.zeros((len(BASES), len(ALPHABET)), dtype=np.int64)
        self._loss = 0.0
        self._rankings = [ScoreHistogram() for _ in BASES]

    def update(
        self,
        labels: np.ndarray,
        logits: np.ndarray,
        mask: np.ndarray | None = None,
        *,
        predicted: np.ndarray | None = None,
    ) -> None:
        """Adds one batch.

        Args:
            labels: true bases 0 to 4 (A, C, G, T, N), any shape.
            logits: floats of shape ``(*labels.shape, 5)``, in the same order.
            mask: true where a position counts, shape of ``labels``; None counts
                all.
            predicted: bases 0 to 4 to score for accuracy and F1 in place of the
                base of the highest logit (the first of equals), shape of
                ``labels``.

        Raises:
            RunError: shapes differ, a counted label is no base, or a counted logit
                is not finite (the message gives their number).
        """
        true, selected = select_labels(
            labels, mask, classes=len(ALPHABET), scored=len(BASES)
        )
        logits = select_logits(logits, selected, classes=len(ALPHABET))
        if predicted is None:
            guess = np.argmax(logits, axis=-1)
        else:
            guess, _ = select_labels(
                predicted, selected, classes=len(ALPHABET), scored=len(ALPHABET)
            )
        for label, logit, choice in chunks(true, logits, guess):
            self._add(label, logit.astype(np.float64), choice)

    def merge(self, other: "NucleotideMetrics") -> None:
        """Adds what ``other`` has seen."""
        self._confusion += other._confusion
        self._loss += other._loss
        for mine, theirs in zip(self._rankings, other._rankings, strict=True):
            mine.merge(theirs)

    def result(self) -> dict[str, float]:
        """Returns the metrics by name; NaN where undefined (see ``FORMULAS``)."""
        positions = int(self._confusion.sum())
        loss = _ratio(self._loss, positions)
        truth, guesses = self._confusion.sum(axis=1), self._confusion.sum(axis=0)
        with np.errstate(over="ignore"):
            perplexity = float(np.exp(loss))
        return {
            "positions": positions,
            "loss": loss,
            "accuracy": _ratio(np.trace(self._confusion), positions),
            "f1_weighted": _weighted_f1(self._confusion),
            "roc_auc": _mean(r.roc_auc() for r in self._rankings),
            "roc_auc_error": _mean(r.roc_auc_error() for r in self._rankings),
            "average_precision": _mean(r.average_precision() for r in self._rankings),
            "perplexity": perplexity,
            **{f"true_count_{b}": int(truth[i]) for i, b in enumerate(BASES)},
            **{f"predicted_count_{b}": int(guesses[i]) for i, b in enumerate(ALPHABET)},
        }

    def _add(self, label: np.ndarray, logit: np.ndarray, choice: np.ndarray) -> None:
        cells = len(ALPHABET) * label + choice
        self._confusion += np.bincount(cells, minlength=self._confusion.size).reshape(
            self._confusion.shape
        )
        loss, log_odds = nucleotide_scores(label, logit)
        self._loss += float(np.sum(loss))
        for base, ranking in enumerate(self._rankings):
            ranking.update(log_odds[:, base], label == base)


def binary_cross_entropy(label: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """Returns -ln p(label) of log-odds, of the same shape."""
    # softplus(z) - y z is -ln p(y) without ever forming p.
    softplus = np.maximum(logit, 0) + np.log1p(np.exp(-np.abs(logit)))
    return softplus - label * logit


def nucleotide_scores(
    label: np.ndarray, logit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how well and how high the true and every base are predicted.

    Args:
        label: bases 0 to 3, ``(n,)``.
        logit: of A, C, G, T, N, float64 ``(n, 5)``.

    Returns:
        -ln p(true base), ``(n,)``, and the log-odds of A, C, G, T, each against the
        rest, ``(n, 4)``; infinite where p rounds to 1.
    """
    shifted = logit - logit.max(axis=-1, keepdims=True)
    weights = np.exp(shifted)
    true = np.take_along_axis(shifted, label[:, None], axis=-1)[:, 0]
    loss = np.log(weights.sum(axis=-1)) - true
    # Summed, not total - weight: a probability near 1 keeps its digits.
    rest = [
        np.delete(weights, base, axis=-1).sum(axis=-1) for base in range(len(BASES))
    ]
    with np.errstate(divide="ignore"):
        return loss, shifted[:, : len(BASES)] - np.log(np.stack(rest, axis=-1))


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """Returns ``1 / (1 + exp(-logit))`` without overflow."""
    small = np.exp(-np.abs(logit))
    return np.where(logit >= 0, 1, small) / (1 + small)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the softmax over the last axis without overflow."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator) / float(denominator) if denominator else float("nan")


def _mean(values: Iterable[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return _ratio(sum(defined), len(defined))


def _weighted_f1(confusion: np.ndarray) -> float:
    """Support-weighted F1 of counts ``[true, predicted]``; a class never true has no
    weight."""
    support = confusion.sum(axis=1)
    predicted = confusion.sum(axis=0)[: len(support)]
    both = support + predicted
    f1 = np.divide(2 * np.diagonal(confusion), both, where=both > 0, out=both * 0.0)
    return _ratio(np.sum(support * f1), support.sum())
