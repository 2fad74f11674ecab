"""Spans, statistics and transforms of signals."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.genome.tracks import BigWigTrack, write_bigwig
from seqexp_tf.records import signals
from seqexp_tf.records.expression_recipe import SignalConfig
from seqexp_tf.records.signals import Signal, merged


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(1, 30)), min_size=0),
)
def test_merged_intervals_cover_the_same_bases(intervals):
    starts = np.array([start for start, _ in intervals], dtype=int)
    ends = starts + np.array([size for _, size in intervals], dtype=int)
    low, high = merged(starts, ends)
    covered = {p for s, e in zip(starts, ends, strict=True) for p in range(s, e)}
    found = [p for s, e in zip(low, high, strict=True) for p in range(s, e)]
    assert found == sorted(covered)
    # Touching intervals are one.
    assert (low[1:] > high[:-1]).all()


@pytest.fixture
def values() -> np.ndarray:
    rng = np.random.default_rng(2)
    array = rng.gamma(1.0, 3.0, 5000).astype("f4")
    array[100:200] = np.nan
    return array


@pytest.fixture
def signal(values, tmp_path):
    """Makes a signal of these values on one contig, called 7 in the bigWig."""
    write_bigwig(tmp_path / "x.bw", {"7": values.size}, {"7": values})

    def make(*steps: str, clip: float | None = None) -> Signal:
        path = tmp_path / "x.bw"
        config = SignalConfig(str(path), steps, clip)
        return Signal("x", config, BigWigTrack(path), {"chr7": "7"})

    return make


def test_values_and_their_transforms(signal, values):
    plain = np.nan_to_num(values[50:300])
    np.testing.assert_array_equal(signal().values("chr7", 50, 300), plain)
    logs = signal("log1p").values("chr7", 50, 300)
    np.testing.assert_array_equal(logs, np.log1p(plain))
    clipped = signal("clip", "log1p", clip=2.0).values("chr7", 50, 300)
    np.testing.assert_array_equal(clipped, np.log1p(np.minimum(plain, 2)))
    other = signal("log1p", "clip", clip=2.0).values("chr7", 50, 300)
    np.testing.assert_array_equal(other, np.minimum(np.log1p(plain), 2))


@pytest.mark.parametrize("block", [1 << 20, 7, 1])
def test_statistics_do_not_depend_on_blocks(signal, values, monkeypatch, block):
    monkeypatch.setattr(signals, "_BLOCK", block)
    training, others = [("chr7", 0, 450), ("chr7", 900, 1000)], [("chr7", 2000, 2100)]
    fitted, details = signal("log1p", "zscore").fitted(training, others)
    logs = np.log1p(np.nan_to_num(values)).astype(float)
    learnt = np.concatenate([logs[:450], logs[900:1000]])
    assert details.mean == pytest.approx(learnt.mean(), rel=1e-6)
    assert details.sd == pytest.approx(learnt.std(), rel=1e-6)
    stored = fitted.values("chr7", 0, 450)
    assert np.isclose(stored, (logs[:450] - learnt.mean()) / learnt.std()).all()
    seen = np.concatenate([learnt, logs[2000:2100]])
    scaled = (seen - learnt.mean()) / learnt.std()
    assert details.minimum == pytest.approx(scaled.min(), rel=1e-5)
    assert details.maximum == pytest.approx(scaled.max(), rel=1e-5)


def test_no_other_window_is_no_mistake(signal):
    _, details = signal().fitted([("chr7", 0, 90)], [])
    assert details.maximum > details.minimum and math.isfinite(details.sd)


def test_a_signal_crosses_to_another_process(signal):
    one = signal("log1p")
    expected = one.values("chr7", 5, 50)
    other = pickle.loads(pickle.dumps(one))
    np.testing.assert_array_equal(other.values("chr7", 5, 50), expected)


@pytest.mark.parametrize("value, what", [(-2.5, "is negative (-2.5)")])
def test_a_bad_value_is_named_with_its_place(tmp_path, values, value, what):
    values[321] = value
    path = tmp_path / "x.bw"
    write_bigwig(path, {"7": values.size}, {"7": values})
    signal = Signal("x", SignalConfig(str(path)), BigWigTrack(path), {"chr7": "7"})
    with pytest.raises(InputError) as error:
        signal.values("chr7", 300, 400)
    assert f"{path}: 7:322: signal x {what}" in str(error.value)
    assert "set signals.x.allow_negative = true" in str(error.value)
    allowed = SignalConfig(str(path), allow_negative=True)
    signal = Signal("x", allowed, BigWigTrack(path), {"chr7": "7"})
    assert signal.values("chr7", 321, 322) == [value]


def test_an_infinite_value(monkeypatch, signal):
    one = signal()
    infinite = np.array([1, np.nan, np.inf], dtype="f4")
    monkeypatch.setattr(one.track, "values", lambda *place: infinite.copy())
    with pytest.raises(InputError, match="7:13: signal x is infinite"):
        one.values("chr7", 10, 13)


def test_a_zscore_of_one_value(tmp_path):
    path = tmp_path / "flat.bw"
    write_bigwig(path, {"7": 100}, {"7": np.full(100, 3, "f4")})
    config = SignalConfig(str(path), ("zscore",))
    signal = Signal("flat", config, BigWigTrack(path), {"7": "7"})
    with pytest.raises(InputError, match="signal flat is 3 in every training window"):
        signal.fitted([("7", 0, 100)], [])
