"""The order of training batches, for datasets of every kind."""

import numpy as np
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.pipeline.config import ExpressionPipelineConfig, PipelineConfig
from seqexp_tf.pipeline.reader import read_records
from seqexp_tf.pipeline.subset import draw_subset
from seqexp_tf.records.store import RecordStore


def shuffled_batches(
    store: RecordStore,
    *,
    batch_size: int,
    pipeline: PipelineConfig | ExpressionPipelineConfig,
    seed: int,
    max_windows: int = 0,
    first_step: int = 0,
    worker: tuple[int, int] = (0, 1),
) -> tuple[tf.data.Dataset, int]:
    """Returns endless batches of serialised records, and their number in an epoch.

    Epoch ``e`` depends on ``seed`` and ``e`` alone (and, for its order, on
    TensorFlow's global seed): a batch is the same whether or not those before it
    were drawn in this process.

    Args:
        store: the dataset.
        batch_size: records in a batch; an incomplete last batch is left out.
        pipeline: shuffling and caching.
        seed: seed of the subset and of the order.
        max_windows: train on a subset of so many windows, see ``draw_subset``; 0
            on all.
        first_step: batch to begin with, of all epochs.
        worker: index of this worker and number of workers.

    Returns:
        Pairs of the step, int64, counted from the first of all, and the records,
        strings ``(batch_size,)``.

    Raises:
        DatasetError: fewer windows than a batch, or fewer shards than workers.
    """
    chosen = draw_subset(store.count("train"), max_windows, seed=seed)
    records = read_records(
        store,
        "train",
        worker=worker,
        cache=pipeline.cache == "memory",
        chosen=chosen,
    )
    available = _count_windows(store, chosen, worker)
    steps = available // batch_size
    if steps == 0:
        remedy = "" if chosen is None else " or raise training.max_windows"
        raise DatasetError(
            f"{store.folder}: {available} training windows do not fill a batch of "
            f"{batch_size}; lower training.batch_size{remedy}"
        )
    buffer = int(pipeline.shuffle_mb * 1e6 / store.schema.record_bytes("train"))
    buffer = max(1, min(buffer, available))

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.random.stateless_uniform(
            (), [seed, epoch], 1, (1 << 31) - 1, tf.int64
        )
        return records.shuffle(buffer, seed=order).batch(
            batch_size, drop_remainder=True, num_parallel_calls=tf.data.AUTOTUNE
        )

    epoch, passed = divmod(first_step, steps)
    batches = (
        tf.data.Dataset.range(epoch, 1 << 40)
        .flat_map(one_epoch)
        .skip(passed)
        .enumerate(start=first_step)
    )
    return batches, steps


def _count_windows(
    store: RecordStore, chosen: np.ndarray | None, worker: tuple[int, int]
) -> int:
    """Returns how many chosen training windows lie in the shards of a worker."""
    sizes = [shard.records for shard in store.shards("train")]
    if chosen is not None:
        shards = np.split(chosen, np.cumsum(sizes)[:-1])
        sizes = [int(np.count_nonzero(rows)) for rows in shards]
    index, workers = worker
    return sum(sizes[index::workers])
