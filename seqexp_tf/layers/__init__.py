"""Keras layers; importing this registers them, so that saved models load."""

from seqexp_tf.layers.attention import SelfAttention
from seqexp_tf.layers.positions import SinusoidalPositions
from seqexp_tf.layers.segments import SpreadSegments
from seqexp_tf.layers.transformer_block import TransformerBlock

__all__ = [
    "SelfAttention",
    "SinusoidalPositions",
    "SpreadSegments",
    "TransformerBlock",
]
