"""The serving benchmark at its smallest: the table appears; no timing is judged."""

import re

import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool


@pytest.fixture
def tool():
    return load_tool("bench_serving")


@pytest.fixture
def run(write_gene_run, gene_store, tmp_path):
    return str(write_gene_run(tmp_path / "run", gene_store))


def test_every_signature_is_timed_and_compared(tool, run, monkeypatch):
    compared = []
    difference = tool.largest_difference

    def compare(name, *arrays):
        compared.append((name, difference(name, *arrays)))
        return compared[-1][1]

    monkeypatch.setattr(tool, "largest_difference", compare)
    done = CliRunner().invoke(
        tool.command, [run, "--batch", "1", "--batch", "3", "--repeats", "1"]
    )
    assert done.exit_code == 0, done.output
    signatures = ("serving_default", "serve_sequence", "serve_elements")
    number = r" [\d.]+ \|"
    for name in signatures:
        for rows in (1, 3):
            assert re.search(
                rf"^\| `{name}` \| {rows} \|{number * 5}$", done.output, re.MULTILINE
            ), done.output
    assert [name for name, _ in compared] == list(signatures)
    assert max(value for _, value in compared) < 1e-5
