"""Expression of one region: measured, rebuilt where hidden, and from DNA alone."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.evaluation.borders import (
    BorderAgreement,
    ExpressedTotal,
    call_expressed,
    compare_borders,
    expressed_regions,
    find_borders,
    total_expressed,
)
from seqexp_tf.evaluation.metrics import BinaryMetrics, sigmoid
from seqexp_tf.evaluation.predictor import EXPRESSION, JointPredictor
from seqexp_tf.evaluation.profile_prediction import log_odds, predict_profile
from seqexp_tf.evaluation.segmentation import segment
from seqexp_tf.records.masks import MaskingConfig, draw_masks
from seqexp_tf.records.regions import GenomeSlice, Region, read_slice

RECONSTRUCTION, DNA_ALONE, VISIBLE = "reconstruction", "dna_alone", "labels_visible"
MEASURED, SEGMENTS = "measured", "dna_alone_segments"

PREDICTIONS: dict[str, str] = {
    RECONSTRUCTION: (
        "half of the window's labels hidden in one span, some bases masked; scored at "
        "hidden labels"
    ),
    DNA_ALONE: "every label hidden, every base visible; scored at every label",
    VISIBLE: "every label and base visible; scored at every label",
}
"""What the model was shown for each prediction, and where it is scored."""


@dataclass(frozen=True)
class PredictionScore:
    """How well one prediction agrees with the measured labels of a region.

    Attributes:
        positions: measured bases scored.
        loss: mean cross-entropy (nats); NaN without positions.
        accuracy: share called right; NaN without positions.
        expressed: what is called expressed of the scored bases.
        borders: agreement by tolerance, of borders between scored neighbours.
    """

    positions: int
    loss: float
    accuracy: float
    expressed: ExpressedTotal
    borders: tuple[BorderAgreement, ...]


@dataclass(frozen=True)
class Reconstruction:
    """One strand of a region; every array is from left to right, ``(n,)``.

    Attributes:
        region: the bases shown.
        strand: ``+`` or ``-``.
        labels: uint8, 1 = expressed.
        valid: bool, True where the label was measured.
        hidden: bool, True where the reconstruction did not see the label.
        masked: bool, True where it saw the mask token in place of the base.
        predictions: p(expressed), float32, by a key of ``PREDICTIONS``.
        switch_cost: of the segments, see ``segment``; 0 calls them at p > 0.5.
        scores: by a key of ``PREDICTIONS``.
    """

    region: Region
    strand: str
    labels: np.ndarray
    valid: np.ndarray
    hidden: np.ndarray
    masked: np.ndarray
    predictions: dict[str, np.ndarray]
    switch_cost: float = 0.0
    scores: dict[str, PredictionScore] = field(init=False)

    def __post_init__(self) -> None:
        scores = {name: self._score(name) for name in self.predictions}
        object.__setattr__(self, "scores", scores)

    @property
    def expressed(self) -> ExpressedTotal:
        """What was measured as expressed."""
        return total_expressed(self.labels.astype(bool), self.valid)

    @property
    def segments(self) -> np.ndarray:
        """Calls from DNA alone that do not flicker, bool ``(n,)``; see ``segment``."""
        return segment(
            log_odds(self.predictions[DNA_ALONE]), switch_cost=self.switch_cost
        )

    def regions(self) -> pd.DataFrame:
        """Returns a row a region that is expressed, by source and from left to right.

        Columns: contig, start and end (1-based, inclusive), strand, length, source
        and mean, the mean p(expressed). Sources are ``measured``, whose mean is
        missing, each prediction, and ``dna_alone_segments``.
        """
        measured = self.labels.astype(bool) & self.valid
        sources = [(MEASURED, measured, np.full(len(self.region), np.nan))]
        for name, probability in self.predictions.items():
            sources.append((name, call_expressed(probability), probability))
        sources.append((SEGMENTS, self.segments, self.predictions[DNA_ALONE]))
        return pd.DataFrame(
            [
                (
                    found.region.contig,
                    found.region.start + 1,
                    found.region.end,
                    found.strand,
                    len(found.region),
                    source,
                    found.mean,
                )
                for source, calls, probability in sources
                for found in expressed_regions(
                    calls, probability, self.region, self.strand
                )
            ],
            columns=["contig", "start", "end", "strand", "length", "source", "mean"],
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns region, truth and scores by name, ready for JSON."""
        return {
            "region": str(self.region),
            "strand": self.strand,
            "measured": int(self.valid.sum()),
            "expressed": asdict(self.expressed),
            "labels_hidden": int(self.hidden.sum()),
            "bases_masked": int(self.masked.sum()),
            "predictions": {
                name: {
                    "positions": score.positions,
                    "loss": score.loss,
                    "accuracy": score.accuracy,
                    "expressed": asdict(score.expressed),
                    "borders": [agreement.to_dict() for agreement in score.borders],
                }
                for name, score in self.scores.items()
            },
        }

    def table(self) -> pd.DataFrame:
        """Returns a row a base, from left to right.

        Columns: contig, position (1-based), strand, expressed, measured,
        label_hidden and base_masked (1 or 0), and a column a prediction.
        """
        return pd.DataFrame(
            {
                "contig": self.region.contig,
                "position": np.arange(self.region.start, self.region.end) + 1,
                "strand": self.strand,
                "expressed": self.labels.astype(int),
                "measured": self.valid.astype(int),
                "label_hidden": self.hidden.astype(int),
                "base_masked": self.masked.astype(int),
                **self.predictions,
            }
        )

    def _score(self, name: str) -> PredictionScore:
        probability = self.predictions[name]
        scored = self.valid & self.hidden if name == RECONSTRUCTION else self.valid
        truth, expressed = self.labels.astype(bool), call_expressed(probability)
        metrics = BinaryMetrics()
        metrics.update(self.labels, log_odds(probability), scored, predicted=expressed)
        result = metrics.result()
        return PredictionScore(
            positions=int(result["positions"]),
            loss=result["loss"],
            accuracy=result["accuracy"],
            expressed=total_expressed(expressed, scored),
            borders=compare_borders(
                find_borders(truth, scored, strand=self.strand),
                find_borders(expressed, scored, strand=self.strand),
            ),
        )


