"""Fixtures shared by the tests of verbs."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqexp_tf.cli.main import main
from seqexp_tf.config import build, dump
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import RunConfig
from seqexp_tf.training.run import CONFIG, DATASET, MODEL, SCHEMA, describe_dataset
from seqexp_tf.training.trainer import build_model


@pytest.fixture(scope="session")
def write_run() -> Callable[..., Path]:
    """Writes a run folder whose small CNN was never trained, and returns it."""

    def write(folder: Path, store: RecordStore, **tables: Any) -> Path:
        folder.mkdir()
        model = {"architecture": "cnn", "filters": 4, "dilations": [2]}
        config = build(RunConfig, {"model": model, **tables}, origin="test")
        (folder / CONFIG).write_text(dump(config))
        (folder / SCHEMA).write_text(store.schema.to_json())
        (folder / DATASET).write_text(json.dumps(describe_dataset(store)))
        build_model(config, "float32").save(folder / MODEL)
        return folder

    return write


@pytest.fixture
def call(capfd, monkeypatch) -> Callable[..., tuple[int, str, str]]:
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run_it(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["seqexp-tf", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capfd.readouterr()
        return stop.value.code, captured.out, captured.err

    return run_it
