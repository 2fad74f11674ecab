"""Augmentation that reads strand rules from the schema, never from code."""

import tensorflow as tf

from seqexp_tf.genome.alphabet import COMPLEMENT
from seqexp_tf.records.schema import NUCLEOTIDES, Feature


def reverse_feature(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Returns ``values`` (batch first) as read from the other strand."""
    for axis, name in enumerate(feature.axes, start=1):
        if name == "position":
            values = tf.reverse(values, [axis])
        elif name == "track" and feature.strand_permutation:
            values = tf.gather(values, feature.strand_permutation, axis=axis)
    if feature.encoding == NUCLEOTIDES:
        values = tf.gather(tf.constant(COMPLEMENT), tf.cast(values, tf.int32))
    return values


def random_reverse_complement(
    batch: dict[str, tf.Tensor], features: dict[str, Feature], seed: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Reads each record from the other strand with probability one half.

    Args:
        batch: arrays of the records, batch first.
        features: schema entry of each array.
        seed: int64 tensor of shape ``(2,)``.
    """
    size = tf.shape(next(iter(batch.values())))[0]
    flip = tf.random.stateless_uniform((size,), seed) < 0.5
    return {
        name: tf.where(
            tf.reshape(flip, [-1] + [1] * (len(values.shape) - 1)),
            reverse_feature(values, features[name]),
            values,
        )
        for name, values in batch.items()
    }
