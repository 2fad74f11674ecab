"""A joint model scored on the fixed masks of a split, beside random baselines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.baselines import Scorer, StratifiedBaseline, UniformBaseline
from seqexp_tf.evaluation.bootstrap import (
    BLOCK,
    MINIMUM_BLOCKS,
    REPLICATES,
    BinaryBootstrap,
    Blocks,
    NucleotideBootstrap,
)
from seqexp_tf.evaluation.joint_calibration import Calibration, JointReliability
from seqexp_tf.evaluation.metrics import BinaryMetrics, NucleotideMetrics
from seqexp_tf.evaluation.predictor import EXPRESSION, SEQUENCE
from seqexp_tf.evaluation.tables import MetricsTable
from seqexp_tf.genome.alphabet import BASES
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.pipeline.joint import scored_batches
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import require_whole


@dataclass(frozen=True)
class JointEvaluation:
    """What an evaluation found.

    Attributes:
        table: metrics of the model and both baselines, by population, with the
            confidence intervals of the model's at hidden positions.
        calibration: reliability at hidden labels and selected bases.
        scaled: the same with logits divided by their temperatures; None without.
    """

    table: MetricsTable
    calibration: Calibration
    scaled: Calibration | None = None


@dataclass(frozen=True)
class _Cell:
    """Model and baselines on one population of one modality."""

    modality: str
    population: str
    model: BinaryMetrics | NucleotideMetrics
    uniform: Scorer
    stratified: Scorer
    bootstrap: BinaryBootstrap | NucleotideBootstrap | None

    def update(
        self, blocks: np.ndarray, labels: np.ndarray, logits: np.ndarray, at: np.ndarray
    ) -> None:
        self.model.update(labels, logits, at)
        self.uniform.update(labels, at)
        self.stratified.update(labels, at)
        if self.bootstrap is not None:
            self.bootstrap.update(blocks, labels, logits, at)


def evaluate_joint(
    model: keras.Model,
    store: RecordStore,
    split: str,
    *,
    masking: MaskingConfig,
    train_statistics: dict[str, Any],
    batch_size: int = 32,
    temperatures: Mapping[str, float] | None = None,
    bins: int = 10,
    block: int = BLOCK,
    replicates: int = REPLICATES,
    progress: Callable[[int], None] = lambda windows: None,
) -> JointEvaluation:
    """Scores a joint model on every window of a split, in one pass.

    Metrics are pooled over positions; nothing grows with the number of windows,
    and the result does not depend on ``batch_size``. An output the regime never
    hides was never trained and is not scored.

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
        temperatures: by output; asks for ``scaled``. Metrics are never rescaled.
        bins: equal-width bins of the reliability curves.
        block: bases in a block of the bootstrap, see ``Blocks``.
        replicates: of the bootstrap; 0 gives no intervals. Nor are there any where
            the split has fewer than ``MINIMUM_BLOCKS`` blocks.
        progress: called with the number of windows of each batch.

    Raises:
        DatasetError: the split has no fixed masks, or nothing to score.
    """
    blocks = Blocks.of(store.windows(split), bases=block)
    resampled = replicates > 0 and blocks.count >= MINIMUM_BLOCKS
    cells = _cells(masking, train_statistics, blocks.count if resampled else 0)
    outputs = _outputs(masking)
    judged = tuple(outputs.values())
    reliability = [JointReliability(judged, bins=bins)]
    if temperatures is not None:
        reliability.append(
            JointReliability(judged, temperatures=temperatures, bins=bins)
        )
    first = 0
    batches = scored_batches(store, split, batch_size=batch_size, masking=masking)
    require_whole(store)
    with damage_named(store):
        for inputs, labels, positions in batches.as_numpy_iterator():
            answer = model.predict_on_batch(inputs)
            logits = {
                name: np.asarray(answer[output]) for name, output in outputs.items()
            }
            windows = len(labels["rna"])
            index = blocks.index[first : first + windows]
            for cell in cells:
                key = f"{cell.modality}_{cell.population}"
                at = positions.get(key, positions["valid"])
                cell.update(index, labels[cell.modality], logits[cell.modality], at)
            for gathered in reliability:
                for name, output in outputs.items():
                    at = positions[f"{name}_masked"]
                    gathered.update(output, labels[name], logits[name], at)
            first += windows
            progress(windows)

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
            "masks": store.manifest["recipe"]["masks"],
        },
        intervals=_intervals(cells, blocks.draw(replicates) if resampled else None),
        resampling=blocks.describe(replicates),
    )
    scored = sum(
        result["positions"]
        for modalities in table.model.values()
        for result in modalities.values()
    )
    if scored == 0:
        raise DatasetError(f"{store.folder}: {split} has no valid base to score")
    return JointEvaluation(table, *(gathered.result() for gathered in reliability))


def _outputs(masking: MaskingConfig) -> dict[str, str]:
    """Returns the modalities that a regime trains, and the output of each."""
    outputs = {}
    if masking.hides_expression:
        outputs["rna"] = EXPRESSION
    if masking.hides_sequence:
        outputs["dna"] = SEQUENCE
    return outputs


def _cells(
    masking: MaskingConfig, statistics: dict[str, Any], blocks: int
) -> list[_Cell]:
    unexpressed, expressed = statistics["labels_01"]
    bases = np.asarray(statistics["bases_ACGTN"][: len(BASES)], dtype=float)
    uniform = UniformBaseline()
    stratified = StratifiedBaseline(
        expressed / (expressed + unexpressed), (bases / bases.sum()).tolist()
    )
    populations = [
        (modality, population)
        for modality in _outputs(masking)
        for population in ("all", "masked")
    ]
    if masking.hides_sequence:
        populations.append(("dna", "mask_token"))
    metrics = {"rna": BinaryMetrics, "dna": NucleotideMetrics}
    resample = {"rna": BinaryBootstrap, "dna": NucleotideBootstrap}
    return [
        _Cell(
            modality,
            population,
            metrics[modality](),
            getattr(uniform, modality)(),
            getattr(stratified, modality)(),
            resample[modality](blocks) if blocks and population != "all" else None,
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


def _intervals(
    cells: list[_Cell], weights: np.ndarray | None
) -> dict[str, dict[str, dict[str, tuple[float, float]]]]:
    results: dict[str, dict[str, dict[str, tuple[float, float]]]] = {}
    for cell in cells:
        if cell.bootstrap is not None:
            intervals = cell.bootstrap.intervals(weights)
            results.setdefault(cell.population, {})[cell.modality] = intervals
    return results
