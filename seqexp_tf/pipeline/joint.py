"""Batches of masked DNA and expression for the joint models."""

from collections.abc import Callable

import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.genome.alphabet import MASKED, UNKNOWN
from seqexp_tf.pipeline.augment import random_reverse_complement
from seqexp_tf.pipeline.config import PipelineConfig
from seqexp_tf.pipeline.epochs import prepared_batches
from seqexp_tf.pipeline.masking import expression_mask, mask_sequence
from seqexp_tf.pipeline.padding import padded_part
from seqexp_tf.pipeline.reader import parse_batch, read_in_order, ready
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.stored_masks import require_masks

ONE_HOT = UNKNOWN + 1


def training_batches(
    store: RecordStore,
    *,
    batch_size: int,
    masking: MaskingConfig,
    pipeline: PipelineConfig,
    seed: int,
    max_windows: int = 0,
    first_step: int = 0,
    worker: tuple[int, int] = (0, 1),
) -> tuple[tf.data.Dataset, int]:
    """Returns endless training batches and the number of them in an epoch.

    A batch is the same whether or not those before it were drawn in this process, and
    whatever the number of workers, see ``pipeline.epochs``.

    Args:
        store: a dataset of kind ``joint``.
        batch_size: windows in a batch of all workers; an incomplete last batch is
            left out.
        masking: what is hidden; drawn afresh for every batch.
        pipeline: shuffling, caching, augmentation.
        seed: seed of the subset, of order and masks.
        max_windows: train on a subset of so many windows, see ``draw_subset``; 0
            on all.
        first_step: batch to begin with, of all epochs.
        worker: index of this worker and number of workers, each of which gets its
            part of every batch.

    Returns:
        Batches of ``(inputs, targets, weights)``, see ``masked_example``.

    Raises:
        DatasetError: another kind of dataset, fewer windows than a batch, or fewer
            shards than streams.
    """
    check_kind(store)
    if masking.expression_spans > store.schema.window:
        raise DatasetError(
            f"{store.folder}: masking.expression_spans is {masking.expression_spans}, "
            f"but windows have {store.schema.window:,} bases"
        )

    def prepare(draw: tf.Tensor, batch: tf.Tensor):
        parsed = parse_batch(batch, store.schema, "train")
        seeds = tf.random.split(tf.stack([tf.constant(seed, tf.int64), draw]), 3)
        if pipeline.reverse_complement:
            parsed = random_reverse_complement(parsed, store.schema.by_name, seeds[0])
        shape = (batch.shape[0], store.schema.window)
        hidden = expression_mask(shape, masking, seeds[1])
        visible, selected = mask_sequence(parsed["sequence"], masking, seeds[2])
        return masked_example(parsed, hidden, visible, selected, masking)

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
    masking: MaskingConfig,
    worker: tuple[int, int] | None = None,
) -> tf.data.Dataset:
    """Returns the windows of a split in stored order, under their fixed masks.

    A regime that hides only expression, or only nucleotides, leaves the other
    stored mask aside. The last batch may be smaller.

    Args:
        store: a dataset of kind ``joint``.
        split: which.
        batch_size: windows in a batch.
        masking: what is hidden.
        worker: index of this worker and number of workers, which gets its part of
            every batch; the last batch is filled up then, see ``padded_part``.

    Returns:
        Batches of ``(inputs, targets, weights)``, see ``masked_example``.

    Raises:
        DatasetError: the split has no fixed masks.
    """

    def prepare(batch: tf.Tensor):
        return stored_example(parse_batch(batch, store.schema, split), masking)

    if worker is None:
        return _in_order(store, split, batch_size, masking, prepare)

    def weighted(batch: tf.Tensor, share: tf.Tensor):
        inputs, targets, weights = prepare(batch)
        return inputs, targets, {k: w * share[:, None] for k, w in weights.items()}

    _check_masks(store, split, masking)
    return padded_part(store, split, batch_size=batch_size, worker=worker).map(
        weighted, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )


