"""A short convolution over the bases before each base."""

import functools

import keras
from keras import ops

from seqexp_tf.layers.backend import as_graph
from seqexp_tf.layers.compiled_layer import CompiledLayer


@keras.saving.register_keras_serializable("seqexp_tf")
class CausalConvolution(CompiledLayer):
    """Depthwise convolution of a base and those before it, then SiLU.

    Weights begin uniform in +-1/sqrt(kernel). A few shifted products, compiled into
    one loop in training, are faster than a convolution of one channel at a time.

    Args:
        kernel: bases that reach an output.

    Call arguments:
        inputs: ``(batch, length, channels)``.
        training: compiles the convolution, see ``compiled_layers``.

    Returns:
        ``(batch, length, channels)``.

    Example:

    ```python
    CausalConvolution(kernel=4)(keras.random.normal((2, 500, 32)))
    ```
    """

    def __init__(self, *, kernel: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.kernel = kernel

    def build(self, input_shape):
        uniform = keras.initializers.RandomUniform(
            -(self.kernel**-0.5), self.kernel**-0.5
        )
        shape = (self.kernel, input_shape[-1])
        self.taps = self.add_weight(
            shape=shape, initializer=uniform, name="kernel", autocast=False
        )
        self.bias = self.add_weight(
            shape=shape[1:], initializer=uniform.clone(), name="bias", autocast=False
        )

    def call(self, inputs, training=None):
        # A function with a gradient of its own takes no variables.
        taps, bias = ops.copy(self.taps), ops.copy(self.bias)
        forward, backward = _graphs(compiled=self.compiles(training))

        @ops.custom_gradient
        def convolved(*inputs):
            def gradient(upstream):
                return backward(*inputs, upstream)

            # Else an eager tape records what is inside too.
            stopped = (ops.stop_gradient(values) for values in inputs)
            return forward(*stopped), gradient

        return convolved(inputs, taps, bias)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "kernel": self.kernel}


@functools.cache
def _graphs(*, compiled: bool):
    return tuple(as_graph(f, compiled=compiled) for f in (_forward, _backward))


def _forward(x, taps, bias):
    return ops.cast(ops.silu(_convolve(_shifts(x, taps), taps, bias)), x.dtype)


def _backward(x, taps, bias, dy):
    shifts = _shifts(x, taps)
    before = _convolve(shifts, taps, bias)
    share = ops.sigmoid(before)
    dbefore = ops.cast(dy, "float32") * share * (1 + before * (1 - share))
    dtaps = ops.stack([ops.sum(dbefore * shift, axis=(0, 1)) for shift in shifts])
    # Each position gets back from those it went to: the same, looking ahead.
    ahead = reversed(_shifts(dbefore, taps, ahead=True))
    dx = sum(tap * shift for tap, shift in zip(ops.unstack(taps), ahead, strict=True))
    return ops.cast(dx, x.dtype), dtaps, ops.sum(dbefore, axis=(0, 1))


def _shifts(x, taps, *, ahead: bool = False) -> list:
    """Returns x shifted by ``kernel - 1`` down to 0 positions, or up if ``ahead``."""
    reach, length = taps.shape[0] - 1, ops.shape(x)[1]
    padding = (0, reach) if ahead else (reach, 0)
    padded = ops.cast(ops.pad(x, ((0, 0), padding, (0, 0))), "float32")
    return [padded[:, start : start + length] for start in range(reach + 1)]


def _convolve(shifts, taps, bias):
    products = zip(shifts, ops.unstack(taps), strict=True)
    return sum(tap * shift for shift, tap in products) + bias
