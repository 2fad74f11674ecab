"""BED files, region text and masks."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome.intervals import interval_mask, parse_region, read_bed

COLUMNS = ["contig", "start", "end", "name", "score", "strand"]


def test_bed_of_every_width(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text(
        "track type=narrowPeak\nbrowser position chrI\n# comment\n\n"
        "chrI\t5\t9\n"
        "chrI 0 4 a\n"
        "trackless\t1\t1\tb\t7.5\t-\n"
        "chrII\t1\t2\t.\t.\t.\t3\t4\t5\t6\n"
    )
    table = read_bed(path)
    assert list(table.columns) == COLUMNS
    assert table["contig"].tolist() == ["chrI", "chrI", "trackless", "chrII"]
    assert table["start"].tolist() == [5, 0, 1, 1]
    assert table["end"].tolist() == [9, 4, 1, 2]
    assert table["name"].tolist() == [None, "a", "b", None]
    assert table["score"].fillna(-1).tolist() == [-1, -1, 7.5, -1]
    assert table["strand"].tolist() == [None, None, "-", None]


def test_empty_bed_has_typed_columns(tmp_path):
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"# nothing\n"))
    table = read_bed(path)
    assert list(table.columns) == COLUMNS
    assert table.empty
    assert table["start"].dtype == np.int64


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\t5", "line 2: 2 columns, expected contig, start, end"),
        ("chrI\t5.5\t9", "line 2: start '5.5' and end '9' must be whole numbers"),
        ("chrI\t9\t5", "line 2: start 9, end 5: expected 0 <= start <= end"),
        ("chrI\t-1\t5", "line 2: start -1, end 5"),
        ("chrI\t1\t5\ta\thigh", "line 2: score 'high'"),
        ("chrI\t1\t5\ta\t0\t*", r"line 2: strand '\*'"),
        ("\t1\t5", "line 2: 3 columns, expected contig"),
    ],
)
def test_bad_bed_lines(tmp_path, line, message):
    path = tmp_path / "x.bed"
    path.write_text(f"chrI\t0\t4\n{line}\n")
    with pytest.raises(InputError, match=message) as caught:
        read_bed(path)
    assert str(path) in str(caught.value)


def test_regions_are_one_based_inclusive():
    found = parse_region("chrIV:1,468,900-1,469,900")
    assert found == ("chrIV", 1468899, 1469900)
    assert parse_region(" HLA-A*01:01:7-7 ") == ("HLA-A*01:01", 6, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((text, "expected") for text in ("", "chrI", "chrI:5", "chrI:-5-9", ":1-2")),
        ("a:,-2", "expected"),
        ("chrI:0-5", "starts at 0; the first base is 1"),
        ("chrI:9-5", "starts after its end; swap the two"),
    ],
)
def test_bad_regions(text, message):
    with pytest.raises(InputError, match=message):
        parse_region(text)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=12),
    start=st.integers(0, 50),
    length=st.integers(0, 20),
)
def test_mask_equals_painting_one_by_one(pairs, start, length):
    intervals = [(min(pair), max(pair)) for pair in pairs]
    expected = np.zeros(100, dtype=np.uint8)
    for first, last in intervals:
        expected[first:last] = 1
    found = interval_mask(
        np.array([first for first, _ in intervals], dtype=np.int64),
        np.array([last for _, last in intervals], dtype=np.int64),
        start,
        start + length,
    )
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected[start : start + length])


def test_yeast_peaks(yeast):
    name = "signals/hmmratac_yeast500k_accessible_regions.narrowPeak.gz"
    table = read_bed(yeast / name)
    assert len(table) == 1605
    assert table.iloc[0].to_dict() == {
        "contig": "chrI",
        "start": 20,
        "end": 560,
        "name": "peak_1",
        "score": 268.0,
        "strand": None,
    }
