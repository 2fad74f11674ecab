"""The CNN of section 4.1 of *Joint Modelling of DNA and RNA*, number by number."""

import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.errors import ConfigError
from seqexp_tf.models.cnn import build_cnn
from seqexp_tf.models.config import CNNConfig
from seqexp_tf.models.registry import build, read_config
from seqexp_tf.training import trainer
from seqexp_tf.training.checkpoints import BEST, Progress, save_checkpoint
from seqexp_tf.training.config import read_preset, read_run_config

SMALL = CNNConfig(filters=8, dilations=(2, 4), expression_kernel=6)


def _inputs(batch, length, seed=0):
    rng = np.random.default_rng(seed)
    sequence = np.eye(5, dtype=np.float32)[rng.integers(0, 5, (batch, length))]
    sequence[rng.random((batch, length)) < 0.15] = 0
    expression = rng.choice(np.array([0, 0.5, 1], np.float32), (batch, length))
    return {"sequence": sequence, "expression": expression}


def _outputs(model, inputs):
    return {
        name: keras.ops.convert_to_numpy(keras.ops.cast(values, "float32"))
        for name, values in model(inputs, training=False).items()
    }


@pytest.fixture(scope="module")
def study():
    """The network of the study."""
    return build_cnn(CNNConfig())


@pytest.fixture
def policy():
    """Sets Keras' dtype policy for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def test_defaults_are_those_of_the_study():
    assert CNNConfig() == CNNConfig(
        filters=64,
        kernel=7,
        block_kernel=3,
        dilations=(2, 4, 8, 16, 32, 64),
        expression_kernel=30,
        normalize=False,
        dropout=0.0,
    )
    preset = read_run_config(read_preset("cnn"))
    options = {k: v for k, v in preset.model.items() if k != "architecture"}
    assert read_config("cnn", options, origin="preset cnn") == CNNConfig()


def test_number_of_weights_by_hand(study):
    stem = 7 * 6 * 64 + 64
    block = 64 * 3 * 64 + 64
    expression_head = 64 * 30 * 1 + 1
    sequence_head = 64 * 5 + 5
    assert stem + 6 * block + expression_head + sequence_head == 79_110
    assert study.count_params() == 79_110
    assert all(weight.trainable for weight in study.weights)


def test_layers_are_those_of_the_study(study):
    convolutions = [
        (
            layer.name,
            layer.filters,
            layer.kernel_size,
            layer.dilation_rate,
            layer.padding,
            layer.activation.__name__,
        )
        for layer in study.layers
        if isinstance(layer, keras.layers.Conv1D)
    ]
    assert sorted(convolutions) == sorted(
        [("stem", 64, (7,), (1,), "same", "relu")]
        + [
            (f"block_{index}", 64, (3,), (dilation,), "same", "relu")
            for index, dilation in enumerate((2, 4, 8, 16, 32, 64))
        ]
        + [
            ("expression_head", 1, (30,), (1,), "same", "linear"),
            ("sequence_logits", 5, (1,), (1,), "valid", "linear"),
        ]
    )
    assert not any("pool" in type(layer).__name__.lower() for layer in study.layers)


def test_outputs_equal_convolutions_written_out():
    model = build_cnn(SMALL)
    inputs = _inputs(2, 40)
    weights = {weight.path: weight.numpy() for weight in model.weights}
    rng = np.random.default_rng(1)
    for weight in model.weights:
        # Biases begin at zero and would go untested.
        weights[weight.path] += rng.normal(0, 0.1, weight.shape).astype(np.float32)
        weight.assign(weights[weight.path])

    def convolve(x, name, dilation=1):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        reach = (len(kernel) - 1) * dilation
        left = reach // 2
        padded = np.pad(x, ((0, 0), (left, reach - left), (0, 0)))
        return bias + sum(
            padded[:, tap * dilation : tap * dilation + x.shape[1]] @ kernel[tap]
            for tap in range(len(kernel))
        )

    x = np.concatenate([inputs["sequence"], inputs["expression"][..., None]], -1)
    x = np.maximum(convolve(x, "stem"), 0)
    for index, dilation in enumerate(SMALL.dilations):
        x = x + np.maximum(convolve(x, f"block_{index}", dilation), 0)
    outputs = _outputs(model, inputs)
    np.testing.assert_allclose(
        outputs["expression_logits"],
        convolve(x, "expression_head")[..., 0],
        rtol=1e-4,
        atol=1e-5,
    )
    np.testing.assert_allclose(
        outputs["sequence_logits"], convolve(x, "sequence_logits"), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("config", "before", "after"),
    [
        # Stem 3, blocks 126; an even kernel reaches further towards the end.
        (CNNConfig(), 3 + 126 + 14, 3 + 126 + 15),
        (CNNConfig(kernel=15, dilations=tuple(2**i for i in range(10))), 1044, 1045),
        (
            CNNConfig(kernel=4, block_kernel=2, dilations=(1, 2), expression_kernel=1),
            1 + 0 + 1,
            2 + 1 + 1,
        ),
        (CNNConfig(dilations=(), expression_kernel=1), 3, 3),
    ],
)
def test_receptive_field_by_gradient(config, before, after):
    model = build_cnn(config)
    for weight in model.weights:
        # Positive everywhere, so that no path is closed by a ReLU or cancels.
        weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:-1])))
    at, length = before + 5, before + after + 10
    inputs = {name: tf.constant(value) for name, value in _inputs(1, length).items()}
    with tf.GradientTape(persistent=True) as tape:
        for value in inputs.values():
            tape.watch(value)
        outputs = model(inputs, training=False)
        expression = outputs["expression_logits"][0, at]
        base = outputs["sequence_logits"][0, at, 0]
    by_sequence = tape.gradient(expression, inputs["sequence"]).numpy()[0]
    reached = np.flatnonzero((by_sequence > 0).all(axis=-1))
    np.testing.assert_array_equal(reached, np.arange(at - before, at + after + 1))
    assert config.receptive_field == reached.size
    by_label = tape.gradient(expression, inputs["expression"]).numpy()[0]
    np.testing.assert_array_equal(np.flatnonzero(by_label), reached)
    for_base = np.flatnonzero(tape.gradient(base, inputs["expression"]).numpy()[0])
    assert for_base.size == reached.size - (config.expression_kernel - 1)


def test_receptive_fields_of_the_presets():
    fields = {"cnn": 288, "cnn_large": 2_090}
    for name, field in fields.items():
        model = read_run_config(read_preset(name)).model
        options = {key: v for key, v in model.items() if key != "architecture"}
        assert read_config("cnn", options, origin=name).receptive_field == field


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_shapes_and_dtypes(policy, precision):
    policy(precision)
    model = build_cnn(CNNConfig())
    outputs = model(_inputs(2, 96), training=False)
    assert set(outputs) == {"expression_logits", "sequence_logits"}
    assert tuple(outputs["expression_logits"].shape) == (2, 96)
    assert tuple(outputs["sequence_logits"].shape) == (2, 96, 5)
    for values in outputs.values():
        assert keras.backend.standardize_dtype(values.dtype) == "float32"
    assert {weight.dtype for weight in model.weights} == {"float32"}
    compute = "bfloat16" if precision == "mixed_bfloat16" else "float32"
    assert model.get_layer("block_3").compute_dtype == compute
    assert model.count_params() == 79_110


def test_bfloat16_is_close_to_float32(study, policy):
    inputs = _inputs(2, 512)
    wanted = _outputs(study, inputs)
    policy("mixed_bfloat16")
    model = build_cnn(CNNConfig())
    model.set_weights(study.get_weights())
    for name, values in _outputs(model, inputs).items():
        spread = wanted[name].std()
        assert 0 < np.abs(values - wanted[name]).max() < 0.2 * spread


@pytest.mark.parametrize("length", [1, 7, 29, 30, 517, 2048, 4096])
def test_any_length(study, length):
    outputs = _outputs(study, _inputs(1, length))
    assert outputs["expression_logits"].shape == (1, length)
    assert outputs["sequence_logits"].shape == (1, length, 5)
    assert all(np.isfinite(values).all() for values in outputs.values())


def test_a_longer_window_changes_nothing_out_of_reach(study):
    whole = _inputs(1, 1000)
    part = {name: values[:, 200:800] for name, values in whole.items()}
    wanted, found = _outputs(study, whole), _outputs(study, part)
    for name, values in found.items():
        np.testing.assert_allclose(
            values[:, 150:-150], wanted[name][:, 350:650], rtol=1e-4, atol=1e-4
        )


def test_normalisation_and_dropout():
    model = build_cnn(
        CNNConfig(filters=8, dilations=(2, 4), normalize=True, dropout=0.3)
    )
    plain = build_cnn(CNNConfig(filters=8, dilations=(2, 4)))
    assert model.count_params() == plain.count_params() + 2 * 2 * 8
    inputs = _inputs(1, 64)
    still = [model(inputs, training=False)["sequence_logits"] for _ in range(2)]
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, still))
    moving = [model(inputs, training=True)["sequence_logits"] for _ in range(2)]
    assert np.any(keras.ops.convert_to_numpy(moving[0] != moving[1]))


def test_the_registry_builds_it():
    config = read_config("cnn", {"filters": 8, "dilations": [2, 4]}, origin="run.toml")
    assert config == CNNConfig(filters=8, dilations=(2, 4))
    assert build("cnn", config).name == "cnn"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": 0}, "filters is 0; it must be at least 1"),
        ({"kernel": 0}, "kernel is 0"),
        ({"block_kernel": -1}, "block_kernel is -1"),
        ({"expression_kernel": 0}, "expression_kernel is 0"),
        ({"dilations": [2, 0]}, r"dilations is \[2, 0\]; each must be at least 1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"filter": 64}, 'unknown key "filter"; did you mean "filters"'),
        ({"dilations": 2}, "dilations must be a list, not 2"),
        ({"filters": 64.5}, "filters must be a whole number, not 64.5"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_config("cnn", options, origin="run.toml")
    assert str(caught.value).startswith("run.toml [model]: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ConfigError, match='unknown model.architecture .*"cnn"'):
        read_config("cnnn", {}, origin="run.toml")


LOADS = """
import sys
import keras, numpy as np
_, backend, *paths = sys.argv
assert keras.backend.backend() == backend, keras.backend.backend()
for path in paths:
    model = keras.saving.load_model(path)
    assert not any(name.startswith("seqexp_tf") for name in sys.modules)
    outputs = model(dict(np.load(path + ".inputs.npz")), training=False)
    np.savez(path + ".outputs.npz", **{
        name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()
    })
