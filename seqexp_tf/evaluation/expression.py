"""A model of genes scored on a split, beside simple baselines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.bootstrap import LEVEL, MINIMUM_BLOCKS, REPLICATES
from seqexp_tf.evaluation.feature_baselines import FeatureBaselines
from seqexp_tf.evaluation.regression import (
    bootstrap_intervals,
    pearson_share,
    regression_metrics,
)
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import scored_batches
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.records.expression_details import CEILING
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import require_whole

if TYPE_CHECKING:
    import keras

MODEL = "model"
"""The predictor in question; its column of the predictions is ``predicted``, those
of baselines are called like them."""

ALL = "all"
"""The row over all genes, beside those by contig."""


@dataclass(frozen=True)
class ExpressionScore:
    """One predictor on the genes of one contig, or of all.

    Attributes:
        predictor: ``model``, ``training_mean``, ``ridge`` or ``ceiling``.
        contig: or ``all``.
        genes: scored.
        metrics: of ``regression_metrics``; of the model ``mask_ratio`` as well, where
            it has a mask, and ``pearson_share``, where the dataset has a ceiling.
        intervals: low and high of those that have one.
    """

    predictor: str
    contig: str
    genes: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class ExpressionEvaluation:
    """What an evaluation found.

    Attributes:
        scores: the model's over all genes first.
        predictions: a row a gene: ``gene``, ``name``, ``contig``, ``tss``, ``strand``,
            ``target``, ``predicted``, the baselines, ``mask_ratio`` (share of the
            bases whose mask is at least 0.5) where the model has a mask, and
            ``ceiling`` where the dataset has one.
        target: name, transform and unit of what is predicted.
        dataset: what identifies the data scored.
        resampling: where the intervals come from.
    """

    scores: tuple[ExpressionScore, ...]
    predictions: pd.DataFrame
    target: dict[str, str]
    dataset: dict[str, Any]
    resampling: dict[str, Any]

    @property
    def model(self) -> ExpressionScore:
        """The model over all genes."""
        return self.scores[0]


def evaluate_expression(
    model: "keras.Model",
    store: RecordStore,
    split: str,
    *,
    pipeline: ExpressionPipelineConfig,
    given: str,
    batch_size: int,
    baselines: FeatureBaselines,
    replicates: int = REPLICATES,
    progress: Callable[[int], None] = lambda genes: None,
) -> ExpressionEvaluation:
    """Scores a model on every gene of a split, in one pass.

    Args:
        model: output ``expression`` ``(batch,)`` and, where it has one, ``mask``.
        store: the dataset.
        split: ``validation`` or ``test``, or ``train``.
        pipeline: how the model's windows are read.
        given: the channel of the dataset that is the model's mask, if one is.
        batch_size: genes predicted at once; nothing depends on it.
        baselines: fitted on the training split.
        replicates: of the bootstrap; 0 gives no intervals.
        progress: called with the number of genes of each batch.

    Raises:
        RunError: a prediction is not finite; names the gene.
        DatasetError: the dataset is damaged, or of another kind.
    """
    predictions = predict_genes(
        model,
        store,
        split,
        pipeline=pipeline,
        given=given,
        batch_size=batch_size,
        baselines=baselines,
        progress=progress,
    )
    contigs = list(dict.fromkeys(predictions.contig))
    contigs = contigs if len(contigs) > 1 else []
    scores = []
    best = (CEILING,) if CEILING in predictions else ()
    for predictor in (MODEL, *baselines.names, *best):
        column = "predicted" if predictor == MODEL else predictor
        for contig in (ALL, *contigs):
            rows = predictions
            if contig != ALL:
                rows = predictions[predictions.contig == contig]
            scores.append(_score(predictor, column, contig, rows, replicates))
    details = store.schema.expression.target
    return ExpressionEvaluation(
        scores=tuple(scores),
        predictions=predictions,
        target={
            "name": details.name,
            "transform": details.transform,
            "unit": details.unit,
        },
        dataset={
            "name": store.manifest["name"],
            "fingerprint": store.fingerprint,
            "split": split,
            "contigs": store.manifest["splits"][split]["contigs"],
            "genes": len(predictions),
        },
        resampling={
            "level": LEVEL,
            "method": "percentile bootstrap over genes",
            "replicates": replicates if len(predictions) >= MINIMUM_BLOCKS else 0,
        },
    )


def predict_genes(
    model: "keras.Model",
    store: RecordStore,
    split: str,
    *,
    pipeline: ExpressionPipelineConfig,
    given: str,
    batch_size: int,
    baselines: FeatureBaselines,
    progress: Callable[[int], None] = lambda genes: None,
) -> pd.DataFrame:
    """Returns ``ExpressionEvaluation.predictions``; arguments as there."""
    names = tuple(tensor.name for tensor in model.inputs)
    wanted = tuple(dict.fromkeys((*names, *baselines.inputs)))
    parts: dict[str, list[np.ndarray]] = {}
    require_whole(store)
    with damage_named(store):
        batches = scored_batches(
            store,
            split,
            batch_size=batch_size,
            inputs=wanted,
            pipeline=pipeline,
            given=given,
        )
        for inputs, targets, _ in batches.as_numpy_iterator():
            with compiled_layers():
                answer = model.predict_on_batch({n: inputs[n] for n in names})
            found = {
                "target": targets["expression"],
                "predicted": np.asarray(answer["expression"]),
                **baselines.predict(inputs, genes=len(targets["expression"])),
            }
            if "mask" in answer:
                mask = np.asarray(answer["mask"])
                found["mask_ratio"] = (mask >= 0.5).mean(axis=1)
            for name, values in found.items():
                parts.setdefault(name, []).append(values)
            progress(len(found["target"]))
    windows = store.windows(split)
    table = pd.DataFrame(
        {
            "gene": windows.gene,
            "name": windows["name"],
            "contig": windows.contig,
            "tss": windows.tss,
            "strand": windows.gene_strand,
            **{
                name: np.concatenate(values).astype(np.float64)
                for name, values in parts.items()
            },
        }
    )
    if CEILING in windows:
        table[CEILING] = windows[CEILING].astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(table.predicted))
    if wrong.size:
        gene = table.gene[wrong[0]]
        raise RunError(
            f"the model predicts {table.predicted[wrong[0]]} for gene {gene}; the run "
            "is damaged or diverged, train again with a lower learning rate"
        )
    return table


def _score(
    predictor: str, column: str, contig: str, rows: pd.DataFrame, replicates: int
) -> ExpressionScore:
    predicted, target = rows[column].to_numpy(), rows.target.to_numpy()
    metrics = regression_metrics(predicted, target)
    if predictor == MODEL and "mask_ratio" in rows:
        metrics["mask_ratio"] = float(rows.mask_ratio.mean())
    intervals = bootstrap_intervals(predicted, target, replicates=replicates)
    if predictor == MODEL and CEILING in rows:
        metrics["pearson_share"], between = pearson_share(
            predicted, rows[CEILING].to_numpy(), target, replicates=replicates
        )
        if intervals:
            intervals["pearson_share"] = between
    return ExpressionScore(
        predictor=predictor,
        contig=contig,
        genes=len(rows),
        metrics=metrics,
        intervals=intervals,
    )
