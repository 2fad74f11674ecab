"""Run configurations of models of genes: read whole, refused in one line."""

import pytest

from seqexp_tf.config import dump, to_dict
from seqexp_tf.errors import ConfigError
from seqexp_tf.training.config import RunConfig, presets, read_preset, read_run_config
from seqexp_tf.training.expression_config import ExpressionRunConfig

TABLES = {"model": {"architecture": "seq2exp"}, "training": {"max_steps": 50000}}


def test_the_architecture_chooses_the_tables():
    assert isinstance(read_run_config(TABLES), ExpressionRunConfig)
    assert isinstance(read_run_config({"model": {"architecture": "cnn"}}), RunConfig)
    assert read_run_config(TABLES).task == "expression"


def test_it_is_written_and_read_back(tmp_path):
    config = read_run_config(TABLES, ["training.seed=22", "pipeline.window=2048"])
    path = tmp_path / "config.toml"
    path.write_text(dump(config))
    assert read_run_config(path) == config
    assert "task" not in to_dict(config)


def test_the_defaults_are_those_of_the_study():
    training = read_run_config(TABLES).training
    assert (training.learning_rate, training.initial_learning_rate) == (5e-4, 1e-5)
    assert (training.final_learning_rate, training.warmup_steps) == (1e-4, 5000)
    assert (training.beta_1, training.beta_2) == (0.9, 0.95)
    assert (training.weight_decay, training.clip_norm) == (1e-6, 1.0)
    assert (training.loss, training.batch_size) == ("huber", 8)


@pytest.mark.parametrize("name", presets())
def test_every_preset_says_how_long(name):
    retrain = ["model.mask.run=runs/soft"] if "retrain" in name else []
    config = read_run_config(read_preset(name), retrain, origin=name)
    if config.task == "expression":
        assert (config.training.max_steps > 0) != (config.training.epochs > 0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs=3", "max_steps is 50000 and epochs is 3; give one"),
        ("training.max_steps=0", "max_steps is 0 and epochs is 0; give one of them"),
        ("training.max_steps=-1", "max_steps is -1; it must be at least 0"),
        ("training.batch_size=0", "batch_size is 0"),
        ("training.loss=mae", "choose one of 'huber', 'mse'"),
        ("training.initial_learning_rate=1", "must not be above the learning_rate"),
        ("training.final_learning_rate=-1.0", "must not be negative"),
        ("training.beta_2=1.0", "from 0 up to, not including, 1"),
        ("training.clip_norm=0.0", "clip_norm is 0.0; it must be positive"),
        ("training.learning_rate=inf", "learning_rate is inf; it must be .* finite"),
        ("training.seed=0", "seed is 0; it must be from 1"),
        ("training.validate_every=-5", "validate_every is -5"),
        ("training.warmup=5", 'unknown key "training.warmup"'),
        ("training.epoch=5", 'did you mean "epochs"'),
        ("pipeline.window=7", "window is 7; it must be even"),
        ("pipeline.shift=-1", "shift is -1"),
        ("masking.sequence_fraction=0.1", 'unknown key "masking"'),
        ("model.mask.kl_weigth=1.0", 'did you mean "kl_weight"'),
    ],
)
def test_wrong_settings_are_named(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_run_config(TABLES, [override], origin="run.toml")
    assert str(caught.value).startswith("run.toml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"training": {"epochs": 1}}, "model.architecture is missing"),
        ({"model": {"width": 3}}, "model.architecture is missing"),
        ({"model": "cnn"}, "model.architecture is missing"),
        ({"model": {"architecture": "seq2exp"}}, '"training" is missing'),
        ({"model": {"architecture": "seq3exp"}}, 'did you mean "seq2exp"'),
    ],
)
def test_missing_tables_are_named(tables, message):
    with pytest.raises(ConfigError, match=message):
        read_run_config(tables, origin="run.toml")
