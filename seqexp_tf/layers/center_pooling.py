"""One vector for a gene from the features of its bases."""

import keras
from keras import ops

from seqexp_tf.layers.beta_mask import Float32Layer


@keras.saving.register_keras_serializable("seqexp_tf")
class CenterMean(Float32Layer):
    """Mean over the middle positions of a window.

    Args:
        center: number of positions; at most the length.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, features)``.
    """

    def __init__(self, *, center: int = 2000, **kwargs):
        # The middle is cast after it is cut out, not the whole window.
        super().__init__(autocast=False, **kwargs)
        self.center = center

    def call(self, inputs):
        start = ops.shape(inputs)[1] // 2 - self.center // 2
        middle = inputs[:, start : start + self.center]
        return ops.mean(ops.cast(middle, "float32"), axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "center": self.center}


@keras.saving.register_keras_serializable("seqexp_tf")
class WeightedMean(Float32Layer):
    """Mean over the positions of a window by weights; zero where all weights are.

    Call arguments:
        inputs: ``(batch, length, features)`` and weights ``(batch, length)``.

    Returns:
        ``(batch, features)``.
    """

    def call(self, inputs):
        features, weights = inputs
        total = ops.sum(weights, axis=1, keepdims=True)
        summed = ops.sum(features * weights[..., None], axis=1)
        return summed / ops.maximum(total, keras.config.epsilon())

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], input_shape[0][-1])
