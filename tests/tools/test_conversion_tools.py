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
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(TOOLS.parent),
            "SEQEXP_DATA": str(tmp_path),
        },
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


def _table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


@pytest.mark.slow
def test_bench_convert(tmp_path):
    done = _run("bench_convert.py", tmp_path, "--repeats", "1")
    assert done.returncode == 0, done.stderr
    rows = _table(done.stdout)
    assert [row[:3] for row in rows] == [
        ["archive", "local, 1 process", "1,330"],
        ["raw", "local, 1 process", "1,388"],
        ["raw", "local, 2 processes", "1,388"],
        ["raw", "as baskerville", "1,388"],
    ]
    # One-hot float16 takes more than indices, in files and in memory.
    ours, peer = rows[1], rows[3]
    assert float(ours[-1]) < float(peer[-1]) and float(ours[-2]) < float(peer[-2])
    assert "the human genome, stride 1,024, both strands (6,031,809" in done.stdout


@pytest.mark.slow
def test_bench_convert_of_genes(tmp_path):
    options = ("--kind", "expression", "--genes", "12", "--repeats", "1")
    done = _run("bench_convert.py", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    fold, *_, peer, noise = _table(done.stdout)
    assert [row[2] for row in (fold, peer, noise)] == ["12"] * 3
    # Of what experiments give a record takes well under a megabyte.
    assert float(fold[-1]) < 300 < 1000 < float(noise[-1])
    assert "the study's genes (18,377 windows) would take" in done.stdout


@pytest.mark.slow
def test_growth(tmp_path):
    done = _run("bench_convert.py", tmp_path, "--growth", "10000")
    assert done.returncode == 0, done.stderr
    (row,) = _table(done.stdout)
    assert row[0] == "10,016" and float(row[-1]) > 0
