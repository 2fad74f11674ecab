"""The account of a machine and its packages."""

import dataclasses
import platform

import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.training import environment
from seqexp_tf.training.environment import (
    describe_environment,
    read_environments,
    record_environment,
)


def test_it_names_versions_and_machine():
    found = describe_environment()
    assert found.versions["Python"] == platform.python_version()
    assert {"seqexp-tf", "tensorflow", "keras", "numpy"} <= set(found.versions)
    assert found.processor.endswith("used")
    assert found.backend in ("tensorflow", "jax")
    assert found.memory is None or found.memory > 1 << 28


def test_a_run_remembers_each_environment_it_was_trained_in(tmp_path, monkeypatch):
    assert read_environments(tmp_path) == ()
    here = describe_environment()
    record_environment(tmp_path, step=0)
    record_environment(tmp_path, step=300)
    assert read_environments(tmp_path) == ((0, here),)
    there = dataclasses.replace(here, accelerators=("GPU:0: H200",), memory=None)
    monkeypatch.setattr(environment, "describe_environment", lambda: there)
    record_environment(tmp_path, step=500)
    assert read_environments(tmp_path) == ((0, here), (500, there))
    # Nothing of what was done there is left where the fit goes on from before it.
    monkeypatch.undo()
    record_environment(tmp_path, step=400)
    assert read_environments(tmp_path) == ((0, here),)


@pytest.mark.parametrize("text", ["", "3", "[3]", "[{}]", '[{"after_step": 0}]'])
def test_a_damaged_record_is_named(tmp_path, text):
    (tmp_path / "environment.json").write_text(text)
    with pytest.raises(RunError, match=r"environment\.json: damaged .*; remove it"):
        read_environments(tmp_path)
