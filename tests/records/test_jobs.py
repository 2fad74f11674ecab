"""Shard tasks as files, done one by one as another machine would."""

import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seqexp_tf.errors import DatasetError
from seqexp_tf.records import convert as conversion
from seqexp_tf.records import jobs
from seqexp_tf.records.convert import convert
from seqexp_tf.records.jobs import do_task
from seqexp_tf.records.store import RecordStore

_WORKER = (
    "import sys; from seqexp_tf.records.jobs import do_task; do_task(*sys.argv[1:])"
)


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def elsewhere(monkeypatch):
    """Does the staged tasks of a conversion by a function of them."""

    def use(work) -> None:
        monkeypatch.setattr(conversion, "pipeline_options", lambda args: None)
        monkeypatch.setattr(conversion, "run_on_beam", lambda tasks, args: work(tasks))

    return use


@pytest.fixture(params=["joint", "expression"])
def recipe(request):
    kinds = {"joint": "tiny_genome", "expression": "tiny_genes"}
    return request.getfixturevalue(kinds[request.param]).recipe()


def _in_turn(tasks) -> None:
    for task in reversed(tasks):
        do_task(*task)


def test_the_same_bytes(recipe, elsewhere, tmp_path):
    elsewhere(_in_turn)
    convert(recipe, tmp_path / "staged", beam_args=())
    convert(recipe, tmp_path / "here")
    assert _files(tmp_path / "staged") == _files(tmp_path / "here")


def test_from_another_folder(tiny_genome, elsewhere, tmp_path, monkeypatch):
    """A worker runs anywhere, and imports no TensorFlow."""
    monkeypatch.chdir(tmp_path)

    def work(tasks) -> None:
        for task in tasks[:2]:
            check = "; assert 'tensorflow' not in sys.modules"
            run = [sys.executable, "-c", _WORKER + check, *task]
            subprocess.run(run, check=True, cwd="/")
        _in_turn(tasks[2:])

    elsewhere(work)
    convert(tiny_genome.recipe(), "staged", beam_args=())
    convert(tiny_genome.recipe(), "here")
    assert _files(tmp_path / "staged") == _files(tmp_path / "here")


def test_inputs_are_fetched(recipe, elsewhere, memory, cache, tmp_path):
    """On a machine that sees neither the scratch folder nor the inputs' copies."""

    def work(tasks) -> None:
        shutil.rmtree(cache)
        _in_turn(tasks)

    elsewhere(work)
    convert(recipe, "memory://out/staged", beam_args=())
    convert(recipe, tmp_path / "here")
    found = {p.rpartition("/")[2]: memory.cat_file(p) for p in memory.find("out")}
    assert found == _files(tmp_path / "here")


def test_a_task_done_twice(tiny_genome, elsewhere, tmp_path):
    """Runners try again, and at times do one thing on two machines."""
    elsewhere(lambda tasks: _in_turn([*tasks, *tasks[:3]]))
    convert(tiny_genome.recipe(), tmp_path / "staged", beam_args=())
    convert(tiny_genome.recipe(), tmp_path / "here")
    assert _files(tmp_path / "staged") == _files(tmp_path / "here")


def test_resume_by_either_runner(tiny_genome, elsewhere, tmp_path):
    recipe = tiny_genome.recipe()

    def stopping(tasks) -> None:
        _in_turn(tasks[:4])
        raise KeyboardInterrupt

    elsewhere(stopping)
    with pytest.raises(KeyboardInterrupt):
        convert(recipe, tmp_path / "staged", beam_args=())
    with pytest.raises(DatasetError, match="the conversion has not finished"):
        RecordStore.open(tmp_path / "staged")
    with pytest.raises(KeyboardInterrupt):
        convert(recipe, tmp_path / "staged", beam_args=())
    assert convert(recipe, tmp_path / "staged").reused == 8
    convert(recipe, tmp_path / "here")
    assert _files(tmp_path / "staged") == _files(tmp_path / "here")


def test_a_task_that_nobody_did(tiny_genome, elsewhere, tmp_path):
    elsewhere(lambda tasks: _in_turn(tasks[1:]))
    with pytest.raises(DatasetError, match=r"ended without train-00000.*\(1 shards\)"):
        convert(tiny_genome.recipe(), tmp_path, beam_args=())
    assert not (tmp_path / "manifest.json").exists()


def test_workers_of_another_version(tiny_genome, elsewhere, tmp_path, monkeypatch):
    def work(tasks) -> None:
        monkeypatch.setattr(jobs, "__version__", "9.9")
        _in_turn(tasks)

    elsewhere(work)
    with pytest.raises(DatasetError, match="staged by seqexp-tf .*, but this worker"):
        convert(tiny_genome.recipe(), tmp_path, beam_args=())


def test_a_worker_without_the_disk(tmp_path):
    with pytest.raises(DatasetError, match="a disk that all workers share"):
        do_task(str(tmp_path / "job.pickle"), str(tmp_path / "a.task"))


def test_tasks_are_small(tiny_genes, elsewhere, tmp_path):
    """What a runner has to carry does not grow with the data."""

    def work(tasks) -> None:
        assert all(len(place) < 300 for task in tasks for place in task)
        job = pickle.loads(Path(tasks[0][0]).read_bytes())
        assert len(job[2]) < 20_000
        _in_turn(tasks)

    elsewhere(work)
    convert(tiny_genes.recipe(), tmp_path, beam_args=())
