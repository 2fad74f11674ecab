"""The Transformer of section 4.2 of *Joint Modelling of DNA and RNA*."""

import keras
import numpy as np
import pytest

from seqexp_tf.errors import ConfigError
from seqexp_tf.layers import SinusoidalPositions, TransformerBlock
from seqexp_tf.models.config import TransformerConfig
from seqexp_tf.models.registry import read_config
from seqexp_tf.models.transformer import build_transformer
from seqexp_tf.training.config import read_preset, read_run_config


def test_defaults_are_those_of_the_study():
    config = TransformerConfig()
    assert (config.width, config.blocks, config.heads) == (128, 4, 4)
    assert (config.normalization, config.positions) == ("post", "sinusoidal")
    preset = read_run_config(read_preset("transformer"))
    options = {k: v for k, v in preset.model.items() if k != "architecture"}
    assert read_config("transformer", options, origin="preset") == config


def test_number_of_weights_by_hand():
    model = build_transformer(TransformerConfig())
    attention = 128 * 3 * 128 + 3 * 128 + 128 * 128 + 128
    feed_forward = 128 * 512 + 512 + 512 * 128 + 128
    block = attention + feed_forward + 2 * 2 * 128
    heads = 128 * 5 + 5 + 128 + 1
    assert model.count_params() == 6 * 128 + 128 + 4 * block + heads == 794_758


def test_layers_are_those_of_the_study():
    model = build_transformer(TransformerConfig())
    blocks = [layer for layer in model.layers if isinstance(layer, TransformerBlock)]
    assert [block.name for block in blocks] == [f"block_{i}" for i in range(4)]
    assert {block.normalization for block in blocks} == {"post"}
    assert not any(block.rotary for block in blocks)
    assert any(isinstance(layer, SinusoidalPositions) for layer in model.layers)
    projection = model.get_layer("projection")
    assert projection.kernel.shape == (6, 128)
    assert projection.activation is keras.activations.linear
    heads = [model.get_layer(n) for n in ("expression_head", "sequence_logits")]
    assert [head.kernel_size for head in heads] == [(1,), (1,)]


def test_options_of_its_own():
    plain = build_transformer(TransformerConfig(width=16, blocks=2, heads=2))
    config = TransformerConfig(
        width=16,
        blocks=2,
        heads=2,
        normalization="pre",
        positions="rotary",
        dropout=0.1,
    )
    model = build_transformer(config)
    assert model.count_params() == plain.count_params() + 2 * 16
    assert not any(isinstance(layer, SinusoidalPositions) for layer in model.layers)
    assert model.get_layer("block_1").rotary
    assert model.get_layer("block_1").dropout == 0.1


def test_a_permuted_window_is_another_window():
    # Without positions a Transformer answers a permuted window with the same,
    # permuted.
    model = build_transformer(TransformerConfig(width=16, blocks=1, heads=2))
    rng = np.random.default_rng(0)
    sequence = np.eye(5, dtype=np.float32)[rng.integers(0, 4, (1, 64))]
    inputs = {"sequence": sequence, "expression": np.zeros((1, 64), np.float32)}
    flipped = {name: values[:, ::-1] for name, values in inputs.items()}
    wanted = keras.ops.convert_to_numpy(model(inputs)["expression_logits"])
    found = keras.ops.convert_to_numpy(model(flipped)["expression_logits"])[:, ::-1]
    assert np.abs(found - wanted).max() > 1e-2


def test_remat_changes_nothing_but_memory():
    def trained(remat):
        keras.utils.set_random_seed(1)
        config = TransformerConfig(width=16, blocks=2, heads=2, remat=remat)
        model = build_transformer(config)
        model.compile(keras.optimizers.SGD(0.1), "mse")
        rng = np.random.default_rng(0)
        inputs = {
            "sequence": rng.random((2, 64, 5)).astype("f4"),
            "expression": rng.random((2, 64)).astype("f4"),
        }
        targets = {
            "expression_logits": np.ones((2, 64), "f4"),
            "sequence_logits": np.ones((2, 64, 5), "f4"),
        }
        model.train_on_batch(inputs, targets)
        return model.get_weights()

    for plain, again in zip(trained(False), trained(True), strict=True):
        np.testing.assert_allclose(plain, again, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 130}, "width is 130; it must be a multiple of twice the 4 heads"),
        ({"heads": 0}, "heads is 0"),
        ({"blocks": 0}, "blocks is 0"),
        ({"feed_forward": 0}, "feed_forward is 0"),
        ({"dropout": 1.5}, "dropout is 1.5"),
        ({"dropout": 0.1, "remat": True}, "remat is true with dropout 0.1"),
        ({"normalization": "batch"}, "normalization"),
        ({"positions": "learned"}, "positions"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_config("transformer", options, origin="run.toml")
    assert "\n" not in str(caught.value)
