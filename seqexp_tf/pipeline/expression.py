"""Batches of gene windows: DNA, signals, contact, features, and the target."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.models.shape import ExpressionShape, expression_shape
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.epochs import (
    epoch_steps,
    prepared_batches,
    shuffled_batches,
)
from seqexp_tf.pipeline.gene_example import INPUTS, PEAKS, Tensors, gene_example
from seqexp_tf.pipeline.padding import padded_part
from seqexp_tf.pipeline.reader import read_in_order, ready
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore


def training_batches(
    store: RecordStore,
    *,
    batch_size: int,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    seed: int,
    max_windows: int = 0,
    first_step: int = 0,
    worker: tuple[int, int] = (0, 1),
    given: str = PEAKS,
) -> tuple[tf.data.Dataset, int]:
    """Returns endless training batches and the number of them in an epoch.

    A batch is the same whether or not those before it were drawn in this process, and
    whatever the number of workers, see ``pipeline.epochs``; shifts and strands are
    drawn anew for every batch.

    Args:
        store: a dataset of kind ``expression``.
        batch_size: genes in a batch of all workers; an incomplete last batch is left
            out.
        inputs: which of ``INPUTS`` are wanted, see ``gene_example``.
        pipeline: shuffling, caching, window and augmentation.
        seed: seed of the subset, of order, shifts and strands.
        max_windows: train on a subset of so many genes, see ``draw_subset``; 0 on
            all.
        first_step: batch to begin with, of all epochs.
        worker: index of this worker and number of workers, each of which gets its
            part of every batch.
        given: the channel that becomes ``given``.

    Returns:
        Batches of ``(inputs, targets)``, see ``gene_example``.

    Raises:
        ConfigError: a window or shift that the records cannot give.
        DatasetError: another kind of dataset, one without a wanted input, fewer genes
            than a batch, or fewer shards than streams.
    """
    shape = _check(store, inputs, pipeline, given)
    check_shift(store.schema, shape.window, pipeline.shift)

    def prepare(draw: tf.Tensor, batch: tf.Tensor) -> tuple[Tensors, Tensors]:
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), draw]), 2)
        each = (batch.shape[0], 1)
        begin = tf.fill(each, _first_base(store.schema, shape.window))
        if pipeline.shift:
            begin += tf.random.stateless_uniform(
                each, seeds[0], -pipeline.shift, pipeline.shift + 1, tf.int32
            )
        reverse = None
        if pipeline.reverse_complement:
            reverse = tf.random.stateless_uniform(each, seeds[1])[:, 0] < 0.5
        return gene_example(
            batch,
            store.schema,
            inputs=inputs,
            window=shape.window,
            begin=begin,
            reverse=reverse,
            given=given,
        )

    return prepared_batches(
        store,
        prepare,
        worker=worker,
        batch_size=batch_size,
        pipeline=pipeline,
        seed=seed,
        max_windows=max_windows,
        first_step=first_step,
    )


def evaluation_batches(
    store: RecordStore,
    split: str,
    *,
    batch_size: int,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    given: str = PEAKS,
    worker: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Returns the genes of a split in stored order, centred, as they are stored.

    The last batch may be smaller.

    Args:
        store: a dataset of kind ``expression``.
        split: which.
        batch_size: genes in a batch.
        inputs: as in ``training_batches``; so are the next two.
        pipeline: the window.
        given: the channel that becomes ``given``.
        worker: index of this worker and number of workers, which gets its part of
            every batch; the last batch is filled up then, see ``padded_part``.

    Returns:
        Batches of ``(inputs, targets)``, see ``gene_example``; with ``worker``, of
        ``(inputs, targets, weights)``, float32 ``(batch,)``.

    Raises:
        ConfigError, DatasetError: as ``training_batches``.
    """
    prepare = _centred(store, inputs, pipeline, given)
    if worker is None:
        records = read_in_order(store, split).batch(batch_size)
        return _prepared(records, prepare, store.count(split), batch_size)
    return padded_part(store, split, batch_size=batch_size, worker=worker).map(
        lambda batch, weights: (*prepare(batch), weights),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def scored_batches(
    store: RecordStore,
    split: str,
    *,
    batch_size: int,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    given: str = PEAKS,
) -> tf.data.Dataset:
    """Returns genes as ``evaluation_batches``, with which they are.

    Returns:
        Batches of ``(inputs, targets, rows)``; rows, int64 ``(batch,)``, are those of
        ``store.windows(split)``.
    """
    prepare = _centred(store, inputs, pipeline, given)
    records = read_in_order(store, split).enumerate().batch(batch_size)

    def with_rows(rows: tf.Tensor, batch: tf.Tensor) -> tuple:
        return (*prepare(batch), rows)

    return _prepared(records, with_rows, store.count(split), batch_size)


def gene_ids(
    store: RecordStore,
    *,
    batch_size: int,
    pipeline: ExpressionPipelineConfig,
    seed: int,
    max_windows: int,
    step: int,
) -> list[str]:
    """Returns the genes of one training batch, in its order.

    Args:
        store: the dataset.
        batch_size: as in ``training_batches``; so are the others.
        pipeline: shuffling and caching.
        seed: seed of the subset and of the order.
        max_windows: size of the subset; 0 for all.
        step: of all epochs, counted from 0.
    """
    steps = epoch_steps(
        store,
        batch_size=batch_size,
        streams=pipeline.streams,
        max_windows=max_windows,
        seed=seed,
    )
    wanted = {"gene": tf.io.FixedLenFeature([], tf.string)}
    genes: list[str] = []
    for stream in range(pipeline.streams):
        records = shuffled_batches(
            store,
            batch_size=batch_size,
            pipeline=pipeline,
            seed=seed,
            steps=steps,
            max_windows=max_windows,
            first_step=step,
            stream=stream,
        )
        _, batch = next(iter(records.take(1)))
        parsed = tf.io.parse_example(batch, wanted)["gene"]
        genes += [gene.decode() for gene in parsed.numpy()]
    return genes


def _centred(
    store: RecordStore,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    given: str,
) -> Callable[[tf.Tensor], tuple[Tensors, Tensors]]:
    """Returns what makes examples of serialised records, centred, as stored."""
    shape = _check(store, inputs, pipeline, given)
    begin = tf.constant([[_first_base(store.schema, shape.window)]])

    def prepare(batch: tf.Tensor) -> tuple[Tensors, Tensors]:
        return gene_example(
            batch,
            store.schema,
            inputs=inputs,
            window=shape.window,
            begin=begin,
            reverse=None,
            given=given,
        )

    return prepare


def _prepared(
    records: tf.data.Dataset, prepare: Callable, count: int, batch_size: int
) -> tf.data.Dataset:
    steps = -(-count // batch_size)
    return ready(
        records.map(
            prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
        ).apply(tf.data.experimental.assert_cardinality(steps))
    )


def _first_base(schema: Schema, window: int) -> int:
    """Position in the record of the first base of the centred window."""
    return schema.window // 2 - window // 2


def _check(
    store: RecordStore,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    given: str,
) -> ExpressionShape:
    """Returns the shape of the batches, or says what the dataset lacks for them."""
    try:
        shape = expression_shape(store.schema, pipeline.window)
    except DatasetError as error:
        raise DatasetError(f"{store.folder}: {error}") from None
    for name in inputs:
        if name not in INPUTS:
            raise ConfigError(f"{name!r} is no input{nearest(name, INPUTS)}")
    for name in ("signals", "features"):
        if name in inputs and not getattr(shape, name):
            raise DatasetError(
                f"{store.folder}: holds no {name}; convert with some, or train a model "
                "without"
            )
    if "given" in inputs and given not in shape.channels:
        raise DatasetError(
            f"{store.folder}: holds no channel {given!r}"
            f"{nearest(given, shape.channels)}; convert with channels.{given}"
        )
    return shape


def check_shift(schema: Schema, window: int, shift: int) -> None:
    """Raises ConfigError where records lack the bases to shift windows by."""
    room = (schema.window - window) // 2
    if shift > room:
        raise ConfigError(
            f"pipeline.shift is {shift:,}; windows of {window:,} bases cut out of "
            f"records of {schema.window:,} can be shifted by {room:,} at most; set "
            f"pipeline.shift={room}, or convert with windows.size at least "
            f"{window + 2 * shift:,}"
        )
