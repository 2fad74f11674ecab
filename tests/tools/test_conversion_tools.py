"""The conversion tools on a simulated genome."""

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def _run(tool, tmp_path, *arguments):
    # No real data there, so that the tools simulate.
    return subprocess.run(
        [sys.executable, str(TOOLS / tool), *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SEQEXP_DATA": str(tmp_path)},
    )


@pytest.mark.parametrize(
    "tool", ["bench_convert.py", "kill_resume.py", "compare_routes.py"]
)
def test_help(tool, tmp_path):
    done = _run(tool, tmp_path, "--help")
    assert done.returncode == 0
    assert "Example:" in done.stdout


def test_compare_routes(tmp_path):
    done = _run("compare_routes.py", tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "1,330 windows from the archive" in lines[0] and "1,330 in both" in lines[0]
    assert len(lines) == 4
    assert all(line.endswith(" 0 differ") for line in lines[1:])


@pytest.mark.slow
def test_kill_resume(tmp_path):
    done = _run("kill_resume.py", tmp_path, "--times", "2")
    assert done.returncode == 0, done.stderr
    assert "2 of 2 equal in every byte" in done.stdout


def test_bench_convert(tmp_path):
    done = _run("bench_convert.py", tmp_path, "--repeats", "1")
    assert done.returncode == 0, done.stderr
    routes = [line.split() for line in done.stdout.splitlines()[-2:]]
    assert [(route[0], route[1]) for route in routes] == [
        ("archive", "1,330"),
        ("raw", "1,388"),
    ]


@pytest.mark.slow
def test_bench_convert_of_genes(tmp_path):
    options = ("--kind", "expression", "--genes", "12", "--repeats", "1")
    done = _run("bench_convert.py", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    fold, noise = (line.split() for line in done.stdout.splitlines()[-2:])
    assert (fold[:2], noise[:2]) == (["fold", "12"], ["noise", "12"])
    # Of what experiments give a record takes well under a megabyte.
    assert float(fold[-1]) < 300 < 1000 < float(noise[-1])
