"""One block of a Transformer encoder."""

from typing import Literal

import keras

from seqexp_tf.layers.attention import SelfAttention
from seqexp_tf.layers.cpu import for_cpu


@keras.saving.register_keras_serializable("seqexp_tf")
class TransformerBlock(keras.layers.Layer):
    """Self-attention and a position-wise feed-forward network, each with a residual.

    Args:
        heads: attention heads.
        feed_forward: units of the hidden layer between the two linear maps (ReLU).
        normalization: ``post`` normalises each sum (Vaswani et al. 2017), ``pre``
            the input of each branch (Xiong et al. 2020), which trains more evenly.
        rotary: rotary positions in the attention.
        dropout: share of each branch's output dropped in training.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, features)``.

    Example:

    ```python
    TransformerBlock(heads=4, feed_forward=512)(keras.random.normal((2, 2048, 128)))
    ```

    Reference:
        [Xiong et al. 2020](https://arxiv.org/abs/2002.04745)
    """

    def __init__(
        self,
        *,
        heads: int,
        feed_forward: int,
        normalization: Literal["post", "pre"] = "post",
        rotary: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.heads = heads
        self.feed_forward = feed_forward
        self.normalization = normalization
        self.rotary = rotary
        self.dropout = dropout
        layers, policy = keras.layers, self.dtype_policy
        self.attention = SelfAttention(
            heads=heads, rotary=rotary, dtype=policy, name="attention"
        )
        self.attention_norm = layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="attention_norm"
        )
        self.attention_dropout = layers.Dropout(dropout, dtype=policy)
        self.hidden = for_cpu(
            layers.Dense(feed_forward, activation="relu", dtype=policy, name="hidden")
        )
        self.feed_forward_norm = layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="feed_forward_norm"
        )
        self.feed_forward_dropout = layers.Dropout(dropout, dtype=policy)

    def build(self, input_shape):
        self.attention.build(input_shape)
        self.attention_norm.build(input_shape)
        self.hidden.build(input_shape)
        output_map = keras.layers.Dense(
            input_shape[-1], dtype=self.dtype_policy, name="output_map"
        )
        self.output_map = for_cpu(output_map)
        self.output_map.build((*input_shape[:-1], self.feed_forward))
        self.feed_forward_norm.build(input_shape)

    # No argument ``training``, as in ``DilatedBlock``.
    def call(self, inputs):
        def attention(x):
            return self.attention_dropout(self.attention(x))

        def feed_forward(x):
            return self.feed_forward_dropout(self.output_map(self.hidden(x)))

        x = inputs
        if self.normalization == "pre":
            x = x + attention(self.attention_norm(x))
            return x + feed_forward(self.feed_forward_norm(x))
        x = self.attention_norm(x + attention(x))
        return self.feed_forward_norm(x + feed_forward(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "normalization": self.normalization,
            "rotary": self.rotary,
            "dropout": self.dropout,
        }
