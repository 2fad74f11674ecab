"""The recurrence of a selective state space, and its gradient.

A sequence is cut into chunks that advance side by side: position t of all of them is
one step. Each chunk starts from the state in which the one before it ends, which a
first pass through the chunks from a state of zero finds, together with a short
recurrence over their ends. A chunk is gone through in blocks of ``BLOCK`` positions.
Only the states between blocks are kept for the gradient; those inside a block are
computed again, so that never more than the states of one block of each chunk live.

A compiled loop on a CPU takes a step in the time of its arithmetic. There one chunk is
best: nothing is computed twice, and states stay in the cache. Where every operation of
a step has a cost of its own (graphs that are not compiled), a step has to be large.
What is compiled for an accelerator is in ``scan_parallel``.

Inside, states are ``(rows, state, channels)``, where a row is a chunk of one sequence:
channels lie side by side, as vector instructions want them.
"""

import functools
from typing import NamedTuple

from keras import ops

from seqexp_tf.layers import scan_parallel
from seqexp_tf.layers.backend import ON_JAX, as_graph, has_accelerator, scan

BLOCK = (16, 64)
"""Fewest and most positions between two states that are kept."""

_IN_BLOCK = 1 << 18
"""Numbers in the states of a block: some such tensors fit into the cache of a core."""

_STEP_ON_CPU, _STEP_ON_ACCELERATOR = 1 << 17, 1 << 20
"""Numbers in the states of all chunks together, where more than one is wanted."""


@functools.cache
def graphs(*, compiled: bool):
    """Returns ``forward`` and ``backward`` as graphs.

    Args:
        compiled: by XLA. Otherwise a graph has TensorFlow's plain operations alone,
            and can be served.
    """
    if has_accelerator() and (compiled or ON_JAX):
        return tuple(
            as_graph(function, compiled=True)
            for function in (scan_parallel.forward, scan_parallel.backward)
        )
    serial = compiled and not has_accelerator()
    return tuple(
        as_graph(functools.partial(function, serial=serial), compiled=compiled)
        for function in (forward, backward)
    )


def forward(x, delta, A, B, C, D, *, serial: bool):
    """Returns the outputs, and the states before each block.

    Args:
        x: float32 ``(batch, length, channels)``.
        delta: the same shape.
        A: ``(channels, state)``.
        B: ``(batch, length, state)``.
        C: the same shape.
        D: ``(channels,)``.
        serial: one chunk for each sequence.

    Returns:
        ``(batch, length, channels)`` and ``(blocks, rows, state, channels)``.
    """
    plan = _Plan.of(x, A, serial)
    A = ops.transpose(A)
    inputs = tuple(plan.split(values) for values in (delta, x, B, C))

    def step(carry, slices):
        delta, x, B, C = slices
        h = _decay(delta, A) * carry[0] + _outer(B, delta * x)
        return (h,), (_sum_states(C, h) + D * x,)

    def block(carry, slices):
        after, (y,) = scan(step, carry, slices, outputs=1)
        return after, (y, carry[0])

    start = _starts(plan, A, inputs[0], inputs[0] * inputs[1], inputs[2])
    _, (y, states) = scan(block, (start,), inputs, outputs=2)
    return plan.join(y), states


def backward(x, delta, A, B, C, D, states, dy, *, serial: bool):
    """Returns the gradients of ``x``, ``delta``, ``A``, ``B``, ``C`` and ``D``.

    Args:
        x: and the next five: as in ``forward``.
        states: as ``forward`` returned them.
        dy: gradient of the outputs.
        serial: as in ``forward``.
    """
    plan = _Plan.of(x, A, serial)
    A = ops.transpose(A)
    inputs = [plan.split(values) for values in (delta, x, B, C, dy)]

    def again(carry, slices):
        decay, u, B = slices
        h = decay * carry[0] + _outer(B, u)
        return (h,), (h,)

    def step(carry, slices):
        carried, dA = carry
        decay, delta, C, dy, before = slices
        dh = carried + _outer(C, dy)
        carried = decay * dh
        ddecay = carried * before
        dA = dA + ddecay * delta[:, None, :]
        return (carried, dA), (dh, ops.sum(ddecay * A, axis=1))

    def block(carry, slices):
        carried, dA, dD = carry
        delta, x, B, C, dy, before = slices
        decay, u = _decay(delta, A), delta * x
        _, (h,) = scan(again, (before,), (decay, u, B), outputs=1)
        dC = _sum_channels(h, dy)
        before = ops.concatenate([before[None], h[:-1]], axis=0)
        (carried, of_block), (dh, by_decay) = scan(
            step,
            (carried, ops.zeros_like(dA)),
            (decay, delta, C, dy, before),
            outputs=2,
            reverse=True,
        )
        dB = _sum_channels(dh, u)
        du = _sum_states(B, dh)
        carry = (carried, dA + of_block, dD + ops.sum(dy * x, axis=0))
        return carry, (delta * du + D * dy, x * du + by_decay, dB, dC)

    end = _starts(plan, A, inputs[0], inputs[4], inputs[3], reverse=True)
    carry = (end, ops.zeros_like(end), ops.zeros_like(inputs[1][0, 0]))
    (_, dA, dD), given = scan(block, carry, (*inputs, states), outputs=4, reverse=True)
    dx, ddelta, dB, dC = (plan.join(values) for values in given)
    return dx, ddelta, ops.transpose(ops.sum(dA, axis=0)), dB, dC, ops.sum(dD, axis=0)


