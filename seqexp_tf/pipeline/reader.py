"""Serialised records out of shards, in a reproducible order."""

from typing import Literal

import numpy as np
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.schema import Schema
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
    batch = records.shape[0] or -1
    parsed = tf.io.parse_example(
        records, {f.name: tf.io.FixedLenFeature([], tf.string) for f in features}
    )
    return {
        feature.name: tf.reshape(
            tf.io.decode_raw(parsed[feature.name], tf.as_dtype(feature.dtype)),
            (batch, *feature.shape),
        )
        for feature in features
    }
