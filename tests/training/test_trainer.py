"""Fit: what a run leaves, resumes, refuses and explains."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest

from seqexp_tf.config import read_toml
from seqexp_tf.errors import ConfigError, DatasetError, RunError
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.callbacks import RunRecorder
from seqexp_tf.training.checkpoints import last_checkpoint
from seqexp_tf.training.config import presets, read_preset, read_run_config
from seqexp_tf.training.environment import describe_environment, read_environments
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import fit

SMALL = {
    "model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]},
    "training": {
        "epochs": 4,
        "batch_size": 8,
        "learning_rate": 0.01,
        "precision": "float32",
    },
}


def _config(*overrides):
    return read_run_config(SMALL, overrides)


def _weights(run):
    return run.load_model().get_weights()


@pytest.fixture(scope="module")
def finished(joint_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "finished"
    lines = []
    run = fit(_config(), RecordStore.open(joint_folder), folder, say=lines.append)
    return run, lines


def test_a_run_folder_is_complete(finished, joint_store):
    run, lines = finished
    history = pd.read_csv(run.folder / "history.csv")
    assert history.epoch.tolist() == [1, 2, 3, 4]
    assert {"loss", "val_loss", "expression_loss", "val_sequence_accuracy"} <= set(
        history.columns
    )
    assert read_toml(run.folder / "config.toml")["training"]["epochs"] == 4
    assert run.config == _config()
    assert run.schema == joint_store.schema
    assert run.dataset["fingerprint"] == joint_store.fingerprint
    assert list((run.folder / "tensorboard").rglob("events*"))
    assert lines[0].startswith("tensorflow on ")
    assert sum(line.startswith("epoch ") for line in lines) == 4


def test_it_learns(finished):
    run, _ = finished
    history = pd.read_csv(run.folder / "history.csv")
    assert history.val_loss.iloc[-1] < history.val_loss.iloc[0] - 0.1
    assert history.val_expression_accuracy.max() > 0.8


def test_the_best_epoch_is_kept(finished, joint_store):
    run, lines = finished
    history = pd.read_csv(run.folder / "history.csv")
    best = history.epoch[history.val_loss.idxmin()]
    assert f"best epoch {best}:" in lines[-1]
    (checkpoint,) = (run.folder / "checkpoints").iterdir()
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["step"] == 4 * (joint_store.count("train") // 8)
    assert len(state["history"]) == 4
    assert state["best_epoch"] == best
    assert (checkpoint / "best.keras").read_bytes() == run.model_path.read_bytes()


def test_one_seed_gives_one_result(finished, joint_store, tmp_path):
    again = fit(_config(), joint_store, tmp_path / "again")
    for first, second in zip(_weights(finished[0]), _weights(again), strict=True):
        assert np.array_equal(first, second)


def test_another_seed_gives_another(finished, joint_store, tmp_path):
    other = fit(_config("training.seed=2"), joint_store, tmp_path / "other")
    assert not np.array_equal(_weights(finished[0])[0], _weights(other)[0])


def test_a_half_written_checkpoint_is_not_loaded(finished, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(finished[0].folder / "checkpoints", folder)
    last = last_checkpoint(folder)
    (folder / "step-000009999.incomplete").mkdir()
    assert last_checkpoint(folder) == last


def test_early_stopping_also_after_a_kill(joint_store, tmp_path, monkeypatch):
    config = _config(
        "training.epochs=50", "training.patience=1", "training.learning_rate=0.3"
    )
    run = fit(config, joint_store, tmp_path / "run")
    history = pd.read_csv(run.folder / "history.csv")
    assert len(history) < 50
    assert history.val_loss.iloc[-1] > history.val_loss.min()
    last_step = len(history) * (joint_store.count("train") // 8)

    def on_train_batch_end(self, batch, logs=None):
        before(self, batch, logs)
        if self.progress.step == last_step - 1:
            raise MemoryError("killed")

    before = RunRecorder.on_train_batch_end
    with monkeypatch.context() as patch:
        patch.setattr(RunRecorder, "on_train_batch_end", on_train_batch_end)
        with pytest.raises(MemoryError):
            fit(config, joint_store, tmp_path / "killed")
    resumed = fit(config, joint_store, tmp_path / "killed", resume=True)
    again = pd.read_csv(resumed.folder / "history.csv")
    assert again.val_loss.tolist() == history.val_loss.tolist()
    for first, second in zip(_weights(run), _weights(resumed), strict=True):
        assert np.array_equal(first, second)


def test_resuming_a_finished_run_changes_nothing(finished, joint_store, tmp_path):
    shutil.copytree(finished[0].folder, tmp_path / "copy")
    lines = []
    again = fit(
        _config(), joint_store, tmp_path / "copy", resume=True, say=lines.append
    )
    assert lines == [f"{again.folder}: has finished before; nothing is left to train"]
    assert len(pd.read_csv(again.folder / "history.csv")) == 4
    for first, second in zip(_weights(finished[0]), _weights(again), strict=True):
        assert np.array_equal(first, second)


def test_what_is_left_without_a_checkpoint(finished, joint_store, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0].folder, folder)
    shutil.rmtree(folder / "checkpoints")
    # With its model a run is finished, whatever else is gone.
    again = fit(_config(), joint_store, folder, resume=True)
    assert len(pd.read_csv(again.folder / "history.csv")) == 4
    (folder / "model.keras").unlink()
    with pytest.raises(RunError, match="nothing to go on from, history.csv is there"):
        fit(_config(), joint_store, folder, resume=True)
    assert len(pd.read_csv(folder / "history.csv")) == 4


def test_a_folder_with_a_run_is_refused(finished, joint_store):
    with pytest.raises(RunError, match="already holds a run"):
        fit(_config(), joint_store, finished[0].folder)


def test_resume_with_another_configuration_shows_the_difference(finished, joint_store):
    with pytest.raises(RunError, match=r"training.seed = 1 became 5; use"):
        fit(_config("training.seed=5"), joint_store, finished[0].folder, resume=True)


def test_an_edited_configuration_is_not_resumed(finished, joint_store, tmp_path):
    """The fit would end as something that its configuration does not say."""
    folder = tmp_path / "copy"
    shutil.copytree(finished[0].folder, folder)
    path = folder / "config.toml"
    path.write_text(path.read_text().replace("seed = 1\n", "seed = 5\n"))
    edited = Run.open(folder).config
    assert edited.training.seed == 5
    with pytest.raises(RunError, match=r"config.toml: edited since the fit began"):
        fit(edited, joint_store, folder, resume=True)


def test_a_run_whose_files_were_changed_is_refused(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0].folder, folder)
    model = folder / "model.keras"
    model.write_bytes(model.read_bytes()[:5000])
    with pytest.raises(RunError, match=r"model\.keras: damaged, .*fit --resume --out"):
        Run.open(folder).load_model()
    schema = folder / "schema.json"
    schema.write_text(schema.read_text().replace('"window": ', '"window": 1'))
    with pytest.raises(RunError, match=r"schema\.json: edited since the fit began"):
        Run.open(folder)
    (folder / "dataset.json").write_text("3")
    with pytest.raises(RunError, match=r"dataset\.json: not what a fit writes"):
        Run.open(folder)


def test_each_loss_of_the_history_is_exact(finished):
    # 44 validation windows in batches of 8: the last one is smaller.
    run, _ = finished
    history = pd.read_csv(run.folder / "history.csv")
    for prefix in ("", "val_"):
        total = history[f"{prefix}expression_loss"] + history[f"{prefix}sequence_loss"]
        assert total.to_numpy() == pytest.approx(
            history[f"{prefix}loss"].to_numpy(), rel=1e-4
        )


def test_the_configuration_is_written_whole(finished):
    model = read_toml(finished[0].folder / "config.toml")["model"]
    assert model["filters"] == 8
    assert model["normalize"] is False


@pytest.mark.parametrize("name", ["variables.npz", "best.keras"])
def test_a_damaged_checkpoint_is_named(finished, joint_store, tmp_path, name):
    shutil.copytree(finished[0].folder, tmp_path / "copy")
    (tmp_path / "copy" / "model.keras").unlink()
    checkpoint = last_checkpoint(tmp_path / "copy" / "checkpoints")
    damaged = checkpoint / name
    content = damaged.read_bytes()[:1000]
    damaged.unlink()  # It may be linked to from elsewhere.
    damaged.write_bytes(content)
    with pytest.raises(RunError, match="the checkpoint cannot be loaded") as caught:
        fit(_config(), joint_store, tmp_path / "copy", resume=True)
    assert str(caught.value).startswith(f"{checkpoint}: ")
    assert not (tmp_path / "copy" / "model.keras").exists()


def test_patience_zero_never_stops(joint_store, tmp_path):
    config = _config(
        "training.epochs=6", "training.patience=0", "training.learning_rate=0.3"
    )
    run = fit(config, joint_store, tmp_path / "run")
    assert len(pd.read_csv(run.folder / "history.csv")) == 6


def test_masks_that_were_never_stored_are_refused(joint_store, tmp_path):
    recipe = joint_store.manifest["recipe"]
    masks = {**recipe["masks"], "sequence_fraction": 0.0}
    manifest = {**joint_store.manifest, "recipe": {**recipe, "masks": masks}}
    other = RecordStore(joint_store.folder, joint_store.schema, manifest)
    with pytest.raises(DatasetError, match=r"masks.sequence_fraction = 0"):
        fit(_config(), other, tmp_path / "run")


def test_a_diverging_loss_stops_with_the_remedy(joint_store, tmp_path):
    config = _config("training.learning_rate=1e30", "training.clip_norm=1e30")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"a lower training.learning_rate$"):
        fit(config, joint_store, tmp_path / "run")
    # Nothing is left of it, and nothing else is touched.
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


def test_a_damaged_shard_is_named(joint_folder, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(joint_folder, folder)
    shard = folder / "train-00002-of-00004.tfrecord.gz"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    with pytest.raises(DatasetError, match="train-00002-of-00004"):
        fit(_config(), RecordStore.open(folder), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_shard_is_named_before_training(joint_folder, tmp_path):
    folder = tmp_path / "dataset"
    shutil.copytree(joint_folder, folder)
    (folder / "train-00001-of-00004.tfrecord.gz").unlink()
    with pytest.raises(DatasetError, match="train-00001-of-00004"):
        fit(_config(), RecordStore.open(folder), tmp_path / "run")
    assert not (tmp_path / "run" / "config.toml").exists()


def test_mixed_precision_keeps_float32_variables(joint_store, tmp_path):
    config = _config("training.precision=bfloat16", "training.epochs=1")
    model = fit(config, joint_store, tmp_path / "run").load_model()
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.get_layer("block_0").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize("name", presets("joint"))
def test_presets_are_complete(name):
    config = read_run_config(read_preset(name), origin=name)
    assert config.training.epochs > 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.filter=3", 'unknown key "filter"; did you mean "filters"'),
        ("model.architecture=cmn", 'did you mean "cnn"'),
        ("training.epochs=0", "epochs is 0"),
        ("training.epochs=many", "must be a whole number"),
        ("training.precision=float16", "choose one of"),
        ("masking.sequence_fraction=1.5", "from 0 to 1"),
        ("training.seed=0", "seed is 0; it must be from 1"),
        ("training.patience=-1", "or 0 for never"),
        ("pipeline.cache=disk", "choose one of"),
        ("training.lr=0.1", 'unknown key "training.lr"'),
    ],
)
def test_wrong_settings_are_named(override, message):
    with pytest.raises(ConfigError, match=message):
        _config(override)


def test_it_begins_with_the_weights_of_another_run(finished, joint_store, tmp_path):
    run, _ = finished
    config = _config(
        f"training.initial_run={run.folder}",
        "training.learning_rate=1e-12",
        "training.epochs=1",
    )
    lines = []
    tuned = fit(config, joint_store, tmp_path / "tuned", say=lines.append)
    assert f"begins with the weights of {run.folder}" in lines
    for ours, theirs in zip(_weights(tuned), _weights(run), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_weights_of_another_model_are_refused(finished, joint_store, tmp_path):
    run, _ = finished
    config = _config(f"training.initial_run={run.folder}", "model.filters=4")
    with pytest.raises(RunError, match="has another model") as caught:
        fit(config, joint_store, tmp_path / "tuned")
    assert str(run.folder) in str(caught.value)
    theirs = run.config.model["filters"]
    assert f"has another model, filters {theirs}, here 4; give" in str(caught.value)
    with pytest.raises(RunError, match="not a run"):
        config = _config(f"training.initial_run={tmp_path}/none")
        fit(config, joint_store, tmp_path / "tuned")
    assert not (tmp_path / "tuned").exists()


def test_a_run_says_where_it_was_trained(finished):
    run, _ = finished
    assert read_environments(run.folder) == ((0, describe_environment()),)


def test_a_damaged_environment_is_named_before_training_goes_on(
    finished, joint_store, tmp_path
):
    run, _ = finished
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    (folder / "model.keras").unlink()
    (folder / "environment.json").write_text("3")
    with pytest.raises(RunError, match=r"environment\.json: damaged .*; remove it"):
        fit(run.config, joint_store, folder, resume=True)
    (folder / "environment.json").unlink()
    fit(run.config, joint_store, folder, resume=True)
    assert (folder / "model.keras").is_file()
