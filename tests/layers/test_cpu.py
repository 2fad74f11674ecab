"""``for_cpu`` against layers as Keras computes them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from seqexp_tf.layers import backend
from seqexp_tf.layers.cpu import all_for_cpu, for_cpu
from seqexp_tf.models.encoder_config import ENCODERS, read_encoder
from seqexp_tf.models.encoders import build_encoder
from seqexp_tf.models.registry import build, read_config

pytestmark = pytest.mark.skipif(
    backend.ON_JAX or backend.has_accelerator(),
    reason="convolutions are as Keras computes them under JAX and on a GPU",
)


def _convolution(filters, taps, dilation=1, **options):
    return keras.layers.Conv1D(
        filters, taps, **{"padding": "same", "dilation_rate": dilation, **options}
    )


def _pair(features, filters, taps, dilation, **options):
    ours, theirs = (_convolution(filters, taps, dilation, **options) for _ in "ab")
    for_cpu(ours)
    assert ("call" in vars(ours)) == (
        (dilation > 2 and taps % 2 == 1) or (dilation == 1 < taps and filters == 1)
    )
    for layer in (ours, theirs):
        layer.build((None, None, features))
    weights = [
        np.random.default_rng(1).normal(size=weight.shape).astype("float32")
        for weight in theirs.get_weights()
    ]
    for layer in (ours, theirs):
        layer.set_weights(weights)
    return ours, theirs


@settings(max_examples=60)
@given(
    length=st.integers(1, 70),
    features=st.integers(1, 5),
    filters=st.integers(1, 3),
    taps=st.integers(1, 8),
    dilation=st.integers(1, 40),
    use_bias=st.booleans(),
)
def test_is_the_convolution_of_keras(
    length, features, filters, taps, dilation, use_bias
):
    ours, theirs = _pair(
        features, filters, taps, dilation, activation="relu", use_bias=use_bias
    )
    x = np.random.default_rng(2).normal(size=(2, length, features)).astype("float32")
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(x)), ops.convert_to_numpy(theirs(x)), atol=2e-5
    )


@pytest.mark.parametrize(
    ("filters", "taps", "dilation"),
    [(4, 3, 8), (4, 3, 7), (3, 3, 8), (3, 3, 7), (1, 30, 1), (1, 5, 3)],
)
def test_gradients_are_those_of_the_convolution_of_keras(filters, taps, dilation):
    x = np.random.default_rng(2).normal(size=(2, 48, 3)).astype("float32")
    target = np.random.default_rng(3).normal(size=(2, 48, filters)).astype("float32")
    found = []
    for layer in _pair(3, filters, taps, dilation, activation="relu"):
        inputs = keras.Input((None, 3))
        first = keras.layers.Dense(3, kernel_initializer="identity")
        model = keras.Model(inputs, layer(first(inputs)))
        model.compile(keras.optimizers.SGD(1.0), "mse")
        model.train_on_batch(x, target)
        found.append(model.get_weights())
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_lengths_may_differ_from_call_to_call():
    ours, theirs = _pair(3, 2, 3, 16)
    inputs = keras.Input((None, 3))
    head, their_head = _pair(3, 1, 30, 1)
    model = keras.Model(inputs, [ours(inputs), head(inputs)])
    assert [output.shape for output in model.outputs] == [
        (None, None, 2),
        (None, None, 1),
    ]
    for length in (64, 50, 3):
        x = np.random.default_rng(2).normal(size=(1, length, 3)).astype("float32")
        found, score = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, ops.convert_to_numpy(theirs(x)), atol=1e-5)
        np.testing.assert_allclose(score, their_head(x), atol=1e-5)


def test_the_format_is_that_of_the_layer_whatever_the_default():
    ours, theirs = _pair(3, 2, 3, 4)
    x = np.random.default_rng(2).normal(size=(1, 50, 3)).astype("float32")
    keras.config.set_image_data_format("channels_first")
    try:
        found = ours(x)
    finally:
        keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(found, theirs(x), atol=1e-5)


def test_no_windows_are_no_windows():
    filters, taps, dilations = (2, 3, 1), (3, 3, 9), (4, 4, 1)
    inputs = keras.Input((16, 3))
    for layer in map(_convolution, filters, taps, dilations):
        model = keras.Model(inputs, for_cpu(layer)(inputs))
        for call in (model, model.predict_on_batch):
            assert call(np.ones((0, 16, 3))).shape == (0, 16, layer.filters)


def test_computes_in_the_precision_of_its_policy():
    layer = for_cpu(_convolution(2, 3, 4, dtype="mixed_bfloat16"))
    head = for_cpu(_convolution(1, 9, dtype="mixed_bfloat16"))
    x = np.ones((1, 16, 3), "float32")
    assert keras.backend.standardize_dtype(layer(x).dtype) == "bfloat16"
    assert keras.backend.standardize_dtype(head(x).dtype) == "bfloat16"


DENSE, CONVOLUTION = keras.layers.Dense, keras.layers.Conv1D


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (DENSE, {"units": 8, "activation": "relu"}),
        (DENSE, {"units": 8, "activation": "gelu"}),
        (DENSE, {"units": 8}),
        (CONVOLUTION, {"filters": 8, "kernel_size": 3, "padding": "same"}),
        (CONVOLUTION, {"filters": 8, "kernel_size": 4, "strides": 4}),
        (CONVOLUTION, {"filters": 8, "kernel_size": 3, "dilation_rate": 2}),
        (
            CONVOLUTION,
            {"filters": 8, "kernel_size": 3, "padding": "same", "dilation_rate": 8},
        ),
        (CONVOLUTION, {"filters": 1, "kernel_size": 30, "padding": "same"}),
    ],
)
@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_of_biases_are_whole_in_bfloat16(kind, options, compiled):
    """Those of TensorFlow are a small part of what they should be."""
    x = np.random.default_rng(1).normal(size=(8, 2048, 8)).astype("float32")
    exact, ours = (
        kind(**options, dtype=dtype, kernel_initializer=keras.initializers.Ones())
        for dtype in ("float32", "mixed_bfloat16")
    )
    for_cpu(ours)

    def gradient(layer):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.cast(layer(x), "float32")) / x.size
        return tape.gradient(loss, layer.bias.value)

    for layer in (exact, ours):
        layer.build(x.shape)
    found = (tf.function(gradient) if compiled else gradient)(ours)
    np.testing.assert_allclose(found, gradient(exact), rtol=0.02)


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_may_be_taken_of_several_losses(compiled):
    options = {"activation": "relu", "kernel_initializer": "ones"}
    layer = for_cpu(DENSE(2, dtype="mixed_bfloat16", **options))
    layer.build((None, 3))
    x = np.ones((4, 3), "float32")

    def gradients():
        with tf.GradientTape(persistent=True) as tape:
            once = tf.reduce_sum(tf.cast(layer(x), "float32"))
            twice = 2.0 * once
        return [tape.gradient(loss, layer.bias.value) for loss in (once, twice)]

    once, twice = (tf.function(gradients) if compiled else gradients)()
    np.testing.assert_array_equal(2 * once, twice)
    assert np.any(once)


@pytest.fixture
def in_bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def _biased(model):
    return [
        layer
        for layer in model._flatten_layers(include_self=False)
        if type(layer) in (DENSE, CONVOLUTION)
        and layer.use_bias
        and layer.compute_dtype == "bfloat16"
    ]


@pytest.mark.parametrize("name", ["cnn", "transformer", "hybrid"])
def test_every_bias_of_a_joint_model(name, in_bfloat16):
    biased = _biased(build(name, read_config(name, {}, origin="test")))
    assert biased
    assert all("call" in vars(layer) for layer in biased)


@pytest.mark.parametrize("name", list(ENCODERS))
def test_every_bias_of_an_encoder(name, in_bfloat16):
    encode = build_encoder(
        read_encoder({"encoder": name}, name="encoder"), width=16, name="trunk"
    )
    inputs = keras.Input((4096, 16))
    biased = _biased(keras.Model(inputs, encode(inputs)))
    assert biased or name in ("caduceus", "mamba")
    assert all("call" in vars(layer) for layer in biased)


def test_a_layer_stays_one_of_keras(tmp_path):
    layer = for_cpu(_convolution(2, 3, 4, activation="relu", name="one"))
    assert type(layer) is keras.layers.Conv1D
    saved = keras.saving.serialize_keras_object(layer)
    assert (saved["module"], saved["class_name"]) == ("keras.layers", "Conv1D")
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert "call" not in vars(loaded.get_layer("one"))
    assert all_for_cpu(loaded) is loaded
    assert "call" in vars(loaded.get_layer("one"))
    x = np.random.default_rng(2).normal(size=(1, 50, 3)).astype("float32")
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2, "dilation_rate": 1},
        {"padding": "causal"},
        {"padding": "valid"},
        {"groups": 2},
        {"data_format": "channels_first"},
    ],
)
def test_leaves_other_convolutions_as_they_are(options):
    assert "call" not in vars(for_cpu(_convolution(2, 3, 4, **options)))


@pytest.mark.parametrize(
    "layer",
    [
        _convolution(2, 3, 4, padding="causal", dtype="mixed_bfloat16"),
        keras.layers.Dense(2, use_bias=False, dtype="mixed_bfloat16"),
        keras.layers.Dense(2),
        keras.layers.Conv2D(2, 3, dtype="mixed_bfloat16"),
        keras.layers.LayerNormalization(dtype="mixed_bfloat16"),
    ],
    ids=lambda layer: layer.name,
)
def test_leaves_other_layers_as_they_are(layer):
    assert "call" not in vars(for_cpu(layer))


@pytest.mark.parametrize("name", ["ON_JAX", "GPU"])
def test_only_tensorflow_on_a_cpu_computes_otherwise(monkeypatch, name):
    monkeypatch.setattr(backend, "ON_JAX", name == "ON_JAX")
    monkeypatch.setattr(backend, "has_accelerator", lambda: name == "GPU")
    assert "call" not in vars(for_cpu(_convolution(2, 3, 4)))
