"""A fit that stops at any step goes on as if it had not; both tasks."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training import checkpoints
from seqexp_tf.training.callbacks import TIMES, RunRecorder
from seqexp_tf.training.checkpoints import last_checkpoint, restore_checkpoint
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.expression_task import ExpressionTask
from seqexp_tf.training.run import Run
from seqexp_tf.training.step_checkpoints import StepCheckpoints
from seqexp_tf.training.trainer import build_model, compile_model, fit

LOOP = {
    "precision": "float32",
    "checkpoint_every": 3,
    "accumulate_steps": 2,
    "ema_decay": 0.9,
}
TABLES = {
    "joint": {
        "model": {
            "architecture": "cnn",
            "filters": 4,
            "dilations": [2],
            "dropout": 0.1,
        },
        "training": {
            **LOOP,
            "epochs": 2,
            "batch_size": 16,
            "learning_rate": 0.01,
            "max_windows": 112,
        },
    },
    # Sampled masks; periods of 8 steps in epochs of 12.
    "expression": {
        "model": {
            "architecture": "seq2exp",
            "width": 4,
            "center": 32,
            "head": [4],
            "generator": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
            "predictor": {
                "encoder": "cnn",
                "kernel": 3,
                "dilations": [1],
                "dropout": 0.2,
            },
            "mask": {"promoter": 16, "kl_warmup_steps": 15},
        },
        "training": {
            **LOOP,
            "max_steps": 20,
            "batch_size": 8,
            "learning_rate": 0.01,
            "final_learning_rate": 0.001,
            "warmup_steps": 5,
            "validate_every": 8,
            "seed": 2,
        },
    },
}
LAST = {"joint": 14, "expression": 20}


def _config(task, *overrides):
    return read_run_config(TABLES[task], overrides)


def _contents(run):
    """Everything a fit ends with, but for the seconds it took."""
    (checkpoint,) = (run.folder / "checkpoints").iterdir()
    state = json.loads((checkpoint / "state.json").read_text())
    for row in state["history"]:
        for name in TIMES:
            del row[name]
    with np.load(checkpoint / "variables.npz") as file:
        arrays = dict(file)
    arrays |= {f"best/{i}": w for i, w in enumerate(run.load_model().get_weights())}
    history = pd.read_csv(run.folder / "history.csv").drop(columns=list(TIMES))
    return state, arrays, history


def _assert_equal(run, wanted):
    found = _contents(run)
    assert found[0] == wanted[0]
    assert found[1].keys() == wanted[1].keys()
    for name, array in wanted[1].items():
        np.testing.assert_array_equal(found[1][name], array, err_msg=name)
    pd.testing.assert_frame_equal(found[2], wanted[2], check_exact=True)


@pytest.fixture(scope="module", autouse=True)
def no_gradient_log():
    """Its graph takes most of the time of a small fit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExpressionTask, "callbacks", lambda *_: ())
        yield


@pytest.fixture(scope="module")
def stores(joint_folder, gene_folder):
    return {
        "joint": RecordStore.open(joint_folder),
        "expression": RecordStore.open(gene_folder),
    }


@pytest.fixture(scope="module")
def undisturbed(stores, tmp_path_factory):
    """What each task's fit ends with, and its folder."""
    folder = tmp_path_factory.mktemp("undisturbed")
    runs = {task: fit(_config(task), stores[task], folder / task) for task in TABLES}
    return {task: (_contents(run), run) for task, run in runs.items()}


def _at_step(patch, step, action):
    """Calls ``action`` right after a step, before any checkpoint of it."""

    def on_train_batch_end(self, batch, logs=None):
        before(self, batch, logs)
        if self.progress.step == step:
            action()

    before = RunRecorder.on_train_batch_end
    patch.setattr(RunRecorder, "on_train_batch_end", on_train_batch_end)


def _die():
    raise MemoryError("killed")


