"""How well predicted expression agrees with what was measured, over genes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from seqexp_tf.evaluation.bootstrap import LEVEL, MINIMUM_BLOCKS, REPLICATES

FORMULAS: dict[str, str] = {
    "mse": "mean of (predicted - target)^2",
    "mae": "mean of |predicted - target|",
    "pearson": "covariance / (sd(predicted) * sd(target))",
    "spearman": "Pearson's correlation of ranks, ties sharing their mean rank",
    "r2_pearson": "pearson^2, the R2 of the best straight line through the predictions",
    "r2_determination": (
        "1 - sum (target - predicted)^2 / sum (target - mean target)^2; negative where "
        "the mean of the targets scored would do better"
    ),
}
"""What each metric is."""

METRICS = tuple(FORMULAS)


def regression_metrics(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Returns the metrics of ``FORMULAS``.

    Args:
        predicted: ``(genes,)``.
        target: ``(genes,)``.

    Returns:
        Correlations are NaN where either side does not vary or there are fewer than
        two genes; everything is NaN without a gene.
    """
    weights = np.ones((1, np.size(target)))
    found = _weighted(_columns(predicted, target), weights)
    return {name: float(values[0]) for name, values in found.items()}


def bootstrap_intervals(
    predicted: np.ndarray,
    target: np.ndarray,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Returns percentile intervals from genes drawn anew (Efron & Tibshirani 1993).

    Args:
        predicted: ``(genes,)``.
        target: ``(genes,)``.
        replicates: number of draws.
        seed: of the draws.

    Returns:
        Low and high of each metric; empty below ``MINIMUM_BLOCKS`` genes. Ranks of
        Spearman's correlation are those of all genes, not ranked anew in each draw.
    """
    count = len(target)
    if replicates == 0 or count < MINIMUM_BLOCKS:
        return {}
    weights = draw_genes(count, replicates, seed=seed)
    found = _weighted(_columns(predicted, target), weights)
    return {name: interval(values) for name, values in found.items()}


def draw_genes(count: int, replicates: int, *, seed: int = 0) -> np.ndarray:
    """Returns how often each replicate drew each gene, ``(replicates, count)``."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(count, np.full(count, 1 / count), size=replicates)


def weighted_metrics(
    predicted: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the metrics of each draw of genes.

    Args:
        predicted: ``(genes,)``.
        target: ``(genes,)``.
        weights: how often each gene counts, ``(replicates, genes)``.

    Returns:
        Each ``(replicates,)``.
    """
    return _weighted(_columns(predicted, target), weights)


def pearson_share(
    predicted: np.ndarray,
    ceiling: np.ndarray,
    target: np.ndarray,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, tuple[float, float]]:
    """Returns Pearson's correlation as a share of the best that can be reached.

    Args:
        predicted: ``(genes,)``.
        ceiling: what no prediction can beat, ``(genes,)``.
        target: ``(genes,)``.
        replicates: draws of genes, the same for both correlations.
        seed: of the draws.

    Returns:
        The share, and its interval: NaN below ``MINIMUM_BLOCKS`` genes.
    """
    sides = [_columns(values, target) for values in (predicted, ceiling)]

    def share(weights: np.ndarray) -> np.ndarray:
        own, best = (_weighted(side, weights)["pearson"] for side in sides)
        with np.errstate(divide="ignore", invalid="ignore"):
            return own / best

    count = len(target)
    value = float(share(np.ones((1, count)))[0])
    if replicates == 0 or count < MINIMUM_BLOCKS:
        return value, (float("nan"), float("nan"))
    return value, interval(share(draw_genes(count, replicates, seed=seed)))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the percentiles that enclose ``LEVEL`` of the replicates."""
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan"), float("nan")
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _columns(predicted: np.ndarray, target: np.ndarray) -> Mapping[str, np.ndarray]:
    values = {
        "predicted": np.asarray(predicted, dtype=np.float64),
        "target": np.asarray(target, dtype=np.float64),
    }
    ranks = {
        f"{name}_rank": pd.Series(v).rank().to_numpy() for name, v in values.items()
    }
    return {**values, **ranks}


def _weighted(
    columns: Mapping[str, np.ndarray], weights: np.ndarray
) -> dict[str, np.ndarray]:
    weights = np.asarray(weights, dtype=np.float64)
    predicted, target = columns["predicted"], columns["target"]
    error = predicted - target
    with np.errstate(invalid="ignore", divide="ignore"):
        total = weights.sum(axis=1)
        mse = weights @ error**2 / total
        pearson = _correlation(predicted, target, weights)
        spread = _variance(target, weights)
        return {
            "mse": mse,
            "mae": weights @ np.abs(error) / total,
            "pearson": pearson,
            "spearman": _correlation(
                columns["predicted_rank"], columns["target_rank"], weights
            ),
            "r2_pearson": pearson**2,
            "r2_determination": np.where(spread > 0, 1 - mse / spread, np.nan),
        }


def _correlation(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    spread = _variance(x, weights) * _variance(y, weights)
    # What rounding leaves of a side that does not vary is no correlation.
    varies = spread > 1e-24 * (1 + np.abs(x).max(initial=0)) ** 2
    return np.where(varies, _covariance(x, y, weights) / np.sqrt(spread), np.nan)


def _variance(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the variance of each draw; 0 where it is what rounding leaves."""
    widest = np.abs(x - x.mean()).max(initial=0) if x.size else 0.0
    found = _covariance(x, x, weights)
    return np.where(found > 1e-14 * widest**2, found, 0.0)


def _covariance(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    # Centred first: the products of raw values would lose digits.
    x, y = x - x.mean() if x.size else x, y - y.mean() if y.size else y
    total = weights.sum(axis=1)
    return weights @ (x * y) / total - (weights @ x / total) * (weights @ y / total)