"""


def _outputs_in_a_fresh_process(cases, backend="tensorflow"):
    """Loads models where only Keras is imported, and returns the outputs of each.

    ``cases``: pairs of a model file and its inputs.
    """
    for path, inputs in cases:
        np.savez(f"{path}.inputs.npz", **inputs)
    run = subprocess.run(
        [sys.executable, "-c", LOADS, backend, *(str(path) for path, _ in cases)],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    found = []
    for path, _ in cases:
        with np.load(f"{path}.outputs.npz") as outputs:
            found.append(dict(outputs))
    return found


def _assert_same(found, wanted, tolerance=1e-5):
    assert set(found) == set(wanted)
    for name, values in found.items():
        np.testing.assert_allclose(values, wanted[name], rtol=0, atol=tolerance)


def test_models_load_with_keras_alone(study, tmp_path):
    """A model as it was built, and one as a checkpoint of a run keeps it."""
    study.save(tmp_path / "model.keras")
    config = read_run_config(
        {"model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]}}
    )
    model = trainer.build_model(config, "float32")
    trainer.compile_model(model, config.training, 10)
    inputs = _inputs(2, 64)
    labels = {
        "expression_logits": np.ones((2, 64), np.float32),
        "sequence_logits": np.ones((2, 64), np.int32),
    }
    weights = {name: np.ones((2, 64), np.float32) for name in labels}
    model.train_on_batch(inputs, labels, weights)
    best = save_checkpoint(tmp_path, model, Progress(), improved=True) / BEST
    cases = [(tmp_path / "model.keras", _inputs(2, 300)), (best, inputs)]
    for found, (_, given), of in zip(
        _outputs_in_a_fresh_process(cases), cases, (study, model), strict=True
    ):
        _assert_same(found, _outputs(of, given))


@pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is missing; pip install jax"
)
def test_same_outputs_under_jax(study, tmp_path):
    study.save(tmp_path / "model.keras")
    inputs = _inputs(2, 300)
    cases = [(tmp_path / "model.keras", inputs)]
    (found,) = _outputs_in_a_fresh_process(cases, backend="jax")
    _assert_same(found, _outputs(study, inputs), tolerance=1e-4)
