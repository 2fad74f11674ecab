import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from fixtures.tools import load_tool

from seqexp_tf.layers import MambaMixer

ORACLE = Path(__file__).parent / "data" / "mamba_mixer.npz"
PLACES = {
    "A_log": "scan/recurrence/A_log",
    "D": "scan/recurrence/D",
    "conv1d.bias": "scan/convolution/bias",
    "conv1d.weight": "scan/convolution/kernel",
    "dt_proj.bias": "scan/dt_bias",
    "dt_proj.weight": "scan/dt_proj/kernel",
    "in_proj.weight": "in_proj/kernel",
    "out_proj.weight": "out_proj/kernel",
    "x_proj.weight": "scan/x_proj/kernel",
}
"""Name in PyTorch -> path in the layer."""


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _in_keras(name, array):
    if name == "conv1d.weight":
        return array[:, 0].T
    return array.T if name.endswith(".weight") else array


@pytest.fixture(scope="module")
def oracle():
    with np.load(ORACLE, allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture
def mixer(oracle):
    layer = MambaMixer(rank=3, name="m")
    layer.build(oracle["input"].shape)
    by_path = {weight.path: weight for weight in layer.weights}
    assert set(by_path) == {f"m/{path}" for path in PLACES.values()}
    for name, path in PLACES.items():
        by_path[f"m/{path}"].assign(_in_keras(name, oracle[f"weight/{name}"]))
    return layer


@pytest.mark.parametrize("training", [False, True])
def test_equal_to_transformers(oracle, mixer, training):
    x = tf.constant(oracle["input"])
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = mixer(x, training=training)
        total = tf.reduce_sum(output * oracle["upstream"])
    np.testing.assert_allclose(output, oracle["output"], atol=1e-5, rtol=0)
    by_path = {weight.path: weight.value for weight in mixer.weights}
    sources = {"input": x} | {
        name: by_path[f"m/{path}"] for name, path in PLACES.items()
    }
    found = tape.gradient(total, sources)
    for name, gradient in found.items():
        wanted = _in_keras(name, oracle[f"gradient/{name}"])
        if name == "input":
            wanted = oracle["gradient/input"]
        assert np.abs(gradient - wanted).max() <= 1e-4 * np.abs(wanted).max(), name


def test_the_oracle_is_what_transformers_says(oracle):
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    tool = load_tool("make_mamba_oracle")
    live = tool.compute()
    assert set(live) == set(oracle)
    for name, array in live.items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(
            array, oracle[name], atol=1e-5, rtol=1e-5, err_msg=name
        )
    assert ORACLE.stat().st_size < 300_000


def test_layer_contract(check_layer):
    channels, rank, state = 32, 1, 16
    weights = (
        16 * 2 * channels
        + 4 * channels
        + channels
        + channels * (rank + 2 * state)
        + rank * channels
        + channels
        + channels * state
        + channels
        + channels * 16
    )
    check_layer("MambaMixer", {}, _draw(2, 30, 16), (2, 30, 16), weights)


def test_initial_weights():
    keras.utils.set_random_seed(1)
    layer = MambaMixer(depth=4, name="m")
    layer.build((None, None, 128))
    weights = {w.path.removeprefix("m/"): w.numpy() for w in layer.weights}
    for path, inputs, shrink in (
        ("in_proj/kernel", 128, 1),
        ("scan/x_proj/kernel", 256, 1),
        ("scan/dt_proj/kernel", 8, 1),
        ("scan/convolution/kernel", 4, 1),
        ("scan/convolution/bias", 4, 1),
        ("out_proj/kernel", 256, 2),
    ):
        bound = 1 / math.sqrt(inputs) / shrink
        largest = np.abs(weights[path]).max()
        assert 0.95 * bound < largest <= bound, path
        assert weights[path].std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    np.testing.assert_allclose(
        np.exp(weights["scan/recurrence/A_log"]),
        np.tile(np.arange(1, 17), (256, 1)),
        rtol=1e-6,
    )
    assert (weights["scan/recurrence/D"] == 1).all()
    steps = np.log1p(np.exp(weights["scan/dt_bias"]))
    assert 0.001 <= steps.min() * 1.001 and steps.max() <= 0.1 * 1.001
    # Log-uniform: a half on each side of the geometric mean.
    assert np.mean(steps < 0.01) == pytest.approx(0.5, abs=0.12)


def test_initial_weights_follow_the_seed():
    drawn = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        layer = MambaMixer()
        layer.build((None, None, 16))
        drawn.append(np.concatenate([w.numpy().ravel() for w in layer.weights]))
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_a_base_sees_itself_and_those_before():
    layer = MambaMixer()
    x = _draw(1, 20, 8)
    wanted = np.asarray(layer(x))
    changed = x.copy()
    changed[:, 11] += 1
    moved = np.abs(np.asarray(layer(changed)) - wanted)[0].max(axis=-1)
    assert (moved[:11] == 0).all() and (moved[11:] > 0).all()


def test_neither_batch_size_nor_order_matters():
    layer = MambaMixer()
    x = _draw(5, 70, 8)
    for training in (False, True):
        wanted = np.asarray(layer(x, training=training))
        order = [3, 0, 4, 1, 2]
        np.testing.assert_allclose(
            layer(x[order], training=training), wanted[order], atol=1e-6
        )
        for row in range(2):
            one = layer(x[row : row + 1], training=training)
            np.testing.assert_allclose(one[0], wanted[row], atol=1e-6)
