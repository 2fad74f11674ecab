"""Masking regimes and training on a part of the windows."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from seqexp_tf.errors import ConfigError
from seqexp_tf.evaluation.curves import read_history
from seqexp_tf.evaluation.joint import evaluate_joint
from seqexp_tf.evaluation.temperature import fit_temperatures
from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.callbacks import RunRecorder
from seqexp_tf.training.config import (
    presets,
    read_preset,
    read_run_config,
    regimes,
    with_regime,
)
from seqexp_tf.training.trainer import fit

SMALL = {
    "model": {"architecture": "cnn", "filters": 4, "dilations": [2]},
    "training": {
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 0.01,
        "precision": "float32",
    },
}


def _config(*overrides, regime=None):
    tables = SMALL if regime is None else with_regime(SMALL, regime)
    return read_run_config(tables, overrides)


class TestRegimes:
    def test_what_each_hides(self):
        assert regimes() == ["dna_alone", "rna", "rna_dna"]
        rna = _config(regime="rna")
        assert rna.hidden == ("expression",)
        assert rna.masking.expression_fraction == 0.5
        both = _config(regime="rna+dna")
        assert both == _config(regime="rna_dna")
        assert both.hidden == ("expression", "sequence")
        assert both.masking.sequence_fraction == 0.15
        alone = _config(regime="dna_alone").masking
        assert (alone.expression_fraction, alone.expression_fraction_max) == (0.5, 1.0)

    @pytest.mark.parametrize("regime", regimes())
    @pytest.mark.parametrize("preset", presets("joint"))
    def test_each_goes_with_each_preset(self, preset, regime):
        tables = read_preset(preset)
        config = read_run_config(with_regime(tables, regime))
        assert config.training == read_run_config(tables).training

    def test_the_whole_table_is_replaced_and_set_comes_last(self):
        before = {**SMALL, "masking": {"expression_fraction_max": 0.9}}
        config = read_run_config(
            with_regime(before, "rna"), ["masking.expression_spans=4"]
        )
        assert config.masking.expression_fraction_max is None
        assert config.masking.expression_spans == 4
        assert before["masking"] == {"expression_fraction_max": 0.9}

    def test_a_typo_is_named(self):
        with pytest.raises(ConfigError, match='"rna_dna"'):
            with_regime(SMALL, "rnadna")


@pytest.fixture(scope="module")
def rna_run(joint_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "rna"
    lines = []
    run = fit(
        _config(regime="rna"), RecordStore.open(joint_folder), folder, say=lines.append
    )
    return run, lines


class TestExpressionAlone:
    def test_the_history_and_the_lines_speak_of_rna_alone(self, rna_run):
        run, lines = rna_run
        table = pd.read_csv(run.folder / "history.csv")
        assert not [name for name in table if "sequence" in name]
        assert table.val_loss.to_numpy() == pytest.approx(
            table.val_expression_loss.to_numpy(), rel=1e-4
        )
        epochs = [line for line in lines if line.startswith("epoch ")]
        assert len(epochs) == 2
        assert all("RNA accuracy" in line and "DNA" not in line for line in epochs)
        assert list(read_history(run).columns) == list(table.columns)

    def test_rna_alone_is_evaluated_and_calibrated(self, rna_run, joint_store):
        run, _ = rna_run
        model, masking = run.load_model(), run.config.masking
        found = evaluate_joint(
            model,
            joint_store,
            "test",
            masking=masking,
            train_statistics=run.dataset["train_statistics"],
            replicates=0,
        )
        assert {name: list(m) for name, m in found.table.model.items()} == {
            "all": ["rna"],
            "masked": ["rna"],
        }
        fits = fit_temperatures(model, joint_store, masking=masking)
        assert list(fits) == ["expression_logits"]

    def test_it_exports(self, rna_run, tmp_path):
        folder = export_run(rna_run[0], tmp_path / "model")
        signature = tf.saved_model.load(str(folder)).signatures["serving_default"]
        assert "expression" in str(signature.structured_input_signature)


@pytest.mark.parametrize(
    "overrides",
    [("masking.expression_spans=4",), ("masking.expression_fraction=0.1",)],
)
def test_spans_and_ranges_train_and_are_scored(joint_store, tmp_path, overrides):
    config = _config("training.epochs=1", *overrides, regime="dna_alone")
    run = fit(config, joint_store, tmp_path / "run")
    found = evaluate_joint(
        run.load_model(),
        joint_store,
        "test",
        masking=run.config.masking,
        train_statistics=run.dataset["train_statistics"],
        replicates=0,
    )
    # What the dataset stores, whatever the run was trained under: half of 128.
    windows = joint_store.count("test")
    assert found.table.model["masked"]["rna"]["positions"] == 64 * windows


@pytest.fixture(scope="module")
def subset_run(joint_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "subset"
    lines = []
    config = _config("training.max_windows=40")
    return fit(config, RecordStore.open(joint_folder), folder, say=lines.append), lines


class TestSubset:
    def test_the_epoch_is_as_long_as_the_subset(self, subset_run, joint_store):
        _, lines = subset_run
        windows = joint_store.count("train")
        assert f"training on 40 of {windows} windows" in lines
        assert any("5 steps of 8 windows an epoch" in line for line in lines)

    def test_resume_gives_the_undisturbed_run(
        self, subset_run, joint_store, tmp_path, monkeypatch
    ):
        def fail_in_second_epoch(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt
            return on_epoch_end(self, epoch, logs)

        on_epoch_end = RunRecorder.on_epoch_end
        monkeypatch.setattr(RunRecorder, "on_epoch_end", fail_in_second_epoch)
        config = _config("training.max_windows=40")
        with pytest.raises(KeyboardInterrupt):
            fit(config, joint_store, tmp_path / "cut")
        monkeypatch.undo()
        resumed = fit(config, joint_store, tmp_path / "cut", resume=True)
        weights = (run.load_model().get_weights() for run in (subset_run[0], resumed))
        for first, second in zip(*weights, strict=True):
            assert np.array_equal(first, second)

    def test_more_than_there_are_is_all(self, joint_store, tmp_path):
        lines = []
        config = _config("training.max_windows=20000", "training.epochs=1")
        run = fit(config, joint_store, tmp_path / "all", say=lines.append)
        plain = fit(_config("training.epochs=1"), joint_store, tmp_path / "plain")
        assert any("20,000, but there are only" in line for line in lines)
        for first, second in zip(
            run.load_model().get_weights(),
            plain.load_model().get_weights(),
            strict=True,
        ):
            assert np.array_equal(first, second)

    def test_a_negative_number_is_refused(self):
        with pytest.raises(ConfigError, match=r"max_windows is -1; .* or 0 for all"):
            _config("training.max_windows=-1")