def reconstruct(
    predictor: JointPredictor,
    region: Region,
    strand: str,
    *,
    span: Region | None = None,
    sequence_fraction: float = 0.15,
    seed: int = 0,
    visible: bool = False,
    switch_cost: float = 0.0,
) -> Reconstruction:
    """Predicts one strand of a region from hidden labels and from DNA alone.

    The reconstruction reads one window, centred on the region where its contig
    allows. The other predictions are those of ``JointPredictor.expression``, hence
    the same as in genome tracks.

    Args:
        predictor: the model and its dataset.
        region: at most a window long.
        strand: ``+`` or ``-``.
        span: labels to hide, within that window; None hides half of the window,
            centred on the region.
        sequence_fraction: share of the known bases that the reconstruction sees as
            the mask token.
        seed: of the draw of these bases.
        visible: whether to predict with every label visible, too.
        switch_cost: of the segments, see ``measured_switch_cost``.

    Raises:
        InputError: the region is longer than a window, or the span leaves the window.
        DatasetError: nothing was measured in the region, or no window lies there.
        RunError: the model predicts no expression, or values that are not finite.
    """
    predictor.require(EXPRESSION, purpose="borders")
    window = predictor.window_around(region)
    span = _central(region, window) if span is None else span
    _check_span(span, window)
    genome = read_slice(predictor.store, window)
    shown = slice(region.start - window.start, region.end - window.start)
    _check_measured(predictor, genome, shown, region)
    piece = genome.strand(strand)
    hidden = np.zeros(len(window), dtype=bool)
    hidden[span.start - window.start : span.end - window.start] = True
    masks = draw_masks(
        piece.sequence,
        MaskingConfig(
            expression_fraction=0.0,
            sequence_fraction=sequence_fraction,
            token_probability=1.0,
            random_probability=0.0,
        ),
        seed=seed,
        contig=window.contig,
        start=window.start,
        strand=strand,
    )
    masked = masks.sequence_mask.astype(bool)
    inputs = predictor.inputs([piece], hidden=piece.genomic(hidden), masked=masked)
    logits = predictor.logits(inputs)[EXPRESSION][0]
    rebuilt = piece.genomic(sigmoid(logits.astype(np.float64))).astype(np.float32)
    predictions = {
        RECONSTRUCTION: rebuilt[shown],
        DNA_ALONE: predict_profile(predictor, region, strand, labels="hidden"),
    }
    if visible:
        predictions[VISIBLE] = predict_profile(
            predictor, region, strand, labels="visible"
        )
    return Reconstruction(
        region=region,
        strand=strand,
        labels=piece.genomic(piece.expression)[shown],
        valid=genome.valid[shown],
        hidden=hidden[shown],
        masked=piece.genomic(masked)[shown],
        predictions=predictions,
        switch_cost=switch_cost,
    )


def _check_measured(
    predictor: JointPredictor, genome: GenomeSlice, shown: slice, region: Region
) -> None:
    folder = predictor.store.folder
    if not genome.stored[shown].any():
        raise DatasetError(
            f"{folder}: no window lies on {region}; the recipe left it out"
        )
    if not genome.valid[shown].any():
        raise DatasetError(
            f"{folder}: no base of {region} was measured; to predict there all the "
            "same use `seqexp-tf tracks`"
        )


def _central(region: Region, window: Region) -> Region:
    length = len(window) // 2
    start = (region.start + region.end - length) // 2
    start = min(max(start, window.start), window.end - length)
    return Region(window.contig, start, start + length)


def _check_span(span: Region, window: Region) -> None:
    inside = window.start <= span.start < span.end <= window.end
    if span.contig != window.contig or not inside:
        raise InputError(
            f"hidden span {span}: not within the model's window {window}; choose a "
            "span in it"
        )
