"""Where in each tensor mutants make a difference, and how rows get there."""

from dataclasses import dataclass

import keras
import numpy as np

from seqexp_tf.interpretation.receptive_field import LocalGraph, LocalStep


@dataclass(frozen=True)
class Move:
    """Rows of one tensor that another is made from.

    Attributes:
        number: its place among all moves.
        source: number of the tensor that is read.
        target: number of the tensor that is made.
        shift: added to the number of a row.
        left: rows before the target's stretch that are wanted, too.
        right: rows after it.
    """

    number: int
    source: int
    target: int
    shift: int = 0
    left: int = 0
    right: int = 0


class Stretches:
    """Plans the rows of each tensor that mutants of neighbouring bases change.

    A mutation at row ``i`` changes rows ``i - before`` to ``i + after`` of a tensor,
    see ``LocalGraph``; its stretch reaches from that of the first base to that of
    the last, without rows that no recorded output depends on.

    Args:
        graph: steps of the network.
        length: rows of every tensor.
        first: first row of the output that is recorded.
        last: its exclusive end.

    Attributes:
        moves: by tensor that depends on the sequence, what it is made from: one move
            for each tap of a dilated convolution, else one for each tensor read.
        count: number of moves.
    """

    def __init__(
        self, graph: LocalGraph, *, length: int, first: int, last: int
    ) -> None:
        self._needed = graph.needed(length, first, last)
        self._reach = graph.reach
        self._inputs = len(graph.inputs)
        self.moves: dict[int, list[Move]] = {}
        self.count = 0
        for at, step in enumerate(graph.steps, start=len(graph.inputs)):
            read = [one for one in step.inputs if graph.reach[one] is not None]
            for source in dict.fromkeys(read):
                for shift, left, right in _sights(step):
                    move = Move(self.count, source, at, shift, left, right)
                    self.moves.setdefault(at, []).append(move)
                    self.count += 1

    def rows(self, low: int, high: int) -> np.ndarray:
        """Returns the stretches of mutations in rows ``low`` to ``high``.

        Returns:
            int64 ``(tensors, 2)``, half-open; 0, 0 where nothing changes.
        """
        rows = np.zeros((len(self._reach), 2), np.int64)
        for at, reach in enumerate(self._reach):
            if reach is None:
                continue
            if at < self._inputs:
                rows[at] = low, high
            else:
                first, last = self._needed[at]
                # At least a row, as a convolution to no rows fails.
                start = np.clip(low - reach[0], first, last - 1)
                rows[at] = start, np.clip(high + reach[1], start + 1, last)
        return rows

    def cuts(self, rows: np.ndarray) -> np.ndarray:
        """Returns what each move takes of its source's stretch.

        Args:
            rows: what ``rows`` returned.

        Returns:
            int64 ``(moves, 4)``: first and exclusive end of what is taken, counted
            from the start of the stretch, and how many rows of zeros come before and
            after it.
        """
        moves = [move for group in self.moves.values() for move in group]
        shift = np.array([move.shift for move in moves])[:, None]
        beyond = np.array([(-move.left, move.right) for move in moves])
        source = rows[[move.source for move in moves]] + shift
        target = rows[[move.target for move in moves]] + beyond
        taken = np.clip(source, target[:, :1], target[:, 1:])
        within = np.maximum(taken - source[:, :1], 0)
        return np.concatenate([within, np.abs(taken - target)], axis=1)


def by_taps(layer: keras.layers.Layer) -> bool:
    """Whether the taps of a layer are applied one by one: a dilated convolution."""
    return isinstance(layer, keras.layers.Conv1D) and layer.dilation_rate[0] > 1


def _sights(step: LocalStep) -> list[tuple[int, int, int]]:
    """Shift, left and right of each move of a tensor that a step reads."""
    if not by_taps(step.layer):
        return [(0, step.left, step.right)]
    (dilation,) = step.layer.dilation_rate
    taps = step.layer.kernel_size[0]
    return [(step.left - tap * dilation, 0, 0) for tap in range(taps)]
