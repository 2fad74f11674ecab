"""From one token a segment back to bases."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("seqexp_tf")
class SpreadSegments(keras.layers.Layer):
    """Gives every base the token of its segment.

    The counterpart of a convolution with kernel and stride ``segment`` and ``same``
    padding: that pads both ends of a window that does not divide, which is undone.

    Args:
        segment: bases in a segment.

    Call arguments:
        inputs: tokens ``(batch, segments, features)`` and bases ``(batch, length,
            any)``, where ``segments`` is ``length / segment`` rounded up.

    Returns:
        ``(batch, length, features)``.
    """

    def __init__(self, segment: int, **kwargs):
        super().__init__(**kwargs)
        self.segment = segment

    def call(self, inputs):
        tokens, bases = inputs
        length = ops.shape(bases)[1]
        spread = ops.repeat(tokens, self.segment, axis=1)
        before = (ops.shape(spread)[1] - length) // 2
        return spread[:, before : before + length]

    def compute_output_shape(self, input_shape):
        tokens, bases = input_shape
        return (*bases[:2], tokens[-1])

    def get_config(self):
        return {**super().get_config(), "segment": self.segment}
