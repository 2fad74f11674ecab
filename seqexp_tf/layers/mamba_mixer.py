"""The mixer of Mamba: a gated selective scan between two projections."""

import math

import keras
from keras import ops

from seqexp_tf.layers.causal_convolution import CausalConvolution
from seqexp_tf.layers.mamba_options import MambaLayer
from seqexp_tf.layers.selective_scan import SelectiveScan

_STEPS = (0.001, 0.1)


@keras.saving.register_keras_serializable("seqexp_tf")
class MambaMixer(MambaLayer):
    """Mamba's mixer; a base sees itself and those before it.

    Weights begin as in Mamba: linear maps uniform in +-1/sqrt(inputs) (PyTorch's
    default, Kaiming uniform with a = sqrt(5)), the last divided by sqrt(depth); step
    sizes between 0.001 and 0.1, A = -1 ... -state, D = 1.

    Args:
        state: size of the state of each channel of the scan.
        kernel: bases that reach an output of the causal convolution.
        expand: channels of the scan, as a multiple of the width.
        rank: rank of the step sizes; 0 is a sixteenth of the width, rounded up.
        depth: number of such mixers in the model.

    Call arguments:
        inputs: ``(batch, length, width)``.

    Returns:
        ``(batch, length, width)``.

    Example:

    ```python
    MambaMixer(depth=4)(keras.random.normal((2, 500, 128)))
    ```

    Reference:
        [Gu & Dao 2023](https://arxiv.org/abs/2312.00752), section 3.4
    """

    def build(self, input_shape):
        self.in_proj, self.out_proj = projections(self, input_shape)
        self.scan = gated_scan(self, input_shape, name="scan")

    def call(self, inputs):
        return self.out_proj(self.scan(self.in_proj(inputs)))


@keras.saving.register_keras_serializable("seqexp_tf")
class GatedScan(keras.layers.Layer):
    """What a mixer does between its projections.

    Args:
        state: size of the state of each channel of the scan.
        kernel: bases that reach an output of the causal convolution.
        rank: rank of the step sizes.

    Call arguments:
        inputs: ``(batch, length, 2 channels)``, what is scanned beside its gate.

    Returns:
        ``(batch, length, channels)``.
    """

    def __init__(self, *, state: int, kernel: int, rank: int, **kwargs):
        super().__init__(**kwargs)
        self.state = state
        self.kernel = kernel
        self.rank = rank
        policy = self.dtype_policy
        self.convolution = CausalConvolution(
            kernel=kernel, dtype=policy, name="convolution"
        )
        self.recurrence = SelectiveScan(state=state, dtype="float32", name="recurrence")

    def build(self, input_shape):
        sequence = (*input_shape[:-1], input_shape[-1] // 2)
        self.convolution.build(sequence)
        # Step sizes of low rank, B and C are all linear in the input.
        self.x_proj = _linear(self, self.rank + 2 * self.state, name="x_proj")
        self.x_proj.build(sequence)
        self.dt_proj = _linear(self, sequence[-1], name="dt_proj")
        self.dt_proj.build((*input_shape[:-1], self.rank))
        self.dt_bias = self.add_weight(
            shape=sequence[-1:], initializer=_step_bias, name="dt_bias", autocast=False
        )
        state = (*input_shape[:-1], self.state)
        self.recurrence.build([sequence, sequence, state, state])

    def call(self, inputs):
        x, gate = ops.split(inputs, 2, axis=-1)
        x = self.convolution(x)
        steps, B, C = ops.split(
            self.x_proj(x), [self.rank, self.rank + self.state], axis=-1
        )
        delta = ops.softplus(ops.cast(self.dt_proj(steps), "float32") + self.dt_bias)
        y = self.recurrence([x, delta, B, C])
        return ops.cast(y, gate.dtype) * ops.silu(gate)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] // 2)

    def get_config(self):
        return {
            **super().get_config(),
            "state": self.state,
            "kernel": self.kernel,
            "rank": self.rank,
        }


def projections(layer: MambaLayer, input_shape) -> tuple:
    """Returns the built projections into the scans of a layer, and out of them."""
    width = input_shape[-1]
    channels = layer.options["expand"] * width
    in_proj = _linear(layer, 2 * channels, name="in_proj")
    in_proj.build(input_shape)
    out_proj = _linear(layer, width, name="out_proj", depth=layer.options["depth"])
    out_proj.build((*input_shape[:-1], channels))
    return in_proj, out_proj


def gated_scan(layer: MambaLayer, input_shape, *, name: str) -> GatedScan:
    """Returns a built scan between the projections of a layer."""
    width, options = input_shape[-1], layer.options
    scan = GatedScan(
        state=options["state"],
        kernel=options["kernel"],
        rank=options["rank"] or math.ceil(width / 16),
        dtype=layer.dtype_policy,
        name=name,
    )
    scan.build((*input_shape[:-1], 2 * options["expand"] * width))
    return scan


def _linear(layer, units: int, *, name: str, depth: int = 1) -> keras.layers.Dense:
    return keras.layers.Dense(
        units,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            1 / (3 * depth), "fan_in", "uniform"
        ),
        dtype=layer.dtype_policy,
        name=name,
    )


def _step_bias(shape, dtype):
    low, high = (math.log(step) for step in _STEPS)
    step = ops.exp(keras.initializers.RandomUniform(low, high)(shape, dtype))
    # The inverse of softplus.
    return step + ops.log(-ops.expm1(-step))
