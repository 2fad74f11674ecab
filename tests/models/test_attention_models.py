"""What the models with attention share."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.models import registry

OPTIONS = {
    "transformer": {"width": 16, "blocks": 2, "heads": 2, "feed_forward": 32},
    "hybrid": {
        "filters": 16,
        "dilations": [1, 4],
        "segment": 8,
        "width": 16,
        "blocks": 1,
        "heads": 2,
        "feed_forward": 32,
    },
}


@pytest.fixture(params=list(OPTIONS))
def model(request):
    keras.utils.set_random_seed(1)
    name = request.param
    model = registry.build(
        name, registry.read_config(name, OPTIONS[name], origin="test")
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        # Some begin at zero and would go untested.
        weight.assign_add(rng.normal(0, 0.05, weight.shape).astype(np.float32))
    return model


def _inputs(batch, length):
    rng = np.random.default_rng(length)
    sequence = np.eye(5, dtype=np.float32)[rng.integers(0, 5, (batch, length))]
    sequence[rng.random((batch, length)) < 0.15] = 0
    expression = rng.choice(np.array([0, 0.5, 1], np.float32), (batch, length))
    return {"sequence": sequence, "expression": expression}


def _outputs(model, inputs):
    return {
        name: keras.ops.convert_to_numpy(values)
        for name, values in model(inputs, training=False).items()
    }


@pytest.mark.parametrize("length", [1, 7, 64, 131])
def test_any_length(model, length):
    outputs = _outputs(model, _inputs(2, length))
    assert outputs["expression_logits"].shape == (2, length)
    assert outputs["sequence_logits"].shape == (2, length, 5)
    assert all(values.dtype == np.float32 for values in outputs.values())


def test_neither_batch_size_nor_order_matters(model):
    inputs = _inputs(7, 96)
    wanted = _outputs(model, inputs)
    order = np.random.default_rng(3).permutation(7)
    shuffled = _outputs(model, {k: v[order] for k, v in inputs.items()})
    for row in range(7):
        single = _outputs(model, {k: v[row : row + 1] for k, v in inputs.items()})
        for name, values in wanted.items():
            np.testing.assert_allclose(single[name][0], values[row], atol=1e-5)
    for name, values in wanted.items():
        np.testing.assert_allclose(shuffled[name], values[order], atol=1e-5)


LOADS = """
import sys
import keras, numpy as np
import seqexp_tf.layers
model = keras.saving.load_model(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
outputs = model(inputs, training=False)
np.savez(sys.argv[3], **{
    name: keras.ops.convert_to_numpy(values) for name, values in outputs.items()
})
"""
GRADIENTS = """
import jax
fixed = [variable.value for variable in model.non_trainable_variables]
def total(weights):
    outputs, _ = model.stateless_call(weights, fixed, inputs, training=True)
    return sum((values**2).mean() for values in outputs.values())
weights = [variable.value for variable in model.trainable_variables]
np.savez(sys.argv[4], *jax.jit(jax.grad(total))(weights))
"""


def _assert_close(path, wanted, tolerance):
    with np.load(path) as found:
        assert set(found) == set(wanted)
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, atol=tolerance)


def test_saved_model_says_the_same_elsewhere(model, tmp_path, run_under):
    model.save(tmp_path / "model.keras")
    inputs = _inputs(2, 100)
    np.savez(tmp_path / "inputs.npz", **inputs)
    paths = [tmp_path / n for n in ("model.keras", "inputs.npz", "outputs.npz")]
    run_under("tensorflow", LOADS, *paths)
    _assert_close(paths[-1], _outputs(model, inputs), 1e-5)


def test_outputs_and_gradients_under_jax(model, tmp_path, run_under):
    model.save(tmp_path / "model.keras")
    inputs = _inputs(2, 100)
    np.savez(tmp_path / "inputs.npz", **inputs)
    names = ("model.keras", "inputs.npz", "outputs.npz", "gradients.npz")
    paths = [tmp_path / name for name in names]
    run_under("jax", LOADS + GRADIENTS, *paths)
    _assert_close(paths[2], _outputs(model, inputs), 1e-4)
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        total = sum(tf.reduce_mean(values**2) for values in outputs.values())
    gradients = tape.gradient(total, [w.value for w in model.trainable_weights])
    scales = [np.abs(gradient).max() + 1e-6 for gradient in gradients]
    with np.load(paths[3]) as found:
        for index, (wanted, scale) in enumerate(zip(gradients, scales, strict=True)):
            np.testing.assert_allclose(
                found[f"arr_{index}"] / scale, wanted / scale, atol=1e-3
            )
