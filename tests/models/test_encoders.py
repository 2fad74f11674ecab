"""Every encoder behind the same call."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.models.encoder_config import ENCODERS, output_stride, read_encoder
from seqexp_tf.models.encoders import build_encoder

SMALL = {
    "caduceus": {"blocks": 2, "state": 4},
    "mamba": {"blocks": 2, "state": 4},
    "cnn": {"kernel": 5, "dilations": [1, 4]},
    "transformer": {"blocks": 2, "heads": 2, "feed_forward": 16},
    "hybrid": {"segment": 4, "features": 8, "dilations": [1, 2]},
    "tower": {"kernel": 5, "block_kernel": 3, "filters": [6, 8], "pool": 2},
}
SHAPES = {"tower": (None, 10, 8)}


def _model(name, length=40, **options):
    config = read_encoder({"encoder": name, **SMALL[name], **options}, name="encoder")
    keras.utils.set_random_seed(1)
    encode = build_encoder(config, width=8, name="trunk")
    x = keras.Input((length, 8))
    return keras.Model(x, encode(x)), config


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_each_is_tested():
    assert set(SMALL) == set(ENCODERS)


@pytest.mark.parametrize("name", list(SMALL))
def test_same_shape_out_as_in_but_for_a_tower(name):
    model, config = _model(name)
    assert model.output_shape == SHAPES.get(name, (None, 40, 8))
    assert model.output_shape[1] * output_stride(config) == 40
    assert sum("_block_" in layer.name for layer in model.layers) == config.depth
    found = model(_draw(3, 40, 8)).numpy()
    assert np.isfinite(found).all()
    assert found.std() > 0.1


@pytest.mark.parametrize("name", list(SMALL))
def test_called_twice_it_has_its_weights_once(name):
    config = read_encoder({"encoder": name, **SMALL[name]}, name="encoder")
    encode = build_encoder(config, width=8, name="trunk")
    first, second = keras.Input((20, 8)), keras.Input((20, 8))
    model = keras.Model([first, second], [encode(first), encode(second)])
    once = keras.Model(first, model.outputs[0])
    assert model.count_params() == once.count_params()
    x = _draw(2, 20, 8)
    for found in model([x, x]):
        np.testing.assert_allclose(found, once(x), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [("caduceus", 20, 19), ("mamba", 20, 0), ("cnn", 7, 7), ("transformer", 20, 19)],
)
def test_which_bases_reach_a_base(name, before, after):
    model, config = _model(name)
    x = tf.constant(_draw(1, 40, 8))
    with tf.GradientTape() as tape:
        tape.watch(x)
        # A sum over all features would be constant after a normalisation.
        total = tf.reduce_sum(model(x)[0, 20] * _draw(8, seed=2))
    reached = np.flatnonzero(np.abs(tape.gradient(total, x)[0]).max(-1))
    assert reached.min() >= 20 - before and reached.max() == 20 + after
    if config.receptive_field is not None:
        assert config.receptive_field == before + after + 1
        assert reached.size == config.receptive_field


def test_a_tower_is_convolutions_and_maxima():
    model, config = _model("tower")
    x = _draw(2, 40, 8)
    found = x
    for layer, width in zip(("trunk_block_0", "trunk_block_1"), (5, 3), strict=True):
        kernel, bias = (w.numpy() for w in model.get_layer(layer).weights)
        padded = np.pad(found, ((0, 0), (width // 2, width // 2), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
        found = np.maximum(np.einsum("blfk,kfo->blo", windows, kernel) + bias, 0)
        found = found.reshape(2, -1, 2, found.shape[-1]).max(2)
    np.testing.assert_allclose(model(x), found, atol=1e-5)
    assert config.receptive_field == 1 + (4 + 1) + 2 * (2 + 1)


def test_bases_that_reach_a_position_of_a_tower():
    """Any of them may be the largest of its neighbours, so over many draws."""
    model, config = _model("tower")
    reached = set()
    for seed in range(40):
        x = tf.constant(_draw(1, 40, 8, seed=seed))
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x)[0, 5])
        reached |= set(np.flatnonzero(np.abs(tape.gradient(total, x)[0]).max(-1)))
    # The position covers bases 20 to 23.
    assert (min(reached), max(reached)) == (16, 27)
    assert config.receptive_field == 27 - 16 + 1


def test_halves_become_their_mean():
    model, _ = _model("caduceus", reverse_complement=True)
    assert model.output_shape == (None, 40, 4)
    x = _draw(2, 40, 8)
    np.testing.assert_allclose(
        model(x[:, ::-1, ::-1]), model(x).numpy()[:, ::-1], atol=1e-5
    )
