"""Conversion by Apache Beam's DirectRunner, and its options.

Beam's releases pin protobuf and pyarrow. Where they do not fit beside the rest, an
environment of its own, without TensorFlow, is named by ``SEQEXP_BEAM_PYTHON``.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w

from seqexp_tf.errors import ConfigError
from seqexp_tf.records import beam
from seqexp_tf.records.convert import convert

_ROOT = Path(__file__).resolve().parents[2]

# One process for all: Beam takes seconds to import.
_SCRIPT = """
import pathlib, sys
from seqexp_tf.errors import SeqExpError
from seqexp_tf.records.beam import pipeline_options, run_on_beam
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import read_recipe

WORKERS = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


def main(folder):
    for name in ("joint", "genes"):
        recipe = read_recipe(folder / f"{name}.toml")
        convert(recipe, folder / name / "here")
        convert(recipe, folder / name / "beam", beam_args=[])
    recipe = read_recipe(folder / "joint.toml")
    convert(recipe, folder / "joint" / "two", beam_args=WORKERS)
    try:
        run_on_beam([("/nowhere/job.pickle", "/nowhere/a.task")], [])
    except SeqExpError as error:
        print(type(error).__name__, error)
    print("tensorflow" in sys.modules)
    for line in (folder / "options.txt").read_text().splitlines():
        options = pipeline_options(line.split())
        known = options.get_all_options(drop_default=True)
        asked = {text[2:].partition("=")[0] for text in line.split()}
        print(sorted(asked - set(known)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
"""


def _python() -> str:
    if importlib.util.find_spec("apache_beam") is not None:
        return sys.executable
    if python := os.environ.get("SEQEXP_BEAM_PYTHON"):
        return python
    pytest.skip("apache_beam is not installed here, and SEQEXP_BEAM_PYTHON not set")


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def converted(tiny_genome, tiny_genes, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder with conversions by each runner, and what they printed."""
    python, folder = _python(), tmp_path_factory.mktemp("beam")
    own_path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    tables = {"joint": tiny_genome.tables("raw"), "genes": tiny_genes.tables()}
    tables["genes"].pop("contact")  # needs cooler
    for name, content in tables.items():
        (folder / f"{name}.toml").write_text(tomli_w.dumps(content))
    (folder / "convert.py").write_text(_SCRIPT)
    text = (_ROOT / "docs" / "conversion.md").read_text()
    lines = re.findall(r"^\|.*\| `(--\w+=.*)` \|$", text, re.MULTILINE)
    assert len(lines) == 4
    (folder / "options.txt").write_text("\n".join(lines))
    run = subprocess.run(
        [python, folder / "convert.py", folder],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), *own_path])},
    )
    assert run.returncode == 0, run.stderr
    return folder, run.stdout.splitlines()


@pytest.mark.parametrize("kind", ["joint", "genes"])
def test_the_same_bytes(converted, kind):
    folder = converted[0] / kind
    assert _files(folder / "beam") == _files(folder / "here")


def test_two_processes_give_the_same_bytes(converted):
    folder = converted[0] / "joint"
    assert _files(folder / "two") == _files(folder / "here")


def test_what_a_task_raises_comes_through(converted):
    error, tensorflow = converted[1][:2]
    assert error.startswith("DatasetError /nowhere/job.pickle: a worker cannot read")
    assert error.endswith("a folder on a disk that all workers share")
    assert tensorflow == "False"


def test_beam_knows_the_documented_options(converted):
    assert converted[1][2:] == ["[]"] * 4


def test_beam_is_not_installed(tiny_genome, tmp_path, monkeypatch):
    for name in ("apache_beam.options.pipeline_options", "apache_beam.options"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ConfigError, match="pip install .seqexp-tf.beam.."):
        convert(tiny_genome.recipe(), tmp_path / "out", beam_args=())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "seqexp_tf.errors.InputError: a.bw: cut short [while running 'x']",
            "a.bw: cut short",
        ),
        (
            "Traceback\n  File x\nseqexp_tf.errors.InputError: a.bw: cut short\n\n",
            "a.bw: cut short",
        ),
        ("Traceback\nMemoryError: x [while running 'y']", "MemoryError: x\\)"),
        ("", "the Beam pipeline failed"),
    ],
)
def test_one_line_out_of_a_runners_exception(text, message):
    error = beam._cause(RuntimeError(text))
    assert "\n" not in str(error)
    with pytest.raises(type(error), match=message):
        raise error
