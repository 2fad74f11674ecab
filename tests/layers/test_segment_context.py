import keras
import numpy as np
import pytest

from seqexp_tf.errors import ConfigError
from seqexp_tf.layers import SegmentContext
from seqexp_tf.models.encoder_config import HybridEncoder, read_encoder
from seqexp_tf.models.encoders import build_encoder


@pytest.fixture
def x():
    return np.random.default_rng(3).normal(size=(2, 50, 6)).astype(np.float32)


def test_shape_and_serialisation(x):
    layer = SegmentContext(
        segment=8, features=16, dilations=(1, 2), blocks=1, heads=2, feed_forward=8
    )
    y = layer(x)
    assert y.shape == x.shape
    again = SegmentContext.from_config(layer.get_config())
    again.build(x.shape)
    again.set_weights(layer.get_weights())
    np.testing.assert_allclose(again(x), y, atol=1e-6)


def test_every_base_of_a_segment_is_told_the_same(x):
    layer = SegmentContext(segment=10, features=4)
    added = np.asarray(layer(x)) - x
    for first in range(0, 50, 10):
        same = np.broadcast_to(added[:, first : first + 1], (2, 10, 6))
        np.testing.assert_allclose(added[:, first : first + 10], same, atol=1e-5)
    assert np.ptp(added, axis=1).min() > 1e-3


@pytest.mark.parametrize("dilations", [(), (1,), (1, 2)])
def test_receptive_field_is_a_bound_that_is_nearly_reached(dilations):
    config = HybridEncoder(kernel=5, segment=4, features=8, dilations=dilations)
    keras.utils.set_random_seed(1)
    encode = build_encoder(config, width=8, name="e")
    bases = keras.Input((160, 8))
    model = keras.Model(bases, encode(bases))
    model(np.zeros((1, 160, 8)))
    for weights in model.weights:
        weights.assign(np.abs(np.asarray(weights)) + 0.01)
    start = np.random.default_rng(2).random((1, 160, 8)).astype(np.float32)
    changed = np.repeat(start, 160, axis=0)
    changed[np.arange(160), np.arange(160)] += 1.0
    *after, before = np.asarray(model(np.concatenate([changed, start])))[:, 80]
    reached = np.flatnonzero(np.abs(after - before).max(axis=1) > 1e-6)
    width = reached[-1] - reached[0] + 1
    assert config.receptive_field - config.segment <= width <= config.receptive_field


def test_attention_has_no_bound():
    assert HybridEncoder(blocks=1).receptive_field is None


def test_bad_options():
    with pytest.raises(ConfigError, match="features is 20; it must be a multiple"):
        read_encoder({"encoder": "hybrid", "features": 20, "blocks": 1}, name="g")
    with pytest.raises(ConfigError, match="segment is 0; it must be at least 1"):
        read_encoder({"encoder": "hybrid", "segment": 0}, name="g")
