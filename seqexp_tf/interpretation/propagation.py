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
_Rows = tuple[Tensor, Tensor]  # The number of the first, and the rows.
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
        self._kernels: dict[int, _Kernel] = {}
        self._sums: dict[int, Tensor] = {}  # Before the activation.
        for at, step in enumerate(graph.steps, start=len(graph.inputs)):
            read = [self._kept[tensor] for tensor in step.inputs]
            if not isinstance(step.layer, (keras.layers.Conv1D, keras.layers.Dense)):
                self._kept.append(_apply(step.layer, read))
                continue
            self._kernels[at] = _Kernel(step)
            self._sums[at] = self._kernels[at].apply(0, read[0], 0, length)
            if step.layer.use_bias:
                self._sums[at] += step.layer.bias
            self._kept.append(step.layer.activation(self._sums[at]))
        self._propagate = _compiled(self._difference, inputs[sequence].shape[2])
        self.reference: np.ndarray = np.asarray(self._kept[-1])[0, first:last]

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
            start, change = self._propagate(np.int32(low), np.int32(high), made)
            change = np.asarray(change)
            self._add(result, positions, int(start), change)
        return result

    def _difference(self, low: Tensor, high: Tensor, made: Tensor) -> _Rows:
        """The difference in the output that one in rows ``low`` to ``high`` makes."""
        changes: dict[int, _Rows] = {self._sequence: (low, made)}
        for at, step in enumerate(self._graph.steps, start=len(self._graph.inputs)):
            reach = self._graph.reach[at]
            if reach is not None:
                first, last = self._rows[at].tolist()
                # At least a row, as a convolution to no rows fails.
                start = _between(low - reach[0], first, last - 1)
                end = _between(high + reach[1], start + 1, last)
                changes[at] = start, self._change(at, step, changes, start, end)
        return changes[len(self._kept) - 1]

    def _change(
        self,
        at: int,
        step: LocalStep,
        changes: Mapping[int, _Rows],
        start: Tensor,
        end: Tensor,
    ) -> Tensor:
        """Rows ``start`` to ``end`` of the difference in what a step makes."""
        layer = step.layer
        kept = self._kept[at][:, start:end]
        if at in self._kernels:
            change = self._kernels[at].apply(*changes[step.inputs[0]], start, end)
            if layer.activation is keras.activations.linear:
                return change
            return layer.activation(self._sums[at][:, start:end] + change) - kept
        mutants = ops.shape(changes[self._sequence][1])[0]
        read = []
        for tensor in step.inputs:
            if tensor in changes:
                read.append(_cut(*changes[tensor], start, end))
            else:
                none = ops.zeros_like(self._kept[tensor][:, start:end])
                read.append(ops.repeat(none, mutants, axis=0))
        if type(layer) in _LINEAR:
            return _apply(layer, read)
        read = [
            self._kept[tensor][:, start:end] + change
            for tensor, change in zip(step.inputs, read, strict=True)
        ]
        return _apply(layer, read) - kept

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
