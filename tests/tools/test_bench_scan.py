"""The benchmark of the scan at its smallest: the table appears; no timing is judged."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bench_scan.py"
TINY = ("--length", 70, "--channels", 8, "--state", 4, "--repeats", 1)


def _run(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True
    )


def test_help_shows_an_example():
    run = _run("--help")
    assert run.returncode == 0
    assert "python tools/bench_scan.py" in run.stdout
    assert "--worker" not in run.stdout


@pytest.mark.slow
def test_scan_beside_mambapy():
    pytest.importorskip("mambapy", reason="mambapy is missing; install [oracle]")
    run = _run(*TINY)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("outputs and gradients agree within ")
    for name in ("seqexp-tf", "plain graph", "pscan", "sequential"):
        row = rf"^ +70 {name}" + r" +[\d.]+" * 5 + "x$"
        assert re.search(row, run.stdout, re.MULTILINE), run.stdout
