"""What a conversion writes, checked against the inputs themselves."""

import json
from itertools import chain

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.config import build
from seqexp_tf.errors import ConfigError, DatasetError, InputError
from seqexp_tf.genome.alphabet import UNKNOWN, encode, reverse_complement
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.records.convert import convert
from seqexp_tf.records.masks import MaskingConfig, draw_masks
from seqexp_tf.records.recipe import JointRecipe
from seqexp_tf.records.store import SPLITS, RecordStore
from seqexp_tf.records.tfrecord import read_shard


def _records(store: RecordStore) -> list[dict]:
    return [
        {**store.decode(record, split=split, origin=path), "split": split}
        for split in store.splits
        for path in store.paths(split)
        for record in read_shard(path, compression=store.schema.compression)
    ]


def _files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _shards(folder) -> dict[str, bytes]:
    return {n: c for n, c in _files(folder).items() if ".tfrecord" in n}


@pytest.fixture(scope="module")
def store(tiny_genome, tmp_path_factory) -> RecordStore:
    folder = tmp_path_factory.mktemp("archive_route")
    convert(tiny_genome.recipe(), folder)
    return RecordStore.open(folder)


@pytest.fixture(scope="module")
def raw_folder(tiny_genome, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw_route")
    convert(tiny_genome.recipe("raw"), folder)
    return folder


def test_every_record_equals_the_inputs(store, tiny_genome):
    sides = {"+": "-", "-": "+"}
    records = _records(store)
    for record in records:
        contig, strand = record["contig"], record["strand"]
        place = slice(record["start"], record["end"])
        sequence = tiny_genome.sequence[contig][place]
        own = tiny_genome.expressed[strand][contig][place]
        opposite = tiny_genome.expressed[sides[strand]][contig][place]
        if strand == "-":
            sequence = reverse_complement(sequence)
            own, opposite = own[::-1], opposite[::-1]
        np.testing.assert_array_equal(record["sequence"], sequence)
        np.testing.assert_array_equal(record["expression"], [own, opposite])
        assert record["valid"].all()
    assert {record["strand"] for record in records} == {"+", "-"}


def test_the_two_strands_of_a_window(store):
    by_place = {(r["contig"], r["start"], r["strand"]): r for r in _records(store)}
    plus, minus = by_place["chrI", 150, "+"], by_place["chrI", 150, "-"]
    np.testing.assert_array_equal(
        minus["sequence"], reverse_complement(plus["sequence"])
    )
    # The minus window's own strand is the other's opposite one, read backwards.
    np.testing.assert_array_equal(minus["expression"], plus["expression"][::-1, ::-1])


def test_raw_files_and_archive_give_the_same_records(store, raw_folder):
    assert _shards(store.folder) == _shards(raw_folder)
    windows = "windows.parquet"
    assert (raw_folder / windows).read_bytes() == (store.folder / windows).read_bytes()


def test_the_manifest_of_the_raw_route(raw_folder, tiny_genome):
    manifest = RecordStore.open(raw_folder).manifest
    assert manifest["contigs"] == {"chrI": 3000, "chrII": 1510, "chrIII": 1230}
    windows = manifest["windows"]
    assert windows["dropped"] == {"touches an excluded region": 6}
    assert windows["wanted"] == windows["written"] + 6 == 2 * (59 + 29 + 23)
    labels = {entry["label"]: entry["path"] for entry in manifest["inputs"]}
    assert labels == {
        "genome.fasta": "genome.fa",
        "genome.coverage_plus": "plus.bw",
        "genome.coverage_minus": "minus.bw",
    }
    assert "coverage_plus" in "\n".join(manifest["notes"])
    assert manifest["recipe"]["source"]["genome"]["threshold"] == 2.0


def test_window_table_and_records_agree(store):
    table = store.windows()
    records = _records(store)
    assert list(table.split) == [record["split"] for record in records]
    for row, record in zip(table.itertuples(), records, strict=True):
        place = (record["contig"], record["start"], record["end"], record["strand"])
        assert (row.contig, row.start, row.end, row.strand) == place
        assert row.id == "{}:{}-{}:{}".format(*place)
    for split in SPLITS:
        for shard in store.shards(split):
            rows = table[table.shard == shard.name]
            assert list(rows.row) == list(range(shard.records))
    assert store.read("test", 7)["start"] == store.windows("test").start[7]


def test_splits_hold_whole_contigs(store):
    table = store.windows()
    assert table.groupby("split").contig.unique().map(list).to_dict() == {
        "train": ["chrI"],
        "validation": ["chrII"],
        "test": ["chrIII"],
    }
    entry = store.manifest["splits"]["validation"]
    assert entry["contigs"] == ["chrII"]
    assert store.count("validation") == 2 * 29 == entry["records"]


def test_evaluation_masks_depend_on_seed_and_coordinates_alone(store):
    for record in _records(store):
        if record["split"] == "train":
            assert "sequence_mask" not in record
            continue
        masks = draw_masks(
            record["sequence"],
            MaskingConfig(),
            seed=1,
            contig=record["contig"],
            start=record["start"],
            strand=record["strand"],
        )
        for name in ("expression_mask", "sequence_mask", "sequence_masked"):
            np.testing.assert_array_equal(record[name], getattr(masks, name))


def test_masks_survive_another_order_of_windows_and_shards(
    tiny_genome, store, tmp_path
):
    """A shuffled window table and other shards: the same record for each window."""
    folder = tmp_path / "shuffled"
    folder.mkdir()
    regions = pd.read_parquet(tiny_genome.folder / "archive" / "regions.parquet")
    regions.sample(frac=1, random_state=3).to_parquet(folder / "regions.parquet")
    for name in ("data.npz", "data_meta.json"):
        (folder / name).symlink_to(tiny_genome.folder / "archive" / name)
    archive = {
        "data": "data.npz",
        "regions": "regions.parquet",
        "meta": "data_meta.json",
    }
    recipe = tiny_genome.recipe(
        source={"root": str(folder), "archive": archive}, output={"min_shards": 7}
    )
    convert(recipe, tmp_path / "out")

    def by_window(of):
        return {
            (record.pop("contig"), record.pop("start"), record.pop("strand")): record
            for record in _records(of)
        }

    expected, found = by_window(store), by_window(RecordStore.open(tmp_path / "out"))
    assert expected.keys() == found.keys()
    assert list(expected) != list(found)
    for window, record in expected.items():
        for name, values in record.items():
            np.testing.assert_array_equal(values, found[window][name])


def test_statistics_count_valid_bases_and_labels(store):
    for split in SPLITS:
        records = [record for record in _records(store) if record["split"] == split]
        bases = np.concatenate([record["sequence"] for record in records])
        labels = np.concatenate([record["expression"][0] for record in records])
        statistics = store.statistics(split)
        np.testing.assert_array_equal(
            statistics["bases_ACGTN"], np.bincount(bases, minlength=5)
        )
        np.testing.assert_array_equal(statistics["labels_01"], np.bincount(labels))


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_same_bytes_whatever_the_workers(tiny_genome, tmp_path, compression):
    recipe = tiny_genome.recipe(output={"min_shards": 3, "compression": compression})
    for name, workers in (("a", 1), ("b", 2), ("c", 1)):
        convert(recipe, tmp_path / name, workers=workers)
    assert _files(tmp_path / "a") == _files(tmp_path / "b") == _files(tmp_path / "c")


def test_compression_changes_the_file_not_the_records(tiny_genome, store, tmp_path):
    recipe = tiny_genome.recipe(output={"min_shards": 3, "compression": "none"})
    convert(recipe, tmp_path)
    plain = RecordStore.open(tmp_path)
    assert plain.paths("test")[0].suffix == ".tfrecord"

    def raw(of):
        shards = chain.from_iterable(map(of.paths, of.splits))
        kind = of.schema.compression
        return [r for path in shards for r in read_shard(path, compression=kind)]

    assert raw(plain) == raw(store)


def test_shards_by_size(tiny_genome, tmp_path):
    # A train record holds 400 bytes of arrays, a test record 700.
    recipe = tiny_genome.recipe(output={"shard_mb": 0.008, "min_shards": 1})
    summary = convert(recipe, tmp_path)
    store = RecordStore.open(tmp_path)
    assert [len(store.shards(split)) for split in SPLITS] == [6, 6, 5]
    assert summary.shards == 17
    for split, size in (("train", 400), ("test", 700)):
        records = [shard.records for shard in store.shards(split)]
        assert max(records) <= 0.008e6 / size + 1
        assert max(records) - min(records) <= 1


def test_summary(tiny_genome, tmp_path):
    said = []
    summary = convert(tiny_genome.recipe("raw"), tmp_path / "x", progress=said.append)
    assert summary.wanted == 222
    assert summary.written == {"train": 112, "validation": 58, "test": 46}
    assert summary.dropped == {"touches an excluded region": 6}
    assert (summary.shards, summary.reused) == (9, 0)
    assert summary.bytes == sum(map(len, _shards(tmp_path / "x").values()))
    assert any("hashing" in line for line in said)


def test_channels_are_painted_and_turned_with_the_window(tiny_genome, tmp_path):
    convert(tiny_genome.recipe(channels={"peaks": "peaks.bed"}), tmp_path)
    store = RecordStore.open(tmp_path)
    assert store.schema.by_name["channels"].tracks == ("peaks",)
    painted = {name: np.zeros(a.size) for name, a in tiny_genome.sequence.items()}
    painted["chrI"][110:130] = 1
    painted["chrII"][:10] = 1
    total = 0
    for record in _records(store):
        expected = painted[record["contig"]][record["start"] : record["end"]]
        if record["strand"] == "-":
            expected = expected[::-1]
        np.testing.assert_array_equal(record["channels"], [expected])
        total += expected.sum()
    assert total > 0
    assert store.manifest["notes"] == [
        "channel peaks: 2 intervals over 30 bases, 1 on other contigs"
    ]


def test_channels_of_the_raw_route(tiny_genome, tmp_path):
    changes = {"channels": {"peaks": "peaks.bed"}}
    convert(tiny_genome.recipe(**changes), tmp_path / "archive")
    convert(tiny_genome.recipe("raw", **changes), tmp_path / "raw")
    assert _shards(tmp_path / "archive") == _shards(tmp_path / "raw")


def _raw(tiny_genome, **changes):
    """The raw recipe with other keys in [source.genome]; None removes one."""
    tables = tiny_genome.tables("raw")
    genome = {**tables["source"]["genome"], **changes}
    genome = {key: value for key, value in genome.items() if value is not None}
    return tiny_genome.recipe(
        "raw", source={"root": str(tiny_genome.folder), "genome": genome}
    )


_TRANSCRIPTS = {
    "coverage_plus": None,
    "coverage_minus": None,
    "threshold": None,
    "transcripts": "genes.gff3",
    "naming": "fasta",
}


def test_transcripts_as_labels(tiny_genome, tmp_path):
    convert(_raw(tiny_genome, **_TRANSCRIPTS), tmp_path)
    store = RecordStore.open(tmp_path)
    expected = {
        strand: {name[3:]: np.zeros(a.size) for name, a in tiny_genome.sequence.items()}
        for strand in "+-"
    }
    expected["+"]["I"][100:300] = 1
    expected["-"]["I"][250:400] = 1
    expected["+"]["II"][:50] = 1
    expected["-"]["III"][:] = 1
    for record in _records(store):
        own = expected[record["strand"]][record["contig"]]
        own = own[record["start"] : record["end"]]
        own = own[::-1] if record["strand"] == "-" else own
        np.testing.assert_array_equal(record["expression"][0], own)
    assert store.schema.by_name["expression"].description == "1 inside a transcript"


def test_names_of_the_fasta_or_of_the_coverage(tiny_genome, raw_folder, tmp_path):
    convert(_raw(tiny_genome, naming="fasta"), tmp_path)
    store = RecordStore.open(tmp_path)
    assert list(store.manifest["contigs"]) == ["I", "II", "III"]
    assert store.windows("test").contig.unique().tolist() == ["III"]
    raw = RecordStore.open(raw_folder)
    assert store.windows().start.tolist() == raw.windows().start.tolist()


def test_aliases_work_with_either_naming(tiny_genome, tmp_path):
    for naming in ("fasta", "coverage"):
        recipe = _raw(
            tiny_genome,
            naming=naming,
            aliases={"first": "I", "scaffold_9": "III"},
            exclude=["first:1,001-1,100"],
        )
        summary = convert(recipe, tmp_path / naming)
        assert summary.dropped == {"touches an excluded region": 6}


def test_contigs_that_are_missing(tiny_genome, tmp_path):
    track = tiny_genome.expressed["+"]
    few = {name: track[name].astype("f4") for name in ("chrI", "chrII")}
    sizes = {name: array.size for name, array in few.items()}
    write_bigwig(tmp_path / "few.bw", sizes, few)
    changes = {"coverage_minus": str(tmp_path / "few.bw"), "naming": "fasta"}
    with pytest.raises(InputError, match=r"lacks contig III"):
        convert(_raw(tiny_genome, **changes), tmp_path / "a")
    recipe = _raw(tiny_genome, on_missing="drop", **changes)
    with pytest.raises(ConfigError, match="no contig 'chrIII'"):
        convert(recipe, tmp_path / "b")
    chosen = _raw(tiny_genome, contigs=["chrI", "II"], **changes)
    with pytest.raises(ConfigError, match="no contig 'chrIII'"):
        convert(chosen, tmp_path / "c")


@pytest.fixture
def with_unknown(tiny_genome, tmp_path):
    """The raw recipe for a FASTA with N at I:21-30 and lower case at I:41-50."""
    sequence = {name[3:]: array.copy() for name, array in tiny_genome.sequence.items()}
    sequence["I"][20:30] = UNKNOWN
    write_fasta(tmp_path / "n.fa", sequence)
    lines = (tmp_path / "n.fa").read_text().splitlines()
    lines[1] = lines[1][:40] + lines[1][40:50].lower() + lines[1][50:]
    (tmp_path / "n.fa").write_text("\n".join(lines) + "\n")
    return lambda **changes: _raw(tiny_genome, fasta=str(tmp_path / "n.fa"), **changes)


def test_labels_over_n_never_count(with_unknown, tmp_path):
    convert(with_unknown(), tmp_path / "x")
    store = RecordStore.open(tmp_path / "x")
    first = store.read("train", 0)
    np.testing.assert_array_equal(np.flatnonzero(first["valid"] == 0), range(20, 30))
    second = store.read("train", 1)
    np.testing.assert_array_equal(np.flatnonzero(second["valid"] == 0), range(70, 80))
    assert store.statistics("train")["bases_ACGTN"][UNKNOWN] == 0


@pytest.mark.parametrize("soft_masked, unknown", [("keep", 10), ("N", 20)])
def test_soft_masked_bases(with_unknown, tmp_path, soft_masked, unknown):
    convert(with_unknown(soft_masked=soft_masked), tmp_path / "x")
    store = RecordStore.open(tmp_path / "x")
    assert (store.read("train", 0)["sequence"] == UNKNOWN).sum() == unknown
    kept = "read as N" if soft_masked == "N" else "kept"
    assert f"10 lower-case bases ({kept}), 10 N" in store.manifest["notes"][0]


def test_windows_of_one_strand_and_another_stride(tiny_genome, tmp_path):
    windows = {"size": 100, "stride": 100, "strands": ["-"]}
    convert(tiny_genome.recipe("raw", windows=windows), tmp_path)
    table = RecordStore.open(tmp_path).windows()
    assert set(table.strand) == {"-"}
    assert table[table.contig == "chrII"].start.tolist() == list(range(0, 1500, 100))


def test_splits_by_fraction_folds_and_file(tiny_genome, tmp_path):
    convert(tiny_genome.recipe(splits={}), tmp_path / "fraction")
    tests = set()
    for fold in range(3):
        recipe = tiny_genome.recipe(splits={"folds": 3, "fold": fold})
        convert(recipe, tmp_path / f"fold{fold}")
        store = RecordStore.open(tmp_path / f"fold{fold}")
        tests |= set(store.windows("test").contig)
    assert tests == {"chrI", "chrII", "chrIII"}

    (tmp_path / "splits.tsv").write_text(
        "chrI\t0\t1500\ttrain\nI\t1500\t3000\tvalidation\nIII\ttest\n"
    )
    recipe = tiny_genome.recipe("raw", splits={"file": str(tmp_path / "splits.tsv")})
    summary = convert(recipe, tmp_path / "file")
    # chrI has 59 windows a strand, of which 3 touch the hole, 29 end by 1,500 and
    # one crosses it; chrII is in no split.
    assert summary.dropped == {
        "touches an excluded region": 6,
        "crosses a split border": 2,
        "in no split": 58,
    }
    assert summary.written == {"train": 52, "validation": 58, "test": 46}
    assert summary.wanted == sum(summary.written.values()) + 66
    labels = [
        entry["label"]
        for entry in RecordStore.open(tmp_path / "file").manifest["inputs"]
    ]
    assert "splits.file" in labels


def test_a_split_without_windows(tiny_genome, tmp_path):
    windows = {"size": 1400, "stride": 50}
    recipe = tiny_genome.recipe("raw", windows=windows)
    with pytest.raises(ConfigError, match="no window of 1,400 bases; give it contigs"):
        convert(recipe, tmp_path)
    assert not list(tmp_path.glob("*.tfrecord*"))
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"exclude": ["chrI:5-4"]}, ConfigError, "exclude: region 'chrI:5-4'"),
        ({"exclude": ["chrQ:1-5"]}, ConfigError, "exclude: chrQ:1-5: no contig 'chrQ'"),
        ({"exclude": ["chrI:1-9999"]}, ConfigError, "ends past chrI, which has 3,000"),
        ({"aliases": {"x": "Q"}}, InputError, "the reference has no contig 'Q'"),
        ({"contigs": ["chrQ"]}, InputError, "has no contig 'chrQ'"),
        ({"fasta": "plus.bw"}, InputError, "not a FASTA"),
        ({"coverage_plus": "genome.fa"}, InputError, "genome.fa: not a bigWig"),
    ],
)
def test_raw_inputs_that_are_refused(tiny_genome, tmp_path, changes, error, message):
    with pytest.raises(error, match=message):
        convert(_raw(tiny_genome, **changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_negative_coverage_is_refused(tiny_genome, tmp_path):
    sizes = {name: array.size for name, array in tiny_genome.sequence.items()}
    values = {name: np.zeros(size, "f4") for name, size in sizes.items()}
    values["chrII"][7] = -3
    write_bigwig(tmp_path / "minus.bw", sizes, values)
    recipe = _raw(tiny_genome, coverage_minus=str(tmp_path / "minus.bw"))
    with pytest.raises(InputError, match=r"chrII:8: negative coverage -3"):
        convert(recipe, tmp_path / "x")


def test_annotation_of_another_assembly(tiny_genome, tmp_path):
    for end, fits in ((1510, True), (1511, False)):
        text = "".join(
            f"{name}\tx\tmRNA\t1\t{end}\t.\t+\t.\tID={name}\n"
            for name, end in (("I", 10), ("II", end), ("III", 10))
        )
        (tmp_path / "genes.gff3").write_text(text)
        recipe = _raw(
            tiny_genome,
            **{**_TRANSCRIPTS, "transcripts": str(tmp_path / "genes.gff3")},
        )
        if fits:
            convert(recipe, tmp_path / "x")
            continue
        with pytest.raises(InputError, match="ends at 1,511 but II has 1,510"):
            convert(recipe, tmp_path / "y")


@pytest.mark.parametrize(
    "bed, message",
    [
        ("chrI\t2990\t3001\n", "interval ends at 3,001 but chrI has 3,000 bases"),
        ("scaffold_1\t1\t2\n", r"none of its contigs \(scaffold_1\) is in the genome"),
        ("chrI\t5\n", "line 1: 2 columns"),
    ],
)
def test_channels_that_are_refused(tiny_genome, tmp_path, bed, message):
    (tmp_path / "bad.bed").write_text(bed)
    recipe = tiny_genome.recipe(channels={"peaks": str(tmp_path / "bad.bed")})
    with pytest.raises(InputError, match=message):
        convert(recipe, tmp_path / "x")


def test_an_empty_channel_is_no_mistake(tiny_genome, tmp_path):
    (tmp_path / "empty.bed").write_text("# no peaks\n")
    recipe = tiny_genome.recipe(channels={"peaks": str(tmp_path / "empty.bed")})
    convert(recipe, tmp_path / "x")
    assert not RecordStore.open(tmp_path / "x").read("train", 0)["channels"].any()


def test_the_fingerprint_is_of_content_not_of_place(tiny_genome, tmp_path):
    moved = tmp_path / "moved"
    (moved / "archive").mkdir(parents=True)
    for path in (tiny_genome.folder / "archive").iterdir():
        (moved / "archive" / path.name).write_bytes(path.read_bytes())
    here = tiny_genome.recipe()
    source = {**tiny_genome.tables("archive")["source"], "root": str(moved)}
    there = tiny_genome.recipe(source=source)
    other = tiny_genome.recipe(seed=2)
    prints = []
    for name, recipe in (("a", here), ("b", there), ("c", other)):
        convert(recipe, tmp_path / name)
        prints.append(RecordStore.open(tmp_path / name).fingerprint)
    assert prints[0] == prints[1] != prints[2]


def test_records_past_the_end_and_unknown_splits(store):
    with pytest.raises(
        DatasetError, match="test has 46 records; there is no record 46"
    ):
        store.read("test", 46)
    with pytest.raises(DatasetError, match="there is no record -1"):
        store.read("test", -1)
    with pytest.raises(DatasetError, match="no split 'tset'; did you mean \"test\""):
        store.read("tset", 0)


def test_folders_that_are_no_dataset(tmp_path, store):
    with pytest.raises(DatasetError, match=r"not a dataset, manifest\.json is missing"):
        RecordStore.open(tmp_path)
    (tmp_path / "conversion.jsonl").touch()
    with pytest.raises(DatasetError, match="the conversion has not finished"):
        RecordStore.open(tmp_path)
    manifest = {**store.manifest}
    for change, message in (
        ({"manifest_version": 2}, "manifest version 2 is newer than the 1"),
        ({"manifest_version": "x"}, "not a dataset manifest"),
        ({}, r"schema\.json: missing; convert again"),
    ):
        text = json.dumps({**manifest, **change})
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DatasetError, match=message):
            RecordStore.open(tmp_path)
    for text in ("", "[]", "{}", '{"manifest_version": 1}'):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(DatasetError, match="not a dataset manifest") as caught:
            RecordStore.open(tmp_path)
        assert ("lacks 'manifest_version'" in str(caught.value)) == (text == "{}")


def test_a_window_of_nothing_but_n_is_dropped_and_counted(tmp_path):
    sequence = encode("ACGT" * 100 + "N" * 200 + "ACGT" * 100)
    genome = {"chr1": sequence, "chr2": sequence[:400], "chr3": sequence[:400]}
    write_fasta(tmp_path / "genome.fa", genome)
    sizes = {name: array.size for name, array in genome.items()}
    coverage = {name: np.ones(size) for name, size in sizes.items()}
    for strand in ("plus", "minus"):
        write_bigwig(tmp_path / f"{strand}.bw", sizes, coverage)
    recipe = build(
        JointRecipe,
        {
            "kind": "joint",
            "name": "gaps",
            "source": {
                "root": str(tmp_path),
                "genome": {
                    "fasta": "genome.fa",
                    "coverage_plus": "plus.bw",
                    "coverage_minus": "minus.bw",
                },
            },
            "windows": {"size": 100, "stride": 50},
            "splits": {"validation": ["chr2"], "test": ["chr3"]},
        },
        origin="test",
    )
    summary = convert(recipe, tmp_path / "dataset")
    # 400-500, 450-550 and 500-600 on both strands.
    assert summary.dropped == {"has no measured base": 6}
    table = RecordStore.open(tmp_path / "dataset").windows("train")
    assert not table.start.isin([400, 450, 500]).any()
    assert table.start.isin([350, 550]).sum() == 4
