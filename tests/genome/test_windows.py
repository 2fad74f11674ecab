"""Windows over contigs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.archive import read_archive
from seqexp_tf.genome.windows import overlaps, tile


def frame(rows):
    return pd.DataFrame(rows, columns=["contig", "start", "end"]).astype(
        {"contig": object, "start": np.int64, "end": np.int64}
    )


def test_tiles_in_order():
    table = tile({"b": 10, "short": 3, "a": 4}, window=4, stride=3)
    assert table.to_numpy().tolist() == [
        ["b", 0, 4, "+"],
        ["b", 0, 4, "-"],
        ["b", 3, 7, "+"],
        ["b", 3, 7, "-"],
        ["b", 6, 10, "+"],
        ["b", 6, 10, "-"],
        ["a", 0, 4, "+"],
        ["a", 0, 4, "-"],
    ]
    assert table.columns.tolist() == ["contig", "start", "end", "strand"]
    forward = tile({"a": 9}, window=4, stride=5, strands=("+",))
    assert forward["start"].tolist() == [0, 5]


def test_no_windows():
    for sizes in ({}, {"a": 3}):
        table = tile(sizes, window=4, stride=1)
        assert table.columns.tolist() == ["contig", "start", "end", "strand"]
        assert table.empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0, "stride": 1}, "window = 0"),
        ({"window": 4, "stride": 0}, "stride = 0"),
        ({"window": 4, "stride": -3}, "stride = -3"),
        ({"window": 4, "stride": 1, "strands": ()}, "strands"),
        ({"window": 4, "stride": 1, "strands": ("+", "+")}, "strands"),
        ({"window": 4, "stride": 1, "strands": ("+", "x")}, "strands"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError, match=message):
        tile({"a": 9}, **options)


intervals_of = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), st.integers(0, 12)).map(
        lambda part: (part[0], part[1], part[1] + part[2])
    ),
    max_size=15,
)


@settings(max_examples=60)
@given(windows=intervals_of, intervals=intervals_of)
def test_overlaps_equals_all_pairs(windows, intervals):
    expected = [
        any(
            contig == other and max(start, first) < min(end, last)
            for other, first, last in intervals
        )
        for contig, start, end in windows
    ]
    assert overlaps(frame(windows), frame(intervals)).tolist() == expected


def test_yeast_windows_are_the_archive_regions(yeast):
    folder = yeast / "archive"
    archive = read_archive(
        folder / "data.npz", folder / "regions.parquet", meta=folder / "data_meta.json"
    )
    sizes = {name: length for name, (_, length) in archive.contigs.items()}
    windows = tile(sizes, window=2048, stride=1024)
    holes = []
    for name, (offset, length) in archive.contigs.items():
        valid = archive.valid[offset : offset + length].astype(np.int8)
        steps = np.diff(valid, prepend=1, append=1)
        starts, ends = np.flatnonzero(steps < 0), np.flatnonzero(steps > 0)
        holes += [(name, *part) for part in zip(starts, ends, strict=True)]
    kept = windows[~overlaps(windows, frame(holes))].reset_index(drop=True)
    assert len(kept) == 23364
    pd.testing.assert_frame_equal(
        kept, archive.regions[["contig", "start", "end", "strand"]]
    )
