"""One region of a report in words and figures."""

import shlex

import pandas as pd

from seqexp_tf.evaluation.border_plots import plot_borders
from seqexp_tf.evaluation.reconstruction import (
    DNA_ALONE,
    RECONSTRUCTION,
    VISIBLE,
    Reconstruction,
)
from seqexp_tf.interpretation.certainty import most_certain
from seqexp_tf.interpretation.influence import influence_table, most_influential
from seqexp_tf.interpretation.logos import plot_page, plot_stretches
from seqexp_tf.interpretation.mutation_map import Measure, MutationMap
from seqexp_tf.interpretation.mutation_plots import plot_influence, plot_map
from seqexp_tf.interpretation.nucleotides import NucleotidePrediction, mask_groups
from seqexp_tf.records.regions import Region
from seqexp_tf.report.collect import ReportInputs
from seqexp_tf.report.locus_results import LONGEST_MAP, LocusResults
from seqexp_tf.report.page import (
    Block,
    Heading,
    Missing,
    Picture,
    RegionSection,
    Table,
)
from seqexp_tf.report.pictures import dense, light
from seqexp_tf.training.run import Run

_STRETCH, _STRETCHES = 50, 3
_PREDICTIONS = {
    RECONSTRUCTION: "reconstruction",
    DNA_ALONE: "DNA alone",
    VISIBLE: "labels visible",
}
_STRANDS = {"+": "plus", "-": "minus"}
_UNLEARNT = "this run never hid expression, so the model does not predict it."
_MEASURES: dict[Measure, str] = {
    "log_odds": "the log-odds of expression",
    "log_ratio": "the logarithm of p(expressed)",
}
_INFLUENTIAL = 8


def region_section(results: LocusResults, inputs: ReportInputs) -> RegionSection:
    """Returns the figures and tables of one region."""
    run, genes = inputs.run, inputs.genes
    blocks: list[Block] = [
        Heading(text="Borders of expression"),
        *_borders(results, genes),
        Heading(text="In-silico mutagenesis"),
        *_maps(results, inputs),
        Heading(text="Sequence logos"),
        *_logos(results, run),
    ]
    return RegionSection(
        region=results.locus.region,
        origin=results.locus.origin,
        blocks=tuple(blocks),
        genes=() if genes is None else _names(genes, results.locus.region),
    )


def _names(genes: pd.DataFrame, region: Region) -> tuple[str, ...]:
    here = genes[
        (genes.contig == region.contig)
        & (genes.start < region.end)
        & (genes.end > region.start)
    ]
    return tuple(label for label in here.label if label)


def _borders(results: LocusResults, genes: pd.DataFrame | None) -> list[Block]:
    if not results.reconstructions:
        why = "no label of this region was measured."
        if results.measured:
            why = _UNLEARNT
        return [Missing(what="Borders", why=why)]
    region = results.locus.region
    note = "Genes are those of the annotation given."
    if genes is None:
        note = "No annotation was given, so that no genes are drawn."
    return [
        light(
            plot_borders(results.reconstructions, genes=genes),
            alt=f"Measured and predicted expression of both strands of {region}",
            caption=(
                "Measured expression (grey) and predicted p(expressed) by position: "
                "with half of the window's labels hidden (shaded) and some bases "
                "masked (ticks), from DNA alone, and with every label visible. A base "
                "is called expressed above 0.5, and a border lies where the call "
                "changes; bars on top are stretches called expressed from DNA alone "
                f"when a change is as rare as in training. {note}"
            ),
            wide=True,
        ),
        Table(
            caption="Borders found",
            heading=(
                "Strand and prediction",
                "Accuracy",
                "Expressed, true",
                "Expressed, predicted",
                "Borders, true",
                "Borders, predicted",
                "Matched within 50 bp",
            ),
            rows=tuple(
                row
                for reconstruction in results.reconstructions
                for row in _border_rows(reconstruction)
            ),
            note=(
                "Expressed: bases in runs above 0.5. Borders: starts and ends of runs, "
                "matched one to one. Of the reconstruction, which sees half of the "
                "labels, only the hidden ones count."
            ),
            wide=True,
        ),
    ]


def _border_rows(strand: Reconstruction) -> list[tuple[str, ...]]:
    rows = []
    measured = strand.expressed
    for name, score in strand.scores.items():
        borders = next(a.both for a in score.borders if a.tolerance == 50)
        true = f"{measured.bases:,} bp in {measured.regions}"
        found = f"{score.expressed.bases:,} bp in {score.expressed.regions}"
        rows.append(
            (
                f"{_STRANDS[strand.strand].capitalize()}, {_PREDICTIONS[name]}",
                "–" if not score.positions else f"{score.accuracy:.3f}",
                "–" if name == RECONSTRUCTION else true,
                found,
                str(borders.true),
                str(borders.predicted),
                str(borders.matched),
            )
        )
    return rows


