"""AdamW as Keras has it, except for gradients that are not finite."""

import keras
import numpy as np

from seqexp_tf.training.guarded_adamw import GuardedAdamW


def _steps(optimizer, gradients):
    variable = keras.Variable(np.ones((2, 3), "f4"))
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
    return keras.ops.convert_to_numpy(variable)


def test_finite_gradients_are_those_of_adamw():
    gradients = np.random.default_rng(0).normal(size=(5, 2, 3)).astype("f4")
    options = {"learning_rate": 0.1, "weight_decay": 0.01, "global_clipnorm": 1.0}
    ours = _steps(GuardedAdamW(**options), gradients)
    theirs = _steps(keras.optimizers.AdamW(**options), gradients)
    np.testing.assert_array_equal(ours, theirs)


def test_no_step_is_bad_where_all_are_finite():
    optimizer = GuardedAdamW(0.1)
    _steps(optimizer, np.ones((3, 2, 3), "f4"))
    assert int(optimizer.bad_step) == 0


def test_a_gradient_that_is_not_finite_leaves_finite_weights():
    gradients = np.ones((3, 2, 3), "f4")
    gradients[1, 0, 0] = np.nan
    guarded = GuardedAdamW(0.1)
    assert np.isfinite(_steps(guarded, gradients)).all()
    assert int(guarded.bad_step) == 2
    assert not np.isfinite(_steps(keras.optimizers.AdamW(0.1), gradients)).all()
