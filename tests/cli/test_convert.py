"""``seqexp-tf convert``, ``verify`` and ``inspect``: exit codes and one-line errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w

from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.windows import tile
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore


@pytest.fixture
def run(call):
    """Runs the command line in this process, conversions on one worker."""

    def alone(*arguments) -> tuple[int, str, str]:
        one = ("--workers", 1) if arguments[0] == "convert" else ()
        return call(*arguments, *one)

    return alone


@pytest.fixture
def recipe(tiny_genome, tmp_path):
    """Writes the recipe of a route with changes; returns its path."""

    def write(route="archive", **changes) -> Path:
        path = tmp_path / "tiny.toml"
        path.write_text(tomli_w.dumps(tiny_genome.tables(route, **changes)))
        return path

    return write


@pytest.fixture
def dataset(run, recipe, tmp_path):
    folder = tmp_path / "out"
    assert run("convert", recipe(), "--out", folder)[0] == 0
    return folder


def _assert_refused(outcome, folder: Path, *parts: str) -> None:
    code, out, err = outcome
    assert code == 1
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and errors[0] == err.splitlines()[-1]
    assert "Traceback" not in out + err
    for part in parts:
        assert part in errors[0]
    assert not (folder / "manifest.json").exists()
    assert not (folder / "schema.json").exists()
    assert not list(folder.glob("*.tfrecord*"))


def test_convert_says_what_it_did(run, recipe, tiny_genome, tmp_path):
    peaks = {"peaks": "peaks.bed"}
    out = tmp_path / "out"
    code, text, err = run("convert", recipe("raw", channels=peaks), "--out", out)
    assert code == 0
    assert "wanted 222 windows, wrote 216 (train 112, validation 58, test 46)" in text
    assert "dropped 6\n  6 touches an excluded region\n" in text
    assert "channel peaks: 2 intervals over 30 bases, 1 on other contigs" in text
    assert f"9 shards, 0.0 MB: {out}\n" in text
    assert f"hashing {tiny_genome.folder / 'genome.fa'}" in err
    assert RecordStore.open(out).count("train") == 112


def test_the_folder_beside_the_recipe_is_the_default(run, recipe, tmp_path):
    assert run("convert", recipe())[0] == 0
    assert (tmp_path / "tiny" / "manifest.json").is_file()


def test_overrides_reach_the_recipe(run, recipe, tmp_path):
    overrides = ("--set", "output.compression=none", "--set", "seed=3")
    code, _, _ = run("convert", recipe(), "--out", tmp_path / "out", *overrides)
    assert code == 0
    stored = RecordStore.open(tmp_path / "out").manifest["recipe"]
    assert (stored["output"]["compression"], stored["seed"]) == ("none", 3)


def test_a_dry_run_prints_a_recipe_that_reads_back(run, recipe, tmp_path):
    path = recipe("raw")
    code, text, _ = run("convert", path, "--dry-run", "--set", "seed=3")
    assert code == 0
    (tmp_path / "printed.toml").write_text(text)
    printed = read_recipe(tmp_path / "printed.toml")
    assert printed == read_recipe(path, ["seed=3"])
    assert {p.name for p in tmp_path.iterdir()} == {"tiny.toml", "printed.toml"}


@pytest.mark.parametrize(
    "override, parts",
    [
        (
            "windows.sise=3",
            ("tiny.toml: ", 'unknown key "windows.sise"; did you mean "size"?'),
        ),
        ("windows.size=big", ("windows.size must be a whole number, not 'big'",)),
        ("windows.size=0", ("windows.size is 0; it must be positive",)),
        ("windows.strands=['*']", ("windows.strands[0] is '*'",)),
        ("windows.strands=[]", ('windows.strands is []; give "+", "-" or both',)),
        ("output.compression=zip", ("choose one of 'none', 'gzip'",)),
        ("output.level=10", ("output.level is 10; it must be from 1 to 9",)),
        ("output.min_shards=0", ("output.min_shards is 0",)),
        ("output.shard_mb=-1", ("output.shard_mb is -1",)),
        ("masks.sequence_fraction=2", ("masks.sequence_fraction is 2",)),
        ("kind=jiont", ("kind is 'jiont'; choose one of 'joint'",)),
        ("name=../x", ("name: '../x' must be letters, digits",)),
        ("channels.a/b=x.bed", ("channels: 'a/b' must be letters",)),
        ("splits.fold=2", ("splits.fold is 2, but folds",)),
        ("splits.folds=3", ("splits: give contig lists, or folds and fold",)),
        ("splits.test=['chrIV']", ("no contig 'chrIV'",)),
        ("splits.test=['chrII']", ("'chrII'", "validation", "test")),
        ("source.archive.data=none.npz", ("none.npz: no such file (archive.data)",)),
        ("source.genome.fasta=genome.fa", ("source.genome: give either coverage",)),
        ("source.root=/nowhere", ("/nowhere/archive/data.npz: no such file",)),
        ("channels.peaks=none.bed", ("none.bed: no such file (channels.peaks)",)),
        ("windows.size=64", ("regions.parquet: row 0: window_size 100", "expected 64")),
        ("windows", ("--set windows: write it as table.key=value",)),
    ],
)
def test_bad_recipes(run, recipe, tmp_path, override, parts):
    outcome = run("convert", recipe(), "--out", tmp_path / "out", "--set", override)
    _assert_refused(outcome, tmp_path / "out", *parts)
    assert outcome[1] == ""


def test_both_routes_at_once(run, recipe, tiny_genome, tmp_path):
    source = {
        **tiny_genome.tables("raw")["source"],
        **tiny_genome.tables("archive")["source"],
    }
    outcome = run("convert", recipe(source=source), "--out", tmp_path / "out")
    _assert_refused(
        outcome, tmp_path / "out", "tiny.toml: source: give exactly one of the tables"
    )


def test_a_recipe_that_is_missing_or_broken(run, tmp_path):
    outcome = run("convert", tmp_path / "none.toml", "--out", tmp_path / "out")
    _assert_refused(outcome, tmp_path / "out", "none.toml: no such file")
    (tmp_path / "broken.toml").write_text("[source\n")
    outcome = run("convert", tmp_path / "broken.toml", "--out", tmp_path / "out")
    _assert_refused(outcome, tmp_path / "out", "broken.toml: not valid TOML", "line 1")


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def _archive_with(tiny_genome, folder: Path, **arrays) -> dict:
    """A copy of the archive with other arrays; returns its source table."""
    (folder / "archive").mkdir(parents=True)
    origin = tiny_genome.folder / "archive"
    for name in ("regions.parquet", "data_meta.json"):
        (folder / "archive" / name).write_bytes((origin / name).read_bytes())
    stored = {**np.load(origin / "data.npz"), **arrays}
    np.savez(folder / "archive" / "data.npz", **stored)
    return {**tiny_genome.tables("archive")["source"], "root": str(folder)}


def test_an_archive_with_pickled_objects(
    run, recipe, tiny_genome, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    objects = np.array([_Evil()], dtype=object)
    source = _archive_with(tiny_genome, tmp_path / "in", sequence=objects)
    outcome = run("convert", recipe(source=source), "--out", tmp_path / "out")
    _assert_refused(
        outcome, tmp_path / "out", "data.npz: not a whole npz of plain arrays"
    )
    assert not (tmp_path / "pwned").exists()


def test_an_archive_with_a_wrong_value_or_cut_short(run, recipe, tiny_genome, tmp_path):
    sequence = np.load(tiny_genome.folder / "archive" / "data.npz")["sequence"]
    sequence[7] = 9
    source = _archive_with(tiny_genome, tmp_path / "in", sequence=sequence)
    outcome = run("convert", recipe(source=source), "--out", tmp_path / "out")
    _assert_refused(outcome, tmp_path / "out", "data.npz: 'sequence'[7] is 9")
    data = tmp_path / "in" / "archive" / "data.npz"
    data.write_bytes(data.read_bytes()[:-100])
    outcome = run("convert", recipe(source=source), "--out", tmp_path / "out")
    _assert_refused(outcome, tmp_path / "out", "data.npz: not a whole npz")


def test_raw_files_that_are_damaged(run, recipe, tiny_genome, tmp_path):
    tables = tiny_genome.tables("raw")["source"]
    for name, key, cut in (
        ("genome.fa", "fasta", b">I\nACGT!\n"),
        ("plus.bw", "coverage_plus", None),
    ):
        content = (tiny_genome.folder / name).read_bytes()[:-9] if cut is None else cut
        (tmp_path / name).write_bytes(content)
        genome = {**tables["genome"], key: str(tmp_path / name)}
        path = recipe("raw", source={**tables, "genome": genome})
        outcome = run("convert", path, "--out", tmp_path / "out")
        _assert_refused(outcome, tmp_path / "out", str(tmp_path / name))


def test_an_output_that_cannot_be_written(run, recipe, tmp_path):
    (tmp_path / "file").touch()
    for out in (tmp_path / "file" / "out", Path("/proc/none/out")):
        outcome = run("convert", recipe(), "--out", out)
        _assert_refused(outcome, out, f"{out}: cannot write there", "another --out")


def test_an_output_that_is_a_file(run, recipe, tmp_path):
    code, _, err = run("convert", recipe(), "--out", recipe())
    assert code == 2
    assert "is a file" in err and "Traceback" not in err


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(recipe, tmp_path, workers):
    """No file may grow past 15 kB: the inputs fit, the shards do not."""

    path = recipe(output={"compression": "none", "min_shards": 2})
    out = tmp_path / "out"
    command = [sys.executable, "-m", "seqexp_tf.cli.main", "convert", str(path)]
    command += ["--out", str(out), "--workers", str(workers)]
    # By a process of its own: code between fork and exec may wait for ever for locks
    # that threads of this process hold.
    limited = (
        "import os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *command], capture_output=True, text=True
    )
    outcome = (done.returncode, done.stdout, done.stderr)
    _assert_refused(outcome, out, "cannot write: File too large", "free space")
    assert {path.name for path in out.iterdir()} == {"conversion.jsonl"}
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert RecordStore.open(out).count("test") == 46


def test_a_second_run_is_refused(run, recipe, dataset):
    before = {path: path.read_bytes() for path in dataset.iterdir()}
    code, _, err = run("convert", recipe(), "--out", dataset)
    assert code == 1
    assert "already holds this dataset (tiny, 216 records)" in err.splitlines()[-1]
    assert {path: path.read_bytes() for path in dataset.iterdir()} == before
    assert run("convert", recipe(), "--out", dataset, "--overwrite")[0] == 0
    assert {path: path.read_bytes() for path in dataset.iterdir()} == before


def test_debug_shows_the_traceback(recipe, tmp_path):
    command = [sys.executable, "-m", "seqexp_tf.cli.main", "--debug", "convert"]
    command += [str(recipe()), "--out", str(tmp_path / "out"), "--set", "nmae=x"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "did you mean" in done.stderr


def test_verify_says_all_well_or_names_the_shard(run, dataset):
    code, text, err = run("verify", dataset)
    assert (code, err) == (0, "")
    assert "9 shards, 216 records, all well (sizes and counts" in text
    code, text, err = run("verify", dataset, "--full")
    assert code == 0 and "all well (every record)" in text

    shard = RecordStore.open(dataset).paths("test")[1]
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    assert run("verify", dataset)[0] == 0
    code, text, err = run("verify", dataset, "--full")
    assert code == 1 and text == ""
    assert err and all(line.startswith(f"{shard}: ") for line in err.splitlines())


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_a_newer_schema(run, dataset, verb):
    path = dataset / "schema.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "version": 2}))
    code, _, err = run(verb, dataset)
    assert code == 1
    assert err == (
        f"Error: {path}: schema version 2 is newer than the 1 this seqexp-tf reads; "
        "upgrade seqexp-tf\n"
    )


@pytest.mark.parametrize("verb", ["verify", "inspect"])
def test_a_folder_that_is_no_dataset(run, tmp_path, verb):
    code, out, err = run(verb, tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("Error: ") and err.count("\n") == 1
    assert "manifest.json is missing" in err


def test_inspect_shows_schema_and_record(run, dataset, tiny_genome):
    code, text, _ = run("inspect", dataset, "--split", "test", "--index", 1)
    assert code == 0
    assert "wanted 216, written 216" in text
    assert "test record 1: chrIII:0-100 (-), 0-based" in text
    bases = tiny_genome.sequence["chrIII"][:100]
    letters = "".join("TGCA"[base] for base in bases[::-1][:60])
    assert f"sequence         {letters}..." in text
    assert "[opposite strand]" in text
    code, _, err = run("inspect", dataset, "--index", 112)
    assert code == 1 and "train has 112 records; there is no record 112" in err


def test_inspect_shows_the_dataset_and_then_names_a_cut_shard(run, dataset):
    shard = RecordStore.open(dataset).paths("test")[1]
    shard.write_bytes(shard.read_bytes()[:-20])
    code, text, err = run("inspect", dataset)
    assert code == 1 and "train record 0" in text
    assert err.startswith(f"Error: {shard}: ") and "the shard was cut" in err


def test_inspect_compares_with_a_genome(run, dataset, tiny_genome, tmp_path):
    fasta = tiny_genome.folder / "genome.fa"
    code, text, _ = run("inspect", dataset, "--fasta", fasta)
    assert code == 0
    assert f"216 stored sequences equal {fasta} at every base" in text
    lines = fasta.read_text().splitlines()
    other = {"A": "C"}.get(lines[1][3], "A")
    lines[1] = lines[1][:3] + other + lines[1][4:]
    (tmp_path / "other.fa").write_text("\n".join(lines) + "\n")
    code, _, err = run("inspect", dataset, "--fasta", tmp_path / "other.fa")
    assert code == 1
    assert "record 0 (chrI:0-100(+)): base 3 is" in err and "1 bases differ" in err


def test_inspect_knows_of_soft_masking(run, recipe, tiny_genome, tmp_path):
    text = (tiny_genome.folder / "genome.fa").read_text().splitlines()
    text[1] = text[1].lower()
    (tmp_path / "soft.fa").write_text("\n".join(text) + "\n")
    tables = tiny_genome.tables("raw")["source"]
    genome = {**tables["genome"], "fasta": str(tmp_path / "soft.fa")}
    genome["soft_masked"] = "N"
    path = recipe("raw", source={**tables, "genome": genome})
    assert run("convert", path, "--out", tmp_path / "out")[0] == 0
    code, _, _ = run("inspect", tmp_path / "out", "--fasta", tmp_path / "soft.fa")
    assert code == 0


def test_write_archive_is_what_the_default_recipe_expects(run, tmp_path):
    """An archive with the default window needs no [windows] table."""
    rng = np.random.default_rng(0)
    names = ("a", "b", "c")
    arrays = {
        kind: {name: rng.integers(0, top, 5000) for name in names}
        for kind, top in (
            ("sequence", 4),
            ("expressed_plus", 2),
            ("expressed_minus", 2),
        )
    }
    regions = tile(dict.fromkeys(names, 5000), window=2048, stride=1024)
    write_archive(tmp_path / "archive", **arrays, valid=None, regions=regions)
    (tmp_path / "r.toml").write_text(
        'kind = "joint"\nname = "d"\n[source]\n'
        f'root = "{tmp_path}"\n[source.archive]\n'
        'data = "archive/data.npz"\nregions = "archive/regions.parquet"\n'
    )
    assert run("convert", tmp_path / "r.toml")[0] == 0
    assert RecordStore.open(tmp_path / "d").schema.window == 2048


def test_options_of_the_runners(call, recipe, tmp_path):
    verb = ("convert", recipe(), "--out", tmp_path / "out")
    code, _, err = call(*verb, "--beam-args", "--runner=FlinkRunner")
    assert code != 0 and "--beam-args goes with --runner beam" in err
    code, _, err = call(*verb, "--runner", "beam", "--workers", 2)
    assert code != 0 and "--workers is for --runner local" in err
    assert not (tmp_path / "out").exists()


def test_an_address_stays_one(call, recipe, tmp_path):
    code, _, err = call("convert", recipe(), "--out", "https://host/a/b")
    assert code == 1 and "https://host/a/b: datasets cannot be written over" in err
