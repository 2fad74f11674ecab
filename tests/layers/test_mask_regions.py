"""Fixed regions, hard masks and the top fraction of a mask."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.layers import HardMask, MaskRegions, TopFraction


def _mask(*shape, seed=0):
    return np.random.default_rng(seed).uniform(size=shape).astype(np.float32)


def _numpy(values) -> np.ndarray:
    return keras.ops.convert_to_numpy(values)


def test_the_promoter_is_kept_and_blocked_bases_are_not():
    mask = _mask(2, 10)
    blocked = np.zeros((2, 10), np.float32)
    blocked[0, [0, 5]] = 1
    found = _numpy(MaskRegions(promoter=4)([mask, blocked]))
    # Positions 3 to 6; the TSS is at 5. The promoter is kept where it is blocked.
    np.testing.assert_array_equal(found[:, 3:7], 1)
    assert found[0, 0] == 0 and found[1, 0] == mask[1, 0]
    outside = [1, 2, 7, 8, 9]
    np.testing.assert_array_equal(found[:, outside], mask[:, outside])
    np.testing.assert_array_equal(MaskRegions(promoter=0)(mask), mask)
    np.testing.assert_array_equal(MaskRegions(promoter=2000)(mask), np.ones((2, 10)))


def test_regions_in_a_model_of_any_length():
    mask, blocked = keras.Input((None,)), keras.Input((None,))
    layer = MaskRegions(promoter=2, dtype="mixed_bfloat16")
    model = keras.Model([mask, blocked], layer([mask, blocked]))
    assert model.output_shape == (None, None)
    for length in (4, 7):
        found = _numpy(model([_mask(1, length), np.zeros((1, length), np.float32)]))
        ones = np.flatnonzero(found[0] == 1)
        np.testing.assert_array_equal(ones, [length // 2 - 1, length // 2])
    again = MaskRegions.from_config(layer.get_config())
    assert again.promoter == 2 and again.compute_dtype == "float32"


@settings(max_examples=60)
@given(
    threshold=st.floats(0.001, 0.999),
    soft=st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=30),
)
def test_a_hard_mask_is_exactly_zero_or_one(threshold, soft):
    soft = np.array([soft], np.float32)
    found = _numpy(HardMask(threshold=threshold)(soft))
    assert set(found.ravel().tolist()) <= {0.0, 1.0}
    np.testing.assert_array_equal(found == 1, soft >= np.float32(threshold))


@pytest.mark.parametrize("compiled", [False, True])
def test_a_hard_mask_passes_the_gradient_straight_through(compiled):
    layer = HardMask(threshold=0.3)
    weight = _mask(2, 50, seed=1)

    @tf.function(jit_compile=compiled)
    def step(soft):
        with tf.GradientTape() as tape:
            tape.watch(soft)
            hard = layer(soft)
            total = tf.reduce_sum(hard * weight)
        return hard, tape.gradient(total, soft)

    hard, gradient = step(tf.constant(_mask(2, 50)))
    assert set(np.unique(hard)) == {0.0, 1.0}
    np.testing.assert_array_equal(gradient, weight)


@settings(max_examples=60)
@given(
    values=st.lists(st.integers(0, 6), min_size=10, max_size=40),
    fraction=st.floats(0.1, 1.0),
)
def test_the_top_fraction_has_exactly_so_many_bases(values, fraction):
    mask = np.array([values, values[::-1]], np.float32) / 6
    count = int(fraction * len(values))
    found = _numpy(TopFraction(fraction=fraction)(mask))
    for row, chosen in zip(mask, found, strict=True):
        best = np.argsort(-row, kind="stable")[:count]
        np.testing.assert_array_equal(np.flatnonzero(chosen), np.sort(best))


def test_the_top_fraction_keeps_its_configuration():
    layer = TopFraction.from_config(TopFraction(fraction=0.25).get_config())
    assert layer(_mask(3, 40)).shape == (3, 40)
    np.testing.assert_array_equal(_numpy(layer(_mask(3, 40))).sum(1), 10)
