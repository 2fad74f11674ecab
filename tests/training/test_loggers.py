"""Profiles, and Weights & Biases without a network."""

import importlib.util
import re

import pandas as pd
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.loggers import Profile
from seqexp_tf.training.trainer import fit

SMALL = {
    "model": {"architecture": "cnn", "filters": 4, "kernel": 3, "dilations": [1]},
    "training": {
        "epochs": 2,
        "batch_size": 16,
        "max_windows": 80,
        "precision": "float32",
        "wandb_project": "tests",
    },
}


@pytest.mark.slow
def test_a_profile_and_a_log_offline(joint_store, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    rows = []
    undisturbed = wandb.Run.log

    def log(self, row, *, step):
        rows.append((self.project, step, row))
        undisturbed(self, row, step=step)

    monkeypatch.setattr(wandb.Run, "log", log)
    folder = tmp_path / "run"
    lines = []
    fit(read_run_config(SMALL), joint_store, folder, profile=True, say=lines.append)
    (trace,) = (folder / "tensorboard").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000
    told = f"Trace for TensorBoard's profiler: {folder / 'tensorboard' / 'train'}"
    assert told in lines
    assert len(list((folder / "wandb").rglob("*.wandb"))) == 1
    history = pd.read_csv(folder / "history.csv")
    assert [(project, step) for project, step, _ in rows] == [
        ("tests", 5),
        ("tests", 10),
    ]
    assert list(rows[1][2]) == history.columns.tolist()
    assert rows[1][2]["val_loss"] == pytest.approx(history.val_loss[1])
    assert wandb.run is None
    # The speed is on the line of each epoch and in the history.
    speeds = history.examples_per_second
    assert (speeds > 0).all()
    assert history.input_wait.between(0, 1).all()
    (line,) = (line for line in lines if line.startswith("epoch 2/2"))
    found = re.search(r" ([\d,]+) windows/s, input wait ([\d.]+)%", line)
    speed, wait = (float(text.replace(",", "")) for text in found.groups())
    assert speed == pytest.approx(speeds[1], abs=0.51)
    assert wait / 100 == pytest.approx(history.input_wait[1], abs=0.00051)


def test_where_the_trace_is_or_why_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(Profile, "_start", lambda self, folder: None)
    monkeypatch.setattr(Profile, "_end", lambda self: None)
    for steps, said in (
        (2, "Note: no trace: it begins with step 3, and there were only 2 to train"),
        (3, f"Trace for TensorBoard's profiler: {tmp_path}"),
    ):
        lines = []
        profile = Profile(tmp_path, lines.append)
        for step in range(steps):
            profile.on_train_batch_begin(step)
            profile.on_train_batch_end(step)
        profile.tell()
        assert lines == [said]


def test_without_wandb_its_project_is_refused(joint_store, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match="wandb_project is 'tests', but wandb is not"):
        fit(read_run_config(SMALL), joint_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
