"""What a changed base changes in a network, and nothing else, computed exactly."""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from seqexp_tf.interpretation.receptive_field import LocalGraph, LocalStep

Tensor = Any
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

    The activations of the window are computed once. A mutated base at row ``i``
    changes only rows ``i - before`` to ``i + after`` of each later tensor, a stretch
    that grows from layer to layer. What goes from layer to layer is the difference
    to the window on that stretch, which is zero outside of it: exact, and the
    padding at the ends of a window needs no care. Rows that no recorded output
    depends on are left out. Mutants of one call share a stretch, so give those of
    neighbouring bases together.

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
        self._sequence = graph.inputs.index(sequence)
        length = inputs[sequence].shape[1]
        self._rows = graph.needed(length, first, last)
        self._kept: list[Tensor] = [
            ops.convert_to_tensor(inputs[name]) for name in graph.inputs
        ]
        self._sums: dict[int, Tensor] = {}  # Before the activation.
        for at, step in enumerate(graph.steps, start=len(graph.inputs)):
            read = [self._kept[tensor] for tensor in step.inputs]
            if not _has_kernel(step.layer):
                self._kept.append(_apply(step.layer, read))
                continue
            kernel = ops.convert_to_tensor(step.layer.kernel)
            if isinstance(step.layer, keras.layers.Dense):
                self._sums[at] = ops.matmul(read[0], kernel)
            else:
                margins = [(0, 0), (step.left, step.right), (0, 0)]
                self._sums[at] = ops.conv(
                    ops.pad(read[0], margins),
                    kernel,
                    padding="valid",
                    dilation_rate=step.layer.dilation_rate[0],
                )
            if step.layer.use_bias:
                self._sums[at] += step.layer.bias
            self._kept.append(step.layer.activation(self._sums[at]))
        self.reference: np.ndarray = np.asarray(self._kept[-1])[0, first:last]
        self._moves = self._plan()
        self._difference = _compiled(self._propagate, inputs[sequence].shape[2])

    def mutate(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns the recorded output of mutants.

        Args:
            positions: int ``(mutants,)``, the changed row of each.
            values: what stands there instead, ``(mutants, features)``.

        Returns:
            float32 ``(mutants, recorded, ...)``.
        """
        low, high = int(positions.min()), int(positions.max()) + 1
        kept = np.asarray(self._kept[self._sequence])[0]
        made = np.zeros((len(positions), high - low, kept.shape[1]), np.float32)
        made[np.arange(len(positions)), positions - low] = values - kept[positions]
        result = np.repeat(self.reference[None], len(positions), axis=0)
        if self._graph.reach[-1] is not None:
            rows = self._stretches(low, high)
            change = self._difference(rows, self._cuts(rows), made)
            self._add(result, positions, int(rows[-1, 0]), np.asarray(change))
        return result

    def _plan(self) -> dict[int, list[_Move]]:
        """By tensor, the moves of rows of others that make it."""
        moves: dict[int, list[_Move]] = {}
        for at, step in enumerate(self._graph.steps, start=len(self._graph.inputs)):
            changed = [t for t in step.inputs if self._graph.reach[t] is not None]
            if changed and _by_taps(step.layer):
                (dilation,) = step.layer.dilation_rate
                moves[at] = [
                    _Move(changed[0], at, shift=shift)
                    for shift in range(step.left, -step.right - 1, -dilation)
                ]
            elif changed:
                moves[at] = [_Move(t, at, step.left, step.right) for t in changed]
        return moves

    def _stretches(self, low: int, high: int) -> np.ndarray:
        """First row and exclusive end of each tensor's stretch, int32."""
        rows = np.zeros((len(self._kept), 2), np.int32)
        for at, reach in enumerate(self._graph.reach):
            if reach is not None:
                first, last = self._rows[at]
                # At least a row, as a convolution to no rows fails.
                start = np.clip(low - reach[0], first, last - 1)
                rows[at] = start, np.clip(high + reach[1], start + 1, last)
        rows[self._sequence] = low, high
        return rows

    def _cuts(self, rows: np.ndarray) -> np.ndarray:
        """Of each move, the rows taken and those of zeros around them.

        Returns:
            int32 ``(moves, 4)``: first row and exclusive end within the source, zeros
            before and after.
        """
        moves = [move for group in self._moves.values() for move in group]
        source = rows[[move.source for move in moves]]
        source = source + np.array([[move.shift] for move in moves])
        target = rows[[move.target for move in moves]]
        target = target + np.array([[-move.left, move.right] for move in moves])
        taken = np.clip(source, target[:, :1], target[:, 1:])
        within = np.maximum(taken - source[:, :1], 0)
        around = (taken - target) * np.array([1, -1])
        return np.concatenate([within, around], axis=1).astype(np.int32)

    def _propagate(self, rows: Tensor, cuts: Tensor, made: Tensor) -> Tensor:
        """The difference in the output on its stretch; see ``mutate``."""
        count = sum(map(len, self._moves.values()))
        numbers = iter(ops.unstack(ops.reshape(cuts, (-1,)), 4 * count))
        stretches = iter(ops.unstack(ops.reshape(rows, (-1,)), 2 * len(self._kept)))
        ends = [(start, next(stretches)) for start in stretches]
        changes = {self._sequence: made}
        for at, moves in self._moves.items():
            def move(change, of=None):
                return _cut(change, *(next(numbers) for _ in range(4)))
            changes[at] = self._change(at, changes, ends[at], numbers)
        return changes[len(self._kept) - 1]

    def _add(
        self, result: np.ndarray, positions: np.ndarray, start: int, change: np.ndarray
    ) -> None:
        """Adds to each mutant what its own base can reach of the shared stretch."""
        before, after = self._graph.reach[-1]
        rows = start + np.arange(change.shape[1])
        away = rows - positions[:, None]
        mutant, row = np.nonzero((away >= -before) & (away <= after))
        result[mutant, rows[row] - self._rows[-1, 0]] += change[mutant, row]


class _Kernel:
    """The weights of a convolution or dense layer, applied without its bias."""

    def __init__(self, step: LocalStep) -> None:
        layer = step.layer
        weights = ops.convert_to_tensor(layer.kernel)
        dense = isinstance(layer, keras.layers.Dense)
        self._weights = weights[None] if dense else weights
        self._dilation = 1 if dense else layer.dilation_rate[0]
        self._left, self._right = step.left, step.right

    def apply(self, first: Tensor, rows: Tensor, start: Tensor, end: Tensor) -> Tensor:
        """Returns rows of the result for rows that are zero outside of those given.

        Args:
            first: number of the first of ``rows``.
            rows: ``(batch, rows, features)``.
            start: number of the first row of the result.
            end: its exclusive end.

        Returns:
            ``(batch, end - start, filters)``.
        """
        taps, _, filters = self._weights.shape
        left, right = self._left, self._right
        # TensorFlow's convolution on a CPU is three times slower than products
        # summed tap by tap where it is dilated or has few filters.
        if self._dilation > 1:
            return _total(
                _cut(first + left - tap * self._dilation, product, start, end)
                for tap, product in enumerate(
                    ops.matmul(rows, self._weights[tap]) for tap in range(taps)
                )
            )
        rows = _cut(first, rows, start - left, end + right)
        if filters >= _FEW:
            return ops.conv(rows, self._weights, padding="valid")
        products = ops.einsum("bwc,tcf->tbwf", rows, self._weights)
        width = end - start
        return _total(products[tap, :, tap : tap + width] for tap in range(taps))


def _total(parts: Iterable[Tensor]) -> Tensor:
    return functools.reduce(operator.add, parts)


def _cut(first: Tensor, rows: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Rows ``start`` to ``end`` of rows from ``first`` on that are zero elsewhere."""
    last = first + ops.shape(rows)[1]
    low, high = _between(first, start, end), _between(last, start, end)
    rows = rows[:, ops.maximum(low - first, 0) : ops.maximum(high - first, 0)]
    margins = [(0, 0), (low - start, end - high), (0, 0)]
    return ops.pad(rows, margins[: len(rows.shape)])


def _between(row: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return ops.minimum(ops.maximum(row, low), high)


def _apply(layer: keras.layers.Layer, read: list[Tensor]) -> Tensor:
    if isinstance(layer, keras.layers.Reshape):
        # Its own target may name the length of the whole window.
        return read[0][..., 0] if len(read[0].shape) == 3 else read[0][..., None]
    return layer(read if len(read) > 1 else read[0])


def _compiled(function: Callable[..., _Rows], features: int) -> Callable[..., _Rows]:
    """Compiles once for stretches of any length, where the backend can do that."""
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    row = tf.TensorSpec((), tf.int32)
    made = tf.TensorSpec((None, None, features), tf.float32)
    return tf.function(function, input_signature=(row, row, made), autograph=False)
