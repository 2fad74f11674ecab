"""Predictors of expression that read no DNA: a mean, and a ridge regression."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import evaluation_batches
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import write_atomically

MEAN, RIDGE = "training_mean", "ridge"
PENALTY = 1.0
"""Of the ridge, on coefficients of features with unit variance."""

CACHE = "feature_baselines.json"
"""File in the folder of a dataset that keeps what was fitted to it."""

_ARRAYS = ("coefficients", "centre", "scale")


@dataclass(frozen=True)
class FeatureBaselines:
    """What can be said of a gene without its window.

    Attributes:
        mean: mean target of the training genes.
        coefficients: float64 ``(features,)`` of the ridge on standardised features;
            None where the dataset has no features.
        centre: float64 ``(features,)``, mean of the training genes' features.
        scale: likewise their standard deviation, 1 where they do not vary.
    """

    mean: float
    coefficients: np.ndarray | None = None
    centre: np.ndarray | None = None
    scale: np.ndarray | None = None

    @classmethod
    def fit(cls, store: RecordStore) -> "FeatureBaselines":
        """Fits them to the training split; reads it only where there are features."""
        mean = store.schema.expression.target.mean
        if not store.schema.expression.features:
            return cls(mean)
        features, targets = [], []
        with damage_named(store):
            batches = evaluation_batches(
                store,
                "train",
                batch_size=32,
                inputs=("features",),
                pipeline=ExpressionPipelineConfig(),
            )
            for inputs, wanted in batches.as_numpy_iterator():
                features.append(inputs["features"])
                targets.append(wanted["expression"])
        x = np.concatenate(features).astype(np.float64)
        y = np.concatenate(targets).astype(np.float64)
        centre, scale = x.mean(axis=0), x.std(axis=0)
        scale = np.where(scale > 0, scale, 1.0)
        x = (x - centre) / scale
        coefficients = np.linalg.solve(
            x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ (y - y.mean())
        )
        return cls(float(y.mean()), coefficients, centre, scale)

    @classmethod
    def of(cls, store: RecordStore) -> "FeatureBaselines":
        """Returns them as ``fit`` left them beside the dataset before, else fits them.

        Nothing is kept where the dataset is read-only.
        """
        path = store.folder / CACHE
        about = {"fingerprint": store.fingerprint, "penalty": PENALTY}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text())
            if kept["about"] == about:
                arrays = [np.array(kept[name], np.float64) for name in _ARRAYS]
                return cls(float(kept["mean"]), *arrays)
        found = cls.fit(store)
        if found.coefficients is not None:
            arrays = {name: getattr(found, name).tolist() for name in _ARRAYS}
            text = json.dumps({"about": about, "mean": found.mean, **arrays}, indent=1)
            with contextlib.suppress(DatasetError):
                write_atomically(path, text.encode())
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the predictors."""
        return (MEAN,) if self.coefficients is None else (MEAN, RIDGE)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What they read of a batch."""
        return () if self.coefficients is None else ("features",)

    def predict(
        self, inputs: Mapping[str, np.ndarray], *, genes: int
    ) -> dict[str, np.ndarray]:
        """Returns predictions by predictor, float64 ``(genes,)``."""
        found = {MEAN: np.full(genes, self.mean)}
        if self.coefficients is not None:
            x = (inputs["features"] - self.centre) / self.scale
            found[RIDGE] = x @ self.coefficients + self.mean
        return found
