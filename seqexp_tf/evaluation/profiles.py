"""Expression predicted from DNA alone over a whole split, beside baselines."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.borders import (
    BorderAgreement,
    ExpressedRegion,
    call_expressed,
    compare_borders,
    expressed_regions,
    find_borders,
    pool_agreement,
    total_expressed,
)
from seqexp_tf.evaluation.calibration import ExpressionReliability
from seqexp_tf.evaluation.metrics import BinaryMetrics
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.evaluation.profile_prediction import (
    BLOCK,
    log_odds,
    predict_profile,
)
from seqexp_tf.evaluation.profile_scores import (
    ALL,
    ANNOTATION,
    BOTH,
    MAJORITY,
    MODEL,
    PREDICTORS,
    SEGMENTS,
    WIDENED,
    ProfileEvaluation,
    ProfileScore,
    WindowScore,
)
from seqexp_tf.evaluation.segmentation import measured_switch_cost, segment
from seqexp_tf.evaluation.thresholds import ThresholdCounts
from seqexp_tf.genome.genes import with_utrs
from seqexp_tf.genome.intervals import interval_mask
from seqexp_tf.records.regions import STRANDS, GenomeSlice, Region, read_slice
from seqexp_tf.records.spans import blocks, stored_spans
from seqexp_tf.records.store import RecordStore

_ANNOTATIONS = (ANNOTATION, WIDENED)
_OF_PROBABILITIES = ("loss", "brier", "ece")


@dataclass(frozen=True)
class _Calls:
    """One predictor on one strand of a span: p(expressed) and calls, ``(n,)`` each."""

    probability: np.ndarray
    expressed: np.ndarray


class _Tally:
    """Sums of one predictor over any number of spans."""

    def __init__(self) -> None:
        self.metrics = BinaryMetrics()
        self.reliability = ExpressionReliability()
        self.thresholds = ThresholdCounts()
        self.borders: tuple[BorderAgreement, ...] | None = None

    def update(self, genome: GenomeSlice, strand: str, calls: _Calls) -> None:
        truth = genome.expression[STRANDS.index(strand)]
        for first in range(0, truth.size, BLOCK):
            at = slice(first, first + BLOCK)
            logits, valid = log_odds(calls.probability[at]), genome.valid[at]
            self.metrics.update(truth[at], logits, valid, predicted=calls.expressed[at])
            self.reliability.update(truth[at], logits, valid)
            self.thresholds.update(truth[at], logits, valid)
        everything = slice(0, truth.size)
        self._add_borders(_agreement(genome, strand, calls.expressed, everything))

    def merge(self, other: "_Tally") -> None:
        self.metrics.merge(other.metrics)
        self.reliability.merge(other.reliability)
        self.thresholds.merge(other.thresholds)
        if other.borders is not None:
            self._add_borders(other.borders)

    def score(self, predictor: str, contig: str, strand: str) -> ProfileScore:
        metrics = self.metrics.result()
        metrics["ece"] = self.reliability.result()["expressed"]["ece"]
        if predictor in (SEGMENTS, *_ANNOTATIONS):
            metrics.update(dict.fromkeys(_OF_PROBABILITIES, float("nan")))
        return ProfileScore(predictor, contig, strand, metrics, self.borders or ())

    def _add_borders(self, agreement: tuple[BorderAgreement, ...]) -> None:
        parts = [agreement] if self.borders is None else [self.borders, agreement]
        self.borders = pool_agreement(parts)


def evaluate_profiles(
    predictor: JointPredictor,
    split: str,
    *,
    frames: pd.DataFrame | None = None,
    progress: Callable[[int], None] = lambda windows: None,
) -> ProfileEvaluation:
    """Predicts every stored base of a split from DNA alone and scores the measured.

    Stretch by stretch of stored bases: memory holds one of them, at most a contig.
    The result depends neither on the batch size nor on the order of the records.

    Args:
        predictor: the model and its dataset.
        split: usually ``test``.
        frames: contig, start, end (0-based half-open) and strand of annotated open
            reading frames, scored as a baseline, as they are and widened by
            untranslated regions; None leaves both out.
        progress: called with the number of windows of each batch; see
            ``count_windows``.

    Raises:
        DatasetError: no such split, or it has no measured base.
        RunError: the model predicts no expression, or values that are not finite.
    """
    store = predictor.store
    annotations = {}
    if frames is not None:
        annotations = {ANNOTATION: frames, WIDENED: with_utrs(frames)}
    names = [n for n in PREDICTORS if n not in _ANNOTATIONS or n in annotations]
    unexpressed, expressed = store.statistics("train")["labels_01"]
    prior = expressed / (unexpressed + expressed)
    switch_cost = measured_switch_cost(store)
    tallies: dict[tuple[str, str, str], _Tally] = {}
    windows: list[WindowScore] = []
    regions: dict[str, list[ExpressedRegion]] = {MODEL: [], SEGMENTS: []}
    for span in stored_spans(store, split):
        genome = read_slice(store, span)
        found: dict[str, list[ExpressedRegion]] = {MODEL: [], SEGMENTS: []}
        for strand in STRANDS:
            probability = predict_profile(
                predictor, span, strand, labels="hidden", progress=progress
            )
            calls = {
                MODEL: _Calls(probability, call_expressed(probability)),
                SEGMENTS: _hard(
                    segment(log_odds(probability), switch_cost=switch_cost)
                ),
                MAJORITY: _constant(prior, len(span)),
            }
            for name, table in annotations.items():
                calls[name] = _hard(_annotated(table, span, strand))
            for name in names:
                tally = tallies.setdefault((name, span.contig, strand), _Tally())
                tally.update(genome, strand, calls[name])
            for name, regions_of in found.items():
                expressed = calls[name].expressed
                regions_of += expressed_regions(expressed, probability, span, strand)
                windows += _score_windows(
                    name, genome, strand, expressed, predictor.window
                )
        for name, regions_of in found.items():
            regions[name] += sorted(
                regions_of, key=lambda r: (r.region.start, r.region.end)
            )
    pooled = _pool(tallies, names)
    scores = tuple(tally.score(*key) for key, tally in pooled.items())
    if not any(score.metrics["positions"] for score in scores):
        raise DatasetError(f"{store.folder}: {split} has no valid base to score")
    return ProfileEvaluation(
        scores=scores,
        windows=tuple(windows),
        regions={name: tuple(found) for name, found in regions.items()},
        curves={name: pooled[name, ALL, BOTH].thresholds.curve() for name in names},
        dataset={
            "name": store.manifest["name"],
            "fingerprint": store.fingerprint,
            "split": split,
            "contigs": list(dict.fromkeys(key[1] for key in tallies)),
            "reading_frames": (
                None if frames is None else hash_frames(store, split, frames)
            ),
        },
    )


def hash_frames(store: RecordStore, split: str, frames: pd.DataFrame) -> str:
    """Returns the sha256 of the reading frames on the contigs of a split."""
    contigs = store.manifest["splits"][split]["contigs"]
    columns = ["contig", "start", "end", "strand"]
    rows = frames.loc[frames.contig.isin(contigs), columns].sort_values(columns)
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def _hard(expressed: np.ndarray) -> _Calls:
    # Any two probabilities would do: only their order counts.
    return _Calls(np.where(expressed, np.float32(0.75), np.float32(0.25)), expressed)


def _constant(probability: float, length: int) -> _Calls:
    values = np.broadcast_to(probability, length)
    return _Calls(values, call_expressed(values))


def _annotated(frames: pd.DataFrame, span: Region, strand: str) -> np.ndarray:
    rows = frames[(frames.contig == span.contig) & (frames.strand == strand)]
    starts, ends = rows.start.to_numpy(), rows.end.to_numpy()
    return interval_mask(starts, ends, span.start, span.end).astype(bool)


def _agreement(
    genome: GenomeSlice, strand: str, expressed: np.ndarray, at: slice
) -> tuple[BorderAgreement, ...]:
    truth = genome.expression[STRANDS.index(strand), at].astype(bool)
    return compare_borders(
        find_borders(truth, genome.valid[at], strand=strand),
        find_borders(expressed[at], genome.valid[at], strand=strand),
    )


def _score_windows(
    predictor: str, genome: GenomeSlice, strand: str, expressed: np.ndarray, size: int
) -> Iterator[WindowScore]:
    truth = genome.expression[STRANDS.index(strand)].astype(bool)
    for window in blocks(genome.region, size):
        start = window.start - genome.region.start
        at = slice(start, start + len(window))
        valid = genome.valid[at]
        if valid.any():
            yield WindowScore(
                predictor=predictor,
                region=window,
                strand=strand,
                positions=int(valid.sum()),
                accuracy=float((truth[at] == expressed[at])[valid].mean()),
                true=total_expressed(truth[at], valid),
                predicted=total_expressed(expressed[at], valid),
                borders=_agreement(genome, strand, expressed, at),
            )


def _pool(
    tallies: dict[tuple[str, str, str], _Tally], names: list[str]
) -> dict[tuple[str, str, str], _Tally]:
    """Adds the sums over strands and contigs, each predictor's after its parts."""
    contigs = dict.fromkeys(contig for _, contig, _ in tallies)
    pooled: dict[tuple[str, str, str], _Tally] = {}
    for name in names:
        total = {strand: _Tally() for strand in (*STRANDS, BOTH)}
        for contig in contigs:
            both = _Tally()
            for strand in STRANDS:
                part = tallies[name, contig, strand]
                pooled[name, contig, strand] = part
                for sums in (both, total[strand], total[BOTH]):
                    sums.merge(part)
            pooled[name, contig, BOTH] = both
        for strand, sums in total.items():
            pooled[name, ALL, strand] = sums
    return pooled
