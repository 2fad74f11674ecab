"""Self-attention whose memory grows with the length of a sequence, not its square."""

import keras
from keras import ops

from seqexp_tf.layers.backend import after, fused_attention, has_accelerator
from seqexp_tf.layers.positions import rotate

BLOCK = 256
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
        self.project = keras.layers.Dense(
            3 * features, dtype=self.dtype_policy, name="project"
        )
        self.project.build(input_shape)
        self.combine = keras.layers.Dense(
            features, dtype=self.dtype_policy, name="combine"
        )
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
        done, normalisers = [], []
        for index, block in enumerate(_blocks(query)):
            if index >= _AT_ONCE:
                block = after(block, [done[index - _AT_ONCE]])
            scores = ops.matmul(block, _transpose(key))
            weights = ops.softmax(scores, axis=-1)
            done.append(ops.matmul(weights, value))
            normalisers.append(_log_normaliser(scores, weights))
        attended = ops.concatenate(done, axis=2)
        normaliser = ops.concatenate(normalisers, axis=2)

        def gradient(upstream):
            # The softmax's gradient is weight x (d_weight - inner), where inner is
            # the sum over keys of weight x d_weight = upstream . attended. It rides
            # along the matrix product as one more column against a row of ones.
            inner = ops.sum(upstream * attended, axis=-1, keepdims=True)
            widened = ops.concatenate([upstream, -inner], axis=-1)
            value_and_one = _with_one(value)
            if _is_exact(query.dtype):
                blocks = _blocks(ops.concatenate([query, -normaliser], axis=-1))
                of_block, keys = _gradient_by_keys, (key, _with_one(key))
            else:
                blocks, of_block, keys = _blocks(query), _gradient_by_queries, (key,)
            d_query, d_key, d_value = [], 0.0, 0.0
            before = [[upstream]] * _AT_ONCE
            for index, (block, d_block) in enumerate(
                zip(blocks, _blocks(widened), strict=True)
            ):
                block = after(block, before[index])
                of_query, of_key, of_value = of_block(
                    block, d_block, *keys, value_and_one
                )
                d_query.append(of_query)
                d_key += of_key
                d_value += of_value
                before.append([of_query, d_key, d_value])
            return ops.concatenate(d_query, axis=2), d_key, d_value

        return attended, gradient

    return blockwise(query, key, value)


def _is_exact(dtype) -> bool:
    """Whether products are of float32 throughout; GPUs may round what goes in."""
    return keras.backend.standardize_dtype(dtype) == "float32" and not has_accelerator()


def _gradient_by_keys(block, d_block, key, key_and_one, value_and_one):
    """Returns what a block adds to the gradients of query, key and value.

    Its weights are exp(score - normaliser), and the normaliser too rides along as a
    column of the queries. Keys are the first axis of both matrices, so that one product
    of three has a transposed left side, which takes twice as long, and not two.
    """
    size = key.shape[-1]
    weights = ops.exp(ops.matmul(key_and_one, _transpose(block)))
    d_scores = weights * ops.matmul(value_and_one, _transpose(d_block))
    return (
        ops.matmul(_transpose(d_scores), key),
        ops.matmul(d_scores, block[..., :size]),
        ops.matmul(weights, d_block[..., :-1]),
    )


def _gradient_by_queries(block, d_block, key, value_and_one):
    """Does so where products round too much to have a normaliser in them.

    The softmax is of scores that are rounded as those of the forward pass were.
    """
    weights = ops.softmax(ops.matmul(block, _transpose(key)), axis=-1)
    d_scores = weights * ops.matmul(d_block, _transpose(value_and_one))
    return (
        ops.matmul(d_scores, key),
        ops.matmul(_transpose(d_scores), block),
        ops.matmul(_transpose(weights), d_block[..., :-1]),
    )


def _log_normaliser(scores, weights):
    """Returns log sum exp(scores) over keys, read off where the weight is largest."""
    score, weight = (ops.max(x, axis=-1, keepdims=True) for x in (scores, weights))
    return score - ops.log(weight)


def _with_one(x):
    return ops.concatenate([x, ops.ones_like(x[..., :1])], axis=-1)


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
