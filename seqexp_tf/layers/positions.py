"""What tells a Transformer where a base lies."""

import math

import keras
from keras import ops

_LONGEST = 10_000.0


@keras.saving.register_keras_serializable("seqexp_tf")
class SinusoidalPositions(keras.layers.Layer):
    """Adds sines and cosines of the position to an even number of features.

    Feature 2i of position t gets sin(t / 10000^(2i / features)), feature 2i + 1
    the cosine.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, features)``.

    Reference:
        [Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), section 3.5
    """

    def call(self, inputs):
        length, features = ops.shape(inputs)[1], inputs.shape[-1]
        angles = _angles(length, features // 2)
        waves = ops.stack([ops.sin(angles), ops.cos(angles)], axis=-1)
        return inputs + ops.cast(
            ops.reshape(waves, (1, length, features)), inputs.dtype
        )

    def compute_output_shape(self, input_shape):
        return input_shape


def rotate(x):
    """Turns pairs of features by an angle that grows with the position (RoPE).

    The product of a turned query and a turned key depends on their distance alone.

    Args:
        x: ``(..., length, size)``, an even size; feature i pairs with i + size / 2.

    Returns:
        The same shape.

    Reference:
        [RoFormer, Su et al. 2021](https://arxiv.org/abs/2104.09864)
    """
    half = x.shape[-1] // 2
    angles = _angles(ops.shape(x)[-2], half)
    sine = ops.cast(ops.sin(angles), x.dtype)
    cosine = ops.cast(ops.cos(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate(
        [first * cosine - second * sine, second * cosine + first * sine], axis=-1
    )


def _angles(length, count: int):
    """Position times frequency, float32 ``(length, count)``."""
    position = ops.cast(ops.arange(length), "float32")
    frequency = ops.exp(
        ops.cast(ops.arange(count), "float32") * (-math.log(_LONGEST) / count)
    )
    return position[:, None] * frequency[None, :]
