"""What a changed base changes in a network, and nothing else, computed exactly."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from seqexp_tf.interpretation.receptive_field import LocalGraph, LocalStep
from seqexp_tf.interpretation.stretches import Move, Stretches, by_taps

Tensor = Any
Number = Any  # A whole number, or a tensor of one while a graph is traced.

_FEW = 8  # Filters.

_LINEAR = (
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Dropout,
    keras.layers.Reshape,
    keras.layers.SpatialDropout1D,
)
"""Layers for which the layer of a difference is the difference of the layer."""


class Propagation:
    """One window through a local network, and what mutants of it change.

    The activations of the window are computed once. What goes from layer to layer
    for mutants is the difference to them, on the stretch that a mutation can reach,
    which grows from layer to layer (see ``Stretches``); elsewhere it is zero. That is
    exact, and the padding at the ends of a window needs no care. Mutants of one call
    share a stretch, so give those of neighbouring bases together.

    Args:
        graph: steps to the output, of layers that compute in float32.
        inputs: by name, each of one window ``(1, length, ...)``.
        sequence: name of the input that is mutated.
        first: first row of the output that is recorded.
        last: its exclusive end.

    Attributes:
        reference: the recorded output of the window, float32 ``(recorded, ...)``.

    Reference:
        [fastISM, Nair et al. 2022](https://doi.org/10.1093/bioinformatics/btac135)
        for computing only what changes; here by differences, at any dilation.
    """

    def __init__(
        self,
        graph: LocalGraph,
        inputs: Mapping[str, np.ndarray],
        *,
        sequence: str,
        first: int,
        last: int,
    ) -> None:
        self._graph = graph
        self._first = first
        self._sequence = graph.inputs.index(sequence)
        length, features = inputs[sequence].shape[1:]
        self._stretches = Stretches(graph, length=length, first=first, last=last)
        self._kept: list[Tensor] = [
            ops.convert_to_tensor(inputs[name]) for name in graph.inputs
        ]
        self._sums: dict[int, Tensor] = {}  # Before the activation.
        for at, step in enumerate(graph.steps, start=len(graph.inputs)):
            read = [self._kept[tensor] for tensor in step.inputs]
            if _has_kernel(step.layer):
                self._sums[at] = _sum(step, read[0])
                self._kept.append(step.layer.activation(self._sums[at]))
            else:
                self._kept.append(_apply(step.layer, read))
        self.reference: np.ndarray = np.asarray(self._kept[-1])[0, first:last]
        self._compiled = _compile(
            self._propagate,
            rows=2 * len(self._kept),
            cuts=4 * self._stretches.count,
            features=features,
        )

    def mutate(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns the recorded output of mutants.

        Args:
            positions: int ``(mutants,)``, the changed row of each.
            values: what stands there instead, ``(mutants, features)``.

        Returns:
            float32 ``(mutants, recorded, ...)``.
        """
        result = np.repeat(self.reference[None], len(positions), axis=0)
        if self._graph.reach[-1] is None:
            return result
        low, high = int(positions.min()), int(positions.max()) + 1
        kept = np.asarray(self._kept[self._sequence])[0]
        made = np.zeros((len(positions), high - low, kept.shape[1]), np.float32)
        made[np.arange(len(positions)), positions - low] = values - kept[positions]
        rows = self._stretches.rows(low, high)
        cuts = self._stretches.cuts(rows)
        change = np.asarray(self._compiled(rows.ravel(), cuts.ravel(), made))
        # Out of reach of its own base a mutant is exactly the window.
        before, after = self._graph.reach[-1]
        numbers = np.arange(*rows[-1])
        away = numbers - positions[:, None]
        mutant, row = np.nonzero((away >= -before) & (away <= after))
        result[mutant, numbers[row] - self._first] += change[mutant, row]
        return result

    def _propagate(
        self, rows: Sequence[Number], cuts: Sequence[Number], made: Tensor
    ) -> Tensor:
        """The difference in the output that one in the sequence makes.

        Args:
            rows: of ``Stretches.rows``, flat.
            cuts: of ``Stretches.cuts``, flat.
            made: the difference in the sequence, ``(mutants, rows, features)``.
        """
        changes: dict[int, Tensor] = {self._sequence: made}
        for at, step in enumerate(self._graph.steps, start=len(self._graph.inputs)):
            if at in self._stretches.moves:
                stretch = slice(rows[2 * at], rows[2 * at + 1])
                changes[at] = self._change(at, step, changes, cuts, stretch)
        return changes[len(self._kept) - 1]

    def _change(
        self,
        at: int,
        step: LocalStep,
        changes: Mapping[int, Tensor],
        cuts: Sequence[Number],
        stretch: slice,
    ) -> Tensor:
        """The difference that a step makes on a stretch."""

        def cut(move: Move, rows: Tensor) -> Tensor:
            return _cut(rows, *cuts[4 * move.number : 4 * move.number + 4])

        layer, moves = step.layer, self._stretches.moves[at]
        if at in self._sums:
            change = _weigh(layer, moves, changes[moves[0].source], cut)
            if layer.activation is keras.activations.linear:
                return change
            new = layer.activation(self._sums[at][:, stretch] + change)
            return new - self._kept[at][:, stretch]
        read = {move.source: cut(move, changes[move.source]) for move in moves}
        mutants = ops.shape(changes[self._sequence])[0]
        for tensor in step.inputs:
            if tensor not in read:
                nothing = ops.zeros_like(self._kept[tensor][:, stretch])
                read[tensor] = ops.repeat(nothing, mutants, axis=0)
        if type(layer) in _LINEAR:
            return _apply(layer, [read[tensor] for tensor in step.inputs])
        new = _apply(
            layer,
            [self._kept[tensor][:, stretch] + read[tensor] for tensor in step.inputs],
        )
        return new - self._kept[at][:, stretch]


def _has_kernel(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, (keras.layers.Conv1D, keras.layers.Dense))


def _sum(step: LocalStep, rows: Tensor) -> Tensor:
    """What a step with a kernel makes of a whole window before its activation."""
    layer = step.layer
    if isinstance(layer, keras.layers.Dense):
        total = ops.matmul(rows, layer.kernel)
    else:
        total = ops.conv(
            ops.pad(rows, [(0, 0), (step.left, step.right), (0, 0)]),
            layer.kernel,
            padding="valid",
            dilation_rate=layer.dilation_rate[0],
        )
    return total + layer.bias if layer.use_bias else total


def _weigh(
    layer: keras.layers.Layer,
    moves: Sequence[Move],
    change: Tensor,
    cut: Callable[[Move, Tensor], Tensor],
) -> Tensor:
    """Applies a kernel, without bias, to a difference that is zero elsewhere."""
    kernel = ops.convert_to_tensor(layer.kernel)
    if by_taps(layer):
        # TensorFlow's convolution on a CPU takes three times as long as products
        # summed tap by tap where it is dilated or has few filters.
        return _total(
            cut(move, ops.matmul(change, kernel[tap])) for tap, move in enumerate(moves)
        )
    rows = cut(moves[0], change)
    if isinstance(layer, keras.layers.Dense):
        return ops.matmul(rows, kernel)
    if layer.filters >= _FEW:
        return ops.conv(rows, kernel, padding="valid")
    taps = layer.kernel_size[0]
    products = ops.unstack(ops.einsum("bwc,tcf->tbwf", rows, kernel), taps)
    return _total(
        product[:, tap : tap + 1 - taps or None] for tap, product in enumerate(products)
    )


def _total(parts: Iterable[Tensor]) -> Tensor:
    return functools.reduce(operator.add, parts)


def _cut(
    rows: Tensor, first: Number, last: Number, before: Number, after: Number
) -> Tensor:
    """Takes rows ``first`` to ``last``, with zeros around them."""
    margins = [(0, 0), (before, after), (0, 0)]
    return ops.pad(rows[:, first:last], margins[: len(rows.shape)])


def _apply(layer: keras.layers.Layer, read: list[Tensor]) -> Tensor:
    if isinstance(layer, keras.layers.Reshape):
        # Its own target may name the length of the whole window.
        return read[0][..., 0] if len(read[0].shape) == 3 else read[0][..., None]
    return layer(read if len(read) > 1 else read[0])


def _compile(
    function: Callable[..., Tensor], *, rows: int, cuts: int, features: int
) -> Callable[[np.ndarray, np.ndarray, np.ndarray], Tensor]:
    """Compiles once for stretches of any length, where the backend can do that."""
    if keras.backend.backend() != "tensorflow":
        return lambda rows, cuts, made: function(rows.tolist(), cuts.tolist(), made)
    import tensorflow as tf

    graph = tf.function(
        lambda rows, cuts, made: function(tf.unstack(rows), tf.unstack(cuts), made),
        input_signature=(
            tf.TensorSpec((rows,), tf.int32),
            tf.TensorSpec((cuts,), tf.int32),
            tf.TensorSpec((None, None, features), tf.float32),
        ),
        autograph=False,
    )
    return lambda rows, cuts, made: graph(
        rows.astype(np.int32), cuts.astype(np.int32), made
    )
