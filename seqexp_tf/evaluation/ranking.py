"""ROC AUC and average precision of a stream of scores, in bounded memory."""

import numpy as np

MAXIMUM_BINS = 1 << 17

_SIGN = np.uint32(1 << 31)
_FLOAT32_MAX = np.finfo(np.float32).max


class ScoreHistogram:
    """Counts of positives and negatives over score bins that fit the data.

    A score is rounded to float32 and its bit pattern read as an unsigned integer
    that grows with the score. While there are at most ``maximum_bins`` distinct
    scores each has its own bin and both figures are exact. Past that the lowest
    bit is dropped for every score, again and again, until the bins fit: what is
    left is relative precision (a few thousand bins per factor of two), so tightly
    clustered scores stay apart as well as widely spread ones. The number of bits
    dropped depends only on the set of scores, so neither the order of the stream,
    nor how it was cut into batches, nor the order of merges changes anything.

    Within a bin the ROC curve is the straight line (trapezoid), which is the usual
    treatment of tied scores; the error this can make is known: see
    ``roc_auc_error``. Average precision takes tied scores as one threshold while
    exact; in a shared bin, whose scores mostly differ, it spreads the positives
    evenly over the ranks of the bin.

    At most 24 bytes a bin, 3 MiB in all, plus temporary copies of one batch.
    """

    def __init__(self, *, maximum_bins: int = MAXIMUM_BINS):
        self._maximum_bins = maximum_bins
        self._dropped_bits = 0
        self._keys = np.empty(0, dtype=np.uint64)
        self._counts = np.empty((0, 2), dtype=np.int64)

    @property
    def bins(self) -> int:
        """Number of occupied bins."""
        return len(self._keys)

    @property
    def exact(self) -> bool:
        """Whether no two distinct float32 scores share a bin."""
        return self._dropped_bits == 0

    def update(self, scores: np.ndarray, positive: np.ndarray) -> None:
        """Adds scores.

        Args:
            scores: floats of shape ``(n,)``; infinities count as the largest
                float32, NaN is not allowed.
            positive: booleans of shape ``(n,)``.
        """
        codes = _ordered_bits(scores).astype(np.uint64)
        codes >>= np.uint64(self._dropped_bits)
        codes = (codes << np.uint64(1)) | positive.astype(np.uint64)
        codes, occurrences = np.unique(codes, return_counts=True)
        counts = np.zeros((len(codes), 2), dtype=np.int64)
        counts[np.arange(len(codes)), codes & np.uint64(1)] = occurrences
        self._add(codes >> np.uint64(1), counts)

    def merge(self, other: "ScoreHistogram") -> None:
        """Adds what ``other``, of the same ``maximum_bins``, has counted."""
        drop = max(self._dropped_bits, other._dropped_bits)
        self._keys >>= np.uint64(drop - self._dropped_bits)
        self._dropped_bits = drop
        self._add(other._keys >> np.uint64(drop - other._dropped_bits), other._counts)

    def roc_auc(self) -> float:
        """Area under the ROC curve; NaN without both classes."""
        negatives, positives = self._counts.T.astype(np.float64)
        pairs = negatives.sum() * positives.sum()
        if pairs == 0:
            return float("nan")
        below = np.cumsum(negatives) - negatives
        return float(np.sum(positives * (below + negatives / 2)) / pairs)

    def roc_auc_error(self) -> float:
        """Largest possible error of ``roc_auc`` due to the bins: 0 when exact.

        Pairs within one bin count one half each; the truth lies between 0 and 1.
        """
        negatives, positives = self._counts.T.astype(np.float64)
        pairs = negatives.sum() * positives.sum()
        if pairs == 0:
            return float("nan")
        return 0.0 if self.exact else float(np.sum(negatives * positives) / 2 / pairs)

    def average_precision(self) -> float:
        """Sum over thresholds of (recall gained) x precision; NaN if no positives."""
        negatives, positives = self._counts[::-1].T.astype(np.float64)
        total = positives.sum()
        if total == 0:
            return float("nan")
        hits, ranks = np.cumsum(positives), np.cumsum(negatives + positives)
        if self.exact:
            return float(np.sum(positives * hits / ranks) / total)
        some = positives > 0
        gained = _sum_of_precisions(
            positives[some],
            (negatives + positives)[some],
            (hits - positives)[some],
            (ranks - negatives - positives)[some],
        )
        return float(np.sum(gained) / total)

    def _add(self, keys: np.ndarray, counts: np.ndarray) -> None:
        self._keys, self._counts = _combine(
            np.concatenate([self._keys, keys]), np.concatenate([self._counts, counts])
        )
        while len(self._keys) > self._maximum_bins:
            self._dropped_bits += 1
            self._keys, self._counts = _combine(
                self._keys >> np.uint64(1), self._counts
            )


def _ordered_bits(scores: np.ndarray) -> np.ndarray:
    """Returns uint32 integers in the order of the scores, equal where they are."""
    rounded = np.clip(scores, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)
    # Adding zero turns -0.0 into 0.0, which is the same score.
    bits = (rounded + np.float32(0)).view(np.uint32)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _sum_of_precisions(
    positives: np.ndarray, size: np.ndarray, hits: np.ndarray, rank: np.ndarray
) -> np.ndarray:
    """Returns the sum of the precision at each positive of a bin.

    With ``hits`` positives among the ``rank`` scores above the bin, positive i of
    p = ``positives`` is put at rank ``rank + (i - 1/2) n / p + 1/2``, n = ``size``:
    right where all are positive, the middle rank where one is. The sum over i of
    ``(hits + i) / (that rank)`` in closed form.
    """
    step = size / positives
    offset = (rank + 0.5) / step - 0.5
    harmonic = _digamma(positives + 1 + offset) - _digamma(1 + offset)
    return (positives + (hits - offset) * harmonic) / step


def _digamma(x: np.ndarray) -> np.ndarray:
    """Returns the digamma function of x >= 0.5 (recurrence, then Stirling series)."""
    value = np.zeros_like(x)
    for _ in range(12):
        value -= 1 / x
        x = x + 1
    square = 1 / x**2
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square / 240)))
    return value + np.log(x) - 0.5 / x - series


def _combine(keys: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct keys in order and the summed counts of each."""
    if not len(keys):
        return keys, counts
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
    return keys[starts], np.add.reduceat(counts[order], starts, axis=0)