def scored_batches(
    store: RecordStore, split: str, *, batch_size: int, masking: MaskingConfig
) -> tf.data.Dataset:
    """Returns windows as ``evaluation_batches``, with what to score and where.

    Returns:
        Batches of ``(inputs, labels, positions)``. Labels: ``rna`` uint8 and
        ``dna`` uint8, ``(batch, window)``. Positions, bool ``(batch, window)``:
        ``rna_masked`` hidden labels, ``dna_masked`` selected bases,
        ``dna_mask_token`` those that became the mask token, and ``valid``.

    Raises:
        DatasetError: the split has no fixed masks.
    """

    def prepare(batch: tf.Tensor):
        parsed = parse_batch(batch, store.schema, split)
        inputs, _, weights = stored_example(parsed, masking)
        selected = weights["sequence_logits"] > 0
        labels = {"rna": parsed["expression"][:, 0], "dna": parsed["sequence"]}
        positions = {
            "rna_masked": weights["expression_logits"] > 0,
            "dna_masked": selected,
            "dna_mask_token": selected & (parsed["sequence_masked"] == MASKED),
            "valid": tf.cast(parsed["valid"], tf.bool),
        }
        return inputs, labels, positions

    return _in_order(store, split, batch_size, masking, prepare)


def stored_example(
    parsed: dict[str, tf.Tensor], masking: MaskingConfig
) -> tuple[dict, dict, dict]:
    """Applies the fixed masks of parsed evaluation records."""
    hidden = tf.cast(parsed["expression_mask"], tf.bool)
    selected = tf.cast(parsed["sequence_mask"], tf.bool)
    visible = parsed["sequence_masked"]
    if not masking.hides_expression:
        hidden = tf.zeros_like(hidden)
    if not masking.hides_sequence:
        selected = tf.zeros_like(selected)
        visible = parsed["sequence"]
    return masked_example(parsed, hidden, visible, selected, masking)


def masked_example(
    parsed: dict[str, tf.Tensor],
    hidden: tf.Tensor,
    visible: tf.Tensor,
    selected: tf.Tensor,
    masking: MaskingConfig,
) -> tuple[dict, dict, dict]:
    """Returns what a joint model reads, should say, and is scored on.

    Args:
        parsed: ``sequence`` ``(batch, window)``, ``expression``
            ``(batch, 2, window)`` and ``valid`` ``(batch, window)``.
        hidden: True where the label is hidden.
        visible: nucleotide indices as the model sees them, 5 = mask token.
        selected: True where the nucleotide is to be predicted.
        masking: the value shown in place of a hidden label.

    Returns:
        inputs: ``sequence`` one-hot ``(batch, window, 5)``, all zero at a mask
            token, and ``expression`` ``(batch, window)``, both float32.
        targets: ``expression_logits`` float32 and ``sequence_logits`` int32
            labels, ``(batch, window)``.
        weights: by target, ``(batch, window)``; zero where not scored (not
            hidden, not selected, or invalid), and such that a plain mean over
            windows and positions is the mean over windows of each window's mean.
    """
    labels = tf.cast(parsed["expression"][:, 0], tf.float32)
    valid = tf.cast(parsed["valid"], tf.bool)
    # A label that was never measured is as unknown as a hidden one.
    shown = tf.where(hidden | ~valid, masking.expression_value, labels)
    inputs = {"sequence": tf.one_hot(visible, ONE_HOT), "expression": shown}
    targets = {
        "expression_logits": labels,
        "sequence_logits": tf.cast(parsed["sequence"], tf.int32),
    }
    weights = {
        "expression_logits": _window_weights(hidden & valid),
        "sequence_logits": _window_weights(selected & valid),
    }
    return inputs, targets, weights


def check_kind(store: RecordStore) -> None:
    """Raises DatasetError unless the dataset is of kind ``joint``."""
    if store.schema.kind != "joint":
        raise DatasetError(
            f"{store.folder}: a dataset of kind {store.schema.kind!r}; a joint model "
            'needs one of kind "joint"'
        )


def _in_order(
    store: RecordStore,
    split: str,
    batch_size: int,
    masking: MaskingConfig,
    prepare: Callable,
) -> tf.data.Dataset:
    _check_masks(store, split, masking)
    steps = -(-store.count(split) // batch_size)
    return ready(
        read_in_order(store, split)
        .batch(batch_size, num_parallel_calls=tf.data.AUTOTUNE)
        .map(prepare, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .apply(tf.data.experimental.assert_cardinality(steps))
    )


def _check_masks(store: RecordStore, split: str, masking: MaskingConfig) -> None:
    check_kind(store)
    require_masks(store, split, masking)


def _window_weights(scored: tf.Tensor) -> tf.Tensor:
    weights = tf.cast(scored, tf.float32)
    count = tf.reduce_sum(weights, axis=1, keepdims=True)
    length = tf.cast(tf.shape(weights)[1], tf.float32)
    return weights * length / tf.maximum(count, 1.0)
