"""Loss and metrics of models that predict the expression of genes.

Losses give one value a gene, ``(batch,)``, so that sample weights can leave genes
out. Metrics are exact over a whole split, whatever the batches: they keep sums.
"""

from typing import Literal

import keras
from keras import ops


@keras.saving.register_keras_serializable("seqexp_tf")
class GeneLoss(keras.losses.Loss):
    """Error of the predicted expression of each gene.

    Args:
        kind: ``mse``, the squared error; ``huber``, half of it up to an error of 1
            and, less 1/2, the absolute error beyond.
    """

    def __init__(self, kind: Literal["huber", "mse"] = "huber", **kwargs):
        super().__init__(**{"name": kind, **kwargs})
        self.kind = kind

    def call(self, y_true, y_pred):
        error = ops.abs(y_pred - ops.cast(y_true, y_pred.dtype))
        if self.kind == "mse":
            return ops.square(error)
        return ops.where(error <= 1.0, 0.5 * ops.square(error), error - 0.5)

    def get_config(self):
        return {**super().get_config(), "kind": self.kind}


@keras.saving.register_keras_serializable("seqexp_tf")
class OutputLoss(keras.losses.Loss):
    """An output that is a loss itself, such as the divergence; targets are ignored."""

    def call(self, y_true, y_pred):
        return y_pred


class _GeneMean(keras.metrics.MeanMetricWrapper):
    """Weighted mean over genes of one value a gene."""

    label = ""

    def __init__(self, name: str | None = None, dtype=None):
        super().__init__(self.per_gene, name=name or self.label, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("seqexp_tf")
class SquaredError(_GeneMean):
    """Mean squared error over genes."""

    label = "mse"

    @staticmethod
    def per_gene(y_true, y_pred):
        return ops.square(y_pred - y_true)


@keras.saving.register_keras_serializable("seqexp_tf")
class AbsoluteError(_GeneMean):
    """Mean absolute error over genes."""

    label = "mae"

    @staticmethod
    def per_gene(y_true, y_pred):
        return ops.abs(y_pred - y_true)


@keras.saving.register_keras_serializable("seqexp_tf")
class OutputMean(_GeneMean):
    """Mean over genes of an output; over positions first, where it has any."""

    label = "mean"

    @staticmethod
    def per_gene(y_true, y_pred):
        rank = len(y_pred.shape)
        return ops.mean(y_pred, axis=tuple(range(1, rank))) if rank > 1 else y_pred


@keras.saving.register_keras_serializable("seqexp_tf")
class MaskRatio(_GeneMean):
    """Share of the bases whose mask is at least 0.5."""

    label = "ratio"

    @staticmethod
    def per_gene(y_true, y_pred):
        return ops.mean(ops.cast(y_pred >= 0.5, "float32"), axis=-1)


@keras.saving.register_keras_serializable("seqexp_tf")
class Pearson(keras.metrics.Metric):
    """Pearson's correlation of predicted and true expression over genes.

    From six sums, in float64 where the backend has it; zero where either side does
    not vary.
    """

    def __init__(self, name: str = "pearson", dtype=None):
        super().__init__(name=name, dtype=dtype or _widest_float())
        self.sums = self.add_variable(
            shape=(6,), initializer="zeros", dtype=self.dtype, name="sums"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        x, y = ops.cast(y_pred, self.dtype), ops.cast(y_true, self.dtype)
        weight = ops.ones_like(x) if sample_weight is None else sample_weight
        weight = ops.cast(weight, self.dtype)
        terms = [ops.ones_like(x), x, y, x * x, y * y, x * y]
        self.sums.assign_add(ops.stack([ops.sum(weight * term) for term in terms]))

    def result(self):
        count, x, y, xx, yy, xy = ops.unstack(ops.convert_to_tensor(self.sums))
        covariance = count * xy - x * y
        spread = (count * xx - x * x) * (count * yy - y * y)
        varies = spread > 0
        root = ops.sqrt(ops.where(varies, spread, ops.ones_like(spread)))
        return ops.where(varies, covariance / root, ops.zeros_like(root))


def _widest_float() -> str:
    return "float64" if keras.backend.backend() == "tensorflow" else "float32"
