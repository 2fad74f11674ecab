"""What a report shows of single regions."""

from collections.abc import Iterator
from dataclasses import dataclass

from seqexp_tf.evaluation.predictor import EXPRESSION, SEQUENCE, JointPredictor
from seqexp_tf.evaluation.reconstruction import Reconstruction, reconstruct
from seqexp_tf.evaluation.segmentation import measured_switch_cost
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.interpretation.mutagenesis import mutagenesis
from seqexp_tf.interpretation.mutants import SEQUENCE_INPUT
from seqexp_tf.interpretation.mutation_map import MutationMap
from seqexp_tf.interpretation.nucleotides import (
    NucleotidePrediction,
    predict_nucleotides,
)
from seqexp_tf.interpretation.receptive_field import NotLocal, local_graph
from seqexp_tf.records.regions import STRANDS, GenomeSlice, read_slice
from seqexp_tf.report.collect import ReportInputs, Step, quiet
from seqexp_tf.report.loci import Locus

LONGEST_MAP = 2_048
"""Bases of a region whose map is still made: it grows with their square."""


@dataclass(frozen=True, kw_only=True)
class LocusResults:
    """What was found at one region.

    Attributes:
        locus: the region and why it is shown.
        expression: whether the model has learnt expression.
        measured: whether any label of the region was measured.
        reconstructions: plus and minus; empty without labels or learnt expression.
        maps: of the plus and the minus strand, or of the one with more expression;
            empty without learnt expression, where not asked for, and of a long
            region or one of N.
        nucleotides: plus and minus; empty where the model has not learnt nucleotides.
    """

    locus: Locus
    expression: bool
    measured: bool
    reconstructions: tuple[Reconstruction, ...]
    maps: tuple[MutationMap, ...]
    nucleotides: tuple[NucleotidePrediction, ...]


def examine_loci(inputs: ReportInputs, *, step: Step = quiet) -> Iterator[LocusResults]:
    """Yields the results of each region, one at a time: maps are large.

    Raises:
        RunError: the model predicts values that are not finite.
        DatasetError: a shard is damaged.
    """
    switch_cost = measured_switch_cost(inputs.store) if inputs.loci else 0.0
    for locus in inputs.loci:
        genome = read_slice(inputs.store, locus.region)
        learnt = inputs.run.config.hidden
        expression = "expression" in learnt and EXPRESSION in inputs.predictor.outputs
        sequence = "sequence" in learnt and SEQUENCE in inputs.predictor.outputs
        measured = bool(genome.valid.any())
        yield LocusResults(
            locus=locus,
            expression=expression,
            measured=measured,
            reconstructions=(
                _reconstructions(inputs, locus, switch_cost, step)
                if expression and measured
                else ()
            ),
            maps=_maps(inputs, genome, step) if expression else (),
            nucleotides=_nucleotides(inputs, locus, step) if sequence else (),
        )


def _reconstructions(
    inputs: ReportInputs, locus: Locus, switch_cost: float, step: Step
) -> tuple[Reconstruction, ...]:
    found = []
    fraction = inputs.run.config.masking.sequence_fraction
    with step(f"Borders of {locus.region}", len(STRANDS)) as progress:
        for strand in STRANDS:
            found.append(
                reconstruct(
                    inputs.predictor,
                    locus.region,
                    strand,
                    sequence_fraction=fraction,
                    visible=True,
                    switch_cost=switch_cost,
                )
            )
            progress(1)
    return tuple(found)


def _maps(
    inputs: ReportInputs, genome: GenomeSlice, step: Step
) -> tuple[MutationMap, ...]:
    region = genome.region
    if (
        not inputs.maps
        or len(region) > LONGEST_MAP
        or (genome.sequence == UNKNOWN).all()
    ):
        return ()
    strands = STRANDS
    if not _is_local(inputs.predictor):
        expressed = (genome.expression & genome.valid).sum(axis=1)
        strands = (STRANDS[int(expressed.argmax())],)
    with step(f"Mutations of {region}", len(strands) * len(region)) as progress:
        return tuple(
            mutagenesis(inputs.predictor, region, strand, progress=progress)
            for strand in strands
        )


def _is_local(predictor: JointPredictor) -> bool:
    """Whether a mutation costs less than a prediction of its whole window."""
    try:
        local_graph(predictor.model, EXPRESSION, sequence=SEQUENCE_INPUT)
    except NotLocal:
        return False
    return True


def _nucleotides(
    inputs: ReportInputs, locus: Locus, step: Step
) -> tuple[NucleotidePrediction, ...]:
    region = locus.region
    with step(f"Logos of {region}", len(STRANDS) * len(region)) as progress:
        return tuple(
            predict_nucleotides(
                inputs.predictor,
                region,
                strand,
                mask_fraction=inputs.run.config.masking.sequence_fraction,
                progress=progress,
            )
            for strand in STRANDS
        )
