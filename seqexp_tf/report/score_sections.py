"""The scores of a report in words, tables and figures."""

from collections.abc import Iterator
from typing import Any

from seqexp_tf.evaluation.curves import plot_curves
from seqexp_tf.evaluation.profile_plots import plot_profiles
from seqexp_tf.evaluation.profile_scores import (
    ALL,
    ANNOTATION,
    MAJORITY,
    MODEL,
    PREDICTORS,
    SEGMENTS,
    WIDENED,
    ProfileEvaluation,
)
from seqexp_tf.report.collect import Report
from seqexp_tf.report.page import (
    Block,
    Cell,
    Listing,
    Missing,
    Section,
    Table,
)
from seqexp_tf.report.pictures import light
from seqexp_tf.report.wording import number

_METRICS = {
    "accuracy": "accuracy",
    "f1_weighted": "F1-score (weighted)",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "loss": "loss",
}
_POPULATIONS = {
    "masked": "Hidden labels and selected bases",
    "mask_token": "Bases behind the mask token",
    "all": "Every valid position",
}
_BASELINES = ("uniform_random", "stratified_random")
_PREDICTORS = {
    MODEL: "Model, p > 0.5",
    SEGMENTS: "Model, segments",
    ANNOTATION: "Annotated reading frames",
    WIDENED: "Reading frames and usual UTRs",
    MAJORITY: "Majority class",
}
_CONTIGS = 6


def results_section(report: Report) -> Section:
    """Returns the model beside random predictors, a table a population."""
    blocks: list[Block] = []
    if report.metrics is None:
        blocks.append(Missing(what="Scores", why=report.unscored))
    else:
        for population, content in report.metrics["populations"].items():
            blocks.append(_metrics_table(population, content, report.metrics))
        used = report.metrics["formulas"]
        text = "\n".join(f"{name}: {used[name]}" for name in _METRICS if name in used)
        blocks.append(Listing(caption="How each score is computed", text=text))
    blocks += _unlearnt(report)
    return Section(
        id="results",
        title="Results",
        lead=(
            "The model beside two random predictors on the same positions: one guesses "
            "evenly, the other as often as the training split has each class."
        ),
        blocks=tuple(blocks),
    )


def _metrics_table(
    population: str, content: dict[str, Any], document: dict[str, Any]
) -> Table:
    rows, positions = [], []
    for modality in ("rna", "dna"):
        if modality not in content:
            continue
        scores = content[modality]
        positions.append(f"{scores['model']['positions']:,} {modality.upper()}")
        intervals = scores.get("model_interval", {})
        for metric, name in _METRICS.items():
            if metric not in scores["model"]:
                continue
            interval = intervals.get(metric, {})
            low, high = interval.get("low"), interval.get("high")
            rows.append(
                (
                    f"{modality.upper()} {name}",
                    *(number(scores[other].get(metric)) for other in _BASELINES),
                    Cell(
                        text=number(scores["model"][metric]),
                        detail=f"{low:.4f} – {high:.4f}" if low is not None else "",
                        strong=True,
                    ),
                )
            )
    note = f"{content['definition']}. Positions: {', '.join(positions)}."
    if any(row[-1].detail for row in rows):
        drawn = document["resampling"]
        note += (
            f" Under the model's scores: {drawn['level']:.0%} intervals from "
            f"{drawn['replicates']:,} draws of {drawn['blocks']:,} blocks of "
            f"{drawn['block_bases']:,} bp, both strands together."
        )
    return Table(
        caption=_POPULATIONS[population],
        heading=("Score", "Uniform random", "Stratified random", "Model"),
        rows=tuple(rows),
        note=note[0].upper() + note[1:],
    )


def _unlearnt(report: Report) -> list[Missing]:
    names = {"expression": "RNA scores", "sequence": "DNA scores"}
    return [
        Missing(
            what=what,
            why=(
                f"this run never hid the {output} in training, so the model has not "
                "learnt to predict it."
            ),
        )
        for output, what in names.items()
        if output not in report.inputs.run.config.hidden
    ]


