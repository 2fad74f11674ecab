"""Selected bases side by side, and pooling over them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.layers import CenterMean, LearnedPositions, PackSelected, WeightedMean


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _numpy(values) -> np.ndarray:
    return keras.ops.convert_to_numpy(values)


def test_selected_bases_keep_their_order_and_the_rest_is_zero():
    x = _draw(3, 12, 4)
    mask = (np.random.default_rng(1).random((3, 12)) < 0.5).astype(np.float32)
    mask[2] = 0
    packed, middle = (_numpy(y) for y in PackSelected(center=4)([x, mask]))
    for row in range(3):
        chosen = np.flatnonzero(mask[row])
        np.testing.assert_array_equal(packed[row, : chosen.size], x[row, chosen])
        np.testing.assert_array_equal(packed[row, chosen.size :], 0)
        wanted = np.zeros(12)
        wanted[: chosen.size] = (chosen >= 4) & (chosen < 8)
        np.testing.assert_array_equal(middle[row], wanted)


def test_the_mean_of_the_middle_is_found_again_after_packing():
    x, mask = _draw(2, 20, 3), np.ones((2, 20), np.float32)
    mask[:, [0, 3, 18]] = 0
    packed, middle = PackSelected(center=6)([x, mask])
    found = WeightedMean()([packed, middle])
    np.testing.assert_allclose(found, x[:, 7:13].mean(1), atol=1e-6)
    np.testing.assert_allclose(CenterMean(center=6)(x), x[:, 7:13].mean(1), atol=1e-6)
    nothing = WeightedMean()([x, np.zeros((2, 20), np.float32)])
    np.testing.assert_array_equal(nothing, np.zeros((2, 3)))


def test_gradients_reach_features_and_not_the_mask():
    x, mask = tf.constant(_draw(1, 8, 2)), tf.constant([[1.0, 0] * 4])
    with tf.GradientTape() as tape:
        tape.watch([x, mask])
        packed, _ = PackSelected(center=2)([x, mask])
        total = tf.reduce_sum(packed)
    by_x, by_mask = tape.gradient(total, [x, mask])
    wanted = np.repeat(_numpy(mask)[..., None], 2, -1)
    np.testing.assert_array_equal(tf.convert_to_tensor(by_x), wanted)
    assert by_mask is None


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_in_a_model(policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    try:
        x, mask = keras.Input((10, 4)), keras.Input((10,))
        packed, middle = PackSelected(center=4)([LearnedPositions()(x), mask])
        model = keras.Model([x, mask], WeightedMean()([packed, middle]))
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.output_shape == (None, 4)
    assert keras.backend.standardize_dtype(model.output.dtype) == "float32"
    (table,) = model.trainable_weights
    assert tuple(table.shape) == (1, 10, 4)
    np.testing.assert_array_equal(table, np.zeros((1, 10, 4)))
    table.assign(_draw(1, 10, 4, seed=5))
    inputs = [_draw(3, 10, 4), np.ones((3, 10), np.float32)]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(_numpy(again(inputs)), _numpy(model(inputs)))
    wanted = (inputs[0] + _numpy(table))[:, 3:7].mean(1)
    np.testing.assert_allclose(_numpy(model(inputs)), wanted, atol=0.05)


def test_center_mean_averages_in_float32():
    layer = CenterMean(center=2000, dtype="mixed_bfloat16")
    x = np.full((1, 4000, 1), 1.0, np.float32)
    x[:, 1000:3000:2] = 1.0078125
    found = layer(keras.ops.cast(x, "bfloat16"))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert float(found[0, 0]) == pytest.approx(1.00390625, abs=1e-6)
    assert CenterMean.from_config(layer.get_config()).center == 2000


def test_center_mean_in_bins():
    x = _draw(2, 20, 3)
    layer = CenterMean(center=12, bins=4)
    wanted = x[:, 4:16].reshape(2, 4, 3, 3).mean(2).reshape(2, 12)
    np.testing.assert_allclose(layer(x), wanted, atol=1e-6)
    assert layer.compute_output_shape((None, 20, 3)) == (None, 12)
    assert CenterMean.from_config(layer.get_config()).bins == 4
