"""One vector for a gene from the features of its bases."""

import keras
from keras import ops

from seqexp_tf.layers.beta_mask import Float32Layer


@keras.saving.register_keras_serializable("seqexp_tf")
class CenterMean(Float32Layer):
    """Means over the middle positions of a window, in bins side by side.

    Args:
        center: number of positions; at most the length.
        bins: parts of equal length that are averaged singly; divides ``center``.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, bins * features)``, the features of the first bin first.
    """

    def __init__(self, *, center: int = 2000, bins: int = 1, **kwargs):
        # The middle is cast after it is cut out, not the whole window.
        super().__init__(autocast=False, **kwargs)
        self.center = center
        self.bins = bins

    def call(self, inputs):
        start = ops.shape(inputs)[1] // 2 - self.center // 2
        middle = inputs[:, start : start + self.center]
        width = self.center // self.bins
        shape = (-1, self.bins, width, inputs.shape[-1])
        means = ops.mean(ops.reshape(ops.cast(middle, "float32"), shape), axis=2)
        return ops.reshape(means, (-1, self.bins * inputs.shape[-1]))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.bins * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "center": self.center, "bins": self.bins}


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
