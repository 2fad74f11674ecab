"""Damage that verify must name, and what the quick look can and cannot see."""

import json
import shutil

import pandas as pd
import pytest

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.convert import convert
from seqexp_tf.records.example import decode_example, encode_example
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard, write_shard
from seqexp_tf.records.verify import verify


@pytest.fixture(scope="module", params=["none", "gzip"])
def pristine(request, tiny_genome, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"pristine_{request.param}")
    output = {"min_shards": 3, "compression": request.param}
    convert(tiny_genome.recipe(output=output), folder)
    return folder


@pytest.fixture
def dataset(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "dataset")


def _shard(folder, split="train", index=1):
    return RecordStore.open(folder).paths(split)[index]


def _both(folder) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return verify(folder).problems, verify(folder, full=True).problems


def _edit(path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _rewrite(path, records) -> None:
    """Replaces a shard, and its entry in the manifest, by other whole records."""
    store = RecordStore.open(path.parent)
    file = write_shard(path, records, compression=store.schema.compression)

    def update(manifest):
        for split in manifest["splits"].values():
            for shard in split["shards"]:
                if shard["name"] == path.name:
                    shard |= {"bytes": file.bytes, "sha256": file.sha256}

    _edit(path.parent / "manifest.json", update)


def _read(path):
    compression = RecordStore.open(path.parent).schema.compression
    return list(read_shard(path, compression=compression))


@pytest.mark.parametrize("full", [False, True])
def test_a_whole_dataset(dataset, full):
    seen = []
    outcome = verify(dataset, full=full, progress=seen.append)
    assert outcome.problems == ()
    assert (outcome.shards, outcome.records) == (9, 216)
    assert len(seen) == 9 and sum(seen) == 216


def test_cut_between_two_records(dataset):
    path = _shard(dataset)
    records = _read(path)
    compression = RecordStore.open(dataset).schema.compression
    write_shard(path, records[:-1], compression=compression)
    assert list(read_shard(path, compression=compression)) == records[:-1]
    quick, full = _both(dataset)
    assert len(quick) == 1 and "the shard was cut or overwritten" in quick[0]
    assert quick[0].startswith(f"{path}: ")
    assert full[0] == quick[0]
    assert f"{path}: {len(records) - 1} records, the manifest says" in full[1]


def test_cut_inside_a_record(dataset):
    path = _shard(dataset)
    path.write_bytes(path.read_bytes()[:-10])
    quick, full = _both(dataset)
    assert len(quick) == 1 and quick[0].startswith(f"{path}: ")
    assert len(full) == 2 and all(line.startswith(f"{path}: ") for line in full)


def test_a_flipped_bit_shows_only_in_the_full_look(dataset):
    path = _shard(dataset)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    quick, full = _both(dataset)
    assert quick == ()
    assert all(line.startswith(f"{path}: ") for line in full)
    assert "content differs from the manifest's sha256" in full[0]


def test_a_missing_shard(dataset):
    path = _shard(dataset, "test", 0)
    path.unlink()
    for problems in _both(dataset):
        assert problems == (
            f"{path}: shard is missing; convert again with --overwrite",
        )


@pytest.mark.parametrize(
    "name",
    ["train-00009-of-00009.tfrecord", "train-00000-of-00003.tfrecord.gz.incomplete"],
)
def test_a_shard_too_many(dataset, name):
    (dataset / name).touch()
    for problems in _both(dataset):
        assert problems == (
            f"{dataset / name}: not in the manifest; remove it, no reader will use it",
        )


def test_a_count_that_differs(dataset):
    path = _shard(dataset)

    def change(manifest):
        manifest["splits"]["train"]["shards"][1]["records"] += 1
        manifest["splits"]["train"]["records"] += 1

    _edit(dataset / "manifest.json", change)
    quick, full = _both(dataset)
    assert len(quick) == 1 and f"rows of {path.name}, the manifest says" in quick[0]
    assert full[0] == quick[0]
    assert full[1].startswith(f"{path}: ") and "records, the manifest says" in full[1]


def test_a_total_that_differs(dataset):
    def change(manifest):
        manifest["splits"]["train"]["records"] += 5

    _edit(dataset / "manifest.json", change)
    for problems in _both(dataset):
        assert problems == (
            f"{dataset}/manifest.json: train has 117 records, its shards 112; "
            "convert again with --overwrite",
        )


def test_a_schema_that_differs(dataset):
    def change(schema):
        schema["features"][0]["shape"] = [90]

    _edit(dataset / "schema.json", change)
    quick, full = _both(dataset)
    assert len(quick) == 1
    assert quick[0].startswith(f"{dataset / 'schema.json'}: content differs")
    assert full[0] == quick[0]
    assert len(full) == 1 + 9
    path = _shard(dataset, "train", 0)
    assert full[1] == (f"{path}: record 0: sequence has 100 bytes, the schema says 90")


def test_a_feature_that_is_missing(dataset):
    path = _shard(dataset)
    records = [decode_example(record) for record in _read(path)]
    records[2].pop("valid")
    _rewrite(path, map(encode_example, records))
    quick, full = _both(dataset)
    assert quick == ()
    assert len(full) == 1
    assert full[0].startswith(f"{path}: record 2: record holds ['contig', ")


def test_records_that_are_no_examples(dataset):
    path = _shard(dataset)
    records = _read(path)
    _rewrite(path, [*records[:3], b"junk", *records[4:]])
    assert _both(dataset)[1] == (
        f"{path}: record 3: not a tf.train.Example of this package",
    )


def test_records_in_another_order_than_the_table(dataset):
    path = _shard(dataset)
    records = _read(path)
    _rewrite(path, [records[1], records[0], *records[2:]])
    quick, full = _both(dataset)
    assert quick == ()
    assert len(full) == 1
    assert full[0].startswith(f"{path}: record 0 is ('chrI', ")
    assert "windows.parquet says" in full[0]


@pytest.mark.parametrize("damage", ["remove", "text", "column", "rows"])
def test_a_damaged_window_table(dataset, damage):
    path = dataset / "windows.parquet"
    table = pd.read_parquet(path)
    if damage == "remove":
        path.unlink()
    elif damage == "text":
        path.write_bytes(b"not parquet")
    elif damage == "column":
        table.drop(columns="row").to_parquet(path)
    else:
        table.iloc[:-1].to_parquet(path)
    if damage in ("remove", "text"):
        message = rf"{path}: (missing|cannot be read \(.*\)); convert again"
        with pytest.raises(DatasetError, match=message):
            RecordStore.open(dataset).windows("test")
    for problems in _both(dataset):
        assert len(problems) == 1
        assert problems[0].startswith(f"{path}: ")
        assert "\n" not in problems[0]


def test_every_problem_is_named(dataset):
    removed, cut = _shard(dataset, "train", 0), _shard(dataset, "test", 2)
    removed.unlink()
    cut.write_bytes(cut.read_bytes()[:50])
    problems = verify(dataset).problems
    assert [problem.split(":")[0] for problem in problems] == [str(removed), str(cut)]


def test_no_dataset(tmp_path):
    with pytest.raises(DatasetError, match="not a dataset"):
        verify(tmp_path)
