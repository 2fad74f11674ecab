"""A conversion that is killed, disturbed or run twice."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tomli_w

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.records import manifest, tasks, tfrecord
from seqexp_tf.records.convert import convert
from seqexp_tf.records.journal import Journal
from seqexp_tf.records.output import LocalOutput
from seqexp_tf.records.store import JOURNAL, MANIFEST, RecordStore
from seqexp_tf.records.verify import verify

SHARDS = {"min_shards": 10}
MANY_SHARDS = {"min_shards": 30}


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def recipe(tiny_genome):
    return tiny_genome.recipe(output=SHARDS)


@pytest.fixture(scope="module", params=["joint", "expression"])
def inputs(request):
    """The inputs of each kind of dataset."""
    kinds = {"joint": "tiny_genome", "expression": "tiny_genes"}
    return request.getfixturevalue(kinds[request.param])


@pytest.fixture(scope="module")
def undisturbed(recipe, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    convert(recipe, folder)
    return _files(folder)


@pytest.fixture
def command(inputs, tmp_path):
    """The command line of the same conversion into ``tmp_path / "out"``."""
    path = tmp_path / "tiny.toml"
    path.write_text(tomli_w.dumps(inputs.tables(output=MANY_SHARDS)))

    def of(workers: int) -> list[str]:
        verb = ["convert", str(path), "--out", str(tmp_path / "out")]
        start = [sys.executable, "-m", "seqexp_tf.cli.main", *verb]
        return [*start, "--workers", str(workers)]

    return of


def _start_and_kill(command: list[str], folder: Path, shards: int) -> list:
    """Kills a conversion once ``shards`` are finished; returns its children."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        journal = folder / JOURNAL
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            if journal.is_file() and journal.read_bytes().count(b"\n") > shards:
                break
            time.sleep(0.0005)
        # Stopped first: it must not finish while its children are looked up.
        process.send_signal(signal.SIGSTOP)
        children = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    return children


@pytest.mark.parametrize("workers, kills", [(1, 3), (2, 1)])
def test_killed_and_resumed(inputs, command, tmp_path, workers, kills):
    folder = tmp_path / "out"
    rng = np.random.default_rng(workers)
    for shards in np.sort(rng.choice(20, kills, replace=False)):
        children = _start_and_kill(command(workers), folder, int(shards))
        assert not (folder / "manifest.json").exists()
        with pytest.raises(DatasetError, match="the conversion has not finished"):
            RecordStore.open(folder)
        # A worker that outlived its parent would write into the next run.
        _, alive = psutil.wait_procs(children, timeout=10)
        assert not alive
    recipe = inputs.recipe(output=MANY_SHARDS)
    summary = convert(recipe, folder, workers=workers)
    assert 1 <= summary.reused < summary.shards
    convert(recipe, tmp_path / "undisturbed")
    assert _files(folder) == _files(tmp_path / "undisturbed")


def _interrupted(recipe, folder: Path, monkeypatch, after: int) -> None:
    """Leaves what a kill after ``after`` shards would leave."""
    write, count = tasks.write_task, 0

    def failing(*arguments):
        nonlocal count
        count += 1
        if count > after:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "write_task", failing)
        with pytest.raises(KeyboardInterrupt):
            convert(recipe, folder)


def test_an_interrupted_conversion_goes_on(recipe, undisturbed, tmp_path, monkeypatch):
    _interrupted(recipe, tmp_path, monkeypatch, 10)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name[0] != ".")[0] == JOURNAL
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.tfrecord*")}
    assert len(before) == 10
    assert convert(recipe, tmp_path).reused == 10
    assert _files(tmp_path) == undisturbed
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


@pytest.mark.parametrize(
    "tail",
    [b'{"name": "train-0000', b"\x00\x00\x00", b"\xff\n", b"17\n", b'{"name": 1}\n'],
)
def test_a_torn_journal(recipe, undisturbed, tmp_path, monkeypatch, tail):
    _interrupted(recipe, tmp_path, monkeypatch, 5)
    journal = tmp_path / JOURNAL
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]) + tail)
    assert convert(recipe, tmp_path).reused == 4
    assert _files(tmp_path) == undisturbed


