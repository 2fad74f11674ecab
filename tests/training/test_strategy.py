"""One device, two replicas of a process, two processes: the same numbers."""

import contextlib
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from fixtures.ports import free_ports

from seqexp_tf.errors import ConfigError, DatasetError, RunError
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training import hardware
from seqexp_tf.training.callbacks import TIMES
from seqexp_tf.training.cluster import Cluster
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.run import Run
from seqexp_tf.training.strategy import Distribution, open_distribution
from seqexp_tf.training.trainer import fit

CNN = {
    "model": {
        "architecture": "cnn",
        "filters": 8,
        "kernel": 3,
        "dilations": [1],
        "normalize": True,
    },
    "pipeline": {"streams": 2, "reverse_complement": True},
    "training": {
        "epochs": 2,
        "batch_size": 16,
        "max_windows": 64,
        "precision": "float32",
        "clip_norm": 0.1,
        "accumulate_steps": 2,
        "ema_decay": 0.5,
        "checkpoint_every": 1,
    },
}
SEQ2EXP = {
    "model": {
        "architecture": "seq2exp",
        "width": 8,
        "center": 32,
        "head": [8],
        "generator": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "predictor": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "mask": {"promoter": 16, "kl_warmup_steps": 5},
    },
    "pipeline": {"streams": 2},
    "training": {
        "max_steps": 7,
        "validate_every": 4,
        "batch_size": 8,
        "learning_rate": 0.01,
        "final_learning_rate": 0.001,
        "warmup_steps": 3,
        "precision": "float32",
        "clip_norm": 0.2,
        "seed": 2,
    },
}
PROCESS = Path(__file__).with_name("replica_process.py")


def _start(fits, devices=1, **environment):
    variables = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **environment,
    }
    variables.pop("TF_NUM_INTEROP_THREADS", None)  # Two replicas wait for each other.
    return subprocess.Popen(
        [sys.executable, PROCESS, json.dumps(fits), str(devices)],
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _fits(folder, data, strategy):
    tables = copy.deepcopy({"seq2exp": SEQ2EXP, "cnn": CNN})
    for name in tables:
        tables[name]["training"]["strategy"] = strategy
    return [
        {"config": tables[name], "data": str(data[name]), "out": str(folder / name)}
        for name in tables
    ]


@pytest.fixture(scope="module")
def runs(joint_folder, gene_folder, tmp_path_factory):
    """Folders of the same fits: ``single``, ``mirrored``, ``workers``; what they said.

    Of the CNN's two workers, the second has killed itself after 5 of 6 batches, and the
    job was resumed on one device.
    """
    folder = tmp_path_factory.mktemp("strategies")
    data = {"cnn": joint_folder, "seq2exp": gene_folder}
    processes = {"mirrored": _start(_fits(folder / "mirrored", data, "mirrored"), 2)}
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    fits = _fits(folder / "workers", data, "auto")
    for index in (0, 1):
        tf_config = {
            "cluster": {"worker": hosts},
            "task": {"type": "worker", "index": index},
        }
        last = {**fits[1], "kill": 5} if index else fits[1]
        processes[f"worker {index}"] = _start(
            [fits[0], last], TF_CONFIG=json.dumps(tf_config)
        )
    with _rewritten_graphs():
        for each in _fits(folder / "single", data, "auto"):
            _fit(each)
    said = {name: each.communicate(timeout=600) for name, each in processes.items()}
    kept = [path.name for path in (folder / "workers/cnn/checkpoints").iterdir()]
    assert kept == ["step-000000004"], said
    with _rewritten_graphs():
        _fit(fits[1], resume=True)
    return folder, said


@contextlib.contextmanager
def _rewritten_graphs():
    """Graphs as in the other processes: rounding decides which draws are rejected."""
    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    yield
    tf.config.optimizer.set_experimental_options(options)


def _fit(each, **options):
    store = RecordStore.open(each["data"])
    fit(read_run_config(each["config"]), store, each["out"], **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "seq2exp"])
@pytest.mark.parametrize("strategy", ["mirrored", "workers"])
def test_replicas_train_the_same_weights(runs, strategy, name):
    folder, said = runs
    paths = folder / "single" / name, folder / strategy / name
    assert (paths[1] / "model.keras").exists(), said
    alone, shared = (Run.open(path).load_model().get_weights() for path in paths)
    for one, other in zip(alone, shared, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)
    histories = [pd.read_csv(path / "history.csv") for path in paths]
    pd.testing.assert_frame_equal(
        *(history.drop(columns=list(TIMES)) for history in histories), rtol=1e-4
    )


@pytest.mark.slow
def test_one_worker_writes_and_speaks(runs):
    folder, said = runs
    assert "tensorflow on CPU, float32, 2 replicas\n" in said["mirrored"][0]
    chief, other = said["worker 0"][0], said["worker 1"][0]
    # Whichever was first.
    assert "waiting for the other workers: 127.0.0.1:" in chief + other
    assert "float32, 2 replicas, worker 0 of 2\n" in chief
    assert "best step 7" in chief
    assert "float32, 2 replicas, worker 1 of 2\n" in other
    said_by_other = other.splitlines()
    if said_by_other[0].startswith("waiting"):
        del said_by_other[0]
    assert len(said_by_other) == 2  # A line a fit.
    logs = (folder / "workers" / "seq2exp" / "tensorboard").rglob("events*")
    assert len({path.name.split(".")[-3] for path in logs}) == 1  # Of one process.


