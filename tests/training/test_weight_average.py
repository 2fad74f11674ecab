"""Averages: of weights over steps, of gradients over batches."""

import keras
import numpy as np
import pandas as pd
import pytest
from keras.ops import convert_to_numpy

from seqexp_tf.errors import ConfigError
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.expression_task import ExpressionTask
from seqexp_tf.training.guarded_adamw import GuardedAdamW
from seqexp_tf.training.trainer import fit
from seqexp_tf.training.weight_average import AveragedAdamW, averaged, update_options

OPTIONS = {"learning_rate": 0.1, "weight_decay": 0.01, "global_clipnorm": 1.0}
GRADIENTS = np.random.default_rng(0).normal(size=(12, 2, 3)).astype("f4")


def _follow(optimizer, gradients):
    """The variable after each gradient, and the optimizer's average of it."""
    variable = keras.Variable(np.ones((2, 3), "f4"))
    values, averages = [], []
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        values.append(convert_to_numpy(variable))
        if optimizer.use_ema:
            average = optimizer._model_variables_moving_average[0]
            averages.append(convert_to_numpy(average))
    return np.stack(values), averages


@pytest.mark.parametrize("optimizer", [AveragedAdamW, GuardedAdamW])
def test_gradients_of_several_batches_are_one_update(optimizer):
    """With clipping and decay after the mean, as of one larger batch."""
    options = update_options(accumulate_steps=3, ema_decay=0.0)
    found, _ = _follow(optimizer(**OPTIONS, **options), GRADIENTS)
    means = GRADIENTS.reshape(4, 3, 2, 3).mean(axis=1)
    wanted, _ = _follow(keras.optimizers.AdamW(**OPTIONS), means)
    np.testing.assert_allclose(found[2::3], wanted, rtol=1e-6)
    np.testing.assert_array_equal(found[3:5], np.stack([found[2]] * 2))


@pytest.mark.parametrize("every", [1, 3])
def test_the_average_moves_once_an_update(every):
    options = update_options(accumulate_steps=every, ema_decay=0.9)
    values, averages = _follow(AveragedAdamW(**OPTIONS, **options), GRADIENTS)
    updates = values[every - 1 :: every]
    wanted = updates[0]
    for value in updates[1:-1]:
        wanted = 0.9 * wanted + 0.1 * value
    # The batch before the last, where every update but the last is in it whole.
    np.testing.assert_allclose(averages[-2], wanted, rtol=1e-5)


def test_a_bad_gradient_is_named_by_its_batch():
    gradients = GRADIENTS.copy()
    gradients[7, 0, 0] = np.nan
    optimizer = GuardedAdamW(
        **OPTIONS, **update_options(accumulate_steps=3, ema_decay=0.0)
    )
    values, _ = _follow(optimizer, gradients)
    assert int(optimizer.bad_step) == 8
    assert np.isfinite(values).all()


def test_the_model_has_its_average_for_a_while():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    options = update_options(accumulate_steps=1, ema_decay=0.5)
    model.compile(AveragedAdamW(0.1, **options), "mse")
    inputs, targets = np.ones((4, 2), "f4"), np.full((4, 1), 5.0, "f4")
    model.fit(inputs, targets, epochs=3, verbose=0)
    weights = model.get_weights()
    average = [
        convert_to_numpy(value)
        for value in model.optimizer._model_variables_moving_average
    ]
    assert not np.array_equal(weights[0], average[0])
    with averaged(model):
        for found, wanted in zip(model.get_weights(), average, strict=True):
            np.testing.assert_array_equal(found, wanted)
    for found, wanted in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)


SMALL = {
    "model": {
        "architecture": "seq2exp",
        "width": 4,
        "center": 32,
        "head": [4],
        "predictor": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "mask": {"kind": "none"},
    },
    "training": {
        "epochs": 3,
        "batch_size": 8,
        "learning_rate": 0.01,
        "final_learning_rate": 0.01,
        "initial_learning_rate": 0.01,
        "warmup_steps": 0,
        "precision": "float32",
    },
}


def _history(store, folder, *overrides):
    run = fit(read_run_config(SMALL, overrides), store, folder)
    return run, pd.read_csv(run.folder / "history.csv")


def test_the_average_is_validated_and_kept(gene_store, tmp_path):
    _, without = _history(gene_store, tmp_path / "plain")
    run, history = _history(gene_store, tmp_path / "run", "training.ema_decay=0.95")
    # The training itself is the same.
    np.testing.assert_array_equal(history.loss, without.loss)
    assert (history.val_mse != without.val_mse).all()
    best = history.val_mse.idxmin()
    model = run.load_model()
    batches = ExpressionTask(run.config).validation_batches(model, gene_store)
    errors = np.concatenate(
        [
            (model.predict_on_batch(x)["expression"] - y["expression"]) ** 2
            for x, y in batches.as_numpy_iterator()
        ]
    )
    assert errors.mean() == pytest.approx(history.val_mse[best], rel=1e-4)


def test_two_small_batches_train_as_a_large_one(gene_store, tmp_path):
    runs = [
        _history(gene_store, tmp_path / name, f"training.batch_size={size}", *options)
        for name, size, options in (
            ("large", 16, ("training.validate_every=6",)),
            (
                "small",
                8,
                ("training.validate_every=12", "training.accumulate_steps=2"),
            ),
        )
    ]
    weights = [run.load_model().get_weights() for run, _ in runs]
    for large, small in zip(*weights, strict=True):
        np.testing.assert_allclose(small, large, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.ema_decay=1.0", "ema_decay is 1.0; it must be from 0, for no"),
        ("training.accumulate_steps=0", "accumulate_steps is 0; it must be at least 1"),
        ("training.checkpoint_every=-1", "or 0 for none by steps"),
        ("training.checkpoint_minutes=-0.5", "must not be negative"),
    ],
)
def test_wrong_settings_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        read_run_config(SMALL, [override])
