"""The mutagenesis benchmark at its smallest: the table appears; no timing is judged."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from fixtures.tools import load_tool

TOOL = Path(__file__).resolve().parents[2] / "tools" / "bench_mutagenesis.py"


def _load():
    return load_tool("bench_mutagenesis")


def test_help_shows_an_example():
    run = subprocess.run(
        [sys.executable, TOOL, "--help"], capture_output=True, text=True
    )
    assert run.returncode == 0
    assert "python tools/bench_mutagenesis.py" in run.stdout


def test_both_are_timed():
    tiny = ["--window", "64", "--region", "8", "--batch-size", "4", "--repeats", "1"]
    run = CliRunner().invoke(_load().command, tiny)
    assert run.exit_code == 0, run.output
    assert run.output.startswith("cnn: 24 mutants of 8 bp in 64 bp, batch 4")
    assert re.search(r"largest difference of logits \S+e-0[5-9]|logits 0", run.output)
    number = r"\s+[\d.]+"
    for name in ("propagated", "predict, float32"):
        assert re.search(rf"^{name}{number * 4}", run.output, re.MULTILINE), run.output


def test_another_answer_is_not_timed(monkeypatch):
    tool = _load()
    honest = tool.propagate
    monkeypatch.setattr(tool, "propagate", lambda *case: honest(*case) + np.nan)
    tiny = ["--window", "64", "--region", "2", "--repeats", "1"]
    run = CliRunner().invoke(tool.command, tiny)
    assert run.exit_code == 1
    assert "logits differ by nan, more than 0.0001" in run.output


def test_a_region_longer_than_the_window_is_refused():
    run = CliRunner().invoke(_load().command, ["--window", "64", "--region", "65"])
    assert run.exit_code == 2
    assert "--region 65: expected 1 to 64" in run.output
