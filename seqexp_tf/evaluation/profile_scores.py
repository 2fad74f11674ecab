"""What an evaluation of expression profiles found."""

from dataclasses import dataclass
from typing import Any

from seqexp_tf.evaluation.borders import (
    BorderAgreement,
    ExpressedRegion,
    ExpressedTotal,
)
from seqexp_tf.evaluation.thresholds import ThresholdCurve
from seqexp_tf.genome.genes import UTR_LENGTHS
from seqexp_tf.records.regions import Region

MODEL, SEGMENTS = "model", "segments"
ANNOTATION, WIDENED, MAJORITY = "annotation", "annotation_utr", "majority"

PREDICTORS: dict[str, str] = {
    MODEL: "p(expressed) from DNA alone, every label hidden; expressed where p > 0.5",
    SEGMENTS: (
        "the model's p(expressed) cut into the expressed and unexpressed stretches of "
        "highest likelihood, a change being as rare as in the training split"
    ),
    ANNOTATION: (
        "expressed where an annotated open reading frame of the strand lies (first to "
        "last coding base, introns included)"
    ),
    WIDENED: (
        f"the same frames, begun {UTR_LENGTHS[0]} bases before the first and ended "
        f"{UTR_LENGTHS[1]} after the last coding base, for untranslated regions of "
        "the length usual in yeast"
    ),
    MAJORITY: "the share of expressed bases of the training split, everywhere",
}
"""What was scored, by name. Segments and annotation give no probability: they have
no loss and no calibration error, and rank bases in two ranks alone."""

ALL, BOTH = "all", "both"
"""The contig and the strand of a pooled score."""


@dataclass(frozen=True)
class ProfileScore:
    """One predictor on one strand of one contig, or pooled.

    Attributes:
        predictor: a key of ``PREDICTORS``.
        contig: its name, or ``all``.
        strand: ``+``, ``-`` or ``both``.
        metrics: those of ``BinaryMetrics`` and ``ece``; NaN where undefined.
        borders: agreement with the measured borders, by tolerance.
    """

    predictor: str
    contig: str
    strand: str
    metrics: dict[str, float]
    borders: tuple[BorderAgreement, ...]


@dataclass(frozen=True)
class WindowScore:
    """The calls of one window, whose edges are no borders.

    Attributes:
        predictor: ``model`` or ``segments``.
        region: the window; windows follow each other without overlap.
        strand: ``+`` or ``-``.
        positions: measured bases.
        accuracy: share of them called right.
        true: what is measured as expressed.
        predicted: what is called expressed of the same bases.
        borders: agreement by tolerance.
    """

    predictor: str
    region: Region
    strand: str
    positions: int
    accuracy: float
    true: ExpressedTotal
    predicted: ExpressedTotal
    borders: tuple[BorderAgreement, ...]


@dataclass(frozen=True)
class ProfileEvaluation:
    """What an evaluation from DNA alone found.

    Attributes:
        scores: by predictor, contig and strand; pooled ones after their parts.
        windows: model and segments, window by window.
        regions: what model and segments call expressed, in genome order.
        curves: by predictor, over all contigs and both strands.
        dataset: what identifies the data scored.
    """

    scores: tuple[ProfileScore, ...]
    windows: tuple[WindowScore, ...]
    regions: dict[str, tuple[ExpressedRegion, ...]]
    curves: dict[str, ThresholdCurve]
    dataset: dict[str, Any]

    def score(
        self, predictor: str, *, contig: str = ALL, strand: str = BOTH
    ) -> ProfileScore:
        """Returns one score; KeyError if there is none."""
        for score in self.scores:
            if (score.predictor, score.contig, score.strand) == (
                predictor,
                contig,
                strand,
            ):
                return score
        raise KeyError((predictor, contig, strand))
