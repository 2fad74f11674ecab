"""Evaluation batches of one size, so that several replicas can share them."""

import tensorflow as tf

from seqexp_tf.pipeline.reader import read_in_order
from seqexp_tf.records.store import RecordStore


def padded_part(
    store: RecordStore, split: str, *, batch_size: int, worker: tuple[int, int]
) -> tf.data.Dataset:
    """Returns a worker's part of the serialised records of a split, in stored order.

    The last batch is filled up with records of weight zero. All others have the same
    weight, such that the mean over all weighted records, those of weight zero
    included, is the mean over the split.

    Every worker reads all of them, but each record is parsed by one only.

    Args:
        store: the dataset.
        split: which.
        batch_size: records in a batch of all workers.
        worker: index of this worker and number of workers, which divides
            ``batch_size``.

    Returns:
        As many pairs for each worker: strings and float32 weights, both
        ``(batch_size // workers,)``.
    """
    count = store.count(split)
    steps = -(-count // batch_size)
    index, workers = worker
    size = batch_size // workers

    def part(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        known = tf.shape(batch)[0]
        rows = index * size + tf.range(size)
        weights = tf.where(rows < known, steps * batch_size / count, 0.0)
        return tf.gather(batch, tf.minimum(rows, known - 1)), weights

    return (
        read_in_order(store, split)
        .batch(batch_size)
        .map(part, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(steps))
    )
