"""What a model of genes reads of serialised records, and what it should say."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from seqexp_tf.genome.alphabet import COMPLEMENT
from seqexp_tf.pipeline.reader import decode, decode_window, parse_bytes
from seqexp_tf.records.schema import Schema

INPUTS = ("sequence", "signals", "features", "blocked", "given")
BLACKLIST = "blacklist"
"""The channel that becomes ``blocked``."""

PEAKS = "peaks"
"""The channel that becomes ``given`` unless another is named."""

Tensors = dict[str, tf.Tensor]

_STORED = {
    "sequence": ("sequence",),
    "signals": ("signals", "contact", "contact_offset", "inside"),
    "features": ("features",),
    "blocked": ("channels",),
    "given": ("channels",),
}
"""Arrays of a record behind each input."""

_ONE_HOT = np.eye(5, 4, dtype=np.float32)
_BOTH_STRANDS = np.concatenate([_ONE_HOT, _ONE_HOT[COMPLEMENT]])


def gene_example(
    records: tf.Tensor,
    schema: Schema,
    *,
    inputs: Sequence[str],
    window: int,
    begin: tf.Tensor,
    reverse: tf.Tensor | None,
    given: str = PEAKS,
) -> tuple[Tensors, Tensors]:
    """Returns what a model of genes reads, and what it should say.

    Read from the other strand, a window of an even number of bases has its TSS at
    ``window // 2 - 1``: any even number of bases in the centre stays the same.

    Args:
        records: serialised, strings ``(batch,)``.
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
        window: how many bases to read.
        begin: position in the record of the first of them, int32 ``(batch or 1, 1)``.
        reverse: bool ``(batch,)``, True where a window is read from the other
            strand; None for nowhere.
        given: name of a channel.

    Returns:
        The inputs, and the targets: ``expression`` float32 ``(batch,)``.
    """
    wanted = {"target", *(name for each in inputs for name in _STORED[each])}
    kept = {f.name: f for f in schema.features if f.name in wanted}
    values = parse_bytes(records, kept.values())

    def array(name: str) -> tf.Tensor:
        return decode(values[name], kept[name])

    def tracks(name: str) -> tf.Tensor:
        return decode_window(values[name], kept[name], begin, window)

    def signals() -> tf.Tensor:
        parts = [tracks("signals")] if "signals" in kept else []
        if "contact" in kept:
            positions = begin + tf.range(window)
            offset = tf.cast(array("contact_offset"), tf.int32)[:, None]
            bins = (positions + offset) // schema.expression.resolution
            contact = tf.gather(array("contact"), bins, batch_dims=1)
            first, last = tf.split(tf.cast(array("inside"), tf.int32), 2, axis=1)
            inside = (positions >= first) & (positions < last)
            parts.append(tf.where(inside, contact, 0.0)[:, None])
        return tf.concat(parts, axis=1)

    def channel(name: str) -> tf.Tensor:
        names = kept["channels"].tracks if "channels" in kept else ()
        if name not in names:
            return tf.zeros((records.shape[0] or tf.shape(records)[0], window))
        track = tracks("channels")[:, names.index(name)]
        return tf.cast(_on_strand(track, reverse), tf.float32)

    read = {
        "sequence": lambda: _one_hot(tracks("sequence")[:, 0], reverse),
        "signals": lambda: tf.transpose(_on_strand(signals(), reverse), (0, 2, 1)),
        "features": lambda: array("features"),
        "blocked": lambda: channel(BLACKLIST),
        "given": lambda: channel(given),
    }
    return {name: read[name]() for name in inputs}, {"expression": array("target")}


def _one_hot(bases: tf.Tensor, reverse: tf.Tensor | None) -> tf.Tensor:
    indices = tf.cast(_on_strand(bases, reverse), tf.int32)
    if reverse is None:
        return tf.gather(_ONE_HOT, indices)
    other = tf.where(reverse, len(_ONE_HOT), 0)[:, None]
    return tf.gather(_BOTH_STRANDS, indices + other)


def _on_strand(values: tf.Tensor, reverse: tf.Tensor | None) -> tf.Tensor:
    """Turns the last axis around, that of bases, where ``reverse`` is."""
    if reverse is None:
        return values
    turned = tf.where(reverse, values.shape[-1], 0)
    return tf.reverse_sequence(
        values, turned, seq_axis=values.shape.rank - 1, batch_axis=0
    )