@pytest.mark.slow
def test_a_worker_that_waits_says_so_and_can_be_stopped(joint_folder, tmp_path):
    mine, missing = (f"127.0.0.1:{port}" for port in free_ports(2))
    tf_config = {
        "cluster": {"worker": [mine, missing]},
        "task": {"type": "worker", "index": 0},
    }
    fits = [{"config": CNN, "data": str(joint_folder), "out": str(tmp_path / "run")}]
    process = _start(fits, TF_CONFIG=json.dumps(tf_config))
    line = process.stdout.readline()
    assert line == f"waiting for the other workers: {missing} (see TF_CONFIG)\n"
    time.sleep(1)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_worker_that_dies_is_named(runs):
    folder, said = runs
    last = said["worker 0"][0].splitlines()[-1]
    lost = folder / "workers" / "cnn"
    assert last.startswith(f"refused: {lost}: worker 0 lost another worker"), said
    assert "no answer from 127.0.0.1:" in last
    assert last.endswith("; start all workers again with --resume")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (
            "Graph execution error:\n\nDetected at node gather defined at (most recent "
            'call last):\n  File "a", line 1, in b\n\nOut of memory\n\t [[{{node}}]]',
            "Out of memory",
        ),
        ("Detected at node gather\n<stack traces unavailable>\nNo room", "No room"),
        ("Graph execution error:", "InternalError"),
    ],
)
def test_an_error_of_its_own_is_no_loss(monkeypatch, text, cause):
    monkeypatch.setattr(Cluster, "lost", lambda self: [])
    distribution = Distribution(cluster=Cluster(("a:1", "b:1"), 1))
    with pytest.raises(RunError) as caught, distribution.losses_named("run"):
        raise tf.errors.InternalError(None, None, text)
    assert str(caught.value) == (
        "run: worker 1 cannot go on with the others, which all answer "
        f"({cause}); start all workers again with --resume"
    )


def _open(strategy, batch_size=8, streams=1, **environment):
    return open_distribution(
        strategy, batch_size=batch_size, streams=streams, environment=environment
    )


TWO = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}'


@pytest.mark.parametrize(
    ("strategy", "gpus"), [("single", 0), ("single", 4), ("auto", 0), ("auto", 1)]
)
def test_one_device_needs_no_strategy(monkeypatch, strategy, gpus):
    monkeypatch.setattr(hardware, "gpus", lambda: ["GPU"] * gpus)
    found = _open(strategy)
    assert found.strategy is None
    assert found.chief
    assert (found.replicas, found.workers, found.describe()) == (1, (0, 1), "")


@pytest.mark.parametrize(("strategy", "gpus"), [("mirrored", 0), ("auto", 2)])
def test_variables_are_mirrored_inside_the_scope(monkeypatch, strategy, gpus):
    monkeypatch.setattr(hardware, "gpus", lambda: ["GPU"] * gpus)
    assert not tf.distribute.has_strategy()
    with _open(strategy).scope():
        assert isinstance(tf.distribute.get_strategy(), tf.distribute.MirroredStrategy)
    assert not tf.distribute.has_strategy()


def test_multiworker_without_tf_config_is_refused():
    with pytest.raises(ConfigError, match="multiworker needs TF_CONFIG to name two"):
        _open("multiworker")


@pytest.mark.parametrize("strategy", ["auto", "multiworker"])
def test_a_malformed_tf_config_is_refused(strategy):
    with pytest.raises(ConfigError, match="TF_CONFIG: not JSON"):
        _open(strategy, TF_CONFIG="{")


def test_a_process_that_cannot_join_the_workers(monkeypatch):
    tf.constant(1) + 1  # It has begun to compute.
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(RunError, match="TF_CONFIG: cannot join the workers") as caught,
    ):
        two = TWO.replace("a:1", f"127.0.0.1:{other.getsockname()[1]}")
        monkeypatch.setenv("TF_CONFIG", two)
        _open("multiworker", streams=2, TF_CONFIG=two)
    assert "\n" not in str(caught.value)


def test_workers_without_streams_of_their_own_are_refused():
    with pytest.raises(ConfigError, match="streams is 3, but TF_CONFIG names 2 worke"):
        _open("auto", streams=3, TF_CONFIG=TWO)
    assert _open("single", streams=3, TF_CONFIG=TWO).replicas == 1


@pytest.mark.parametrize("strategy", ["mirrored", "multiworker"])
def test_several_devices_need_the_tensorflow_backend(monkeypatch, strategy):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RunError, match=f"training.strategy={strategy}") as caught:
        _open(strategy, TF_CONFIG=TWO)
    assert "KERAS_BACKEND=tensorflow" in str(caught.value)
    assert "\n" not in str(caught.value)
    for allowed in ("auto", "single"):
        assert _open(allowed, TF_CONFIG=TWO).strategy is None


def test_streams_that_do_not_divide_a_batch_are_refused():
    with pytest.raises(ConfigError, match="pipeline.streams is 3; it must divide"):
        read_run_config(CNN, ["pipeline.streams=3"])
    with pytest.raises(ConfigError, match="pipeline.streams is 3; it must divide"):
        read_run_config(SEQ2EXP, ["pipeline.streams=3"])


def test_more_streams_than_shards_are_refused(joint_store, tmp_path):
    config = read_run_config(CNN, ["pipeline.streams=8"])
    with pytest.raises(DatasetError, match="train has 4 shards, fewer than") as caught:
        fit(config, joint_store, tmp_path / "run")
    assert "output.min_shards=8" in str(caught.value)
    assert not (tmp_path / "run").exists()
