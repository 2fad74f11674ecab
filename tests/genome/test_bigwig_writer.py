"""bigWig written piece by piece."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome import tracks
from seqexp_tf.genome.intervals import read_bed, write_bed
from seqexp_tf.genome.tracks import BigWigTrack, bigwig_writer, write_bigwig

SIZES = {"chrI": 40, "chrII": 10}


@settings(max_examples=30)
@given(
    values=st.lists(
        st.sampled_from([0.0, 0.25, 1.0, float("nan")]), min_size=40, max_size=40
    ).filter(lambda values: not np.isnan(values).all()),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_pieces_give_what_the_whole_gives(tmp_path_factory, values, cuts):
    folder = tmp_path_factory.mktemp("bw")
    array = np.array(values, dtype=np.float32)
    write_bigwig(folder / "whole.bw", SIZES, {"chrI": array})
    edges = [0, *sorted(cuts), 40]
    with bigwig_writer(folder / "pieces.bw", SIZES) as writer:
        for start, end in itertools.pairwise(edges):
            writer.add("chrI", start, array[start:end])
    for name in ("whole", "pieces"):
        with BigWigTrack(folder / f"{name}.bw") as track:
            assert track.sizes == SIZES
            np.testing.assert_array_equal(track.values("chrI", 0, 40), array)


def test_gaps_and_contigs(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "_ENTRIES", 3)
    values = np.linspace(0, 1, 8, dtype=np.float32)
    with bigwig_writer(tmp_path / "x.bw", SIZES) as writer:
        assert writer.empty
        writer.add("chrI", 5, values)
        writer.add("chrI", 20, values)
        writer.add("chrII", 0, values)
        assert not writer.empty
    with BigWigTrack(tmp_path / "x.bw") as track:
        found = track.values("chrI", 0, 40)
        np.testing.assert_array_equal(found[5:13], values)
        np.testing.assert_array_equal(found[20:28], values)
        assert np.isnan(np.delete(found, [*range(5, 13), *range(20, 28)])).all()
        np.testing.assert_array_equal(track.values("chrII", 0, 8), values)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        ([("chrI", 0, 5), ("chrI", 4, 5)], "chrI:4-9 come after those up to chrI:5"),
        ([("chrII", 0, 5), ("chrI", 0, 5)], "come after those up to chrII:5"),
        ([("chrI", 38, 5)], "chrI:38-43 .* outside the contig, which is 0-40"),
        ([("chrI", -1, 5)], "chrI:-1-4 .* outside the contig"),
        ([("chrX", 0, 5)], "contig 'chrX', which the genome lacks; nearest: chrI"),
        ([], "no value to write"),
    ],
)
def test_pieces_that_do_not_fit(tmp_path, pieces, message):
    with (
        pytest.raises(InputError, match=message),
        bigwig_writer(tmp_path / "x.bw", SIZES) as writer,
    ):
        for contig, start, length in pieces:
            writer.add(contig, start, np.ones(length))
    assert list(tmp_path.iterdir()) == []


def test_an_infinite_value_is_named(tmp_path):
    with (
        pytest.raises(InputError, match="chrI:13: infinite value"),
        bigwig_writer(tmp_path / "x.bw", SIZES) as writer,
    ):
        writer.add("chrI", 10, np.array([0, 0, np.inf]))
    assert list(tmp_path.iterdir()) == []


def test_bed_round_trip(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("chrII\t5\t9\tb\t1000\t-\nchrI\t0\t3\ta\t12\t+\n")
    table = read_bed(path)
    write_bed(tmp_path / "y.bed", table.assign(score=table.score.astype(int)))
    assert (tmp_path / "y.bed").read_bytes() == path.read_bytes()
    write_bed(tmp_path / "empty.bed", table.iloc[:0])
    assert read_bed(tmp_path / "empty.bed").empty
