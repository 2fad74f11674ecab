"""A seeded part of the training windows: drawn once, read by everyone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import DatasetError
from seqexp_tf.pipeline.config import PipelineConfig
from seqexp_tf.pipeline.joint import training_batches
from seqexp_tf.pipeline.reader import read_in_order, read_records
from seqexp_tf.pipeline.subset import describe_subset, draw_subset, subset_size
from seqexp_tf.records.masks import MaskingConfig


@given(
    available=st.integers(2, 300), share=st.floats(0, 1), seed=st.integers(1, 2**31 - 1)
)
def test_as_many_as_asked_for_and_nested(available, share, seed):
    large = max(1, int(share * (available - 1)))
    small = max(1, large // 2)
    chosen = draw_subset(available, large, seed=seed)
    assert chosen.shape == (available,)
    assert np.count_nonzero(chosen) == large
    assert np.array_equal(chosen, draw_subset(available, large, seed=seed))
    part = draw_subset(available, small, seed=seed)
    assert np.count_nonzero(part) == small
    assert not (part & ~chosen).any()


@pytest.mark.parametrize("maximum", [0, 50, 51, 10_000])
def test_zero_and_more_than_there_are_mean_all(maximum):
    assert draw_subset(50, maximum, seed=1) is None
    assert subset_size(50, maximum) == 50


def test_every_window_is_equally_likely():
    drawn = sum(draw_subset(40, 10, seed=seed).astype(int) for seed in range(1, 2001))
    # 500 draws of each are expected, with a standard deviation of 19.
    assert abs(drawn - 500).max() < 5 * 19


def test_the_line_says_what_is_used():
    assert describe_subset(100, 20) == "training on 20 of 100 windows"
    assert describe_subset(1000, 20_000) == (
        "training.max_windows is 20,000, but there are only 1,000 training windows: "
        "all are used"
    )


def _stored(store):
    return [record.numpy() for record in read_in_order(store, "train")]


def _epoch(store, *, max_windows, **options):
    batches, steps = training_batches(
        store,
        batch_size=1,
        masking=MaskingConfig(),
        pipeline=PipelineConfig(**options),
        seed=3,
        max_windows=max_windows,
    )
    return [
        labels["sequence_logits"].numpy().astype(np.uint8).tobytes()
        for _, labels, _ in batches.take(2 * steps)
    ], steps


def test_every_epoch_holds_the_subset_and_nothing_else(joint_store):
    read, steps = _epoch(joint_store, max_windows=30)
    chosen = draw_subset(joint_store.count("train"), 30, seed=3)
    wanted = [
        joint_store.decode(record, split="train", origin="")["sequence"].tobytes()
        for record, drawn in zip(_stored(joint_store), chosen, strict=True)
        if drawn
    ]
    assert steps == 30
    assert sorted(read[:30]) == sorted(read[30:]) == sorted(wanted)
    assert read[:30] != read[30:]


def test_the_cache_holds_the_subset(joint_store):
    assert _epoch(joint_store, max_windows=30, cache="memory") == _epoch(
        joint_store, max_windows=30
    )


def test_streams_share_out_one_subset(joint_store):
    chosen = draw_subset(joint_store.count("train"), 30, seed=3)
    shared, counts = [], []
    for stream in ((0, 3), (1, 3), (2, 3)):
        options = {"stream": stream, "chosen": chosen}
        shared += [r.numpy() for r in read_records(joint_store, "train", **options)]
        counts.append(len(shared) - sum(counts))
    everything = _stored(joint_store)
    wanted = [everything[row] for row in np.flatnonzero(chosen)]
    assert sorted(shared) == sorted(wanted)
    # The stream with the fewest windows says when an epoch ends.
    _, steps = training_batches(
        joint_store,
        batch_size=6,
        masking=MaskingConfig(),
        pipeline=PipelineConfig(streams=3),
        seed=3,
        max_windows=30,
    )
    assert steps == min(counts) // 2


def test_choosing_all_is_the_plain_order(joint_store):
    everything = np.ones(joint_store.count("train"), dtype=bool)
    plain = list(read_records(joint_store, "train").as_numpy_iterator())
    chosen = read_records(joint_store, "train", chosen=everything)
    assert list(chosen.as_numpy_iterator()) == plain


def test_a_subset_smaller_than_a_batch_is_refused(joint_store):
    with pytest.raises(DatasetError, match=r"5 training windows.*training.max_windows"):
        training_batches(
            joint_store,
            batch_size=8,
            masking=MaskingConfig(),
            pipeline=PipelineConfig(),
            seed=1,
            max_windows=5,
        )