def dna_alone_section(report: Report) -> Section:
    """Returns expression from DNA alone, beside annotation and majority class."""
    profiles = report.profiles
    blocks: tuple[Block, ...]
    if profiles is None:
        blocks = (
            Missing(
                what="Expression from DNA alone",
                why="this run never hid expression, so the model does not predict it.",
            ),
        )
    else:
        tolerances = [a.tolerance for a in profiles.score(MODEL).borders]
        blocks = (
            Table(
                caption="Every measured base, both strands",
                heading=(
                    "Predictor",
                    "Accuracy",
                    "ROC AUC",
                    "Border F1 at 0 bp",
                    *(f"±{tolerance} bp" for tolerance in tolerances[1:]),
                ),
                rows=tuple(_profile_rows(profiles)),
                note=" ".join(
                    f"{_PREDICTORS[name]}: {PREDICTORS[name]}."
                    for name in profiles.curves
                )
                + " Borders are starts and ends of expression, matched one to one. –: "
                "calls of yes or no, as the segments', and a constant put bases in no "
                "order, so that they have no ROC AUC.",
                wide=True,
            ),
            light(
                plot_profiles(profiles),
                alt="ROC curve, precision-recall curve and border F1 by tolerance",
                caption=(
                    "Expression of every base of the split from DNA alone: the rate of "
                    "expressed bases found against false alarms, precision against "
                    "recall, and how many borders are found by the distance allowed. "
                    "Points are predictors that say yes or no."
                ),
                wide=True,
            ),
        )
        if ANNOTATION not in profiles.curves:
            blocks += (
                Missing(
                    what="Annotated reading frames",
                    why=(
                        "not compared, no annotation was given; add --annotation GFF3 "
                        "to the command below."
                        if report.inputs.genes is None
                        else "not compared, the annotation has no CDS of the split."
                    ),
                ),
            )
    return Section(
        id="dna-alone",
        title="From DNA alone",
        lead=(
            "Every label hidden, every base visible: how much of where a genome is "
            "expressed can be read from its sequence."
        ),
        blocks=blocks,
    )


def _profile_rows(profiles: ProfileEvaluation) -> Iterator[tuple[str | Cell, ...]]:
    """Yields every predictor on the whole split, then those of calls by contig."""
    for name in profiles.curves:
        yield _PREDICTORS[name], *_profile_cells(profiles, name, ALL)
    contigs = dict.fromkeys(score.contig for score in profiles.scores)
    del contigs[ALL]
    if not 1 < len(contigs) <= _CONTIGS:
        return
    for contig in contigs:
        for name in (SEGMENTS, ANNOTATION, WIDENED):
            if name in profiles.curves:
                cells = _profile_cells(profiles, name, contig)
                yield f"{_PREDICTORS[name]}, {contig}", *cells


def _profile_cells(
    profiles: ProfileEvaluation, predictor: str, contig: str
) -> tuple[Cell, ...]:
    score = profiles.score(predictor, contig=contig)
    # Yes and no rank bases in two ranks alone, a constant in none.
    auc = score.metrics["roc_auc"] if predictor == MODEL else None
    values = [score.metrics["accuracy"], auc]
    values += [agreement.both.f1 for agreement in score.borders]
    return tuple(
        Cell(text=number(value, 3), strong=predictor in (MODEL, SEGMENTS))
        for value in values
    )


def curves_section(report: Report) -> Section:
    """Returns loss and accuracy by epoch."""
    history = report.inputs.history
    best = history.loc[history["val_loss"].idxmin()] if "val_loss" in history else None
    chosen = "" if best is None else f" The model is that of epoch {best.epoch:.0f}."
    return Section(
        id="curves",
        title="Learning curves",
        lead=f"{len(history)} epoch{'s' * (len(history) != 1)}.{chosen}",
        blocks=(
            light(
                plot_curves({"this run": history}),
                alt="Loss and accuracy by epoch, in training and validation",
                caption=(
                    "Loss and accuracy by epoch at the positions hidden in training "
                    "(thin, masks drawn afresh) and validation (thick, fixed masks)."
                ),
                wide=True,
            ),
        ),
    )
