"""DNA strings inside a graph."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from seqexp_tf.genome.alphabet import encode
from seqexp_tf.serving.checks import refuse_unless

LETTERS = "ACGTURYSWKMBDHVN"
"""Nucleotide codes of IUPAC; in lower case as well."""

_REFUSED = -1
_OUTSIDE = -1

_FROM_BYTE = np.full(256, _REFUSED, dtype=np.int32)
for _letter in LETTERS + LETTERS.lower():
    _FROM_BYTE[ord(_letter)] = encode(_letter)[0]


class Placed(NamedTuple):
    """DNA strings in windows: the base ``n // 2`` of ``n`` at ``window // 2``.

    Attributes:
        bases: int32 ``(batch, window)``, 0 to 4 for A, C, G, T, N; -1 outside.
        inside: bool ``(batch, window)``, False outside the string.
        left: int32 ``(batch, 1)``, bases of the window before the string.
        lengths: int32 ``(batch, 1)``, of the strings.
    """

    bases: tf.Tensor
    inside: tf.Tensor
    left: tf.Tensor
    lengths: tf.Tensor

    def from_string(self, values: tf.Tensor, fill: float) -> tf.Tensor:
        """Returns values along strings ``(batch, n)`` in the window.

        Args:
            values: of at least as many columns as the longest string has bases.
            fill: what stands outside the string.
        """
        window = self.bases.shape[1]
        moved = _shift(values, tf.range(window) - self.left)
        return tf.where(self.inside, moved, fill)

    def to_string(self, values: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        """Returns ``(batch, window, ...)`` along the strings, ``(batch, length, ...)``.

        Beyond the end of a string it is NaN.
        """
        columns = tf.range(length)
        moved = _shift(values, columns + self.left)
        within = columns < self.lengths
        return _or_nan(within, moved)

    def or_nan(self, values: tf.Tensor) -> tf.Tensor:
        """Returns ``(batch, window, ...)``, NaN outside the strings."""
        return _or_nan(self.inside, values)


def place(dna: tf.Tensor, window: int) -> Placed:
    """Reads DNA strings, upper or lower case, U as T, other IUPAC codes as N.

    Args:
        dna: string ``(batch,)``, each of 1 to ``window`` letters.
        window: bases in a window.

    Returns:
        The strings in windows. Running it fails for an empty or too long string, and
        for a byte that is no IUPAC code; the message names row, position and byte.
    """
    lengths = tf.strings.length(dna)
    row = tf.argmax(lengths, output_type=tf.int32)
    sizes = [
        refuse_unless(
            tf.reduce_all(lengths > 0),
            "dna[{}] is empty; expected 1 to " + f"{window} bases",
            tf.argmin(lengths),
        ),
        refuse_unless(
            tf.reduce_all(lengths <= window),
            "dna[{}] has {} bases; expected 1 to " + f"{window}, the model's window",
            row,
            tf.reduce_max(lengths),
        ),
    ]
    with tf.control_dependencies(sizes):
        raw = tf.io.decode_raw(dna, tf.uint8, fixed_length=window)
    lengths = lengths[:, None]
    raw = tf.cast(tf.reshape(raw, (-1, window)), tf.int32)
    codes = tf.gather(tf.constant(_FROM_BYTE), raw)
    wrong = (codes == _REFUSED) & (tf.range(window) < lengths)
    first = tf.unravel_index(
        tf.argmax(tf.reshape(wrong, [-1]), output_type=tf.int32), tf.shape(wrong)
    )
    letters = refuse_unless(
        ~tf.reduce_any(wrong),
        "dna[{}] has the byte {} at position {} (from 0); expected nucleotide codes "
        f"of IUPAC, {LETTERS} in upper or lower case",
        first[0],
        tf.gather_nd(raw, first),
        first[1],
    )
    with tf.control_dependencies([letters]):
        left = window // 2 - lengths // 2
    source = tf.range(window) - left
    inside = (source >= 0) & (source < lengths)
    bases = tf.where(inside, _shift(codes, source), _OUTSIDE)
    return Placed(bases, inside, left, lengths)


def _shift(values: tf.Tensor, source: tf.Tensor) -> tf.Tensor:
    """Returns the columns ``source`` ``(batch, n)`` of each row, clipped."""
    source = tf.clip_by_value(source, 0, tf.shape(values)[1] - 1)
    return tf.gather(values, source, batch_dims=1)


def _or_nan(kept: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    kept = tf.reshape(
        kept, tf.concat([tf.shape(kept), [1] * (values.shape.rank - 2)], 0)
    )
    return tf.where(kept, values, np.nan)
