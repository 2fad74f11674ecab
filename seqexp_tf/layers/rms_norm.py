"""Normalisation by the root mean square."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("seqexp_tf")
class RMSNorm(keras.layers.Layer):
    """Divides the features of a base by their root mean square, and weights them.

    Computed in float32 under any dtype policy.

    Args:
        epsilon: added to the mean square.

    Call arguments:
        inputs: ``(..., features)``.

    Returns:
        The same shape.

    Example:

    ```python
    RMSNorm()(keras.random.normal((2, 500, 32)))
    ```

    Reference:
        [Zhang & Sennrich 2019](https://arxiv.org/abs/1910.07467)
    """

    def __init__(self, *, epsilon: float = 1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.gamma = self.add_weight(
            shape=input_shape[-1:], initializer="ones", name="gamma", autocast=False
        )

    def call(self, inputs):
        x = ops.cast(inputs, "float32")
        power = ops.mean(ops.square(x), axis=-1, keepdims=True)
        normed = x * ops.rsqrt(power + self.epsilon) * self.gamma
        return ops.cast(normed, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}