def _starts(plan, A, delta, u, B, *, reverse: bool = False):
    """Returns the state in which each chunk starts, ``(rows, state, channels)``.

    In reverse, what is carried into the end of each chunk from those after it.
    """
    rows = (ops.shape(u)[2], *A.shape)
    zero = ops.zeros(rows, A.dtype)
    if plan.serial:
        return zero

    def step(carry, slices):
        delta, u, B = slices
        decay, (h,) = _decay(delta, A), carry
        if reverse:
            return (decay * (h + _outer(B, u)),), ()
        return (decay * h + _outer(B, u),), ()

    def combine(carry, slices):
        (h,), (own, decay) = carry, slices
        return (decay * h + own,), (h,)

    steps = [
        ops.reshape(values, (plan.blocks * plan.block, *ops.shape(values)[2:]))
        for values in (delta, u, B)
    ]
    (own,), _ = scan(step, (zero,), tuple(steps), outputs=0, reverse=reverse)
    whole = _decay(ops.sum(steps[0], axis=0), A)
    by_chunk = tuple(
        ops.swapaxes(ops.reshape(values, (plan.batch, plan.chunks, *A.shape)), 0, 1)
        for values in (own, whole)
    )
    _, (starts,) = scan(
        combine, (ops.zeros_like(by_chunk[0][0]),), by_chunk, outputs=1, reverse=reverse
    )
    return ops.reshape(ops.swapaxes(starts, 0, 1), rows)


class _Plan(NamedTuple):
    """How sequences are cut: ``chunks`` of ``blocks`` times ``block`` positions."""

    batch: int
    length: int
    chunks: int
    blocks: int
    block: int
    serial: bool

    @classmethod
    def of(cls, x, A, serial: bool) -> "_Plan":
        batch, length, _ = ops.shape(x)
        size = batch * A.shape[0] * A.shape[1]
        if serial:
            chunks = 1
        else:
            step = _STEP_ON_ACCELERATOR if has_accelerator() else _STEP_ON_CPU
            # As many as fill a step, none shorter than a block.
            chunks = _between(_up(step, size), 1, _up(length, BLOCK[1]))
        in_chunk = _up(length, chunks)
        blocks = _up(in_chunk, _between(_IN_BLOCK // (chunks * size), *BLOCK))
        return cls(batch, length, chunks, blocks, _up(in_chunk, blocks), serial)

    def split(self, values):
        """``(batch, length, features)`` to ``(blocks, block, rows, features)``."""
        features = values.shape[-1]
        padding = self.chunks * self.blocks * self.block - self.length
        if not isinstance(padding, int) or padding:
            # Where delta is zero, a state stays as it is.
            values = ops.pad(values, ((0, 0), (0, padding), (0, 0)))
        values = ops.reshape(
            values, (self.batch, self.chunks, self.blocks, self.block, features)
        )
        return ops.reshape(
            ops.transpose(values, (2, 3, 0, 1, 4)),
            (self.blocks, self.block, self.batch * self.chunks, features),
        )

    def join(self, values):
        """The inverse of ``split``."""
        features = values.shape[-1]
        values = ops.reshape(
            values, (self.blocks, self.block, self.batch, self.chunks, features)
        )
        values = ops.reshape(
            ops.transpose(values, (2, 3, 0, 1, 4)),
            (self.batch, self.chunks * self.blocks * self.block, features),
        )
        return values[:, : self.length]


def _up(number, divisor):
    return (number + divisor - 1) // divisor


def _between(number, least, most):
    if all(isinstance(value, int) for value in (number, least, most)):
        return min(max(number, least), most)
    return ops.minimum(ops.maximum(number, least), most)


def _decay(delta, A):
    return ops.exp(delta[..., None, :] * A)


def _outer(B, u):
    return B[..., :, None] * u[..., None, :]


def _sum_states(B, h):
    return ops.sum(B[..., :, None] * h, axis=-2)


def _sum_channels(h, u):
    return ops.matmul(h, u[..., None])[..., 0]
