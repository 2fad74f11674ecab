"""A training that is killed and one that is not, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click import ClickException
from click.testing import CliRunner
from fixtures.processes import QUICK_COMPILATION
from fixtures.tools import load_tool

from seqexp_tf.cli.main import cli

TOOL = Path(__file__).resolve().parents[2] / "tools" / "kill_fit.py"


def _run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(TOOL), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.fixture
def tool():
    return load_tool("kill_fit")


def test_help():
    done = _run("--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


@pytest.mark.parametrize("task", ["joint", "expression"])
def test_the_presets_take_the_options(tool, task):
    first, second, *overrides = tool._OPTIONS[task]
    sets = [part for override in overrides for part in ("--set", override)]
    run = CliRunner().invoke(cli, ["fit", first, second, *sets, "--dry-run"])
    assert run.exception is None
    assert "checkpoint_every = 5" in run.output


def test_a_training_that_fails_says_why(tool, tmp_path):
    said = tmp_path / "said"
    process = tool.start(["sh", "-c", "echo first; echo why >&2; exit 3"], said=said)
    process.wait()
    with pytest.raises(ClickException, match="the training ended with 3: why"):
        tool.check_ended(process, said=said)


@pytest.mark.slow
def test_killed_and_resumed_under_jax(tmp_path):
    """Which writes the state of training back to the model only now and then."""
    pytest.importorskip("jax")
    # Three processes compile the same.
    compilation = {
        **QUICK_COMPILATION,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    done = _run("--times", "1", KERAS_BACKEND="jax", **compilation)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("joint, jax: 3 validations")
    assert done.stdout.splitlines()[-1].startswith("1 of 1 equal in every bit")
