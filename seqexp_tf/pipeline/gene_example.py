"""What a model of genes reads of parsed records, and what it should say."""

from collections.abc import Sequence

import tensorflow as tf

from seqexp_tf.genome.alphabet import COMPLEMENT
from seqexp_tf.records.schema import Schema

INPUTS = ("sequence", "signals", "features", "blocked", "given")
BASES = 4
BLACKLIST = "blacklist"
"""The channel that becomes ``blocked``."""

PEAKS = "peaks"
"""The channel that becomes ``given`` unless another is named."""

Tensors = dict[str, tf.Tensor]


def gene_example(
    parsed: Tensors,
    schema: Schema,
    *,
    inputs: Sequence[str],
    positions: tf.Tensor,
    reverse: tf.Tensor | None,
    given: str = PEAKS,
) -> tuple[Tensors, Tensors]:
    """Returns what a model of genes reads, and what it should say.

    Read from the other strand, a window of an even number of bases has its TSS at
    ``window // 2 - 1``: any even number of bases in the centre stays the same.

    Args:
        parsed: arrays of the records, batch first.
        schema: of the dataset.
        inputs: which of these are wanted:
            ``sequence`` one-hot A C G T ``(batch, window, 4)``, all zero for N;
            ``signals`` ``(batch, window, signals)``, in the order of
            ``ExpressionShape.signals``: the contact last, that of each base's bin, 0
            outside the contig;
            ``features`` ``(batch, features)``;
            ``blocked`` ``(batch, window)``, 1 inside the channel ``blacklist``, zeros
            without one;
            ``given`` ``(batch, window)``, 1 inside that channel. All float32.
        positions: those of the record to read, int32 ``(batch or 1, window)``; in
            descending order where ``reverse`` is.
        reverse: bool ``(batch, 1)``, True where a window is read from the other
            strand; None for nowhere.
        given: name of a channel.

    Returns:
        The inputs, and the targets: ``expression`` float32 ``(batch,)``.
    """
    found: Tensors = {}
    if "sequence" in inputs:
        bases = _at(parsed["sequence"], positions)
        if reverse is not None:
            turned = tf.gather(tf.constant(COMPLEMENT), tf.cast(bases, tf.int32))
            bases = tf.where(reverse, turned, bases)
        found["sequence"] = tf.one_hot(bases, BASES)
    if "signals" in inputs:
        found["signals"] = _signals(parsed, schema, positions)
    if "features" in inputs:
        found["features"] = parsed["features"]
    for name, channel in (("blocked", BLACKLIST), ("given", given)):
        if name in inputs:
            found[name] = _channel(parsed, schema, positions, channel)
    return found, {"expression": parsed["target"]}


def _signals(parsed: Tensors, schema: Schema, positions: tf.Tensor) -> tf.Tensor:
    tracks = []
    if "signals" in parsed:
        tracks.append(tf.transpose(_at(parsed["signals"], positions), (0, 2, 1)))
    if "contact" in parsed:
        offset = tf.cast(parsed["contact_offset"], tf.int32)[:, None]
        bins = (positions + offset) // schema.expression.resolution
        contact = tf.gather(parsed["contact"], bins, batch_dims=1)
        first, last = tf.split(tf.cast(parsed["inside"], tf.int32), 2, axis=1)
        inside = (positions >= first) & (positions < last)
        tracks.append(tf.where(inside, contact, 0.0)[..., None])
    return tf.concat(tracks, axis=-1)


def _channel(
    parsed: Tensors, schema: Schema, positions: tf.Tensor, name: str
) -> tf.Tensor:
    feature = schema.by_name.get("channels")
    if feature is None or name not in feature.tracks:
        return tf.zeros_like(_at(parsed["sequence"], positions), tf.float32)
    track = parsed["channels"][:, feature.tracks.index(name)]
    return tf.cast(_at(track, positions), tf.float32)


def _at(values: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """Returns ``values`` (batch first, positions last) at ``positions``."""
    if positions.shape[0] == 1:
        return tf.gather(values, positions[0], axis=-1)
    return tf.gather(values, positions, axis=-1, batch_dims=1)
