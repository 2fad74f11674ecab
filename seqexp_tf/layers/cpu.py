"""Layers of Keras, computed as TensorFlow does it fastest and most exactly on a CPU.

They stay ``keras.layers.Conv1D`` and ``keras.layers.Dense``, in memory and in files,
which Keras alone loads; ``for_cpu`` changes how one computes, up to rounding.

Speed, of convolutions with stride 1 and ``same`` padding:

- Dilated by ``d`` of more than 2, with an odd number of taps: the window is read as
  rows of ``d`` bases, in which the taps of a base stand below each other, and convolved
  down the columns. Reading it so moves nothing in memory (a window of unknown length,
  or that ``d`` does not divide, is padded first), while TensorFlow copies windows to
  and fro to dilate a convolution. Where as many features go out as come in, bias and
  activation are applied before the rows are joined, so that TensorFlow computes all in
  one.
- One filter of several taps: libraries of convolutions are made for many filters. One
  multiplication gives what each base adds by each tap, and sums along the diagonals
  bring them to their places.

Exactness, of biases in bfloat16: TensorFlow sums their gradients over all bases of all
windows in bfloat16, where a sum stops growing at 256 times what is added; of 16 windows
of 2,048 bases it keeps a tenth to a fifth. Here it is a product with ones, which is
summed in float32.

``tools/bench_convolution.py`` measures both. GPUs have their own dilated convolutions
and sums, and XLA, through which JAX computes, is far slower at gradients down columns:
there nothing changes. A graph that is exported keeps the way of the machine that
exports it.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import ops

from seqexp_tf.layers import backend

Finish: TypeAlias = Callable[[keras.KerasTensor], keras.KerasTensor]

_KINDS = (keras.layers.Conv1D, keras.layers.Dense)


def for_cpu(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Makes a layer compute better on a CPU and returns it.

    A layer of another kind than those above is returned as it is, and so is each under
    JAX and where there is a GPU.
    """
    if type(layer) not in _KINDS or backend.ON_JAX or backend.has_accelerator():
        return layer
    exact = (
        layer.use_bias
        and layer.compute_dtype == "bfloat16"
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        # That is padded by Keras before it is convolved.
        and getattr(layer, "padding", "same") != "causal"
    )
    faster = _faster(layer)
    if not (exact or faster):
        return layer
    compute = faster or _as_keras(layer)

    def finish(outputs: keras.KerasTensor) -> keras.KerasTensor:
        if exact:
            return backend.add_bias(outputs, layer.bias, layer.activation)
        if layer.use_bias:
            outputs = ops.add(outputs, layer.bias)
        return layer.activation(outputs)

    def call(inputs: keras.KerasTensor, training: bool | None = None):
        return compute(inputs, layer.kernel, finish)

    layer.call = call
    return layer


def all_for_cpu(model: keras.Model) -> keras.Model:
    """Makes every layer of a model compute better on a CPU and returns it.

    Layers of this package have seen to those within them.
    """
    for layer in model.layers:
        for_cpu(layer)
    return model


def _as_keras(layer: keras.layers.Layer) -> Callable:
    dense = type(layer) is keras.layers.Dense
    multiply = ops.matmul if dense else layer.convolution_op
    return lambda inputs, kernel, finish: finish(multiply(inputs, kernel))


def _faster(layer: keras.layers.Layer) -> Callable | None:
    """Returns how a convolution is computed faster than by Keras, if it can be."""
    if type(layer) is not keras.layers.Conv1D:
        return None
    (taps,), (dilation,) = layer.kernel_size, layer.dilation_rate
    plain = (
        layer.strides == (1,)
        and layer.groups == 1
        and layer.padding == "same"
        and layer.data_format == "channels_last"
    )
    # Rows of two bases are slow to take gradients of with oneDNN's kernels.
    if plain and dilation > 2 and taps % 2:
        return functools.partial(_down_columns, dilation=dilation)
    if plain and dilation == 1 and taps > 1 and layer.filters == 1:
        return _along_diagonals
    return None


def _down_columns(
    inputs: keras.KerasTensor,
    kernel: keras.KerasTensor,
    finish: Finish,
    *,
    dilation: int,
) -> keras.KerasTensor:
    batch, length, features = ops.shape(inputs)
    rows = (length + dilation - 1) // dilation
    whole = isinstance(length, int) and length % dilation == 0
    if not whole:
        missing = rows * dilation - length
        inputs = ops.pad(inputs, ((0, 0), (0, missing), (0, 0)))
    columns = ops.reshape(inputs, (batch, rows, dilation, features))
    columns = ops.conv(
        columns, ops.expand_dims(kernel, 1), padding="same", data_format="channels_last"
    )
    shape = (batch, rows * dilation, kernel.shape[-1])
    if kernel.shape[-1] == features:
        # Bias and activation right behind the convolution become part of it.
        outputs = ops.reshape(finish(columns), shape)
    else:
        # Without any windows, oneDNN gives out as many features as it was given.
        outputs = finish(ops.reshape(columns, shape))
    return outputs if whole else outputs[:, :length]


def _along_diagonals(
    inputs: keras.KerasTensor, kernel: keras.KerasTensor, finish: Finish
) -> keras.KerasTensor:
    batch, length, _ = ops.shape(inputs)
    taps = kernel.shape[0]
    # (batch, taps, length): what each base adds, by each tap, to some base.
    added = ops.matmul(ops.squeeze(kernel, -1), ops.swapaxes(inputs, 1, 2))
    before = (taps - 1) // 2
    added = ops.pad(added, ((0, 0), (0, 0), (before, taps - 1 - before)))
    # Rows that are read one number longer than they are written move by one each, so
    # that what tap t takes from base i + t stands in column i.
    flat = ops.reshape(added, (batch, taps * (length + taps - 1)))
    skewed = ops.reshape(
        ops.pad(flat, ((0, 0), (0, taps))), (batch, taps, length + taps)
    )
    return finish(ops.sum(skewed[:, :, :length], axis=1)[..., None])
