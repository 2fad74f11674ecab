"""Per-position losses and accuracies of the joint models.

Each returns one value per window and position, ``(batch, window)``, so that the
sample weights of ``seqexp_tf.pipeline.joint`` decide which positions count. Keras'
own classes average over the last axis first.
"""

import keras


@keras.saving.register_keras_serializable("seqexp_tf")
class ExpressionLoss(keras.losses.Loss):
    """Binary cross-entropy (nats) of expression logits at every base."""

    def call(self, y_true, y_pred):
        return keras.ops.binary_crossentropy(y_true, y_pred, from_logits=True)


@keras.saving.register_keras_serializable("seqexp_tf")
class SequenceLoss(keras.losses.Loss):
    """Five-way cross-entropy (nats) of nucleotide logits at every base."""

    def call(self, y_true, y_pred):
        return keras.ops.sparse_categorical_crossentropy(
            y_true, y_pred, from_logits=True
        )


class _PositionMean(keras.metrics.MeanMetricWrapper):
    """Weighted mean of one value per window and position."""

    label = ""

    def __init__(self, name: str | None = None, dtype=None):
        super().__init__(self.per_position, name=name or self.label, dtype=dtype)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


@keras.saving.register_keras_serializable("seqexp_tf")
class ExpressionAccuracy(_PositionMean):
    """Share of scored bases whose expression is called right at p = 0.5."""

    label = "accuracy"

    @staticmethod
    def per_position(y_true, y_pred):
        return keras.ops.cast((y_pred > 0) == (y_true > 0.5), "float32")


@keras.saving.register_keras_serializable("seqexp_tf")
class SequenceAccuracy(_PositionMean):
    """Share of scored bases whose nucleotide has the largest logit."""

    label = "accuracy"

    @staticmethod
    def per_position(y_true, y_pred):
        called = keras.ops.argmax(y_pred, axis=-1)
        return keras.ops.cast(called == keras.ops.cast(y_true, called.dtype), "float32")


@keras.saving.register_keras_serializable("seqexp_tf")
class ExpressionCrossEntropy(_PositionMean):
    """Mean of ``ExpressionLoss`` over windows, exact for a smaller last batch."""

    label = "cross_entropy"
    per_position = staticmethod(ExpressionLoss().call)


@keras.saving.register_keras_serializable("seqexp_tf")
class SequenceCrossEntropy(_PositionMean):
    """Mean of ``SequenceLoss`` over windows, exact for a smaller last batch."""

    label = "cross_entropy"
    per_position = staticmethod(SequenceLoss().call)
