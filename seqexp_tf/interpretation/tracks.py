"""Predicted expression as tracks of a genome browser: bigWig and BED."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from seqexp_tf.evaluation.borders import (
    ExpressedRegion,
    bed_table,
    call_expressed,
    expressed_regions,
)
from seqexp_tf.evaluation.predictor import JointPredictor, Labels
from seqexp_tf.evaluation.profile_prediction import log_odds, predict_profile
from seqexp_tf.evaluation.segmentation import measured_switch_cost, segment
from seqexp_tf.genome.intervals import write_bed
from seqexp_tf.genome.tracks import bigwig_writer
from seqexp_tf.records.regions import STRANDS, Region
from seqexp_tf.records.spans import stored_parts


@dataclass(frozen=True)
class TrackFiles:
    """The files of one prediction.

    Attributes:
        plus: bigWig of p(expressed) on the plus strand.
        minus: likewise on the minus strand.
        expressed: BED6 of the runs of p > 0.5 on both strands.
        segments: BED6 of the stretches called expressed by ``segment``, which do not
            flicker where p is near 0.5.
    """

    plus: Path
    minus: Path
    expressed: Path
    segments: Path

    @property
    def paths(self) -> list[Path]:
        """All four."""
        return [self.plus, self.minus, self.expressed, self.segments]


def write_tracks(
    predictor: JointPredictor,
    regions: Iterable[Region],
    stem: Path,
    *,
    labels: Labels,
    progress: Callable[[int], None] = lambda windows: None,
) -> TrackFiles:
    """Predicts regions and writes them as tracks, each file old or whole.

    Bases without a window are left out; those whose expression was not measured are
    predicted like any other. BED lines are in genome order, both strands together;
    name counts them, score is 1000 x mean p(expressed). A base has the same p
    whatever the regions asked for; a segment may differ where it meets their edge.

    Args:
        predictor: the model and its dataset.
        regions: in any order; they may overlap.
        stem: ``STEM.plus.bw``, ``STEM.minus.bw``, ``STEM.expressed.bed`` and
            ``STEM.segments.bed`` are written.
        labels: whether the model sees the measured expression.
        progress: called with the number of windows of each batch; see
            ``count_windows``.

    Raises:
        DatasetError: no window lies on one of the regions.
        RunError: the model predicts no expression, or values that are not finite.
    """
    store = predictor.store
    parts = stored_parts(store, regions)
    files = TrackFiles(
        *(
            stem.with_name(f"{stem.name}.{suffix}")
            for suffix in ("plus.bw", "minus.bw", "expressed.bed", "segments.bed")
        )
    )
    switch_cost = measured_switch_cost(store)
    expressed: list[ExpressedRegion] = []
    segments: list[ExpressedRegion] = []
    with ExitStack() as stack:
        writers = [
            stack.enter_context(bigwig_writer(path, store.manifest["contigs"]))
            for path in (files.plus, files.minus)
        ]
        for part in parts:
            found: list[ExpressedRegion] = []
            stretches: list[ExpressedRegion] = []
            for strand, writer in zip(STRANDS, writers, strict=True):
                p = predict_profile(
                    predictor, part, strand, labels=labels, progress=progress
                )
                writer.add(part.contig, part.start, p)
                found += expressed_regions(call_expressed(p), p, part, strand)
                calls = segment(log_odds(p), switch_cost=switch_cost)
                stretches += expressed_regions(calls, p, part, strand)
            expressed += sorted(found, key=_place)
            segments += sorted(stretches, key=_place)
    write_bed(files.expressed, bed_table(expressed))
    write_bed(files.segments, bed_table(segments))
    return files


def _place(item: ExpressedRegion) -> tuple[int, int]:
    return item.region.start, item.region.end
