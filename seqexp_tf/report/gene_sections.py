"""The scores and elements of a model of genes in words, tables and figures."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from seqexp_tf.evaluation.curves import plot_curves
from seqexp_tf.evaluation.element_plots import label
from seqexp_tf.evaluation.expression import ALL, MODEL, ExpressionScore
from seqexp_tf.evaluation.expression_plots import plot_scatter
from seqexp_tf.evaluation.expression_tables import HEADINGS
from seqexp_tf.evaluation.rankings import MASK
from seqexp_tf.interpretation.element_summary_plot import plot_element_summary
from seqexp_tf.interpretation.elements import learnt
from seqexp_tf.report.gene_collect import FoundElements, GeneReport
from seqexp_tf.report.page import (
    Block,
    Cell,
    Facts,
    Missing,
    Picture,
    Section,
    Table,
)
from seqexp_tf.report.pictures import dense, light
from seqexp_tf.report.wording import number

_PREDICTORS = {
    "model": "Model",
    "ridge": "Ridge on features",
    "training_mean": "Mean of training genes",
    "ceiling": "Ceiling",
}
_CONTIGS = 12
_UNITS = {"bases": "Bases", "pairs": "Element-gene pairs"}


def scores_section(report: GeneReport) -> Section:
    """Returns the model beside simple predictors, and every gene as a point."""
    evaluation = report.evaluation
    names = [name for name in HEADINGS if name in evaluation.model.metrics]
    level = evaluation.resampling["level"]
    target = evaluation.target
    unit = f" of {target['unit']}" if target["unit"] else ""
    transform = "" if target["transform"] == "none" else f", {target['transform']}"
    return Section(
        id="results",
        title="Scores",
        lead=(
            f"Predicted against measured expression ({target['name']}{unit}"
            f"{transform}) of {evaluation.model.genes:,} genes of "
            f"{report.inputs.split}."
        ),
        blocks=(
            Table(
                caption="Scores over genes",
                heading=("Predictor", "Genes", *(HEADINGS[name] for name in names)),
                rows=tuple(_score_rows(report, names)),
                note=(
                    f"Small: {level:.0%} interval from genes drawn anew. Mask ratio: "
                    "share of the bases whose mask is at least 0.5. Ridge regression "
                    "sees the features of a gene alone, where there are any; a "
                    "constant has no correlation."
                ),
                wide=True,
            ),
            dense(
                plot_scatter(evaluation),
                alt="Predicted against measured expression",
                caption=(
                    "Predicted against measured expression, a point a gene; on the "
                    "line they agree."
                ),
                wide=False,
            ),
        ),
    )


def _score_rows(
    report: GeneReport, names: list[str]
) -> Iterator[tuple[str | Cell, ...]]:
    scores = report.evaluation.scores
    contigs = {score.contig for score in scores} - {ALL}
    for score in scores:
        if score.contig == ALL:
            name = _PREDICTORS.get(score.predictor, score.predictor)
        elif score.predictor == MODEL and 1 < len(contigs) <= _CONTIGS:
            name = f"Model, {score.contig}"
        else:
            continue
        cells = (_score_cell(score, metric) for metric in names)
        yield (name, f"{score.genes:,}", *cells)


def _score_cell(score: ExpressionScore, metric: str) -> Cell:
    value = score.metrics.get(metric, math.nan)
    if metric == "mask_ratio" and math.isfinite(value):
        return Cell(text=f"{value:.2%}")
    low, high = score.intervals.get(metric, (math.nan, math.nan))
    detail = "" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
    return Cell(text=number(value, 3), detail=detail)


def gene_curves_section(report: GeneReport) -> Section:
    """Returns loss and scores by step."""
    history = report.inputs.history
    lead = f"{len(history)} validation{'s' * (len(history) != 1)}."
    if "val_mse" in history and history.val_mse.notna().any():
        best = history.loc[history.val_mse.idxmin()]
        lead += f" The model is that of step {best.step:,.0f}."
    return Section(
        id="curves",
        title="Learning curves",
        lead=lead,
        blocks=(
            light(
                plot_curves({"this run": history}),
                alt="Loss and scores by step, in training and validation",
                caption="Training thin, validation thick.",
                wide=True,
            ),
        ),
    )


def elements_section(report: GeneReport) -> Section:
    """Returns what the masks select, and how well they rank known elements."""
    blocks: list[Block] = []
    if report.found is None:
        why = "this model reads its whole window and selects no bases."
        blocks.append(Missing(what="Elements", why=why))
    else:
        blocks += _found(report.found, promoter=report.inputs.promoter)
        blocks += _known(report)
    return Section(
        id="elements",
        title="Learnt elements",
        lead="Which bases of its window the model reads for each gene.",
        blocks=tuple(blocks),
    )


def _found(found: FoundElements, *, promoter: int) -> Iterator[Block]:
    summary = found.summary
    yield Facts(
        caption="Elements",
        items=(
            ("Elements are", found.selection),
            ("Always kept around the TSS", f"{promoter:,} bp"),
            ("Genes", f"{summary['genes']:,}"),
            ("Elements", f"{summary['elements']:,}"),
            ("Elements a gene", f"{summary['elements_per_gene']:.1f}"),
            (
                "Bases in them, outside promoters",
                f"{summary['selected_fraction']:.2%}",
            ),
            ("Median length", f"{summary['median_length']:,.0f} bp"),
            ("Median distance to the TSS", f"{summary['median_distance']:,.0f} bp"),
            ("Mean mask", f"{summary['mask_mean']:.3f}"),
            (
                "Mask ratio (at least 0.5; whole window)",
                f"{summary['mask_ratio']:.2%}",
            ),
        ),
    )
    elements = learnt(found.elements)
    if len(elements):
        yield light(
            plot_element_summary(elements, found.genes),
            alt="Where elements lie, how long they are, and mean masks",
            caption=(
                "Left: share of bases selected by distance to the TSS, along the gene. "
                "Middle: lengths of the elements. Right: mean mask of each gene."
            ),
            wide=True,
        )


def _known(report: GeneReport) -> Iterator[Block]:
    known = report.known
    if known is None:
        yield Missing(
            what="Known elements",
            why=(
                "nothing was scored against them; `seqexp-tf elements RUN --links "
                "FILE` does so, and this page then shows it."
            ),
        )
        return
    for unit, content in known.document["units"].items():
        excluded = known.document["bases_excluded_around_tss"]
        without = f", without {excluded:,} bp around the TSS" * bool(excluded)
        caption = f"{_UNITS[unit]} ranked for known elements{without}"
        yield _scores_table(content, caption=caption)
        if unit in known.figures:
            yield Picture(
                content=known.figures[unit],
                alt=f"Precision, recall and average precision over {unit}",
                caption=(
                    f"{_UNITS[unit]} of {report.inputs.split}, known elements from "
                    f"{known.document['links']}. Left: dashed, a signal times contact; "
                    "a square, a call of yes or no. Right: intervals over genes drawn "
                    "anew; the upright bar is the mean over genes."
                ),
                wide=True,
            )


def _scores_table(content: Mapping[str, Any], *, caption: str) -> Table:
    methods = sorted(
        content["methods"].items(),
        key=lambda item: item[1]["pooled"]["average_precision"]["value"],
        reverse=True,
    )
    return Table(
        caption=caption,
        heading=(
            "Ranked by",
            "Average precision, pooled",
            "Mean of genes",
            "Mask less this",
            "Mask over this",
        ),
        rows=tuple(_method_row(name, scores) for name, scores in methods),
        note=(
            f"{content['positives']:,} of {content['ranked']:,} are positive; "
            f"{content['genes_with_positives']:,} of {content['genes']:,} genes have "
            "one. Small: 95 % interval of a paired bootstrap "
            f"({content['resampling']['method'].partition('over ')[2]} drawn anew)."
        ),
        wide=True,
    )


def _method_row(name: str, scores: Mapping[str, Any]) -> tuple[str | Cell, ...]:
    pooled = scores["pooled"]
    return (
        label(name),
        _estimate(pooled["average_precision"], ".4f", strong=name == MASK),
        number(scores["mean"]["average_precision"]["value"]),
        _estimate(pooled.get("difference"), "+.4f"),
        _estimate(pooled.get("ratio"), ".2f"),
    )


def _estimate(
    found: Mapping[str, float | None] | None, form: str, *, strong: bool = False
) -> Cell:
    if found is None or found["value"] is None:
        return Cell(text="–")
    detail = ""
    if found["low"] is not None:
        detail = f"{found['low']:{form}} to {found['high']:{form}}"
    return Cell(text=f"{found['value']:{form}}", detail=detail, strong=strong)
