"""ROC and precision-recall curves of a stream of scores, for drawing."""

from dataclasses import dataclass

import numpy as np

_LIMIT, _STEP = 16.0, 0.05  # of log-odds: p from 1e-7 to 1 - 1e-7
_BINS = round(2 * _LIMIT / _STEP)


@dataclass(frozen=True)
class ThresholdCurve:
    """Error rates by threshold, from the strictest to calling everything positive.

    Attributes:
        threshold: p that a positive call has to exceed, descending, ``(n,)``.
        true_positive_rate: recall, ``(n,)``; NaN without positives.
        false_positive_rate: ``(n,)``; NaN without negatives.
        precision: ``(n,)``; NaN where nothing is called positive.
    """

    threshold: np.ndarray
    true_positive_rate: np.ndarray
    false_positive_rate: np.ndarray
    precision: np.ndarray

    def at_half(self) -> tuple[float, float, float]:
        """Returns the three rates at the threshold 0.5."""
        index = int(np.argmin(np.abs(self.threshold - 0.5)))
        return (
            float(self.true_positive_rate[index]),
            float(self.false_positive_rate[index]),
            float(self.precision[index]),
        )


class ThresholdCounts:
    """Counts of negatives and positives in 640 equal bins of the log-odds.

    Precise enough to draw; the areas under the curves come from
    ``BinaryMetrics``, which ranks every score.
    """

    def __init__(self) -> None:
        self._counts = np.zeros((2, _BINS), dtype=np.int64)

    def update(self, labels: np.ndarray, logits: np.ndarray, mask: np.ndarray) -> None:
        """Adds labels 0 or 1 and their log-odds, where the mask is True."""
        index = np.floor((logits[mask] + _LIMIT) / _STEP).astype(np.int64)
        index = np.clip(index, 0, _BINS - 1)
        for label in (0, 1):
            chosen = index[labels[mask] == label]
            self._counts[label] += np.bincount(chosen, minlength=_BINS)

    def merge(self, other: "ThresholdCounts") -> None:
        """Adds what ``other`` has counted."""
        self._counts += other._counts

    def curve(self) -> ThresholdCurve:
        """Returns the rates at every edge between two bins."""
        edges = -_LIMIT + _STEP * np.arange(_BINS, -1, -1)
        called = np.zeros((2, _BINS + 1))
        called[:, 1:] = np.cumsum(self._counts[:, ::-1], axis=1)
        negatives, positives = called
        with np.errstate(invalid="ignore"):
            return ThresholdCurve(
                threshold=1 / (1 + np.exp(-edges)),
                true_positive_rate=positives / positives[-1],
                false_positive_rate=negatives / negatives[-1],
                precision=positives / (positives + negatives),
            )