def _maps(results: LocusResults, inputs: ReportInputs) -> list[Block]:
    region, genes = results.locus.region, inputs.genes
    if not results.maps:
        why = f"made of regions of up to {LONGEST_MAP:,} bases that are not all N."
        if not inputs.maps:
            why = "left out, as --no-maps asks."
        if not results.expression:
            why = _UNLEARNT
        return [Missing(what="Mutagenesis maps", why=why)]
    blocks: list[Block] = []
    for found in results.maps:
        strand = _STRANDS[found.strand]
        blocks.append(
            dense(
                plot_influence(found, genes=genes),
                alt=f"Influence of each base of {region} on the {strand} strand",
                caption=(
                    "How much each base matters for expression of the "
                    f"{strand} strand: the change its most effective mutation makes, "
                    "averaged over the region, as log-odds and as log ratio; and the "
                    "signed change of every mutation, summed (red: more expression)."
                ),
            )
        )
        blocks += [_map(found, measure, genes) for measure in _MEASURES]
        blocks.append(_influential(found, genes))
    place = shlex.quote(f"{region.contig}:{region.start + 1}-{region.end}")
    for strand in {"+", "-"} - {found.strand for found in results.maps}:
        blocks.append(
            Missing(
                what=f"Mutagenesis maps, {_STRANDS[strand]} strand",
                why=(
                    "every mutant of this model costs a prediction of a whole window, "
                    "so only the strand with more expression is shown; for this one: "
                    f"seqexp-tf mutagenesis RUN --region {place} --strand {strand}"
                ),
            )
        )
    return blocks


def _map(found: MutationMap, measure: Measure, genes: pd.DataFrame | None) -> Picture:
    strand = _STRANDS[found.strand]
    hidden = "of the window's central half" if found.labels == "half" else "everywhere"
    return dense(
        plot_map(found, measure, genes=genes),
        alt=f"Mutagenesis map of {found.region}, {strand} strand, {measure}",
        caption=(
            f"Mutagenesis map, {strand} strand: how much the most effective mutation "
            f"of each base (across) changes {_MEASURES[measure]} predicted at each "
            f"base (down). No base is masked; labels {hidden} are hidden. Above: "
            "maximum and mean of each column; right: p(expressed) without any mutation "
            "over the measured labels."
        ),
        wide=False,
    )


def _influential(found: MutationMap, genes: pd.DataFrame | None) -> Block:
    strand = _STRANDS[found.strand]
    table = most_influential(influence_table(found, genes=genes), _INFLUENTIAL)
    what = f"Most influential bases, {strand} strand"
    if table.empty:
        why = "no mutation changes what the model predicts here."
        return Missing(what=what, why=why)
    rows = []
    for row in table.itertuples():
        cells = [f"{row.position:,}", f"{row.base} → {row.log_odds_to}"]
        cells += [f"{row.log_odds_mean:.3f}", f"{row.log_odds_max:.3f}"]
        cells.append(f"{row.log_odds_at:,}")
        rows.append((*cells, row.place) if genes is not None else tuple(cells))
    heading = ["Position", "Mutation", "Mean change", "Largest change", "At position"]
    return Table(
        caption=what,
        heading=(*heading, "Place") if genes is not None else tuple(heading),
        rows=tuple(rows),
        note=(
            "By mean change of log-odds over the region; the mutation is the one that "
            "makes the largest change. Bases are those of the plus strand."
        ),
        wide=True,
        worded=genes is not None,
    )


def _logos(results: LocusResults, run: Run) -> list[Block]:
    if not results.nucleotides:
        why = (
            "this run never hid a base in training, so that what the model says of a "
            "hidden base means little."
        )
        return [Missing(what="Sequence logos", why=why)]
    blocks: list[Block] = []
    for prediction in results.nucleotides:
        blocks += [_stretches(prediction), _page(prediction, run)]
    return blocks


def _stretches(prediction: NucleotidePrediction) -> Block:
    length = min(_STRETCH, len(prediction))
    count = min(_STRETCHES, len(prediction) // length)
    known = prediction.known
    strand = _STRANDS[prediction.strand]
    if not known.any():
        why = f"every base of {prediction.region} is N."
        return Missing(what=f"Most certain stretches, {strand} strand", why=why)
    return dense(
        plot_stretches(most_certain(prediction, count, length=length)),
        alt=(
            f"Sequence logos of the most certain stretches of the {strand} strand of "
            f"{prediction.region}"
        ),
        caption=(
            f"The {count} stretches of {length} bases of the {strand} strand where the "
            "model is most certain, the most certain on top. Read as below."
        ),
    )


def _page(prediction: NucleotidePrediction, run: Run) -> Picture:
    hidden_at_once = 1 / mask_groups(run.config.masking.sequence_fraction)
    strand = _STRANDS[prediction.strand]
    return dense(
        plot_page(prediction),
        alt=f"Sequence logo of the {strand} strand of {prediction.region}",
        caption=(
            f"What the model expects at each base of the {strand} strand, 5′ to 3′, "
            f"the base hidden with {hidden_at_once:.0%} of its window and the measured "
            "expression shown. Letters are as high as their probability times the "
            "information of the position, 2 bits less the entropy; the true bases "
            "stand underneath, pale where the likeliest base is another one: it is "
            f"right at {prediction.accuracy:.1%} of {prediction.known.sum():,} bases, "
            f"with {prediction.information.mean():.3f} bits a base."
        ),
    )
