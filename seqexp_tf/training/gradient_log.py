"""The two gradients on the mask head, logged at each validation."""

from typing import ClassVar

import keras
import tensorflow as tf
from keras import ops

from seqexp_tf.training.expression_losses import GeneLoss
from seqexp_tf.training.gradients import gradient_meter

GENES = 4
"""Genes they are measured on, the same each time.

One after another: the batch of a training step may be a single gene, for memory.
"""


class GradientLog(keras.callbacks.Callback):
    """Adds norms of the gradients on the mask head, and their ratio, to the logs.

    Args:
        validation: batches of the validation split, of which the first genes count.
        loss: the prediction loss.
        kl_weight: of the divergence.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = (
        "prediction_gradient",
        "divergence_gradient",
        "gradient_ratio",
    )

    def __init__(
        self, validation: tf.data.Dataset, loss: GeneLoss, *, kl_weight: float
    ):
        super().__init__()
        genes = validation.unbatch().batch(1).take(GENES)
        self.genes = list(genes.as_numpy_iterator())
        self.loss = loss
        self.kl_weight = kl_weight
        self._meter = None

    def on_epoch_end(self, epoch, logs=None):
        if self._meter is None:
            self._meter = gradient_meter(self.model, self._losses)
        found = self._meter(self.genes)
        values = (found.prediction, found.divergence, found.ratio)
        logs |= dict(zip(self.COLUMNS, values, strict=True))

    def _losses(self, targets, outputs):
        prediction = ops.mean(
            self.loss.call(targets["expression"], outputs["expression"])
        )
        return prediction, self.kl_weight * ops.mean(outputs["divergence"])
