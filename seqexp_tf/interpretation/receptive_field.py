"""Which outputs a base can reach, read from the graph of a Keras model."""

from dataclasses import dataclass

import keras
import numpy as np

_ELEMENTWISE = (
    keras.layers.Activation,
    keras.layers.Add,
    keras.layers.BatchNormalization,
    keras.layers.Concatenate,
    keras.layers.Dense,
    keras.layers.Dropout,
    keras.layers.LayerNormalization,
    keras.layers.Multiply,
    keras.layers.ReLU,
    keras.layers.SpatialDropout1D,
)
"""Layers that, on ``(batch, length, features)``, treat every base by itself."""


class NotLocal(Exception):
    """A model has a layer that may relate any base to any other, e.g. attention."""


@dataclass(frozen=True)
class LocalStep:
    """A layer of which a row of the output sees few rows of the input.

    Attributes:
        layer: a convolution, a reshape, or a layer that treats rows one by one.
        inputs: numbers of the tensors it reads; see ``LocalGraph``.
        left: rows before its own that an output row sees.
        right: rows after its own that it sees.
    """

    layer: keras.layers.Layer
    inputs: tuple[int, ...]
    left: int = 0
    right: int = 0


@dataclass(frozen=True)
class LocalGraph:
    """The part of a model that leads to one output, as steps in order.

    Tensors are numbered: the inputs of the model first, then what each step makes.
    All are ``(batch, length)`` or ``(batch, length, features)`` with one length.

    Attributes:
        inputs: names of the model's inputs.
        steps: in an order in which they can be computed; the last is the output.
        reach: by tensor, how many rows before and after a changed row of the
            sequence it may change; None where it does not depend on the sequence.
    """

    inputs: tuple[str, ...]
    steps: tuple[LocalStep, ...]
    reach: tuple[tuple[int, int] | None, ...]

    @property
    def receptive_field(self) -> int:
        """Bases of the sequence that can reach one row of the output."""
        reach = self.reach[-1]
        return 0 if reach is None else sum(reach) + 1

    def needed(self, length: int, first: int, last: int) -> np.ndarray:
        """Returns the rows of each tensor that some rows of the output depend on.

        Args:
            length: rows of every tensor.
            first: first row of the output.
            last: its exclusive end.

        Returns:
            int64 ``(tensors, 2)``, half-open; empty at ``(length, 0)``.
        """
        rows = np.tile(np.array([length, 0]), (len(self.reach), 1))
        rows[-1] = first, last
        for step, (start, end) in zip(
            reversed(self.steps), reversed(rows[len(self.inputs) :]), strict=True
        ):
            if start >= end:
                continue
            for tensor in step.inputs:
                rows[tensor, 0] = min(rows[tensor, 0], max(start - step.left, 0))
                rows[tensor, 1] = max(rows[tensor, 1], min(end + step.right, length))
        return rows


def local_graph(model: keras.Model, output: str, *, sequence: str) -> LocalGraph:
    """Returns the steps from the inputs of a model to one of its outputs.

    Read from the graph itself, so that it holds for any functional model of
    one-dimensional convolutions (stride 1, padding ``same`` or ``causal``, any
    kernel and dilation) and layers that treat every base by itself.

    Args:
        model: with inputs and outputs by name.
        output: name of an output ``(batch, length)`` or with features.
        sequence: name of the input whose rows are changed.

    Raises:
        NotLocal: the model is no such one; the message names the layer.
    """
    if not isinstance(getattr(model, "input", None), dict):
        raise NotLocal(f"{type(model).__name__} has no graph of layers")
    names = tuple(model.input)
    numbers = {id(tensor): at for at, tensor in enumerate(model.input.values())}
    length = model.input[sequence].shape[1]
    makers = {
        id(layer.output): layer
        for layer in model.operations
        if isinstance(layer.output, keras.KerasTensor)
    }
    steps: list[LocalStep] = []

    def number(tensor: keras.KerasTensor) -> int:
        if id(tensor) not in numbers:
            layer = makers.get(id(tensor))
            if layer is None:
                raise NotLocal(f"{tensor.name} comes from a layer called twice")
            read = layer.input if isinstance(layer.input, list) else [layer.input]
            left, right = _sees(layer, read)
            if any(one.shape[1] != length for one in (*read, tensor)):
                raise NotLocal(f"{layer.name} changes the length")
            inputs = tuple(number(one) for one in read)
            steps.append(LocalStep(layer, inputs, left, right))
            numbers[id(tensor)] = len(names) + len(steps) - 1
        return numbers[id(tensor)]

    number(model.output[output])
    return LocalGraph(names, tuple(steps), _reach(names, steps, sequence))


def _sees(layer: keras.layers.Layer, read: list[keras.KerasTensor]) -> tuple[int, int]:
    """Rows before and after its own that a row of the output sees."""
    refusal = NotLocal(f"{layer.name} is a {type(layer).__name__}")
    # An exact type: what a subclass does is unknown.
    if type(layer) is keras.layers.Reshape:
        flat, deep = sorted((read[0].shape, layer.output.shape), key=len)
        if (len(flat), len(deep), deep[-1]) != (2, 3, 1):
            raise refusal
        return 0, 0
    if any(len(one.shape) != 3 for one in read) or not _keeps_rows_apart(layer):
        raise refusal
    if type(layer) is not keras.layers.Conv1D:
        return 0, 0
    if (
        layer.strides != (1,)
        or layer.groups != 1
        or layer.padding not in ("same", "causal")
        or layer.data_format != "channels_last"
    ):
        raise NotLocal(f"{layer.name} is a Conv1D of another stride or padding")
    total = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    left = total if layer.padding == "causal" else total // 2
    return left, total - left


def _keeps_rows_apart(layer: keras.layers.Layer) -> bool:
    if type(layer) not in (keras.layers.Conv1D, *_ELEMENTWISE):
        return False
    axis = getattr(layer, "axis", -1)
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    if any(one not in (-1, 2) for one in axes):
        return False
    # A function of the user's own may do anything along the sequence.
    activation = getattr(layer, "activation", keras.activations.linear)
    name = getattr(activation, "__name__", "")
    return getattr(keras.activations, name, None) is activation


def _reach(
    names: tuple[str, ...], steps: list[LocalStep], sequence: str
) -> tuple[tuple[int, int] | None, ...]:
    reach = [(0, 0) if name == sequence else None for name in names]
    for step in steps:
        found = [reach[tensor] for tensor in step.inputs]
        changed = [one for one in found if one is not None]
        # Row p of the output sees p - left to p + right of the input, so that row
        # q of the input reaches q - right to q + left of the output.
        reach.append(
            (
                max(before for before, _ in changed) + step.right,
                max(after for _, after in changed) + step.left,
            )
            if changed
            else None
        )
    return tuple(reach)
