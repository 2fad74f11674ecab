"""Both strands as two halves of the features.

The features of a base are those of the strand given, then those of the other strand in
the opposite order. The reverse complement of such features, as of DNA in the order A,
C, G, T, has both positions and features turned round.
"""

import keras
from keras import ops

from seqexp_tf.layers.cpu import for_cpu


def reverse_complement(x):
    """Returns ``(batch, length, features)`` with both last axes turned round."""
    return ops.flip(x, axis=(1, 2))


@keras.saving.register_keras_serializable("seqexp_tf")
class ReverseComplementEmbedding(keras.layers.Layer):
    """A linear map of the bases of each strand, with the same weights.

    Args:
        width: features of a base, even; half of them for each strand.
        complement: inputs are one-hot DNA in the order A, C, G, T. Otherwise they are
            the same on both strands, as signals are.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, width)``, turned round in positions and features if the
        inputs are of the other strand.

    Raises:
        ValueError: the width is odd.

    Example:

    ```python
    ReverseComplementEmbedding(128)(keras.ops.one_hot([[0, 1, 2, 3, 3, 1]], 4))
    ```

    Reference:
        [Schiff et al. 2024](https://arxiv.org/abs/2403.03234), section 4.1
    """

    def __init__(self, width: int, *, complement: bool = True, **kwargs):
        super().__init__(**kwargs)
        if width % 2:
            raise ValueError(f"width is {width}; it must be even")
        self.width = width
        self.complement = complement
        strand = keras.layers.Dense(
            width // 2,
            kernel_initializer=keras.initializers.VarianceScaling(
                1 / 3, "fan_in", "uniform"
            ),
            dtype=self.dtype_policy,
            name="strand",
        )
        self.strand = for_cpu(strand)

    def build(self, input_shape):
        self.strand.build(input_shape)

    def call(self, inputs):
        given = self.strand(inputs)
        other = self.strand(ops.flip(inputs, axis=-1)) if self.complement else given
        return ops.concatenate([given, ops.flip(other, axis=-1)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "complement": self.complement,
        }


@keras.saving.register_keras_serializable("seqexp_tf")
class ReverseComplementMean(keras.layers.Layer):
    """The mean of both strands' features of each base.

    What a head reads: for the reverse complement, the same features of every base, in
    the opposite order of positions.

    Call arguments:
        inputs: ``(batch, length, width)``, an even width.

    Returns:
        ``(batch, length, width / 2)``.

    Reference:
        [Schiff et al. 2024](https://arxiv.org/abs/2403.03234), section 4.2
    """

    def call(self, inputs):
        given, other = ops.split(inputs, 2, axis=-1)
        return (given + ops.flip(other, axis=-1)) / 2

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)