def _terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def _in_validation(patch, step):
    def on_test_batch_begin(self, batch, logs=None):
        if self.recorder.progress.step == step:
            _terminate()

    patch.setattr(StepCheckpoints, "on_test_batch_begin", on_test_batch_begin)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "stops"),
    [
        # The last step of a period, of which only the validation is left; within the
        # next one, after checkpoints at multiples of three; within its validation.
        ("joint", {7: "", 12: "step-000000009", 14: ""}),
        # The same; then before any checkpoint in the period, and within the last one.
        ("expression", {8: "", 9: "step-000000008-validated", 20: ""}),
    ],
)
def test_stopped_again_and_again(
    task, stops, stores, undisturbed, tmp_path, monkeypatch
):
    """Killed where a checkpoint is named, else asked to stop."""
    folder = tmp_path / "run"
    for number, (step, kept) in enumerate(stops.items()):
        lines = []
        with monkeypatch.context() as patch:
            if step == LAST[task]:
                _in_validation(patch, step)
            else:
                _at_step(patch, step, _die if kept else _terminate)
            with pytest.raises(MemoryError if kept else SystemExit) as stopped:
                fit(_config(task), stores[task], folder, resume=True, say=lines.append)
        saved = last_checkpoint(folder / "checkpoints")
        assert saved.name == (kept or f"step-{step:09d}")
        if number:
            assert lines[1].startswith("going on after ")
        if not kept:
            assert stopped.value.code == 128 + signal.SIGTERM
            assert lines[-1] == (
                f"stopped by SIGTERM, {saved} is saved; go on with `seqexp-tf fit "
                f"--resume --out {folder}`"
            )
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        with pytest.raises(RunError, match="the fit has not finished, model.keras is"):
            Run.open(folder).load_model()
    run = fit(_config(task), stores[task], folder, resume=True)
    _assert_equal(run, undisturbed[task][0])


def test_control_c_stops_in_the_same_way(stores, tmp_path, monkeypatch):
    _at_step(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    lines = []
    with pytest.raises(KeyboardInterrupt):
        fit(_config("joint"), stores["joint"], tmp_path / "run", say=lines.append)
    assert lines[-1].startswith("stopped by SIGINT, ")
    assert last_checkpoint(tmp_path / "run" / "checkpoints").name == "step-000000002"


def test_minutes_between_checkpoints(stores, tmp_path, monkeypatch):
    names = []

    def save(self, metrics):
        path = before(self, metrics)
        names.append(path.name)
        return path

    before = RunRecorder.save
    monkeypatch.setattr(RunRecorder, "save", save)
    options = (
        "training.checkpoint_every=0",
        "training.checkpoint_minutes=1e-9",
        "training.epochs=1",
    )
    fit(_config("joint", *options), stores["joint"], tmp_path / "run")
    # A validation, which saves as well, follows the seventh.
    assert names == [f"step-{step:09d}" for step in range(1, 7)]


def test_a_full_disk_keeps_the_last_checkpoint(stores, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def full(path, **arrays):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    _at_step(monkeypatch, 5, lambda: monkeypatch.setattr(checkpoints.np, "savez", full))
    with pytest.raises(RunError, match="cannot save the checkpoint: No space"):
        fit(_config("joint"), stores["joint"], folder)
    (kept,) = (folder / "checkpoints").iterdir()
    assert kept.name == "step-000000003"
    with np.load(kept / "variables.npz") as file:
        assert file["optimizer/0"] == 3


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.filters=8", r"stem/kernel of shape \(7, 6, 4\), here \(7, 6, 8\); sta"),
        ("model.dilations=[2, 4]", "with 9 variables of its model, here 12; start"),
    ],
)
def test_the_checkpoint_of_another_model_is_refused(override, message, undisturbed):
    path = last_checkpoint(undisturbed["joint"][1].folder / "checkpoints")
    config = _config("joint", override)
    model = build_model(config, "float32")
    compile_model(model, config.training, 7)
    before = model.get_weights()
    with pytest.raises(RunError, match=message) as refused:
        restore_checkpoint(path, model)
    assert f"{path}: the checkpoint of another model, with " in str(refused.value)
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
