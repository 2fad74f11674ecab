"""A state space whose parameters depend on the input."""

import keras
from keras import ops

from seqexp_tf.layers.compiled_layer import CompiledLayer
from seqexp_tf.layers.scan_graph import graphs


@keras.saving.register_keras_serializable("seqexp_tf")
class SelectiveScan(CompiledLayer):
    """The recurrence of Mamba, with a matrix A and a skip weight D for each channel.

    States and what goes into them are float32 under any dtype policy. The weights
    ``A_log`` and ``D`` should not decay.

    Args:
        state: size of the state of each channel.

    Call arguments:
        inputs: x and delta ``(batch, length, channels)``, B and C ``(batch, length,
            state)``; delta is positive.
        training: compiles the recurrence, see ``compiled_layers``.

    Returns:
        ``(batch, length, channels)``, see ``selective_scan``.

    Example:

    ```python
    x, delta = keras.random.normal((2, 1, 500, 32)), keras.ops.ones((1, 500, 32))
    B, C = keras.random.normal((2, 1, 500, 16))
    SelectiveScan(state=16)([x[0], delta, B, C])
    ```

    Reference:
        [Gu & Dao 2023](https://arxiv.org/abs/2312.00752), section 3; A begins as in
        S4D-real, [Gu et al. 2022](https://arxiv.org/abs/2206.11893).
    """

    def __init__(self, *, state: int = 16, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.state = state

    def build(self, input_shape):
        channels = input_shape[0][-1]
        self.A_log = self.add_weight(
            shape=(channels, self.state),
            initializer=_log_of_counting,
            name="A_log",
            autocast=False,
        )
        self.D = self.add_weight(
            shape=(channels,), initializer="ones", name="D", autocast=False
        )

    def call(self, inputs, training=None):
        x, delta, B, C = (ops.cast(values, "float32") for values in inputs)
        # A function with a gradient of its own takes no variables.
        A, D = -ops.exp(self.A_log), ops.copy(self.D)
        y = selective_scan(x, delta, A, B, C, D, compiled=self.compiles(training))
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "state": self.state}


def selective_scan(x, delta, A, B, C, D, *, compiled: bool = False):
    """Returns the outputs of a state space that selects by its input.

    Of each channel, with a state h of its own, zero at first::

        h[t] = exp(delta[t] A) h[t - 1] + delta[t] B[t] x[t]
        y[t] = C[t] . h[t] + D x[t]

    Time and memory grow with the length; the gradient computes states again and keeps
    one of many, see ``scan_graph``. The same inputs give the same bytes.

    Args:
        x: float32 ``(batch, length, channels)``.
        delta: the same shape; step sizes, at least 0.
        A: float32 ``(channels, state)``, negative.
        B: float32 ``(batch, length, state)``.
        C: the same shape.
        D: float32 ``(channels,)``.
        compiled: let XLA compile it (under JAX it does so in any case). A graph with
            it cannot be served.

    Returns:
        float32 ``(batch, length, channels)``.

    Reference:
        [Gu & Dao 2023](https://arxiv.org/abs/2312.00752), equations 2 and algorithm 2
    """
    forward, backward = graphs(compiled=compiled)

    @ops.custom_gradient
    def scanned(*inputs):
        # Else an eager tape records the loops too.
        y, states = forward(*(ops.stop_gradient(values) for values in inputs))

        def gradient(upstream):
            return backward(*inputs, states, upstream)

        return y, gradient

    return scanned(x, delta, A, B, C, D)


def _log_of_counting(shape, dtype):
    counting = ops.arange(1, shape[1] + 1, dtype=dtype)
    return ops.broadcast_to(ops.log(counting), shape)
