"""Batches of gene windows: DNA, signals, contact, features, and the target."""

from collections.abc import Sequence

import tensorflow as tf

from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.genome.alphabet import COMPLEMENT
from seqexp_tf.models.shape import ExpressionShape, expression_shape
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.epochs import shuffled_batches
from seqexp_tf.pipeline.reader import parse_batch, read_in_order
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore

INPUTS = ("sequence", "signals", "features", "blocked", "given")
BASES = 4
BLACKLIST = "blacklist"
"""The channel that becomes ``blocked``."""

PEAKS = "peaks"
"""The channel that becomes ``given`` unless another is named."""

_Tensors = dict[str, tf.Tensor]


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

    A batch is the same whether or not those before it were drawn in this process,
    see ``shuffled_batches``; shifts and strands are drawn anew for every batch.

    Args:
        store: a dataset of kind ``expression``.
        batch_size: genes in a batch; an incomplete last batch is left out.
        inputs: which of ``INPUTS`` are wanted, see ``gene_example``.
        pipeline: shuffling, caching, window and augmentation.
        seed: seed of the subset, of order, shifts and strands.
        max_windows: train on a subset of so many genes, see ``draw_subset``; 0 on
            all.
        first_step: batch to begin with, of all epochs.
        worker: index of this worker and number of workers.
        given: the channel that becomes ``given``.

    Returns:
        Batches of ``(inputs, targets)``, see ``gene_example``.

    Raises:
        ConfigError: a window or shift that the records cannot give.
        DatasetError: another kind of dataset, one without a wanted input, or fewer
            genes than a batch.
    """
    shape = _check(store, inputs, pipeline, given)
    check_shift(store.schema, shape.window, pipeline.shift)
    records, steps = shuffled_batches(
        store,
        batch_size=batch_size,
        pipeline=pipeline,
        seed=seed,
        max_windows=max_windows,
        first_step=first_step,
        worker=worker,
    )

    def prepare(step: tf.Tensor, batch: tf.Tensor) -> tuple[_Tensors, _Tensors]:
        parsed = parse_batch(batch, store.schema, "train")
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), step]), 2)
        begin = tf.fill((batch_size, 1), _first_base(store.schema, shape.window))
        if pipeline.shift:
            begin += tf.random.stateless_uniform(
                (batch_size, 1), seeds[0], -pipeline.shift, pipeline.shift + 1, tf.int32
            )
        positions = begin + tf.range(shape.window)
        reverse = None
        if pipeline.reverse_complement:
            reverse = tf.random.stateless_uniform((batch_size, 1), seeds[1]) < 0.5
            positions = tf.where(reverse, positions[:, ::-1], positions)
        return gene_example(
            parsed,
            store.schema,
            inputs=inputs,
            positions=positions,
            reverse=reverse,
            given=given,
        )

    batches = records.map(
        prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ).prefetch(tf.data.AUTOTUNE)
    return batches, steps


def evaluation_batches(
    store: RecordStore,
    split: str,
    *,
    batch_size: int,
    inputs: Sequence[str],
    pipeline: ExpressionPipelineConfig,
    given: str = PEAKS,
) -> tf.data.Dataset:
    """Returns the genes of a split in stored order, centred, as they are stored.

    The last batch may be smaller.

    Returns:
        Batches of ``(inputs, targets)``, see ``gene_example``.

    Raises:
        ConfigError, DatasetError: as ``training_batches``.
    """
    return scored_batches(
        store,
        split,
        batch_size=batch_size,
        inputs=inputs,
        pipeline=pipeline,
        given=given,
    ).map(lambda inputs, targets, rows: (inputs, targets))


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
    shape = _check(store, inputs, pipeline, given)
    begin = _first_base(store.schema, shape.window)

    def prepare(rows: tf.Tensor, batch: tf.Tensor) -> tuple:
        parsed = parse_batch(batch, store.schema, split)
        found, targets = gene_example(
            parsed,
            store.schema,
            inputs=inputs,
            positions=tf.range(begin, begin + shape.window)[None],
            reverse=None,
            given=given,
        )
        return found, targets, rows

    steps = -(-store.count(split) // batch_size)
    return (
        read_in_order(store, split)
        .enumerate()
        .batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(steps))
        .prefetch(tf.data.AUTOTUNE)
    )


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
    records, _ = shuffled_batches(
        store,
        batch_size=batch_size,
        pipeline=pipeline,
        seed=seed,
        max_windows=max_windows,
        first_step=step,
    )
    _, batch = next(iter(records.take(1)))
    wanted = {"gene": tf.io.FixedLenFeature([], tf.string)}
    genes = tf.io.parse_example(batch, wanted)["gene"]
    return [gene.decode() for gene in genes.numpy()]


def gene_example(
    parsed: _Tensors,
    schema: Schema,
    *,
    inputs: Sequence[str],
    positions: tf.Tensor,
    reverse: tf.Tensor | None,
    given: str = PEAKS,
) -> tuple[_Tensors, _Tensors]:
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
    found: _Tensors = {}
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


def _signals(parsed: _Tensors, schema: Schema, positions: tf.Tensor) -> tf.Tensor:
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
    parsed: _Tensors, schema: Schema, positions: tf.Tensor, name: str
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
            f"records of {schema.window:,} can be shifted by {room:,} at most"
        )
