"""What the segments of a window say to each other, given back to their bases."""

from collections.abc import Sequence

import keras

from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.layers.dilated_block import DilatedBlock
from seqexp_tf.layers.segments import SpreadSegments
from seqexp_tf.layers.transformer_block import TransformerBlock


@keras.saving.register_keras_serializable("seqexp_tf")
class SegmentContext(keras.layers.Layer):
    """Sums up segments of bases, relates them, and adds what was found to each base.

    A strided convolution makes one token of each segment; dilated convolutions and
    Transformer blocks (pre-norm, rotary) relate tokens, at ``segment`` times (in
    attention, its square times) less work than bases would cost.

    Args:
        segment: bases in a segment.
        features: of a token.
        dilations: of the convolutions between tokens.
        blocks: Transformer blocks after them.
        heads: attention heads of each.
        feed_forward: hidden units of their feed-forward networks.
        dropout: share dropped after each branch.

    Call arguments:
        inputs: ``(batch, length, any)``.

    Returns:
        the same shape.

    Reference:
        [Enformer, Avsec et al. 2021](https://doi.org/10.1038/s41592-021-01252-x)
        for attention over convolved segments.
    """

    def __init__(
        self,
        *,
        segment: int,
        features: int,
        dilations: Sequence[int] = (),
        blocks: int = 0,
        heads: int = 4,
        feed_forward: int = 128,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.segment = segment
        self.features = features
        self.dilations = [int(dilation) for dilation in dilations]
        self.blocks = blocks
        self.heads = heads
        self.feed_forward = feed_forward
        self.dropout = dropout
        policy = self.dtype_policy
        tokens = keras.layers.Conv1D(
            features,
            segment,
            strides=segment,
            padding="same",
            activation="relu",
            dtype=policy,
            name="tokens",
        )
        self.tokens = for_cpu(tokens)
        self.relations = [
            DilatedBlock(dilation=d, dropout=dropout, dtype=policy, name=f"dilated_{i}")
            for i, d in enumerate(self.dilations)
        ] + [
            TransformerBlock(
                heads=heads,
                feed_forward=feed_forward,
                normalization="pre",
                rotary=True,
                dropout=dropout,
                dtype=policy,
                name=f"block_{index}",
            )
            for index in range(blocks)
        ]
        self.norm = keras.layers.LayerNormalization(
            epsilon=1e-5, dtype=policy, name="norm"
        )
        self.spread = SpreadSegments(segment, dtype=policy, name="spread")

    def build(self, input_shape):
        self.tokens.build(input_shape)
        shape = self.tokens.compute_output_shape(input_shape)
        for layer in (*self.relations, self.norm):
            layer.build(shape)
        back = keras.layers.Dense(input_shape[-1], dtype=self.dtype_policy, name="back")
        self.back = for_cpu(back)
        self.back.build(shape)

    def call(self, inputs):
        tokens = self.tokens(inputs)
        for layer in self.relations:
            tokens = layer(tokens)
        return inputs + self.spread([self.back(self.norm(tokens)), inputs])

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "segment": self.segment,
            "features": self.features,
            "dilations": self.dilations,
            "blocks": self.blocks,
            "heads": self.heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
        }
