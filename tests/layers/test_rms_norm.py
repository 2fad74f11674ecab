import keras
import numpy as np

from seqexp_tf.layers import RMSNorm


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_layer_contract(check_layer):
    check_layer("RMSNorm", {}, _draw(2, 30, 8), (2, 30, 8), 8)


def test_written_out_in_numpy():
    layer = RMSNorm(epsilon=0.5)
    x = 3 + _draw(2, 30, 8)
    layer(x)
    gamma = _draw(8, seed=1)
    layer.set_weights([gamma])
    wanted = x / np.sqrt((x**2).mean(-1, keepdims=True) + 0.5) * gamma
    np.testing.assert_allclose(layer(x), wanted, atol=1e-5)


def test_squares_are_float32_under_mixed_precision():
    # In float16, and so in a sum of it, the square of 1000 is infinite.
    layer = RMSNorm(dtype="mixed_float16")
    x = keras.ops.full((1, 3, 4), 1000.0, dtype="float16")
    np.testing.assert_allclose(layer(x), 1.0, rtol=1e-3)
