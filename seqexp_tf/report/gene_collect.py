"""Everything a report of a model of genes shows: read where kept, else computed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.curves import read_history
from seqexp_tf.evaluation.expression import (
    ExpressionEvaluation,
    ExpressionScore,
    evaluate_expression,
)
from seqexp_tf.evaluation.feature_baselines import FeatureBaselines
from seqexp_tf.evaluation.gene_tracks import find_genes, gene_windows
from seqexp_tf.evaluation.links import Links, read_links
from seqexp_tf.evaluation.mask_predictor import MaskPredictor
from seqexp_tf.genome.genes import annotation_of, gene_table
from seqexp_tf.interpretation.element_files import summarise
from seqexp_tf.interpretation.elements import COLUMNS, Selection, model_selection
from seqexp_tf.interpretation.learnt_elements import learnt_elements
from seqexp_tf.records.store import RecordStore
from seqexp_tf.report.collect import Step, quiet
from seqexp_tf.report.stored_results import StoredResults
from seqexp_tf.training.config import model_config
from seqexp_tf.training.run import Run

_SHOWN = (("highest", 1.0), ("median", 0.5), ("lowest", 0.0))
"""Genes of the split that are shown, by the quantile of their measured target."""


@dataclass(frozen=True, kw_only=True)
class ShownGene:
    """A gene whose locus is shown.

    Attributes:
        split: where it is.
        row: its number there, in stored order.
        origin: for the reader, such as ``asked for, test split``.
    """

    split: str
    row: int
    origin: str


@dataclass(frozen=True, kw_only=True)
class GeneReportInputs:
    """What a report is made from, checked.

    Attributes:
        run: the run.
        store: the dataset it is scored on.
        split: the split it is scored on.
        predictor: its model on that dataset.
        selection: which bases of a mask are elements; None of a model without one.
        history: a row a validation.
        shown: the genes whose loci are shown.
        genes: of ``gene_table``; None without an annotation.
    """

    run: Run
    store: RecordStore
    split: str
    predictor: MaskPredictor
    selection: Selection | None
    history: pd.DataFrame
    shown: tuple[ShownGene, ...]
    genes: pd.DataFrame | None

    @property
    def promoter(self) -> int:
        """Bases around the TSS that the model always sees."""
        return model_config(self.run.config).mask.promoter


@dataclass(frozen=True, kw_only=True)
class FoundElements:
    """The elements of a split.

    Attributes:
        elements: of ``join_elements``.
        genes: rows of ``GENE_COLUMNS``.
        summary: of ``summarise``.
        selection: which bases they are, in words.
    """

    elements: pd.DataFrame
    genes: pd.DataFrame
    summary: dict[str, float]
    selection: str


@dataclass(frozen=True, kw_only=True)
class KnownElements:
    """What ``elements --links`` left of this model and dataset.

    Attributes:
        document: content of the scores file.
        figures: SVG by unit, ``bases`` and ``pairs``.
        links: the elements themselves; None where their file is gone.
    """

    document: dict[str, Any]
    figures: dict[str, bytes]
    links: Links | None


@dataclass(frozen=True, kw_only=True)
class GeneReport:
    """What a report says of a run as a whole.

    Attributes:
        inputs: what it was made from.
        evaluation: scores over genes.
        found: elements; None of a model without a mask.
        known: scores against known elements; None where there are none.
    """

    inputs: GeneReportInputs
    evaluation: ExpressionEvaluation
    found: FoundElements | None
    known: KnownElements | None


def prepare_gene_report(
    run: Run,
    store: RecordStore,
    *,
    genes: Sequence[str] = (),
    annotation: Path | None = None,
    batch_size: int | None = None,
) -> GeneReportInputs:
    """Opens and checks everything, before anything is computed.

    Args:
        run: a finished run of task ``expression``.
        store: the dataset to score it on.
        genes: shown after those of the highest, a median and the lowest target.
        annotation: GFF3 or GTF whose genes are drawn.
        batch_size: see ``MaskPredictor.open``.

    Raises:
        RunError: the fit has not finished, or the dataset does not fit.
        InputError: no such gene, or an annotation of another genome.
        DatasetError: the dataset is damaged, or has no split to score.
    """
    run.check_dataset(store)
    history = read_history(run)
    split = "test" if "test" in store.splits else "validation"
    shown = _choose(store, genes, split)
    drawn = None
    if annotation is not None:
        contigs = dict.fromkeys(
            store.windows(gene.split).contig.iloc[gene.row] for gene in shown
        )
        sizes = store.manifest["contigs"]
        drawn = gene_table(annotation_of(annotation, sizes, contigs=contigs))
    predictor = MaskPredictor.open(run, store, batch_size=batch_size)
    mask = model_config(run.config).mask
    return GeneReportInputs(
        run=run,
        store=store,
        split=split,
        predictor=predictor,
        selection=model_selection(mask) if predictor.has_mask else None,
        history=history,
        shown=shown,
        genes=drawn,
    )


def collect_gene_report(inputs: GeneReportInputs, *, step: Step = quiet) -> GeneReport:
    """Scores a run, or takes its scores where an earlier verb left them.

    Args:
        inputs: of ``prepare_gene_report``.
        step: told of what is computed.

    Raises:
        RunError: the model predicts values that are not finite, or selects nothing.
        DatasetError: the dataset is damaged.
    """
    evaluation = _stored_evaluation(inputs) or _evaluate(inputs, step)
    found = known = None
    if inputs.selection is not None:
        found = _stored_elements(inputs) or _find_elements(inputs, step)
        known = _stored_scores(inputs)
    return GeneReport(inputs=inputs, evaluation=evaluation, found=found, known=known)


def _choose(
    store: RecordStore, names: Sequence[str], split: str
) -> tuple[ShownGene, ...]:
    target = store.windows(split).target.to_numpy()
    order = target.argsort(kind="stable")
    chosen: dict[tuple[str, int], str] = {}
    for word, quantile in _SHOWN:
        row = int(order[round(quantile * (len(order) - 1))])
        chosen.setdefault((split, row), f"{word} target")
    for name in names:
        for where, rows in find_genes(store, [name], splits=store.splits).items():
            for row in sorted(rows):
                chosen.setdefault((where, row), "asked for")
    shown, places = [], set()
    for (where, row), origin in chosen.items():
        window = gene_windows(store, where)[row]
        place = (window.contig, window.start, window.end)
        # An anchor of the page is a window: genes of one TSS share theirs.
        if place not in places:
            places.add(place)
            shown.append(
                ShownGene(split=where, row=row, origin=f"{origin}, {where} split")
            )
    return tuple(shown)


def _evaluate(inputs: GeneReportInputs, step: Step) -> ExpressionEvaluation:
    store, split, predictor = inputs.store, inputs.split, inputs.predictor
    with step(f"Scoring {split}", store.count(split)) as progress:
        return evaluate_expression(
            predictor.model,
            store,
            split,
            pipeline=predictor.pipeline,
            given=predictor.given,
            batch_size=predictor.batch_size,
            baselines=FeatureBaselines.of(store),
            progress=progress,
        )


def _stored_evaluation(inputs: GeneReportInputs) -> ExpressionEvaluation | None:
    document = _stored(inputs).metrics()
    path = inputs.run.folder / "metrics" / f"{inputs.split}_predictions.tsv"
    if document is None or not path.is_file():
        return None
    scores = tuple(
        ExpressionScore(
            predictor=entry["predictor"],
            contig=entry["contig"],
            genes=entry["genes"],
            metrics={
                name: math.nan if value is None else value
                for name, value in entry["metrics"].items()
            },
            intervals={
                name: (interval["low"], interval["high"])
                for name, interval in entry["intervals"].items()
                if interval["low"] is not None
            },
        )
        for entry in document["scores"]
    )
    return ExpressionEvaluation(
        scores=scores,
        predictions=pd.read_csv(path, sep="\t"),
        target=document["target"],
        dataset=document["dataset"],
        resampling=document["resampling"],
    )


def _find_elements(inputs: GeneReportInputs, step: Step) -> FoundElements:
    store, split = inputs.store, inputs.split
    with step(f"Elements of {split}", store.count(split)) as progress:
        found = learnt_elements(
            inputs.predictor.predict(split, progress=progress),
            inputs.selection,
            sizes=store.manifest["contigs"],
        )
    return FoundElements(
        elements=found.elements,
        genes=found.genes,
        summary=summarise(found.genes, found.elements),
        selection=inputs.selection.describe(),
    )


def _stored_elements(inputs: GeneReportInputs) -> FoundElements | None:
    folder = inputs.run.folder / "elements"
    document = _stored(inputs).read(folder / f"{inputs.split}.json")
    paths = [folder / f"{inputs.split}.{kind}.tsv" for kind in ("elements", "genes")]
    if document is None or not all(path.is_file() for path in paths):
        return None
    elements, genes = (pd.read_csv(path, sep="\t") for path in paths)
    if not set(COLUMNS) <= set(elements):
        return None  # Of an earlier version.
    return FoundElements(
        elements=elements,
        genes=genes,
        summary=summarise(genes, elements),
        selection=Selection(**document["selection"]).describe(),
    )


def _stored_scores(inputs: GeneReportInputs) -> KnownElements | None:
    folder = inputs.run.folder / "elements"
    document = _stored(inputs).read(folder / f"{inputs.split}.scores.json")
    if document is None:
        return None
    figures = {}
    for unit in document["units"]:
        path = folder / f"{inputs.split}.scores_{unit}.svg"
        if path.is_file():
            figures[unit] = path.read_bytes()
    path, links = Path(document["links"]), None
    if path.is_file():
        genes = inputs.store.windows()[["gene", "name"]]
        sizes = inputs.store.manifest["contigs"]
        try:
            links = read_links(path, sizes=sizes, genes=genes)
        except InputError:
            # Another file of this name by now: the scores still hold.
            links = None
    return KnownElements(document=document, figures=figures, links=links)


def _stored(inputs: GeneReportInputs) -> StoredResults:
    return StoredResults(run=inputs.run, store=inputs.store, split=inputs.split)
