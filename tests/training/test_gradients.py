"""The gradients on the mask head, by hand and on both backends."""

import os

import keras
import numpy as np
import pytest
from keras.ops import convert_to_numpy as to_numpy

from seqexp_tf.layers.beta_mask import BetaDivergence, BetaHead, BetaMask
from seqexp_tf.training.gradients import gradient_meter, head_gradients, mask_head


def _model(sampled: bool = True) -> keras.Model:
    inputs = keras.Input((6, 2), name="sequence")
    parameters = BetaHead(name="mask_head")(inputs)
    mask = BetaMask(seed=5, name="soft_mask")(parameters)
    if not sampled:
        mask = keras.layers.Lambda(lambda p: p[..., 0] / (p[..., 0] + p[..., 1]))(
            parameters
        )
    x = keras.layers.Multiply()([mask, inputs[..., 0]])
    x = keras.layers.Dense(1, name="dense")(x)
    outputs = {
        "expression": keras.layers.Reshape(())(x),
        "divergence": BetaDivergence()(parameters),
    }
    model = keras.Model({"sequence": inputs}, outputs)
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def _losses(targets, outputs):
    error = outputs["expression"] - targets["expression"]
    return keras.ops.mean(error**2), 0.01 * keras.ops.mean(outputs["divergence"])


def _batch():
    rng = np.random.default_rng(0)
    inputs = {"sequence": rng.normal(size=(3, 6, 2)).astype("f4")}
    return inputs, {"expression": np.ones(3, "f4")}


def _by_differences(model, inputs, targets, step=1e-2):
    squares = np.zeros(2)
    for variable in mask_head(model):
        value = to_numpy(variable)
        for index in np.ndindex(value.shape):
            sides = []
            for sign in (1, -1):
                moved = value.copy()
                moved[index] += sign * step
                variable.assign(moved)
                parts = _losses(targets, model(inputs, training=True))
                sides.append([float(part) for part in parts])
            squares += ((np.array(sides[0]) - sides[1]) / (2 * step)) ** 2
        variable.assign(value)
    return np.sqrt(squares)


def test_both_norms_are_those_of_finite_differences():
    model = _model(sampled=False)
    inputs, targets = _batch()
    found = head_gradients(model, inputs, targets, _losses)
    wanted = _by_differences(model, inputs, targets)
    assert found.prediction == pytest.approx(wanted[0], rel=1e-2)
    assert found.divergence == pytest.approx(wanted[1], rel=1e-2)
    assert found.ratio == pytest.approx(found.prediction / found.divergence)


def test_parts_give_the_gradients_of_the_whole():
    model = _model(sampled=False)
    inputs, targets = _batch()
    parts = [
        ({"sequence": inputs["sequence"][i : i + 1]}, {"expression": np.ones(1, "f4")})
        for i in range(3)
    ]
    whole = head_gradients(model, inputs, targets, _losses)
    found = gradient_meter(model, _losses)(parts)
    assert found.prediction == pytest.approx(whole.prediction, rel=1e-5)
    assert found.divergence == pytest.approx(whole.divergence, rel=1e-5)


def test_it_leaves_the_model_as_it_was():
    model = _model()
    before = [to_numpy(v) for v in model.variables]
    first = head_gradients(model, *_batch(), _losses)
    for old, now in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, to_numpy(now))
    assert head_gradients(model, *_batch(), _losses) == first
    assert first.prediction > 0


def test_the_head_is_found_in_a_model_inside_a_model():
    inner = _model()
    inputs = keras.Input((6, 2), name="sequence")
    outer = keras.Model({"sequence": inputs}, inner({"sequence": inputs}))
    assert [v.path for v in mask_head(outer)] == [v.path for v in mask_head(inner)]
    assert len(mask_head(outer)) == 2
    dense = keras.layers.Dense(1)(inputs)
    assert mask_head(keras.Model(inputs, dense)) == []


@pytest.mark.slow
def test_jax_finds_the_same(run_under):
    code = (
        f"import sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "import test_gradients as t\n"
        "found = t.head_gradients(t._model(sampled=False), *t._batch(), t._losses)\n"
        "print(found.prediction, found.divergence)\n"
        "before = t._model()\n"
        "t.head_gradients(before, *t._batch(), t._losses)\n"
        "print(int(before.get_layer('soft_mask').draws.value))"
    )
    lines = run_under("jax", code).splitlines()
    ours = head_gradients(_model(sampled=False), *_batch(), _losses)
    theirs = [float(part) for part in lines[-2].split()]
    assert theirs == pytest.approx([ours.prediction, ours.divergence], rel=1e-3)
    assert lines[-1] == "0"
