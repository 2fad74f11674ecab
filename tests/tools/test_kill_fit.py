"""A training that is killed and one that is not, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kill_fit.py"


def _run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_help():
    done = _run("--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


@pytest.mark.slow
def test_killed_and_resumed_under_jax(tmp_path):
    """Which writes the state of training back to the model only now and then."""
    pytest.importorskip("jax")
    # Three processes compile the same.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    done = _run("--times", "1", KERAS_BACKEND="jax", **cache)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("joint, jax: 3 validations")
    assert done.stdout.splitlines()[-1].startswith("1 of 1 equal in every bit")
