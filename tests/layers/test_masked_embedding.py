"""What a mask leaves of an embedding, and what of its gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.layers import MaskedEmbedding


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("fill", "weights"), [("zero", 0), ("token", 8)])
def test_layer_contract(check_layer, fill, weights):
    mask = np.random.default_rng(1).uniform(size=(2, 30)).astype(np.float32)
    inputs = [_draw(2, 30, 8), mask]
    # A fresh token is drawn at random: the same seed makes the copies alike.
    keras.utils.set_random_seed(0)
    check_layer("MaskedEmbedding", {"fill": fill}, inputs, (2, 30, 8), weights)


def test_written_out():
    x, mask = _draw(2, 5, 3), np.random.default_rng(1).random((2, 5), np.float32)
    np.testing.assert_allclose(
        MaskedEmbedding()([x, mask]), x * mask[..., None], rtol=1e-6
    )
    layer = MaskedEmbedding(fill="token")
    layer([x, mask])
    token = keras.ops.convert_to_numpy(layer.token)
    wanted = x * mask[..., None] + (1 - mask[..., None]) * token
    np.testing.assert_allclose(layer([x, mask]), wanted, rtol=1e-5, atol=1e-6)


def test_only_a_token_survives_normalisation():
    """Why the option exists: a normalised m * x does not depend on m."""
    x = _draw(1, 40, 16)
    norm = keras.layers.LayerNormalization(center=False, scale=False, epsilon=1e-6)
    slopes = {}
    for fill in ("zero", "token"):
        keras.utils.set_random_seed(3)
        layer = MaskedEmbedding(fill=fill)
        mask = tf.constant(np.full((1, 40), 0.3, np.float32))
        layer([x, mask])
        with tf.GradientTape() as tape:
            tape.watch(mask)
            total = tf.reduce_sum(norm(layer([x, mask])) * _draw(1, 40, 16, seed=4))
        slopes[fill] = np.abs(tape.gradient(total, mask)).mean()
    assert slopes["token"] > 1e3 * slopes["zero"]
