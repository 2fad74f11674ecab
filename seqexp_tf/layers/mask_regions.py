"""From the probability of a base being selected to what multiplies the input."""

import keras
from keras import ops

from seqexp_tf.layers.beta_mask import Float32Layer


@keras.saving.register_keras_serializable("seqexp_tf")
class MaskRegions(Float32Layer):
    """Zeroes blocked bases and keeps the promoter, whatever was learnt.

    The promoter is kept where it is blocked too, as in the published code.

    Args:
        promoter: bases in the middle of the window whose mask is 1; a longer
            promoter than window keeps everything.

    Call arguments:
        inputs: mask ``(batch, length)``, or a pair of it and the blocked bases
            ``(batch, length)``, 1 at a base whose mask is to be 0.

    Returns:
        ``(batch, length)``.
    """

    def __init__(self, *, promoter: int = 2000, **kwargs):
        super().__init__(**kwargs)
        self.promoter = promoter

    def call(self, inputs):
        if isinstance(inputs, list | tuple):
            mask, blocked = inputs
            mask = mask * (1.0 - blocked)
        else:
            mask = inputs
        return ops.where(central(ops.shape(mask)[1], self.promoter), 1.0, mask)

    def compute_output_shape(self, input_shape):
        several = isinstance(input_shape, list) or isinstance(
            input_shape[0], list | tuple
        )
        return tuple(input_shape[0]) if several else input_shape

    def get_config(self):
        return {**super().get_config(), "promoter": self.promoter}


@keras.saving.register_keras_serializable("seqexp_tf")
class HardMask(Float32Layer):
    """1 where the soft mask reaches a threshold, else 0 (section 3.4).

    Exactly 0 or 1 for any threshold; the gradient passes straight through to the
    soft mask (section 4.2).

    Args:
        threshold: the smallest soft mask that is selected.

    Call arguments:
        inputs: ``(batch, length)``.

    Returns:
        ``(batch, length)``.

    Reference:
        [Bengio et al. 2013](https://arxiv.org/abs/1308.3432)
    """

    def __init__(self, *, threshold: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        self.threshold = threshold

    def call(self, inputs):
        selected = ops.cast(inputs >= self.threshold, inputs.dtype)
        # The bracket is zero to the last bit, which (selected - inputs) + inputs
        # need not be.
        return selected + (inputs - ops.stop_gradient(inputs))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable("seqexp_tf")
class TopFraction(Float32Layer):
    """1 at the bases of each window whose mask is largest, else 0.

    Exactly ``int(fraction * length)`` of them; of equal ones, those that come first.

    Args:
        fraction: share of the window.

    Call arguments:
        inputs: ``(batch, length)``, a length known while the graph is built.

    Returns:
        ``(batch, length)``.
    """

    def __init__(self, *, fraction: float = 0.1, **kwargs):
        super().__init__(**kwargs)
        self.fraction = fraction

    def call(self, inputs):
        count = int(self.fraction * inputs.shape[1])
        largest, _ = ops.top_k(inputs, count)
        last = largest[:, -1:]
        above, equal = inputs > last, inputs == last
        left = count - ops.sum(ops.cast(above, "int32"), axis=1, keepdims=True)
        order = ops.cumsum(ops.cast(equal, "int32"), axis=1)
        return ops.cast(above | (equal & (order <= left)), inputs.dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "fraction": self.fraction}


def central(length, count: int):
    """Returns which of ``length`` positions are the ``count`` middle ones.

    Positions ``length // 2 - count // 2`` and the ``count - 1`` after it, so that a
    window centred on a TSS has the TSS in them.
    """
    position = ops.arange(length)
    start = length // 2 - count // 2
    return (position >= start) & (position < start + count)
