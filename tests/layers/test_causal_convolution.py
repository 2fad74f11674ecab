import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.layers import CausalConvolution


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_layer_contract(check_layer):
    check_layer(
        "CausalConvolution", {"kernel": 3}, _draw(2, 30, 8), (2, 30, 8), 3 * 8 + 8
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("length", "kernel"), [(1, 4), (2, 4), (50, 4), (9, 1)])
def test_equal_to_keras_own_layer(training, length, kernel):
    ours = CausalConvolution(kernel=kernel)
    theirs = keras.layers.DepthwiseConv1D(kernel, activation="silu")
    x, upstream = tf.constant(_draw(2, length, 6)), _draw(2, length, 6, seed=1)
    ours.build(x.shape)
    theirs.build((2, length + kernel - 1, 6))
    ours.set_weights([_draw(kernel, 6, seed=2), _draw(6, seed=3)])
    theirs.set_weights([ours.taps.numpy()[:, :, None], ours.bias.numpy()])

    def results(layer, *, pad=0, **options):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(tf.pad(x, ((0, 0), (pad, 0), (0, 0))), **options)
            total = tf.reduce_sum(y * upstream)
        weights = [weight.value for weight in layer.weights]
        return [y, *tape.gradient(total, [x, *weights])]

    found = results(ours, training=training)
    wanted = results(theirs, pad=kernel - 1)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, np.reshape(other, one.shape), atol=2e-5)
