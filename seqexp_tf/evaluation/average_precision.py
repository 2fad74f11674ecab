"""Precision, recall and average precision of one ranking, with ties."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall at every distinct score, the highest first.

    Attributes:
        threshold: scores, descending, ``(k,)``; a call is a score at or above.
        precision: share of the calls that are positive, ``(k,)``.
        recall: share of the positives that are called, ``(k,)``; NaN without any.
    """

    threshold: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def average_precision(self) -> float:
        """Sum over thresholds of (recall gained) x precision; NaN if no positives."""
        gained = np.diff(self.recall, prepend=0.0)
        return float(np.sum(gained * self.precision))

    def thinned(self, points: int) -> "PrecisionRecall":
        """Returns at most about so many points, evenly spaced in recall, to draw."""
        if len(self.recall) <= points or np.isnan(self.recall[-1]):
            return self
        wanted = np.searchsorted(self.recall, np.linspace(0, 1, points))
        kept = np.unique(np.append(wanted.clip(max=len(self.recall) - 1), 0))
        return PrecisionRecall(
            self.threshold[kept], self.precision[kept], self.recall[kept]
        )


def precision_recall(scores: np.ndarray, positive: np.ndarray) -> PrecisionRecall:
    """Returns the curve of a ranking; equal scores are one threshold.

    Args:
        scores: finite numbers, ``(n,)``, n >= 1.
        positive: bool, ``(n,)``.
    """
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(positive[order], dtype=np.int64)[last]
    with np.errstate(invalid="ignore"):
        recall = hits / np.float64(hits[-1])
    return PrecisionRecall(ranked[last], hits / (last + 1.0), recall)


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Returns the average precision of a ranking; see ``PrecisionRecall``."""
    return precision_recall(scores, positive).average_precision


def rank_bins(scores: np.ndarray, *, bins: int) -> tuple[np.ndarray, int]:
    """Cuts a ranking into bins that are finer the higher the score.

    Edges grow geometrically with the rank, so that a bin is at most ``ln(n) / bins``
    of what lies above it, and so is the error of a precision taken at its end. Equal
    scores share a bin.

    Args:
        scores: finite numbers, ``(n,)``.
        bins: at most so many.

    Returns:
        The bin of each score, int64 ``(n,)``, 0 with the highest; and the number of
        bins.
    """
    order = np.argsort(scores)[::-1]
    ranked = scores[order]
    new = np.append(True, ranked[1:] != ranked[:-1])
    edges = np.unique(np.geomspace(1, max(len(scores), 1), bins).astype(np.int64))
    # Ties take the bin of their first rank.
    first = np.flatnonzero(new)
    of_tie = np.searchsorted(edges, first + 1, side="left")
    names, dense = np.unique(of_tie, return_inverse=True)
    result = np.empty(len(scores), dtype=np.int64)
    result[order] = dense.reshape(-1)[np.cumsum(new) - 1]
    return result, len(names)


def binned_average_precision(positives: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the average precision of rankings given as counts by bin.

    Args:
        positives: positives in each bin, the highest scores first, ``(..., bins)``.
        sizes: of positives and negatives together, ``(..., bins)``.

    Returns:
        ``(...,)``; NaN without positives.
    """
    hits = np.cumsum(positives, axis=-1)
    ranks = np.cumsum(sizes, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(ranks > 0, hits / ranks, 0.0)
        return np.sum(positives * precision, axis=-1) / hits[..., -1]
