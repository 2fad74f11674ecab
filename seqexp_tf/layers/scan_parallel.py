"""The recurrence of a selective state space on an accelerator, and its gradient.

There a loop over positions costs the start of its kernels at each of them, which is
far more than the arithmetic. A sequence is gone through in long blocks; inside a block
all positions advance together, by the associative scan of the pairs (decay, input)
(Blelloch 1990; Gu & Dao 2023, section 3.3.2). Only the states between blocks are kept
for the gradient, and those inside a block are computed again.

States are ``(batch, position, state, channels)``.
"""

from keras import ops

from seqexp_tf.layers.backend import scan

IN_BLOCK = 1 << 26
"""Numbers in the states of a block: some ten such tensors of float32 live at once."""


def forward(x, delta, A, B, C, D):
    """Returns the outputs, and the states before each block.

    Args:
        x: and the next five: as in ``scan_graph.forward``.

    Returns:
        ``(batch, length, channels)`` and ``(blocks, batch, state, channels)``.
    """
    A = ops.transpose(A)
    length, block = x.shape[1], _positions(x, A)
    inputs = tuple(_split(values, block) for values in (delta, x, B, C))

    def advance(carry, slices):
        (before,), (delta, x, B, C) = carry, slices
        h, _ = _states(before, delta, x, A, B)
        y = ops.sum(C[..., None] * h, axis=2) + D * x
        return (h[:, -1],), (y, before)

    start = ops.zeros((ops.shape(x)[0], *A.shape), A.dtype)
    _, (y, states) = scan(advance, (start,), inputs, outputs=2)
    return _join(y, length), states


def backward(x, delta, A, B, C, D, states, dy):
    """Returns the gradients of ``x``, ``delta``, ``A``, ``B``, ``C`` and ``D``.

    Args:
        x: and the next five: as in ``scan_graph.forward``.
        states: as ``forward`` returned them.
        dy: gradient of the outputs.
    """
    A = ops.transpose(A)
    length, block = x.shape[1], _positions(x, A)
    inputs = tuple(_split(values, block) for values in (delta, x, B, C, dy))

    def retreat(carry, slices):
        carried, dA, dD = carry
        delta, x, B, C, dy, before = slices
        h, decay = _states(before, delta, x, A, B)
        # What reaches a state from the one after it, by the decay between both.
        ahead = ops.concatenate([decay[:, 1:], ops.ones_like(decay[:, :1])], axis=1)
        through, within = ops.associative_scan(
            _combine, (ahead, C[..., None] * dy[:, :, None]), reverse=True, axis=1
        )
        dh = through * carried[:, None] + within
        before = ops.concatenate([before[:, None], h[:, :-1]], axis=1)
        by_decay = dh * decay * before
        du = ops.sum(B[..., None] * dh, axis=2)
        given = (
            delta * du + D * dy,
            x * du + ops.sum(by_decay * A, axis=2),
            ops.sum(dh * (delta * x)[:, :, None], axis=3),
            ops.sum(h * dy[:, :, None], axis=3),
        )
        dA = dA + ops.sum(by_decay * delta[:, :, None], axis=(0, 1))
        carry = (decay[:, 0] * dh[:, 0], dA, dD + ops.sum(dy * x, axis=(0, 1)))
        return carry, given

    end = ops.zeros((ops.shape(x)[0], *A.shape), A.dtype)
    carry = (end, ops.zeros_like(A), ops.zeros_like(D))
    (_, dA, dD), given = scan(
        retreat, carry, (*inputs, states), outputs=4, reverse=True
    )
    dx, ddelta, dB, dC = (_join(values, length) for values in given)
    return dx, ddelta, ops.transpose(dA), dB, dC, dD


def _states(before, delta, x, A, B):
    """Returns the states of a block, and the decays into them."""
    decay = ops.exp(delta[:, :, None] * A)
    through, within = ops.associative_scan(
        _combine, (decay, B[..., None] * (delta * x)[:, :, None]), axis=1
    )
    return through * before[:, None] + within, decay


def _combine(first, second):
    """Two steps h -> decay h + input, one after the other, as one."""
    decay, value = second
    return first[0] * decay, decay * first[1] + value


def _positions(x, A) -> int:
    """Positions in a block, such that all blocks are nearly full."""
    batch, length, _ = x.shape
    # A batch of unknown size is the last, smaller one.
    most = max(IN_BLOCK // ((batch or 1) * A.shape[0] * A.shape[1]), 1)
    blocks = -(-length // most)
    return -(-length // blocks)


def _split(values, block):
    """``(batch, length, features)`` to ``(blocks, batch, block, features)``."""
    batch, (_, length, features) = ops.shape(values)[0], values.shape
    # Where delta is zero, a state stays as it is.
    values = ops.pad(values, ((0, 0), (0, -length % block), (0, 0)))
    return ops.swapaxes(ops.reshape(values, (batch, -1, block, features)), 0, 1)


def _join(values, length):
    """The inverse of ``_split``."""
    batch, features = ops.shape(values)[1], values.shape[-1]
    return ops.reshape(ops.swapaxes(values, 0, 1), (batch, -1, features))[:, :length]
