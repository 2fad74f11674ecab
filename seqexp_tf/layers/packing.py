"""Selected bases side by side, as the published hard variant has them."""

import keras
from keras import ops

from seqexp_tf.layers.mask_regions import central


@keras.saving.register_keras_serializable("seqexp_tf")
class LearnedPositions(keras.layers.Layer):
    """Adds a learnt vector, zero at first, to each position of a window.

    Call arguments:
        inputs: ``(batch, length, features)``, a length known while the graph is
            built.

    Returns:
        ``(batch, length, features)``.
    """

    def build(self, input_shape):
        self.table = self.add_weight(
            shape=(1, *input_shape[1:]), initializer="zeros", name="table"
        )

    def call(self, inputs):
        return inputs + self.table

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable("seqexp_tf")
class PackSelected(keras.layers.Layer):
    """Moves the selected bases to the left, in order, and zeroes the rest.

    Also says where the selected ones of the ``center`` middle positions went. No
    gradient reaches the mask: which bases are taken is a yes or a no.

    Args:
        center: number of middle positions.

    Call arguments:
        inputs: features ``(batch, length, features)`` and a mask
            ``(batch, length)`` of 0 and 1.

    Returns:
        Features of the same shape, and float32 ``(batch, length)``: 1 at the packed
        position of a selected base of the middle.
    """

    def __init__(self, *, center: int, **kwargs):
        super().__init__(**kwargs)
        self.center = center

    def call(self, inputs):
        features, mask = inputs
        batch, length = ops.shape(features)[0], ops.shape(features)[1]
        selected = mask > 0.5
        position = ops.arange(length, dtype="int32")
        order = ops.argsort(ops.where(selected, position, position + length), axis=1)
        kept = position < ops.sum(ops.cast(selected, "int32"), axis=1, keepdims=True)
        flat = order + ops.arange(batch, dtype="int32")[:, None] * length
        packed = ops.take(
            ops.reshape(features, (batch * length, features.shape[-1])), flat, axis=0
        )
        middle = ops.take(central(length, self.center), order, axis=0) & kept
        return (
            packed * ops.cast(kept[..., None], packed.dtype),
            ops.cast(middle, "float32"),
        )

    def compute_output_spec(self, inputs):
        features, mask = inputs
        return (
            keras.KerasTensor(features.shape, dtype=self.compute_dtype),
            keras.KerasTensor(mask.shape, dtype="float32"),
        )

    def get_config(self):
        return {**super().get_config(), "center": self.center}