def test_a_last_line_without_its_end_counts(recipe, tmp_path, monkeypatch):
    _interrupted(recipe, tmp_path, monkeypatch, 5)
    journal = tmp_path / JOURNAL
    journal.write_bytes(journal.read_bytes().rstrip(b"\n"))
    assert len(Journal(LocalOutput(tmp_path)).entries) == 5


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_finished_shard_damaged_before_resume(
    recipe, undisturbed, tmp_path, monkeypatch, damage
):
    _interrupted(recipe, tmp_path, monkeypatch, 5)
    shard = sorted(tmp_path.glob("*.tfrecord*"))[2]
    content = bytearray(shard.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        shard.write_bytes(content)
    elif damage == "cut":
        shard.write_bytes(content[:-1])
    else:
        shard.unlink()
    assert convert(recipe, tmp_path).reused == 4
    assert _files(tmp_path) == undisturbed


def test_half_written_files_are_swept_up(recipe, undisturbed, tmp_path, monkeypatch):
    _interrupted(recipe, tmp_path, monkeypatch, 2)
    (tmp_path / f"train-00002-of-00010.tfrecord.gz{tfrecord.INCOMPLETE}").touch()
    (tmp_path / f"manifest.json{tfrecord.INCOMPLETE}").touch()
    (tmp_path / ".scratch").mkdir()
    (tmp_path / ".scratch" / "sequence.u8").touch()
    convert(recipe, tmp_path)
    assert _files(tmp_path) == undisturbed


def test_killed_after_the_manifest(recipe, undisturbed, tmp_path):
    convert(recipe, tmp_path)
    (tmp_path / JOURNAL).touch()
    (tmp_path / ".scratch").mkdir()
    with pytest.raises(DatasetError, match="already holds this dataset"):
        convert(recipe, tmp_path)
    assert _files(tmp_path) == undisturbed


def test_another_recipe_does_not_go_on(tiny_genome, recipe, tmp_path, monkeypatch):
    _interrupted(recipe, tmp_path, monkeypatch, 5)
    before = _files(tmp_path)
    other = tiny_genome.recipe(output={"min_shards": 2}, seed=5)
    with pytest.raises(DatasetError, match="unfinished conversion of other inputs"):
        convert(other, tmp_path)
    assert _files(tmp_path) == before
    convert(other, tmp_path, overwrite=True)
    assert len(list(tmp_path.glob("*.tfrecord*"))) == 6
    assert verify(tmp_path, full=True).problems == ()


def test_changed_inputs_do_not_go_on(tiny_genome, recipe, tmp_path, monkeypatch):
    _interrupted(recipe, tmp_path / "out", monkeypatch, 5)
    moved = tmp_path / "in"
    (moved / "archive").mkdir(parents=True)
    for path in (tiny_genome.folder / "archive").iterdir():
        (moved / "archive" / path.name).write_bytes(path.read_bytes())
    meta = moved / "archive" / "data_meta.json"
    meta.write_text(json.dumps(json.loads(meta.read_text())))
    source = {**tiny_genome.tables("archive")["source"], "root": str(moved)}
    with pytest.raises(DatasetError, match="unfinished conversion of other inputs"):
        convert(tiny_genome.recipe(output=SHARDS, source=source), tmp_path / "out")


def test_a_second_conversion_is_refused(tiny_genome, recipe, undisturbed, tmp_path):
    convert(recipe, tmp_path)
    with pytest.raises(
        DatasetError,
        match=r"already holds this dataset \(tiny, 216 records\); check it with "
        r"`seqexp-tf verify`, or use --overwrite",
    ):
        convert(recipe, tmp_path)
    with pytest.raises(
        DatasetError, match="already holds another dataset .*; choose another --out"
    ):
        convert(tiny_genome.recipe(seed=9), tmp_path)
    assert _files(tmp_path) == undisturbed


def test_overwrite_leaves_nothing_of_the_old(
    tiny_genome, recipe, undisturbed, tmp_path
):
    convert(tiny_genome.recipe(output={"compression": "none"}), tmp_path)
    convert(recipe, tmp_path, overwrite=True)
    assert _files(tmp_path) == undisturbed


def test_overwrite_keeps_the_old_until_the_new_inputs_are_good(
    tiny_genome, recipe, undisturbed, tmp_path
):
    convert(recipe, tmp_path)
    (tmp_path / "bad.bed").write_text("chrI\t1\n")
    bad = tiny_genome.recipe(channels={"peaks": str(tmp_path / "bad.bed")})
    with pytest.raises(InputError):
        convert(bad, tmp_path, overwrite=True)
    (tmp_path / "bad.bed").unlink()
    assert _files(tmp_path) == undisturbed


def test_overwrite_cut_short_can_be_run_again(
    tiny_genome, recipe, undisturbed, tmp_path, monkeypatch
):
    convert(tiny_genome.recipe(output={"compression": "none"}), tmp_path)
    unlink, removed = Path.unlink, 0

    def failing(path, *arguments, **options):
        nonlocal removed
        removed += path.suffix == ".tfrecord"
        if removed > 4:
            raise KeyboardInterrupt
        unlink(path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", failing)
        with pytest.raises(KeyboardInterrupt):
            convert(recipe, tmp_path, overwrite=True)
    convert(recipe, tmp_path, overwrite=True)
    assert _files(tmp_path) == undisturbed


def test_shards_of_nobody_are_not_touched(recipe, tmp_path):
    stray = tmp_path / "train-00000-of-00002.tfrecord"
    stray.write_bytes(b"precious")
    with pytest.raises(DatasetError, match=f"{stray}: a shard that is not part of"):
        convert(recipe, tmp_path, overwrite=True)
    assert _files(tmp_path) == {stray.name: b"precious"}


def test_a_dataset_that_lost_its_manifest_is_converted_again(
    recipe, undisturbed, tmp_path
):
    convert(recipe, tmp_path)
    (tmp_path / MANIFEST).unlink()
    convert(recipe, tmp_path)
    assert _files(tmp_path) == undisturbed


def test_one_conversion_at_a_time(recipe, undisturbed, tmp_path):
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DatasetError, match="another conversion is writing here"):
            convert(recipe, tmp_path)
    # A lock file that a kill left behind holds nobody up.
    convert(recipe, tmp_path)
    assert _files(tmp_path) == undisturbed


def test_a_full_disk_and_more_space(recipe, undisturbed, tmp_path, monkeypatch):
    sync, count = os.fsync, 0

    def full(descriptor):
        nonlocal count
        count += 1
        if count > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DatasetError, match="cannot write: No space left on device"):
            convert(recipe, tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    assert not (tmp_path / ".scratch").exists()
    assert convert(recipe, tmp_path).reused > 0
    assert _files(tmp_path) == undisturbed


def test_an_input_that_cannot_be_read(recipe, tmp_path, monkeypatch):
    def unreadable(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(manifest, "hash_file", unreadable)
    with pytest.raises(
        InputError, match=r"data\.npz: cannot be read: Permission denied"
    ):
        convert(recipe, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_worker_that_is_killed(recipe, undisturbed, tmp_path, monkeypatch):
    append, killed = Journal.append, []
    # Processes that tests share are children, too.
    others = psutil.Process().children()

    def kill_a_worker(journal, entry):
        append(journal, entry)
        if not killed:
            # The resource tracker is a child as well; workers run spawn_main.
            killed.extend(
                child
                for child in psutil.Process().children()
                if child not in others
                and any("spawn_main" in word for word in child.cmdline())
            )
            killed[0].kill()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", kill_a_worker)
        with pytest.raises(DatasetError, match="a worker process was killed"):
            convert(recipe, tmp_path, workers=2)
    assert len(killed) == 2
    convert(recipe, tmp_path, workers=2)
    assert _files(tmp_path) == undisturbed
