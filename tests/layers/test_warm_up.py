"""Values as they are; gradients that rise."""

import keras
import numpy as np
import tensorflow as tf

from seqexp_tf.layers import GradientWarmUp


def test_the_gradient_rises_with_the_steps_and_the_value_does_not():
    layer = GradientWarmUp(steps=4)
    x = tf.Variable([0.1, 1 / 3, 7.0])
    layer(x)
    slopes = []
    for _ in range(6):
        with tf.GradientTape() as tape:
            found = layer(x, training=True)
        np.testing.assert_array_equal(found, x)
        slopes.append(float(tape.gradient(found, x)[0]))
    np.testing.assert_allclose(slopes, [0, 0.25, 0.5, 0.75, 1, 1])
    np.testing.assert_array_equal(layer(x, training=False), x)
    assert int(keras.ops.convert_to_numpy(layer.step)) == 6


def test_a_copy_goes_on_where_the_layer_was(tmp_path):
    values = keras.Input((3,))
    model = keras.Model(values, GradientWarmUp(steps=4, name="rise")(values))
    x = np.ones((2, 3), np.float32)
    for _ in range(3):
        model(x, training=True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras").get_layer("rise")
    assert again.steps == 4
    assert int(keras.ops.convert_to_numpy(again.step)) == 3
