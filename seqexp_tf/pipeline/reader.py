"""Serialised records out of shards, in a reproducible order."""

import math
from collections.abc import Iterable
from typing import Literal

import numpy as np
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.schema import Feature, Schema
from seqexp_tf.records.store import RecordStore

_INTERLEAVED_SHARDS = 8


def read_records(
    store: RecordStore,
    split: str,
    *,
    stream: tuple[int, int] = (0, 1),
    cache: bool = False,
    chosen: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns the serialised records of a split, shards interleaved in order.

    Args:
        store: the dataset.
        split: ``train``, ``validation`` or ``test``.
        stream: index of a stream and number of streams, to which shards are dealt
            out as whole files.
        cache: keep serialised records in memory between epochs.
        chosen: bool by record in stored order; the others are passed over, though
            read from disk again every epoch unless cached. None keeps all.

    Raises:
        DatasetError: fewer shards than streams.
    """
    index, streams = stream
    paths = [str(path) for path in store.paths(split)]
    check_streams(store, split, streams)
    compression = "GZIP" if store.schema.compression == "gzip" else ""
    first = np.cumsum([0, *(shard.records for shard in store.shards(split))])[:-1]
    paths, first = paths[index::streams], first[index::streams]
    wanted = None if chosen is None else tf.constant(chosen)

    def read_shard(path: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(path, compression_type=compression)
        if wanted is None:
            return records
        return (
            records.enumerate(first)
            .filter(lambda row, _: wanted[row])
            .map(lambda _, record: record)
        )

    records = tf.data.Dataset.from_tensor_slices((paths, first)).interleave(
        read_shard,
        cycle_length=min(_INTERLEAVED_SHARDS, len(paths)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.cache() if cache else records


def ready(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Returns batches that are made ahead of their use.

    Each step runs on as many threads as there are cores, at most 16. TensorFlow's
    tuner of their number is off: its thread often sleeps on where an iterator ends, for
    as long as the pipeline has run, up to a minute, and the process waits for it.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return batches.prefetch(tf.data.AUTOTUNE).with_options(options)


def check_streams(store: RecordStore, split: str, streams: int) -> None:
    """Raises DatasetError for fewer shards than streams."""
    shards = len(store.shards(split))
    if shards < streams:
        raise DatasetError(
            f"{store.folder}: {split} has {shards} shards, fewer than "
            f"pipeline.streams, which is {streams}; convert again with "
            f"output.min_shards={streams} or more"
        )


def read_in_order(store: RecordStore, split: str) -> tf.data.Dataset:
    """Returns the serialised records of a split in the order of its window table."""
    compression = "GZIP" if store.schema.compression == "gzip" else ""
    return tf.data.TFRecordDataset(
        [str(path) for path in store.paths(split)], compression_type=compression
    )


def parse_batch(
    records: tf.Tensor, schema: Schema, split: Literal["train", "validation", "test"]
) -> dict[str, tf.Tensor]:
    """Decodes a batch of serialised records at once.

    Args:
        records: strings of shape ``(batch,)``.
        schema: of the dataset.
        split: which features the records hold.

    Returns:
        Every array of the schema, batch first, in its stored type.
    """
    features = schema.of_split(split)
    values = parse_bytes(records, features)
    return {feature.name: decode(values[feature.name], feature) for feature in features}


def parse_bytes(
    records: tf.Tensor, features: Iterable[Feature]
) -> dict[str, tf.Tensor]:
    """Takes a batch of serialised records apart, and decodes nothing.

    Args:
        records: strings of shape ``(batch,)``.
        features: those wanted.

    Returns:
        The bytes of each feature, strings ``(batch,)``.
    """
    return tf.io.parse_example(
        records, {f.name: tf.io.FixedLenFeature([], tf.string) for f in features}
    )


def decode(values: tf.Tensor, feature: Feature) -> tf.Tensor:
    """Returns the arrays, batch first, of bytes of a feature, strings ``(batch,)``."""
    return tf.reshape(
        tf.io.decode_raw(values, tf.as_dtype(feature.dtype)),
        (values.shape[0] or -1, *feature.shape),
    )


def decode_window(
    values: tf.Tensor, feature: Feature, begin: tf.Tensor, window: int
) -> tf.Tensor:
    """Decodes a window of each record, cut out of its bytes.

    Much faster than gathering the bases of an array, one by one.

    Args:
        values: bytes of a feature whose last axis is that of bases, strings
            ``(batch,)``.
        feature: which.
        begin: the first base, int32 ``(batch or 1, 1)``.
        window: number of bases.

    Returns:
        ``(batch, tracks, window)``, in the stored type; one track where the feature
        has bases alone.
    """
    dtype, bases = tf.as_dtype(feature.dtype), feature.shape[-1]
    tracks = math.prod(feature.shape[:-1])
    first = (begin + bases * tf.range(tracks)) * dtype.size
    first = tf.broadcast_to(first, (tf.shape(values)[0], tracks))
    cut = tf.strings.substr(
        values[:, None], first, tf.fill(tf.shape(first), window * dtype.size)
    )
    return tf.reshape(
        tf.io.decode_raw(cut, dtype), (values.shape[0] or -1, tracks, window)
    )
