"""Random predictors, scored by the same accumulators over the same positions.

Each baseline hands out one scorer per output (``rna()``, ``dna()``) with the two
methods a loop over batches needs: ``update(labels, mask)`` and ``result()``. Only
counted positions draw random numbers, and always in the order they arrive, so the
result depends on the seed and on the order of the positions, never on how they
were cut into batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.metrics import BinaryMetrics, NucleotideMetrics
from seqexp_tf.evaluation.selection import chunks, select_labels
from seqexp_tf.genome.alphabet import ALPHABET, BASES

UNKNOWN_LOGIT = float(np.log(np.finfo(np.float64).tiny))
"""Log-probability given to N: finite, and too small to change any other."""

_SMALLEST = 2.0**-54
"""Stands in for a drawn 0, which has no finite logarithm."""

_RNA, _DNA = 0, 1


class Scorer(Protocol):
    """Scores one random predictor on one output."""

    def update(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        """Draws predictions for the counted positions of a batch and scores them.

        Args:
            labels: true classes, any shape (RNA 0 or 1; DNA 0 to 4).
            mask: true where a position counts, same shape; None counts all.
        """

    def result(self) -> dict[str, float]:
        """Returns the metrics by name."""


@dataclass(frozen=True)
class UniformBaseline:
    """Predicts from uniform random numbers, knowing nothing.

    RNA: p(expressed) ~ U(0, 1), so the expected loss is ``E[-ln U] = 1``. DNA: four
    numbers from U(0, 1) divided by their sum, so the expected loss is
    ``1 + E[ln(U1 + U2 + U3 + U4)] = 1.6451``. The joint-modelling report (2025,
    supplement figure 1) has 1.0001 and 1.6460 for its random sampling, which is
    this baseline; five normalised numbers would give 1.8787.
    """

    seed: int = 0

    def rna(self) -> Scorer:
        """Returns a new scorer of expression."""
        return _UniformExpression(np.random.default_rng([self.seed, _RNA]))

    def dna(self) -> Scorer:
        """Returns a new scorer of nucleotides."""
        return _UniformNucleotides(np.random.default_rng([self.seed, _DNA]))


@dataclass(frozen=True)
class StratifiedBaseline:
    """Predicts from the class frequencies of the training split.

    The frequencies themselves are the predicted probabilities behind the loss, the
    Brier score and the rankings (all scores tie: ROC AUC 0.5, average precision the
    positive fraction). Accuracy and F1 score labels drawn from the frequencies.
    Where the scored positions have those same frequencies p, the expected accuracy
    is ``sum p^2`` and the loss their entropy; the joint-modelling report (2025,
    supplement figure 2) has losses 0.6838 and 1.3585, accuracies 0.5087 and 0.2639.

    Args:
        expressed_fraction: share of expressed positions, within (0, 1).
        base_frequencies: shares of A, C, G, T: above 0, with sum 1.

    Raises:
        DatasetError: a frequency is out of range.
    """

    expressed_fraction: float
    base_frequencies: Sequence[float]
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.expressed_fraction < 1:
            raise DatasetError(
                f"expressed fraction of the training split is "
                f"{self.expressed_fraction:g}; the stratified baseline needs both "
                "expressed and unexpressed positions"
            )
        shares = np.asarray(self.base_frequencies, dtype=np.float64)
        if not (
            shares.shape == (len(BASES),)
            and np.all(shares > 0)
            and abs(shares.sum() - 1) < 1e-6
        ):
            raise DatasetError(
                f"base frequencies of the training split are "
                f"{list(self.base_frequencies)}; the stratified baseline needs four "
                "above 0 (A, C, G, T) with sum 1"
            )

    def rna(self) -> Scorer:
        """Returns a new scorer of expression."""
        return _StratifiedExpression(
            np.random.default_rng([self.seed, _RNA]), self.expressed_fraction
        )

    def dna(self) -> Scorer:
        """Returns a new scorer of nucleotides."""
        shares = np.asarray(self.base_frequencies, dtype=np.float64)
        return _StratifiedNucleotides(
            np.random.default_rng([self.seed, _DNA]), shares / shares.sum()
        )


class _UniformExpression:
    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._metrics = BinaryMetrics()

    def update(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        true, _ = select_labels(labels, mask, classes=2, scored=2)
        for (label,) in chunks(true):
            p = np.maximum(self._generator.random(len(label)), _SMALLEST)
            self._metrics.update(label, np.log(p) - np.log1p(-p))

    def result(self) -> dict[str, float]:
        return self._metrics.result()


class _UniformNucleotides:
    def __init__(self, generator: np.random.Generator):
        self._generator = generator
        self._metrics = NucleotideMetrics()

    def update(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        true, _ = select_labels(labels, mask, classes=len(ALPHABET), scored=len(BASES))
        for (label,) in chunks(true):
            p = np.maximum(self._generator.random((len(label), 4)), _SMALLEST)
            self._metrics.update(label, _base_logits(p / p.sum(axis=1, keepdims=True)))

    def result(self) -> dict[str, float]:
        return self._metrics.result()


class _StratifiedExpression:
    def __init__(self, generator: np.random.Generator, fraction: float):
        self._generator = generator
        self._fraction = fraction
        self._metrics = BinaryMetrics()

    def update(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        true, _ = select_labels(labels, mask, classes=2, scored=2)
        logit = np.log(self._fraction) - np.log1p(-self._fraction)
        for (label,) in chunks(true):
            drawn = self._generator.random(len(label)) < self._fraction
            self._metrics.update(
                label, np.broadcast_to(logit, label.shape), predicted=drawn
            )

    def result(self) -> dict[str, float]:
        return self._metrics.result()


class _StratifiedNucleotides:
    def __init__(self, generator: np.random.Generator, shares: np.ndarray):
        self._generator = generator
        self._thresholds = np.cumsum(shares)[:-1]
        self._logits = _base_logits(shares)
        self._metrics = NucleotideMetrics()

    def update(self, labels: np.ndarray, mask: np.ndarray | None = None) -> None:
        true, _ = select_labels(labels, mask, classes=len(ALPHABET), scored=len(BASES))
        for (label,) in chunks(true):
            uniform = self._generator.random(len(label))
            drawn = np.searchsorted(self._thresholds, uniform, side="right")
            logits = np.broadcast_to(self._logits, (len(label), len(ALPHABET)))
            self._metrics.update(label, logits, predicted=drawn)

    def result(self) -> dict[str, float]:
        return self._metrics.result()


def _base_logits(probabilities: np.ndarray) -> np.ndarray:
    """Appends N to probabilities of A, C, G, T and returns log-probabilities."""
    unknown = np.full((*probabilities.shape[:-1], 1), UNKNOWN_LOGIT)
    return np.concatenate([np.log(probabilities), unknown], axis=-1)
