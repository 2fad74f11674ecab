"""Recipes and folders that would give a wrong dataset in silence."""

import json
from dataclasses import replace

import pytest

from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import MANIFEST, RecordStore
from seqexp_tf.records.verify import verify


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": {"min_shards": 10_000_000}}, "from 1 to 4096"),
        ({"masks": {"expression_value": 0.0}}, "is for training"),
        ({"masks": {"expression_fraction_max": 0.9}}, "is for training"),
    ],
)
def test_recipes(tiny_genome, changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_genome.recipe(**changes)


@pytest.mark.parametrize("windows", [{"stride": 185}, {"strands": ["+"]}])
def test_an_archive_brings_its_own_windows(tiny_genome, windows):
    (key,) = windows
    given = {**tiny_genome.tables("archive")["windows"], **windows}
    with pytest.raises(ConfigError, match=f"leave windows.{key} out, or convert from"):
        tiny_genome.recipe(windows=given)
    assert tiny_genome.recipe("raw", windows=given)


def test_a_folder_of_something_else(tiny_genome, tmp_path):
    (tmp_path / "README.md").write_text("Mine.")
    for overwrite in (False, True):
        with pytest.raises(DatasetError, match=r"no dataset \(README.md is there\)"):
            convert(tiny_genome.recipe(), tmp_path, overwrite=overwrite)
    assert {path.name for path in tmp_path.iterdir()} <= {"README.md", ".lock"}


def test_genomes(tiny_genome):
    genome = tiny_genome.recipe("raw").source.genome
    with pytest.raises(ConfigError, match="threshold is nan"):
        replace(genome, threshold=float("nan"))
    with pytest.raises(ConfigError, match="give the track of each strand"):
        replace(genome, coverage_minus=genome.coverage_plus)


@pytest.mark.parametrize(
    "damage",
    [
        lambda split: split.update(records="many"),
        lambda split: split.pop("statistics"),
        lambda split: split["shards"][0].update(extra=1),
        lambda split: split["shards"][0].pop("sha256"),
    ],
)
def test_a_damaged_split_of_the_manifest(tiny_genome, tmp_path, damage):
    convert(tiny_genome.recipe(), tmp_path)
    path = tmp_path / MANIFEST
    manifest = json.loads(path.read_text())
    damage(manifest["splits"]["train"])
    path.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="entry of split 'train' is damaged"):
        RecordStore.open(tmp_path)


@pytest.mark.parametrize("name", ["schema.json", "windows.parquet"])
def test_a_flipped_bit_beside_the_shards_is_found(tiny_genome, tmp_path, name):
    convert(tiny_genome.recipe(), tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    try:
        (problem, *_) = verify(tmp_path).problems
    except DatasetError as error:
        problem = str(error)
    assert problem.startswith(f"{tmp_path / name}: ")


def test_overwrite_removes_what_a_kill_left_without_a_journal_line(
    tiny_genome, tmp_path
):
    convert(tiny_genome.recipe(), tmp_path / "whole")
    recipe = tiny_genome.recipe(output={"min_shards": 5})
    folder = tmp_path / "cut"
    convert(recipe, folder)
    # As if killed after the rename of a shard, before its line was written.
    store = RecordStore.open(folder)
    kept = store.paths("train")[0]
    names = [path.name for split in store.splits for path in store.paths(split)]
    header = {"fingerprint": store.fingerprint, "removable": names}
    (folder / "conversion.jsonl").write_text(json.dumps(header) + "\n")
    for path in folder.iterdir():
        if path.name not in (kept.name, "conversion.jsonl"):
            path.unlink()
    convert(tiny_genome.recipe(), folder, overwrite=True)
    left = {path.name: path.read_bytes() for path in folder.iterdir()}
    whole = (tmp_path / "whole").iterdir()
    assert left == {path.name: path.read_bytes() for path in whole}


def test_a_refused_conversion_leaves_no_folder(tiny_genome, tmp_path):
    recipe = tiny_genome.recipe(splits={"test": ["chrZ"]})
    with pytest.raises(ConfigError):
        convert(recipe, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()
