"""A report of a model of genes composed to a page."""

from collections.abc import Iterator, Sequence

import pandas as pd

from seqexp_tf.evaluation.gene_masks import GeneMask
from seqexp_tf.evaluation.rankings import MASK
from seqexp_tf.interpretation.elements import element_table, learnt
from seqexp_tf.interpretation.locus_plot import plot_locus
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.records.regions import Region
from seqexp_tf.report.collect import Step, quiet
from seqexp_tf.report.gene_collect import (
    GeneReport,
    GeneReportInputs,
    ShownGene,
    collect_gene_report,
)
from seqexp_tf.report.gene_sections import (
    elements_section,
    gene_curves_section,
    scores_section,
)
from seqexp_tf.report.page import (
    Block,
    Headline,
    Missing,
    Page,
    RegionSection,
    Table,
)
from seqexp_tf.report.pictures import dense
from seqexp_tf.report.run_section import run_section
from seqexp_tf.report.wording import listing, number

_CONTIGS = 1_000
_STRONGEST = 10


def make_gene_page(
    inputs: GeneReportInputs, *, command: Sequence[str], step: Step = quiet
) -> Page:
    """Computes what is missing and composes the page of a run.

    Args:
        inputs: of ``prepare_gene_report``.
        command: arguments of the command that makes the page again.
        step: told of what is computed.

    Raises:
        RunError: the model predicts values that are not finite, or selects nothing.
        DatasetError: the dataset is damaged.
    """
    report = collect_gene_report(inputs, step=step)
    store = inputs.store
    contigs = store.manifest["contigs"]
    with step("Loci", len(inputs.shown)) as progress:
        regions = []
        for shown in inputs.shown:
            regions.append(_locus(report, shown))
            progress(1)
    return Page(
        title=inputs.run.folder.resolve().name,
        subtitle=_subtitle(inputs),
        headlines=tuple(_headlines(report)),
        results=(
            scores_section(report),
            elements_section(report),
            gene_curves_section(report),
        ),
        regions=tuple(regions),
        regions_lead=(
            "What the model reads around the transcription start of single genes: "
            "the signals, and the mask that it lays over them."
        ),
        background=(run_section(report),),
        command=tuple(command),
        window=inputs.predictor.window,
        contigs=contigs if len(contigs) <= _CONTIGS else {},
        regions_title="Loci",
        adds="--gene",
    )


def _subtitle(inputs: GeneReportInputs) -> str:
    manifest = inputs.store.manifest
    split = manifest["splits"][inputs.split]
    config = inputs.run.config.model
    weights = trainable_weights(inputs.predictor.model)
    mask = config["mask"]["kind"]
    kind = "without a mask" if mask == "none" else f"with a {mask} mask"
    return (
        f"A {config['architecture']} {kind}, of {weights:,} weights, trained on "
        f"{inputs.run.dataset['name']}, scored on {split['records']:,} genes of "
        f"{inputs.split} ({listing(split['contigs'])}) of {manifest['name']}; "
        f"windows of {inputs.predictor.window:,} bp."
    )


def _headlines(report: GeneReport) -> Iterator[Headline]:
    model = report.evaluation.model
    others = [
        score
        for score in report.evaluation.scores
        if score.predictor == "ridge" and score.contig == "all"
    ]
    for metric, name in (("pearson", "Pearson, test genes"), ("mse", "MSE")):
        low, high = model.intervals.get(metric, (None, None))
        detail = "" if low is None else f"95 % interval {low:.3f} to {high:.3f}"
        if others:
            value = others[0].metrics[metric]
            detail += f"{'; ' * bool(detail)}ridge {number(value, 3)}"
        yield Headline(
            label=name.replace("test", report.inputs.split),
            value=number(model.metrics[metric], 3),
            detail=detail,
        )
    if report.found is not None:
        summary = report.found.summary
        yield Headline(
            label="Mask ratio",
            value=f"{summary['mask_ratio']:.2%}",
            detail=f"promoters included; mean mask {summary['mask_mean']:.3f}",
        )
    if report.known is not None:
        methods = report.known.document["units"]["bases"]["methods"]
        scores = {
            name: content["pooled"]["average_precision"]["value"]
            for name, content in methods.items()
        }
        others = {name: value for name, value in scores.items() if name != MASK}
        best = max(others, key=others.get)
        yield Headline(
            label="Average precision of the mask",
            value=number(scores[MASK], 3),
            detail=f"best baseline, {best}: {number(others[best], 3)}",
        )


def _locus(report: GeneReport, shown: ShownGene) -> RegionSection:
    inputs = report.inputs
    gene = next(inputs.predictor.predict(shown.split, chosen={shown.row}, tracks=True))
    window = gene.window
    elements = None
    if inputs.selection is not None:
        elements = element_table(gene, inputs.selection)
    links = None if report.known is None else report.known.links
    known = None if links is None else links.positives(window)
    region = Region(window.contig, window.start, window.end)
    blocks: list[Block] = [
        dense(
            plot_locus(
                gene,
                elements=elements,
                genes=inputs.genes,
                known=known,
                promoter=inputs.promoter,
            ),
            alt=f"Signals and mask around the transcription start of {window.name}",
            caption=_caption(inputs, elements),
        )
    ]
    if elements is None:
        why = "this model reads its whole window and selects no bases."
        blocks.append(Missing(what="Mask", why=why))
    elif len(found := learnt(elements)):
        blocks.append(_strongest(gene, found, known))
    else:
        outside = " outside its promoter" if inputs.promoter else ""
        why = f"no base of this window{outside} is selected."
        blocks.append(Missing(what="Elements", why=why))
    return RegionSection(
        region=region,
        name=window.name,
        origin=f"{region}, {shown.origin}",
        blocks=tuple(blocks),
        genes=tuple(dict.fromkeys((window.name, window.gene))),
    )


def _caption(inputs: GeneReportInputs, elements: pd.DataFrame | None) -> str:
    words = "Signals as the model reads them, and the contact of each bin with the TSS."
    if elements is not None:
        words += (
            f" Mask: its mean, in long windows over bins. Shaded: "
            f"{inputs.selection.describe()}."
        )
        if inputs.promoter:
            words += f" Hatched: the {inputs.promoter:,} bp that are always kept."
    if inputs.genes is None:
        words += " No annotation was given, so that no genes are drawn."
    return words


def _strongest(gene: GeneMask, elements: pd.DataFrame, known) -> Table:
    strongest = elements.sort_values("area", ascending=False, kind="stable")
    rows = []
    for row in strongest.head(_STRONGEST).itertuples():
        cells = [
            f"{row.start + 1:,}-{row.end:,}",
            f"{row.length:,}",
            f"{row.score:.3f}",
            f"{row.max:.3f}",
            f"{row.distance:+,}" if row.distance else "0",
        ]
        if known is not None:
            first = gene.window.start
            share = known[row.start - first : row.end - first].mean()
            cells.append(f"{share:.0%}")
        rows.append(tuple(cells))
    heading = ["Position", "Length", "Mean mask", "Largest", "Distance to the TSS"]
    return Table(
        caption=f"Largest elements of {gene.window.name}",
        heading=(*heading, "Known") if known is not None else tuple(heading),
        rows=tuple(rows),
        note=(
            "By area under the mask. Distance of the nearest base, negative upstream; "
            "0 where the element holds the TSS."
            + (" Known: share of its bases." if known is not None else "")
        ),
        wide=True,
    )
