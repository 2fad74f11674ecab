"""Fresh masks for every training batch, drawn inside the graph.

Every draw is stateless: the same seed gives the same mask whatever ran before,
so that a resumed run sees the masks the undisturbed one would have seen.
"""

import tensorflow as tf

from seqexp_tf.genome.alphabet import MASKED, UNKNOWN
from seqexp_tf.records.masks import MaskingConfig


def expression_mask(
    shape: tuple[tf.Tensor | int, int], config: MaskingConfig, seed: tf.Tensor
) -> tf.Tensor:
    """Draws disjoint spans of hidden labels.

    Args:
        shape: batch size and window length.
        config: fraction(s) hidden and number of spans.
        seed: int64 tensor of shape ``(2,)``.

    Returns:
        bool of shape ``(batch, window)``, True where hidden.
    """
    batch, length = shape
    spans = config.expression_spans
    seeds = tf.random.split(seed, 2)
    low = config.expression_fraction
    high = (
        low
        if config.expression_fraction_max is None
        else (config.expression_fraction_max)
    )
    fraction = tf.random.stateless_uniform((batch, 1), seeds[0], low, high)
    hidden = tf.cast(tf.round(fraction * length), tf.int32)

    # Shares of the hidden bases that differ by one at most, and the room left
    # before each span: sorted draws keep the spans disjoint.
    index = tf.range(spans)[None, :]
    sizes = hidden // spans + tf.cast(index < hidden % spans, tf.int32)
    draws = tf.random.stateless_uniform((batch, spans), seeds[1])
    room = tf.cast(length - hidden + 1, tf.float32)
    gaps = tf.cast(tf.sort(draws, axis=1) * room, tf.int32)
    starts = gaps + tf.cumsum(sizes, axis=1, exclusive=True)

    position = tf.range(length)[None, None, :]
    inside = (position >= starts[..., None]) & (position < (starts + sizes)[..., None])
    return tf.reduce_any(inside, axis=1)


def mask_sequence(
    sequence: tf.Tensor, config: MaskingConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Selects bases and replaces them as in BERT.

    Args:
        sequence: uint8 indices of shape ``(batch, window)``.
        config: fraction selected and what becomes of it.
        seed: int64 tensor of shape ``(2,)``.

    Returns:
        uint8 indices as the model sees them (5 = mask token), and a bool tensor,
        True where selected. An N is never selected.
    """
    seeds = tf.random.split(seed, 3)
    shape = tf.shape(sequence)
    selected = (
        tf.random.stateless_uniform(shape, seeds[0]) < config.sequence_fraction
    ) & (sequence < UNKNOWN)
    fate = tf.random.stateless_uniform(shape, seeds[1])
    random_bases = tf.cast(
        tf.random.stateless_uniform(shape, seeds[2], 0, UNKNOWN, tf.int32), tf.uint8
    )
    token = config.token_probability
    replaced = tf.where(
        fate < token,
        tf.constant(MASKED, tf.uint8),
        tf.where(fate < token + config.random_probability, random_bases, sequence),
    )
    selected = tf.ensure_shape(selected, sequence.shape)
    return tf.where(selected, replaced, sequence), selected
