"""Whether a mask ranks known elements of its gene above everything else.

Bases, or candidate elements, of every gene are ranked by the mask and by what could
be had without it. Average precision is given over all genes together (pooled) and
as the mean over the genes that have an element (mean). What is drawn anew for an
interval are genes, or blocks of the genome with every gene in them, the same ones
for all methods (paired); an interval runs from the 2.5th to the 97.5th percentile.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from seqexp_tf.evaluation.average_precision import (
    PrecisionRecall,
    average_precision,
    binned_average_precision,
    precision_recall,
    rank_bins,
)
from seqexp_tf.evaluation.bootstrap import LEVEL, MINIMUM_BLOCKS, REPLICATES, Blocks
from seqexp_tf.evaluation.gene_masks import GeneWindow
from seqexp_tf.evaluation.rankings import MASK

MOST_SCORES = 50_000_000
"""Scores kept for the pooled figures; bases are thinned evenly beyond it."""

_BINS = 2_048
_POINTS = 500


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval.

    Attributes:
        value: over all genes.
        low: lower end; NaN where genes are too few for an interval.
        high: upper end, likewise.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")


@dataclass(frozen=True, kw_only=True)
class MethodScore:
    """How well one method ranks.

    Attributes:
        method: of ``Rankings.of``.
        average_precision: by ``pooled`` and ``mean``.
        difference: average precision of the mask less this one's, likewise.
        ratio: average precision of the mask over this one's, likewise.
        curve: precision and recall, pooled, thinned to be drawn.
    """

    method: str
    average_precision: dict[str, Estimate]
    difference: dict[str, Estimate]
    ratio: dict[str, Estimate]
    curve: PrecisionRecall


@dataclass(frozen=True, kw_only=True)
class ElementScores:
    """Rankings of one kind of thing, ``bases`` or ``pairs``.

    Attributes:
        unit: what is ranked: ``bases``, or ``pairs`` of an element and a gene.
        ranked: number of them.
        positives: number of positives.
        genes: genes ranked.
        genes_with_positives: those the mean is over.
        every: of so many bases one counts for the pooled figures; 1 is all.
        methods: scores, in the order of ``Rankings.of``.
        by_gene: gene, name, ranked, positives and a column of average precision a
            method; a row a gene.
        resampling: where the intervals come from.
    """

    unit: str
    ranked: int
    positives: int
    genes: int
    genes_with_positives: int
    every: int
    methods: tuple[MethodScore, ...]
    by_gene: pd.DataFrame
    resampling: dict[str, float | int | str]

    def of(self, method: str) -> MethodScore:
        """Returns the score of one method."""
        return next(score for score in self.methods if score.method == method)


@dataclass
class RankingScorer:
    """Gathers the rankings of one gene after another.

    Attributes:
        unit: ``bases`` or ``pairs``.
        every: of so many bases one is kept for the pooled figures; a gene's own are
            always over all of its bases.
    """

    unit: str
    every: int = 1
    _windows: list[GeneWindow] = field(default_factory=list)
    _own: list[dict[str, float]] = field(default_factory=list)
    _counts: list[tuple[int, int]] = field(default_factory=list)
    _scores: list[dict[str, np.ndarray]] = field(default_factory=list)
    _positive: list[np.ndarray] = field(default_factory=list)

    def add(
        self, window: GeneWindow, scores: dict[str, np.ndarray], positive: np.ndarray
    ) -> None:
        """Adds one gene.

        Args:
            window: of the gene.
            scores: by method, each ``(n,)``, finite; the same methods every time.
            positive: bool ``(n,)``.
        """
        self._windows.append(window)
        self._counts.append((positive.size, int(positive.sum())))
        known = positive.any()
        self._own.append(
            {
                name: average_precision(values, positive) if known else np.nan
                for name, values in scores.items()
            }
        )
        kept = slice(None, None, self.every)
        self._scores.append({name: values[kept] for name, values in scores.items()})
        self._positive.append(positive[kept])

    @property
    def positives(self) -> int:
        """Positives added so far."""
        return sum(positive for _, positive in self._counts)

    def result(
        self, *, block: int = 0, replicates: int = REPLICATES, seed: int = 0
    ) -> ElementScores:
        """Returns the scores of everything added, of which some is positive.

        Args:
            block: bases of the stretches of genome drawn for the intervals, with
                every gene whose window's middle lies in them; 0 draws single genes.
            replicates: draws.
            seed: of the draws.
        """
        groups, resampling, weights = self._draws(block, replicates, seed)
        positive = np.concatenate(self._positive)
        group = np.repeat(groups, [part.size for part in self._positive])
        methods = list(self._scores[0])
        curves, values, draws = {}, {}, {}
        for method in methods:
            scores = np.concatenate([part[method] for part in self._scores])
            curve = precision_recall(scores, positive)
            curves[method] = curve.thinned(_POINTS)
            own = np.array([gene[method] for gene in self._own])
            values[method] = {
                "pooled": curve.average_precision,
                "mean": float(np.nanmean(own)),
            }
            draws[method] = {
                "pooled": _pooled_draws(scores, positive, group, weights),
                "mean": _mean_draws(own, groups, weights),
            }
        total, positives = np.sum(self._counts, axis=0).tolist()
        return ElementScores(
            unit=self.unit,
            ranked=total,
            positives=positives,
            genes=len(self._windows),
            genes_with_positives=sum(count > 0 for _, count in self._counts),
            every=self.every,
            methods=tuple(
                _method_score(method, values, draws, curves[method])
                for method in methods
            ),
            by_gene=self._table(methods),
            resampling=resampling,
        )

    def _draws(
        self, block: int, replicates: int, seed: int
    ) -> tuple[np.ndarray, dict[str, float | int | str], np.ndarray]:
        """Returns the group of each gene, what was drawn, and how often."""
        places = pd.DataFrame(
            [(window.contig, window.start, window.end) for window in self._windows],
            columns=["contig", "start", "end"],
        )
        if block:
            blocks = Blocks.of(places, bases=block)
        else:
            count = len(places)
            blocks = Blocks(0, np.arange(count), count)
        enough = blocks.count >= MINIMUM_BLOCKS
        weights = blocks.draw(replicates if enough else 0, seed=seed)
        what = f"blocks of {blocks.bases:,} bases" if block else "genes"
        resampling = {
            "level": LEVEL,
            "method": f"paired percentile bootstrap over {what}",
            "drawn": blocks.count,
            "replicates": len(weights),
        }
        return blocks.index, resampling, weights.astype(np.float64)

    def _table(self, methods: Sequence[str]) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "gene": [window.gene for window in self._windows],
                "name": [window.name for window in self._windows],
                "ranked": [total for total, _ in self._counts],
                "positives": [positive for _, positive in self._counts],
                **{name: [gene[name] for gene in self._own] for name in methods},
            }
        )


def _pooled_draws(
    scores: np.ndarray, positive: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Returns the pooled average precision of each draw, within 1 % of itself."""
    if not len(weights):
        return np.empty(0)
    index, bins = rank_bins(scores, bins=_BINS)
    cells = group * bins + index
    shape = (weights.shape[1], bins)
    sizes, hits = (
        np.bincount(cells, weights=kind, minlength=shape[0] * bins).reshape(shape)
        for kind in (None, positive)
    )
    return binned_average_precision(weights @ hits, weights @ sizes)


