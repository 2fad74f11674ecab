"""The npz and parquet archive."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome.archive import read_archive, write_archive
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.windows import tile

SIZES = {"chrI": 20, "chrII": 13}


def content(sizes=SIZES, *, seed=0, window=5, stride=4, valid=True):
    rng = np.random.default_rng(seed)

    def draw(top):
        return {
            name: rng.integers(0, top + 1, size).astype(np.uint8)
            for name, size in sizes.items()
        }

    return {
        "sequence": draw(4),
        "expressed_plus": draw(1),
        "expressed_minus": draw(1),
        "valid": draw(1) if valid else None,
        "regions": tile(sizes, window=window, stride=stride),
    }


@pytest.fixture
def files(tmp_path):
    return write_archive(tmp_path / "archive", **content(), meta={"note": "x"})


def rewrite_npz(path, **changes):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    arrays.update(changes)
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


def rewrite_regions(path, change):
    table = pd.read_parquet(path)
    result = change(table)
    (table if result is None else result).to_parquet(path)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(5, 40), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    valid=st.booleans(),
)
def test_written_archive_reads_back(tmp_path_factory, lengths, seed, valid):
    sizes = {f"c{number}": length for number, length in enumerate(lengths)}
    given_ = content(sizes, seed=seed, valid=valid)
    npz, regions, meta = write_archive(tmp_path_factory.mktemp("a"), **given_)
    archive = read_archive(npz, regions, meta=meta)
    for name in ("sequence", "expressed_plus", "expressed_minus", "valid"):
        found = getattr(archive, name)
        assert found.dtype == np.uint8
        expected = given_[name] or {c: np.ones(n, np.uint8) for c, n in sizes.items()}
        np.testing.assert_array_equal(found, np.concatenate(list(expected.values())))
    pd.testing.assert_frame_equal(
        archive.regions.drop(columns="offset"), given_["regions"]
    )
    assert {name: size for name, (_, size) in archive.contigs.items()} == sizes


def test_layout_of_the_files(files):
    npz, regions, meta = files
    assert [path.name for path in files] == [
        "data.npz",
        "regions.parquet",
        "data_meta.json",
    ]
    table = pd.read_parquet(regions)
    assert {"offset", "contig", "window_size", "strand"} <= set(table.columns)
    second = table[table["contig"] == "chrII"].iloc[0]
    assert (second["offset"], second["window_size"], second["strand"]) == (20, 5, "+")
    assert json.loads(meta.read_text()) == {
        "note": "x",
        "contigs": ["chrI", "chrII"],
        "lengths": [20, 13],
        "offsets": [0, 20],
    }
    assert len(list(npz.parent.iterdir())) == 3


def test_same_content_same_bytes(files, tmp_path):
    again = write_archive(tmp_path / "again", **content(), meta={"note": "x"})
    for first, second in zip(files, again, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_three_ways_to_know_the_contigs(files):
    npz, regions, meta = files
    by_meta = read_archive(npz, regions, meta=meta)
    assert by_meta.contigs == {"chrI": (0, 20), "chrII": (20, 13)}
    # Sizes may spell the contigs otherwise.
    by_sizes = read_archive(npz, regions, sizes={"II": 13, "I": 20, "III": 9})
    assert by_sizes.contigs == by_meta.contigs
    rewrite_regions(regions, lambda table: table.drop(columns="start"))
    by_regions = read_archive(npz, regions)
    assert by_regions.contigs == by_meta.contigs
    pd.testing.assert_frame_equal(by_regions.regions, by_meta.regions)


def test_contigs_begin_at_their_first_window_without_sizes(files):
    npz, regions, _ = files
    rewrite_regions(
        regions, lambda t: t[t["offset"] >= 4].drop(columns="start").iloc[::-1]
    )
    archive = read_archive(npz, regions)
    assert archive.contigs == {"chrI": (4, 16), "chrII": (20, 13)}
    assert archive.regions["start"].iloc[-1] == 0


def test_other_number_types_are_accepted(files):
    npz, regions, meta = files
    before = read_archive(npz, regions, meta=meta)
    rewrite_npz(
        npz,
        sequence=before.sequence.astype(np.int64),
        expressed_plus=before.expressed_plus.astype(bool),
        expressed_minus=before.expressed_minus.astype(np.float32),
        valid=None,
    )
    after = read_archive(npz, regions, meta=meta)
    for name in ("sequence", "expressed_plus", "expressed_minus"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == np.uint8
    assert (after.valid == 1).all()


def changed(place, value, dtype=np.int64):
    array = np.zeros(33, dtype=dtype)
    array[place] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sequence": None}, "lacks array 'sequence'; it has expressed_minus"),
        ({"expressed_minus": None}, "lacks array 'expressed_minus'"),
        ({"sequence": np.zeros(32, np.uint8)}, "has 33 values, but 'sequence' has 32"),
        ({"valid": np.ones(3, np.uint8)}, "'valid' has 3 values"),
        ({"sequence": changed(7, 5)}, r"'sequence'\[7\] is 5, expected A C G T N"),
        ({"sequence": changed(7, -1)}, r"'sequence'\[7\] is -1"),
        ({"expressed_plus": changed(9, 2)}, r"'expressed_plus'\[9\] is 2, expected 0 "),
        ({"expressed_plus": changed(9, 0.5, float)}, r"\[9\] is 0.5"),
        ({"expressed_plus": changed(9, np.nan, float)}, r"\[9\] is nan"),
        ({"valid": changed(0, 3)}, r"'valid'\[0\] is 3, expected 0 or 1"),
        ({"sequence": np.zeros((33, 4))}, r"shape \(33, 4\), expected a one-dim"),
        ({"sequence": np.array(["A"] * 33)}, "'sequence' is <U1"),
        ({"sequence": np.array([0] * 33, dtype=object)}, "not a whole npz of plain"),
    ],
)
def test_bad_arrays(files, changes, message):
    npz, regions, meta = files
    rewrite_npz(npz, **changes)
    with pytest.raises(InputError, match=message) as caught:
        read_archive(npz, regions, meta=meta)
    assert str(npz) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_empty_arrays(files):
    npz, regions, _ = files
    names = ("sequence", "expressed_plus", "expressed_minus", "valid")
    rewrite_npz(npz, **{name: np.zeros(0, np.uint8) for name in names})
    with pytest.raises(InputError, match="the arrays are empty"):
        read_archive(npz, regions)


def test_files_that_are_no_archive(files):
    npz, regions, meta = files
    whole = npz.read_bytes()
    for broken in (b"", b"not a zip", whole[: len(whole) // 2], whole[:-1]):
        npz.write_bytes(broken)
        with pytest.raises(InputError, match="not a whole npz"):
            read_archive(npz, regions, meta=meta)
    damaged = bytearray(whole)
    damaged[100:120] = bytes(20)
    npz.write_bytes(damaged)
    with pytest.raises(InputError, match="not a whole npz"):
        read_archive(npz, regions, meta=meta)
    with npz.open("wb") as stream:
        np.save(stream, np.zeros(3))
    with pytest.raises(InputError, match="one array, expected an npz"):
        read_archive(npz, regions, meta=meta)
    npz.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_archive(npz, regions, meta=meta)
    npz.write_bytes(whole)
    table = regions.read_bytes()
    for broken in (b"", b"offset,contig\n", table[:-20]):
        regions.write_bytes(broken)
        with pytest.raises(InputError, match="not a whole parquet file"):
            read_archive(npz, regions, meta=meta)
    regions.unlink()
    with pytest.raises(InputError, match="no such file"):
        read_archive(npz, regions, meta=meta)


def put(column, row, value):
    def change(table):
        table.loc[row, column] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop(columns="strand"), "lacks column 'strand'; it has offset"),
        (lambda t: t.iloc[:0], "no regions in it"),
        (put("window_size", 3, 6), "row 3: window_size 6 .*expected 5"),
        (put("strand", 2, "."), r"row 2: strand \. .*expected '\+' or '-'"),
        (put("strand", 2, None), "row 2: strand"),
        (put("contig", 1, None), "row 1: contig"),
        (put("contig", 1, "chrIX"), "row 1: contig chrIX .*a contig of the archive"),
        (put("offset", 4, -1), "row 4: offset -1 .*expected 0 to 28"),
        (put("offset", 4, 29), "row 4: offset 29 "),
        (put("offset", 0, 16), "row 0: offset 16 .*a window inside its contig"),
        (put("offset", 2, 0), "row 2: offset 0 .*no window twice"),
        (put("start", 2, 3), "row 2: start 3 .*offset minus the contig's origin"),
        (lambda t: t.astype({"offset": float}), "column 'offset' is float64"),
        (
            lambda t: t.assign(window_size=0),
            "row 0: window_size 0 .*expected 1 or more",
        ),
    ],
)
def test_bad_regions(files, change, message):
    npz, regions, meta = files
    rewrite_regions(regions, change)
    with pytest.raises(InputError, match=message) as caught:
        read_archive(npz, regions, meta=meta)
    assert str(regions) in str(caught.value)


def test_expected_window_size(files):
    npz, regions, meta = files
    read_archive(npz, regions, meta=meta, window_size=5)
    with pytest.raises(InputError, match="row 0: window_size 5 .*expected 2048"):
        read_archive(npz, regions, meta=meta, window_size=2048)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "expected JSON with lists"),
        ("[]", "expected JSON with lists"),
        ('{"contigs": ["chrI"], "lengths": [33]}', "expected JSON with lists"),
        ('{"contigs": ["chrI"], "lengths": [33], "offsets": []}', "expected JSON with"),
        (
            '{"contigs": ["chrI", "chrII"], "lengths": [20, 12], "offsets": [0, 20]}',
            "32 bases together, but the arrays have 33",
        ),
        (
            '{"contigs": ["chrI", "chrII"], "lengths": [20, 13], "offsets": [0, 19]}',
            "contig 'chrII' has offset 19 and length 13, expected offset 20",
        ),
        (
            '{"contigs": ["chrI", "chrI"], "lengths": [20, 13], "offsets": [0, 20]}',
            "contig 'chrI' has offset 20|different contigs",
        ),
    ],
)
def test_bad_meta(files, text, message):
    npz, regions, meta = files
    meta.write_text(text)
    with pytest.raises(InputError, match=message):
        read_archive(npz, regions, meta=meta)


def test_bad_sizes(files):
    npz, regions, _ = files
    with pytest.raises(InputError, match="33 bases, but the 2 contigs .* 34 together"):
        read_archive(npz, regions, sizes={"chrI": 20, "chrII": 14})
    with pytest.raises(InputError, match="no size is known for contig 'chrII'"):
        read_archive(npz, regions, sizes={"chrI": 20})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("valid", {"chrI": np.ones(20)}, "'valid' has contigs"),
        ("sequence", {}, "no contig to write"),
        ("sequence", {"chrI": np.full(20, 5), "chrII": np.ones(13)}, r"\[0\] is 5"),
        ("valid", {"chrI": np.ones(19), "chrII": np.ones(13)}, r"has shape \(19,\)"),
        ("regions", tile({"chrI": 30}, window=30, stride=1), "a window inside its"),
        ("regions", tile({"chrX": 9}, window=5, stride=1), "a contig of the sequence"),
        ("regions", tile({"chrX": 9}, window=50, stride=1), "no regions in it"),
    ],
)
def test_write_refuses(tmp_path, name, value, message):
    folder = tmp_path / "archive"
    with pytest.raises(InputError, match=message):
        write_archive(folder, **{**content(), name: value})
    assert not (folder / "data_meta.json").exists()


def test_yeast_archive(yeast, tmp_path):
    folder = yeast / "archive"
    npz, regions = folder / "data.npz", folder / "regions.parquet"
    archive = read_archive(
        npz, regions, meta=folder / "data_meta.json", window_size=2048
    )
    assert archive.sequence.shape == (12071326,)
    assert len(archive.regions) == 23364
    valid = archive.valid == 1
    assert archive.expressed_plus[valid].mean() == pytest.approx(0.4426, abs=5e-5)
    assert archive.expressed_minus[valid].mean() == pytest.approx(0.4360, abs=5e-5)

    fasta = yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    genome = pack_fasta(fasta, tmp_path)
    assert sum(genome.sizes.values()) == 12157105
    for name, (offset, length) in archive.contigs.items():
        bases = genome.fetch(name.removeprefix("chr"), 0, length)
        np.testing.assert_array_equal(bases, archive.sequence[offset : offset + length])
    assert read_archive(npz, regions, sizes=genome.sizes).contigs == archive.contigs
    assert read_archive(npz, regions).contigs == archive.contigs
