"""A report composed to a page: its title, headlines and sections in order."""

from collections.abc import Iterator, Sequence

from seqexp_tf.evaluation.joint_calibration import EXPRESSION, SEQUENCE
from seqexp_tf.evaluation.profile_scores import (
    ANNOTATION,
    MAJORITY,
    MODEL,
    SEGMENTS,
    WIDENED,
    ProfileEvaluation,
)
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.report.calibration_section import calibration_section
from seqexp_tf.report.collect import (
    Report,
    ReportInputs,
    Step,
    collect_report,
    quiet,
)
from seqexp_tf.report.locus_results import examine_loci
from seqexp_tf.report.page import Headline, Page, RegionSection
from seqexp_tf.report.region_sections import region_section
from seqexp_tf.report.run_section import run_section
from seqexp_tf.report.score_sections import (
    curves_section,
    dna_alone_section,
    results_section,
)
from seqexp_tf.report.wording import listing, number

_TOLERANCE = 50
_BASELINES = {
    WIDENED: "reading frames and usual UTRs",
    ANNOTATION: "annotated reading frames",
    MAJORITY: "majority class",
}
"""Beside the model in a headline: the first of them that was scored."""
_CONTIGS = 1_000
"""Of a genome in more pieces, what a reader types is not checked."""


def make_page(
    inputs: ReportInputs, *, command: Sequence[str], step: Step = quiet
) -> Page:
    """Computes what is missing and composes the page of a run.

    Args:
        inputs: of ``prepare_report``.
        command: arguments of the command that makes the page again.
        step: told of what is computed.

    Raises:
        RunError: the model predicts values that are not finite.
        DatasetError: the dataset is damaged or has nothing to score.
    """
    report = collect_report(inputs, step=step)
    regions = tuple(
        region_section(results, inputs) for results in examine_loci(inputs, step=step)
    )
    return compose(report, regions, command=command)


def compose(
    report: Report, regions: tuple[RegionSection, ...], *, command: Sequence[str]
) -> Page:
    """Returns the page of a report.

    Args:
        report: of the run as a whole.
        regions: the sections of its regions.
        command: arguments of the command that makes the page again.
    """
    inputs = report.inputs
    contigs = inputs.store.manifest["contigs"]
    return Page(
        title=inputs.run.folder.resolve().name,
        subtitle=_subtitle(report),
        headlines=tuple(_headlines(report)),
        results=(
            results_section(report),
            dna_alone_section(report),
            calibration_section(report),
            curves_section(report),
        ),
        regions=regions,
        regions_lead=(
            "What the model makes of single stretches of genome: where it sees "
            "expression begin and end, which bases it looks at for that, and which "
            "bases it expects."
        ),
        background=(run_section(report),),
        command=tuple(command),
        window=inputs.store.schema.window,
        contigs=contigs if len(contigs) <= _CONTIGS else {},
    )


def _subtitle(report: Report) -> str:
    inputs = report.inputs
    config, dataset = inputs.run.config, inputs.store.manifest
    split = dataset["splits"][inputs.split]
    hidden = {"expression": "RNA", "sequence": "DNA"}
    weights = trainable_weights(inputs.predictor.model)
    return (
        f"{_article(config.model['architecture'])} of {weights:,} weights trained on "
        f"{inputs.run.dataset['name']} with "
        f"{' and '.join(hidden[name] for name in config.hidden)} hidden, scored on "
        f"{split['records']:,} {inputs.split} windows of "
        f"{inputs.store.schema.window:,} bp ({listing(split['contigs'])}) of "
        f"{dataset['name']}."
    )


def _headlines(report: Report) -> Iterator[Headline]:
    masked = (report.metrics or {}).get("populations", {}).get("masked", {})
    for modality, metric, label in (
        ("rna", "accuracy", "RNA accuracy, hidden labels"),
        ("rna", "roc_auc", "RNA ROC AUC, hidden labels"),
        ("dna", "accuracy", "DNA accuracy, selected bases"),
    ):
        if modality in masked:
            scores = masked[modality]
            random = scores["stratified_random"].get(metric)
            yield Headline(
                label=label,
                value=number(scores["model"][metric], 3),
                detail=f"stratified random {number(random, 3)}",
            )
    if report.profiles is not None:
        profiles = report.profiles
        other = next(name for name in _BASELINES if name in profiles.curves)
        model, baseline = profiles.score(MODEL), profiles.score(other)
        yield Headline(
            label="RNA accuracy from DNA alone",
            value=number(model.metrics["accuracy"], 3),
            detail=f"{_BASELINES[other]} {number(baseline.metrics['accuracy'], 3)}",
        )
        found = _border_f1(profiles, SEGMENTS)
        detail = f"start or end within {_TOLERANCE} bp, from DNA alone"
        if other != MAJORITY:
            detail = f"{_BASELINES[other]} {number(_border_f1(profiles, other), 3)}"
        yield Headline(
            label=f"Border F1 of segments, ±{_TOLERANCE} bp",
            value=number(found, 3),
            detail=detail,
        )
    if report.scaling is not None:
        before, after, _ = report.scaling
        output = SEQUENCE if SEQUENCE in after.scores() else EXPRESSION
        name = {SEQUENCE: "nucleotides", EXPRESSION: "expression"}[output]
        old, new = (scores.scores()[output]["ece"] for scores in (before, after))
        worse = "; scaling made it worse" if new > old else ""
        yield Headline(
            label=f"Calibration error, {name}",
            value=number(new, 4),
            detail=f"before scaling {number(old, 4)}{worse}",
        )


def _border_f1(profiles: ProfileEvaluation, predictor: str) -> float:
    borders = profiles.score(predictor).borders
    return next(a.both.f1 for a in borders if a.tolerance == _TOLERANCE)


def _article(architecture: str) -> str:
    name = {"cnn": "CNN", "transformer": "Transformer"}.get(architecture, architecture)
    return f"A {name}"