def _mean_draws(own: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the mean over genes of each draw."""
    known = ~np.isnan(own)
    count = weights.shape[1]
    sums, sizes = (
        np.bincount(groups[known], weights=kind, minlength=count)
        for kind in (own[known], None)
    )
    with np.errstate(invalid="ignore"):
        return (weights @ sums) / (weights @ sizes)


def _method_score(
    method: str,
    values: dict[str, dict[str, float]],
    draws: dict[str, dict[str, np.ndarray]],
    curve: PrecisionRecall,
) -> MethodScore:
    own: dict[str, dict[str, Estimate]] = {"value": {}, "difference": {}, "ratio": {}}
    for over in ("pooled", "mean"):
        value, drawn = values[method][over], draws[method][over]
        own["value"][over] = _estimate(value, drawn)
        if MASK in values and method != MASK:
            mask, masks = values[MASK][over], draws[MASK][over]
            own["difference"][over] = _estimate(mask - value, masks - drawn)
            with np.errstate(invalid="ignore", divide="ignore"):
                own["ratio"][over] = _estimate(
                    float(np.float64(mask) / value), masks / drawn
                )
    return MethodScore(
        method=method,
        average_precision=own["value"],
        difference=own["difference"],
        ratio=own["ratio"],
        curve=curve,
    )


def _estimate(value: float, draws: np.ndarray) -> Estimate:
    draws = draws[np.isfinite(draws)]
    if not draws.size:
        return Estimate(value)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Estimate(value, float(low), float(high))
