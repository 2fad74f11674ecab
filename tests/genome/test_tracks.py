"""bigWig tracks."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pyBigWig
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome.tracks import BigWigTrack, check_coverage, write_bigwig

NAN = float("nan")
SIZES = {"chrII": 6, "chrI": 8}
VALUES = {"chrI": np.array([0, 0, 1.5, 1.5, NAN, NAN, 3, 0], dtype=np.float32)}


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.bw"
    write_bigwig(path, SIZES, VALUES)
    return path


def test_round_trip_keeps_zero_apart_from_no_data(small):
    with BigWigTrack(small) as track:
        assert track.sizes == SIZES
        found = track.values("chrI", 0, 8)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, VALUES["chrI"])
        np.testing.assert_array_equal(track.values("chrI", 3, 5), [1.5, NAN])
        assert np.isnan(track.values("chrII", 0, 6)).all()
        assert track.values("chrI", 4, 4).shape == (0,)


def test_runs_are_stored_as_intervals(small):
    handle = pyBigWig.open(str(small))
    assert handle.intervals("chrI") == (
        (0, 2, 0.0),
        (2, 4, 1.5),
        (6, 7, 3.0),
        (7, 8, 0.0),
    )
    assert handle.intervals("chrII") is None
    assert list(handle.chroms()) == ["chrI", "chrII"]
    handle.close()


@settings(max_examples=40)
@given(
    values=st.lists(
        st.sampled_from([0.0, 1.0, -2.5, NAN, 1e6]), min_size=1, max_size=60
    ).filter(lambda values: not np.isnan(values).all())
)
def test_any_values_round_trip(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("bw") / "x.bw"
    array = np.array(values, dtype=np.float32)
    write_bigwig(path, {"c": array.size}, {"c": array})
    np.testing.assert_array_equal(BigWigTrack(path).values("c", 0, array.size), array)


def test_many_runs_cross_the_block_size(tmp_path, monkeypatch):
    monkeypatch.setattr("seqexp_tf.genome.tracks._ENTRIES", 100)
    array = np.arange(1050, dtype=np.float32)
    write_bigwig(tmp_path / "x.bw", {"c": 1050}, {"c": array})
    found = BigWigTrack(tmp_path / "x.bw").values("c", 0, 1050)
    np.testing.assert_array_equal(found, array)


def test_same_values_same_bytes(small, tmp_path):
    write_bigwig(tmp_path / "again.bw", SIZES, VALUES)
    assert small.read_bytes() == (tmp_path / "again.bw").read_bytes()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"chrIII": np.ones(3)}, "contig 'chrIII', which the genome lacks"),
        ({"chrI": np.ones(3)}, r"has 8 bases, but values of shape \(3,\)"),
        ({"chrI": np.full(8, NAN)}, "no value to write"),
        ({}, "no value to write"),
        ({"chrI": np.array([0, 1, 2, np.inf, 0, 0, 0, 0])}, "chrI:4: infinite value"),
    ],
)
def test_write_refuses(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        write_bigwig(tmp_path / "x.bw", SIZES, values)
    assert list(tmp_path.iterdir()) == []


def test_handles_stay_in_their_process(small):
    track = BigWigTrack(small)
    before = track.values("chrI", 0, 8)
    copy = pickle.loads(pickle.dumps(track))
    np.testing.assert_array_equal(copy.values("chrI", 0, 8), before)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn) as pool:
        found = pool.submit(track.values, "chrI", 0, 8).result(timeout=60)
    np.testing.assert_array_equal(found, before)


def test_another_process_opens_its_own_handle(small, monkeypatch):
    track = BigWigTrack(small)
    track.values("chrI", 0, 8)
    first = track._handle
    monkeypatch.setattr("seqexp_tf.genome.tracks.os.getpid", lambda: -7)
    track.values("chrI", 0, 8)
    assert track._handle is not first


def test_closed_track_opens_again(small):
    track = BigWigTrack(small)
    with track:
        pass
    assert track.values("chrI", 6, 7).tolist() == [3.0]


def test_bad_blocks(small):
    track = BigWigTrack(small)
    for start, end in ((-1, 3), (0, 9), (5, 4)):
        with pytest.raises(InputError, match=f"chrI:{start}-{end}.*outside"):
            track.values("chrI", start, end)
    with pytest.raises(InputError, match="no contig 'chrIV'; nearest: chrI"):
        track.values("chrIV", 0, 1)


def test_bad_files(small, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        _ = BigWigTrack(tmp_path / "absent.bw").sizes
    with pytest.raises(InputError, match="cannot be read"):
        _ = BigWigTrack(tmp_path).sizes
    cases = {
        "text.bw": (b"chrI\t0\t5\t1.0\n", "not a bigWig"),
        "empty.bw": (b"", "not a bigWig"),
        "cut.bw": (small.read_bytes()[:-40], "the file is truncated"),
        "tiny.bw": (small.read_bytes()[:4] * 2, "damaged bigWig"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            _ = BigWigTrack(tmp_path / name).sizes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-0.5, "x.bw: chrI:103: negative coverage -0.5"),
        (np.inf, "x.bw: chrI:103: infinite coverage inf"),
        (-np.inf, "x.bw: chrI:103: infinite coverage -inf"),
    ],
)
def test_coverage_check_names_the_place(value, message):
    values = np.array([0, NAN, value, -9], dtype=np.float32)
    with pytest.raises(InputError) as caught:
        check_coverage(values, path="x.bw", contig="chrI", start=100)
    assert message in str(caught.value)


def test_coverage_check_accepts_missing_data():
    check_coverage(np.array([0, NAN, 5.5]), path="x", contig="c", start=0)


def test_rna_tracks_give_the_archive_labels(yeast):
    with np.load(yeast / "archive/data.npz") as arrays:
        plus = arrays["expressed_plus"][5392573 : 5392573 + 439888]
    track = BigWigTrack(yeast / "rna/rna_pooled46_rpm.plus.bw")
    values = track.values("chrIX", 0, 439888)
    np.testing.assert_array_equal(values > 2, plus)
    # The synthetic right arm has no reads at all: gaps, not zeros.
    assert np.isnan(values[355628:]).all()
