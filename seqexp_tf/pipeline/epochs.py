"""The order of training batches, for datasets of every kind."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.pipeline.config import ExpressionPipelineConfig, PipelineConfig
from seqexp_tf.pipeline.reader import check_streams, read_records, ready
from seqexp_tf.pipeline.subset import draw_subset
from seqexp_tf.records.store import RecordStore


def prepared_batches(
    store: RecordStore,
    prepare: Callable[[tf.Tensor, tf.Tensor], Any],
    *,
    worker: tuple[int, int] = (0, 1),
    **options,
) -> tuple[tf.data.Dataset, int]:
    """Returns a worker's part of endless training batches, and the steps in an epoch.

    A batch is the parts of all streams, one after the other; each worker has as many
    streams as any other, side by side.

    Args:
        store: the dataset.
        prepare: of the number of a draw, int64, unlike those of all other steps and
            streams, and serialised records; returns arrays, batch first.
        worker: index of this worker and number of workers, which divides the number
            of streams.
        options: of ``shuffled_batches``, other than ``steps`` and ``stream``.
    """
    streams, (index, workers) = options["pipeline"].streams, worker
    steps = epoch_steps(
        store,
        batch_size=options["batch_size"],
        streams=streams,
        max_windows=options["max_windows"],
        seed=options["seed"],
    )
    parts = tuple(
        shuffled_batches(store, stream=stream, steps=steps, **options).map(
            partial(_drawn, prepare, stream, streams),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        for stream in range(
            index * streams // workers, (index + 1) * streams // workers
        )
    )
    batches = parts[0]
    if len(parts) > 1:
        batches = tf.data.Dataset.zip(parts).map(
            _joined, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        )
    return ready(batches), steps


def shuffled_batches(
    store: RecordStore,
    *,
    batch_size: int,
    pipeline: PipelineConfig | ExpressionPipelineConfig,
    seed: int,
    steps: int,
    max_windows: int = 0,
    first_step: int = 0,
    stream: int = 0,
) -> tf.data.Dataset:
    """Returns the part of a stream in endless batches of serialised records.

    Epoch ``e`` depends on ``seed`` and ``e`` alone (and, for its order, on
    TensorFlow's global seed): a batch is the same whether or not those before it
    were drawn in this process.

    Args:
        store: the dataset.
        batch_size: records in a batch of all streams, a multiple of their number; an
            incomplete last batch is left out.
        pipeline: streams, shuffling and caching.
        seed: seed of the subset and of the order.
        steps: in an epoch, see ``epoch_steps``.
        max_windows: train on a subset of so many windows, see ``draw_subset``; 0
            on all.
        first_step: batch to begin with, of all epochs.
        stream: index of the stream.

    Returns:
        Pairs of the step, of all epochs, int64, and the records, strings
        ``(batch_size // streams,)``.

    Raises:
        DatasetError: fewer shards than streams.
    """
    streams = pipeline.streams
    chosen = draw_subset(store.count("train"), max_windows, seed=seed)
    records = read_records(
        store,
        "train",
        stream=(stream, streams),
        cache=pipeline.cache == "memory",
        chosen=chosen,
    )
    buffer = int(pipeline.shuffle_mb * 1e6 / store.schema.record_bytes("train"))
    available = _count_windows(store, chosen, (stream, streams))
    buffer = max(1, min(buffer // streams, available))

    size = batch_size // streams

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.stateless_uniform(
            (), [seed, epoch * streams + stream], 1, (1 << 31) - 1, tf.int64
        )
        batches = records.shuffle(buffer, seed=order).batch(
            size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE
        )
        if available // size == steps:
            return batches
        # Not ``take``: only what is read to its end is cached.
        return (
            batches.enumerate()
            .filter(lambda number, _: number < steps)
            .map(lambda _, batch: batch)
        )

    epoch, passed = divmod(first_step, steps)
    return (
        tf.data.Dataset.range(epoch, 1 << 40)
        .flat_map(one_epoch)
        .skip(passed)
        .enumerate(start=first_step)
    )


def epoch_steps(
    store: RecordStore, *, batch_size: int, streams: int, max_windows: int, seed: int
) -> int:
    """Returns the number of training batches in an epoch.

    The stream with the fewest windows says when it ends.

    Args:
        store: the dataset.
        batch_size: as in ``shuffled_batches``; so are the others.
        streams: parts of a batch.
        max_windows: size of the subset; 0 for all.
        seed: of the subset.

    Raises:
        DatasetError: not one, or fewer shards than streams.
    """
    check_streams(store, "train", streams)
    chosen = draw_subset(store.count("train"), max_windows, seed=seed)
    fewest = min(
        _count_windows(store, chosen, (stream, streams)) for stream in range(streams)
    )
    steps = fewest // (batch_size // streams)
    if steps == 0:
        what = f"{fewest} training windows"
        if streams > 1:
            what += f" of one of {streams} streams"
        remedy = "" if chosen is None else " or raise training.max_windows"
        raise DatasetError(
            f"{store.folder}: {what} do not fill "
            f"{'a' if streams == 1 else 'its part of a'} batch of {batch_size}; lower "
            f"training.batch_size{remedy}"
        )
    return steps


def _count_windows(
    store: RecordStore, chosen: np.ndarray | None, stream: tuple[int, int]
) -> int:
    """Returns how many chosen training windows lie in the shards of a stream."""
    sizes = [shard.records for shard in store.shards("train")]
    if chosen is not None:
        shards = np.split(chosen, np.cumsum(sizes)[:-1])
        sizes = [int(np.count_nonzero(rows)) for rows in shards]
    index, streams = stream
    return sum(sizes[index::streams])


def _drawn(
    prepare: Callable, stream: int, streams: int, step: tf.Tensor, batch: tf.Tensor
) -> Any:
    return prepare(step * streams + stream, batch)


def _joined(*parts: Any) -> Any:
    return tf.nest.map_structure(lambda *values: tf.concat(values, axis=0), *parts)
