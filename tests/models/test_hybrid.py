import keras
import numpy as np
import pytest

from seqexp_tf.errors import ConfigError
from seqexp_tf.models.config import HybridConfig
from seqexp_tf.models.hybrid import build_hybrid
from seqexp_tf.models.registry import read_config
from seqexp_tf.training.config import read_preset, read_run_config

SMALL = HybridConfig(
    filters=8,
    kernel=5,
    dilations=(1, 2),
    segment=4,
    width=8,
    blocks=1,
    heads=2,
    feed_forward=16,
    expression_kernel=3,
)


def _reach(model, at, length=200):
    """Positions whose expression label changes the logit at ``at``."""
    sequence = np.eye(5, dtype=np.float32)[np.zeros((1, length), int)]
    labels = np.zeros((length + 1, length), np.float32)
    labels[np.arange(length), np.arange(length)] = 1
    outputs = model(
        {
            "sequence": np.repeat(sequence, length + 1, axis=0),
            "expression": labels,
        }
    )
    logits = keras.ops.convert_to_numpy(outputs["expression_logits"])[:, at]
    return np.flatnonzero(logits[:-1] != logits[-1])


def test_the_preset_is_the_default():
    preset = read_run_config(read_preset("hybrid"))
    options = {k: v for k, v in preset.model.items() if k != "architecture"}
    assert read_config("hybrid", options, origin="preset") == HybridConfig()


def test_number_of_weights_by_hand():
    block = 8 * 24 + 24 + 8 * 8 + 8 + (8 * 16 + 16 + 16 * 8 + 8) + 2 * 2 * 8
    wanted = (
        5 * 6 * 8 + 8  # stem
        + 4 * (3 * 8 * 8 + 8)  # residual convolutions
        + 4 * 8 * 8 + 8 + block + 2 * 8 + 8 * 8 + 8  # segments
        + 3 * 8 + 1 + 8 * 5 + 5  # heads
    )  # fmt: skip
    assert build_hybrid(SMALL).count_params() == wanted


def test_convolution_branches_begin_at_zero():
    model = build_hybrid(SMALL)
    for name in ("encoder_0", "encoder_1", "decoder_0", "decoder_1"):
        assert not np.any(model.get_layer(name).get_weights()[0])


def test_attention_reaches_the_whole_window():
    keras.utils.set_random_seed(3)
    model = build_hybrid(SMALL)
    assert _reach(model, 100).size > 190


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segment": 0}, "segment is 0"),
        ({"width": 100}, "width is 100; it must be a multiple of twice the 4 heads"),
        ({"dilations": [0]}, r"dilations is \[0\]; each must be at least 1"),
        ({"dropout": -1.0}, "dropout is -1.0"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        read_config("hybrid", options, origin="run.toml")
