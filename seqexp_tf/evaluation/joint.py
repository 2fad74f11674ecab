"""A joint model scored on the fixed masks of a split, beside random baselines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.baselines import Scorer, StratifiedBaseline, UniformBaseline
from seqexp_tf.evaluation.calibration import (
    ExpressionReliability,
    NucleotideReliability,
)
from seqexp_tf.evaluation.metrics import BinaryMetrics, NucleotideMetrics
from seqexp_tf.evaluation.tables import MetricsTable
from seqexp_tf.genome.alphabet import BASES
from seqexp_tf.pipeline.faults import damage_named, require_whole
from seqexp_tf.pipeline.joint import scored_batches
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore


@dataclass(frozen=True)
class JointEvaluation:
    """What an evaluation found.

    Attributes:
        table: metrics of the model and both baselines, by population.
        expression: reliability of p(expressed) at hidden labels.
        nucleotides: reliability of each base at selected positions.
    """

    table: MetricsTable
    expression: dict[str, dict[str, Any]]
    nucleotides: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Cell:
    """Model and baselines on one population of one modality."""

    modality: str
    population: str
    model: BinaryMetrics | NucleotideMetrics
    uniform: Scorer
    stratified: Scorer

    def update(self, labels: np.ndarray, logits: np.ndarray, at: np.ndarray) -> None:
        self.model.update(labels, logits, at)
        self.uniform.update(labels, at)
        self.stratified.update(labels, at)


def evaluate_joint(
    model: keras.Model,
    store: RecordStore,
    split: str,
    *,
    masking: MaskingConfig,
    train_statistics: dict[str, Any],
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda windows: None,
) -> JointEvaluation:
    """Scores a joint model on every window of a split, in one pass.

    Metrics are pooled over positions; nothing grows with the number of windows,
    and the result does not depend on ``batch_size``.

    Args:
        model: inputs ``sequence`` and ``expression``, outputs
            ``expression_logits`` and ``sequence_logits``.
        store: the dataset.
        split: ``validation`` or ``test``.
        masking: the regime the model was trained under; of the stored masks, only
            those of the modalities it hides are applied.
        train_statistics: ``labels_01`` and ``bases_ACGTN`` counts of the training
            split, for the stratified baseline.
        batch_size: windows predicted at once.
        progress: called with the number of windows of each batch.

    Raises:
        DatasetError: the split has no fixed masks, or nothing to score.
    """
    cells = _cells(masking, train_statistics)
    expression, nucleotides = ExpressionReliability(), NucleotideReliability()
    batches = scored_batches(store, split, batch_size=batch_size, masking=masking)
    require_whole(store)
    with damage_named(store):
        for inputs, labels, positions in batches.as_numpy_iterator():
            outputs = model.predict_on_batch(inputs)
            logits = {
                "rna": np.asarray(outputs["expression_logits"]),
                "dna": np.asarray(outputs["sequence_logits"]),
            }
            for cell in cells:
                key = f"{cell.modality}_{cell.population}"
                at = positions.get(key, positions["valid"])
                cell.update(labels[cell.modality], logits[cell.modality], at)
            expression.update(labels["rna"], logits["rna"], positions["rna_masked"])
            nucleotides.update(labels["dna"], logits["dna"], positions["dna_masked"])
            progress(len(labels["rna"]))

    table = MetricsTable(
        model=_collect(cells, lambda cell: cell.model),
        uniform_random=_collect(cells, lambda cell: cell.uniform),
        stratified_random=_collect(cells, lambda cell: cell.stratified),
        dataset={
            "name": store.manifest["name"],
            "fingerprint": store.fingerprint,
            "split": split,
            "contigs": store.manifest["splits"][split]["contigs"],
            "windows": store.count(split),
        },
    )
    scored = sum(
        result["positions"]
        for modalities in table.model.values()
        for result in modalities.values()
    )
    if scored == 0:
        raise DatasetError(f"{store.folder}: {split} has no valid base to score")
    return JointEvaluation(table, expression.result(), nucleotides.result())


def _cells(masking: MaskingConfig, statistics: dict[str, Any]) -> list[_Cell]:
    unexpressed, expressed = statistics["labels_01"]
    bases = np.asarray(statistics["bases_ACGTN"][: len(BASES)], dtype=float)
    uniform = UniformBaseline()
    stratified = StratifiedBaseline(
        expressed / (expressed + unexpressed), (bases / bases.sum()).tolist()
    )
    populations = [("rna", "all"), ("dna", "all")]
    if masking.hides_expression:
        populations.append(("rna", "masked"))
    if masking.hides_sequence:
        populations += [("dna", "masked"), ("dna", "mask_token")]
    return [
        _Cell(
            modality,
            population,
            BinaryMetrics() if modality == "rna" else NucleotideMetrics(),
            getattr(uniform, modality)(),
            getattr(stratified, modality)(),
        )
        for modality, population in populations
    ]


def _collect(
    cells: list[_Cell], scorer: Callable[[_Cell], Any]
) -> dict[str, dict[str, dict[str, float]]]:
    results: dict[str, dict[str, dict[str, float]]] = {}
    for cell in cells:
        results.setdefault(cell.population, {})[cell.modality] = scorer(cell).result()
    return results
