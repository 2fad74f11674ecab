"""Self-attention whose memory grows with the length of a sequence, not its square."""

import keras
from keras import ops

from seqexp_tf.layers.backend import after, fused_attention
from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.layers.positions import rotate

BLOCK = 512
"""Queries attended at once, where the length is known while the graph is built."""

_BLOCKS_OF_UNKNOWN_LENGTH = 32
_AT_ONCE = 4
"""Blocks under way at a time: one alone leaves cores waiting."""


@keras.saving.register_keras_serializable("seqexp_tf")
class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention over the bases of a window.

    Args:
        heads: number of heads; divides the features.
        rotary: turn queries and keys by their position (RoPE).

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, features)``.

    Example:

    ```python
    SelfAttention(heads=4)(keras.random.normal((2, 2048, 128)))
    ```

    Reference:
        [Vaswani et al. 2017](https://arxiv.org/abs/1706.03762),
        [RoFormer, Su et al. 2021](https://arxiv.org/abs/2104.09864)
    """

    def __init__(self, *, heads: int, rotary: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.rotary = rotary

    def build(self, input_shape):
        features = input_shape[-1]
        if features % self.heads:
            raise ValueError(f"{features} features do not divide by {self.heads} heads")
        self.size = features // self.heads
        self.project, self.combine = (
            for_cpu(keras.layers.Dense(units, dtype=self.dtype_policy, name=name))
            for units, name in ((3 * features, "project"), (features, "combine"))
        )
        self.project.build(input_shape)
        self.combine.build(input_shape)

    def call(self, inputs):
        batch, length = ops.shape(inputs)[0], ops.shape(inputs)[1]
        heads = ops.reshape(
            self.project(inputs), (batch, length, 3, self.heads, self.size)
        )
        query, key, value = ops.unstack(ops.transpose(heads, (2, 0, 3, 1, 4)), 3)
        if self.rotary:
            query, key = rotate(query), rotate(key)
        attended = attend(query * self.size**-0.5, key, value)
        merged = ops.reshape(
            ops.transpose(attended, (0, 2, 1, 3)),
            (batch, length, self.heads * self.size),
        )
        return self.combine(merged)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "rotary": self.rotary}


def attend(query, key, value):
    """Returns softmax(query keyᵀ) value, keeping no length x length matrix.

    Blocks of queries are attended one after the other, four at a time; the backward
    pass computes the weights of each block again instead of keeping them (Rabe & Staats
    2021, https://arxiv.org/abs/2112.05682). Where the backend has a fused kernel for
    the type of the numbers, that does the same.

    Args:
        query: ``(batch, heads, length, size)``, already scaled.
        key: the same shape.
        value: the same shape.

    Returns:
        The same shape.
    """

    fused = fused_attention(query, key, value)
    if fused is not None:
        return fused

    @ops.custom_gradient
    def blockwise(query, key, value):
        done = []
        for index, block in enumerate(_blocks(query)):
            if index >= _AT_ONCE:
                block = after(block, [done[index - _AT_ONCE]])
            weights = ops.softmax(ops.matmul(block, _transpose(key)), axis=-1)
            done.append(ops.matmul(weights, value))
        attended = ops.concatenate(done, axis=2)

        def gradient(upstream):
            # The softmax's gradient is weight x (d_weight - inner), where inner is
            # the sum over keys of weight x d_weight = upstream . attended. It rides
            # along the matrix product as one more column against a row of ones.
            inner = ops.sum(upstream * attended, axis=-1, keepdims=True)
            widened = ops.concatenate([upstream, -inner], axis=-1)
            value_and_one = ops.concatenate([value, ops.ones_like(value[..., :1])], -1)
            d_query, d_key, d_value = [], 0.0, 0.0
            before = [[upstream]] * _AT_ONCE
            for index, (block, d_block) in enumerate(
                zip(_blocks(query), _blocks(widened), strict=True)
            ):
                block = after(block, before[index])
                of_query, of_key, of_value = _gradient(
                    block, d_block, key, value_and_one
                )
                d_query.append(of_query)
                d_key += of_key
                d_value += of_value
                before.append([of_query, d_key, d_value])
            return ops.concatenate(d_query, axis=2), d_key, d_value

        return attended, gradient

    return blockwise(query, key, value)


def _gradient(block, d_block, key, value_and_one):
    """Returns what a block of queries adds to the gradients of query, key and value."""
    weights = ops.softmax(ops.matmul(block, _transpose(key)), axis=-1)
    d_scores = weights * ops.matmul(d_block, _transpose(value_and_one))
    return (
        ops.matmul(d_scores, key),
        ops.matmul(_transpose(d_scores), block),
        ops.matmul(_transpose(weights), d_block[..., :-1]),
    )


def _transpose(x):
    return ops.swapaxes(x, -1, -2)


def _blocks(x) -> list:
    length = x.shape[2]
    if length is None:
        length, count = ops.shape(x)[2], _BLOCKS_OF_UNKNOWN_LENGTH
    else:
        count = -(-length // BLOCK)
    size = (length + count - 1) // count
    return [x[:, :, index * size : (index + 1) * size] for index in range(count)]
