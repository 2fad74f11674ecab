"""Tracks of a genome browser, read back."""

import numpy as np
import pyBigWig
import pytest

from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.evaluation.profile_prediction import predict_profile
from seqexp_tf.genome.intervals import interval_mask, read_bed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.interpretation.tracks import write_tracks
from seqexp_tf.records.regions import Region, read_slice
from seqexp_tf.records.spans import stored_spans

WINDOW = 128


class _ReadsBoth:
    """log-odds grow with A and T, and follow the labels that are shown."""

    output_names = ("expression_logits",)

    def predict_on_batch(self, inputs):
        weak = inputs["sequence"][..., 0] + inputs["sequence"][..., 3]
        share = np.stack([np.convolve(row, np.ones(9) / 9, "same") for row in weak])
        logits = 9 * (share - 0.5) + 20 * (inputs["expression"] - 0.5)
        return {"expression_logits": logits.astype(np.float32)}


class _NeverFinite:
    output_names = ("expression_logits",)

    def __init__(self):
        self.calls = 0

    def predict_on_batch(self, inputs):
        self.calls += 1
        value = np.nan if self.calls > 2 else 0.5
        return {"expression_logits": np.full_like(inputs["expression"], value)}


@pytest.fixture
def predictor(joint_store):
    return JointPredictor(_ReadsBoth(), joint_store, WINDOW, batch_size=8)


@pytest.mark.parametrize("labels", ["hidden", "visible"])
def test_bigwigs_hold_the_predictions(predictor, labels, tmp_path):
    spans = stored_spans(predictor.store)
    files = write_tracks(predictor, spans, tmp_path / "all", labels=labels)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "all.expressed.bed",
        "all.minus.bw",
        "all.plus.bw",
        "all.segments.bed",
    ]
    for strand, path in (("+", files.plus), ("-", files.minus)):
        handle = pyBigWig.open(str(path))
        assert handle.chroms() == {"chrA": 6000, "chrB": 1500, "chrC": 1500}
        for span in spans:
            found = handle.values(span.contig, span.start, span.end, numpy=True)
            expected = predict_profile(predictor, span, strand, labels=labels)
            np.testing.assert_array_equal(found.astype(np.float32), expected)
        # Bases without a window: no data, not zero.
        assert np.isnan(handle.values("chrA", 5952, 6000, numpy=True)).all()
        handle.close()


def test_what_was_not_measured_is_predicted(predictor, tmp_path):
    region = Region("chrA", 480, 560)
    assert not read_slice(predictor.store, region).valid.any()
    files = write_tracks(predictor, [region], tmp_path / "x", labels="hidden")
    with BigWigTrack(files.plus) as track:
        assert np.isfinite(track.values("chrA", 480, 560)).all()
        assert np.isnan(track.values("chrA", 0, 480)).all()


def test_bed_lines_are_the_calls(predictor, tmp_path):
    spans = stored_spans(predictor.store)
    files = write_tracks(predictor, spans, tmp_path / "all", labels="hidden")
    text = files.expressed.read_text()
    assert not text.startswith(("track", "browser", "#"))
    assert all(line.count("\t") == 5 for line in text.splitlines())
    table = read_bed(files.expressed)
    assert table.name.tolist() == [f"expressed_{i + 1}" for i in range(len(table))]
    order = table[["contig", "start", "end"]]
    assert order.equals(order.sort_values(["contig", "start", "end"]))
    for strand in "+-":
        for span in spans:
            p = predict_profile(predictor, span, strand, labels="hidden")
            rows = table[(table.contig == span.contig) & (table.strand == strand)]
            painted = interval_mask(
                rows.start.to_numpy(), rows.end.to_numpy(), span.start, span.end
            )
            np.testing.assert_array_equal(painted, p > 0.5)
            for row in rows.itertuples():
                mean = p[row.start - span.start : row.end - span.start].mean()
                assert row.score == pytest.approx(1000 * mean, abs=0.51)
    segments = read_bed(files.segments)
    assert 0 < len(segments) < len(table)
    assert segments.score.between(0, 1000).all()


def test_regions_may_overlap_and_come_in_any_order(predictor, tmp_path):
    asked = [Region("chrC", 100, 300), Region("chrA", 50, 90), Region("chrA", 0, 60)]
    files = write_tracks(predictor, asked, tmp_path / "some", labels="hidden")
    whole = write_tracks(
        predictor, stored_spans(predictor.store), tmp_path / "all", labels="hidden"
    )
    with BigWigTrack(files.minus) as some, BigWigTrack(whole.minus) as every:
        for contig, start, end in (("chrA", 0, 90), ("chrC", 100, 300)):
            np.testing.assert_array_equal(
                some.values(contig, start, end), every.values(contig, start, end)
            )
        assert np.isnan(some.values("chrC", 300, 400)).all()


def test_a_base_has_one_prediction_whatever_the_batch(joint_store, tmp_path):
    regions = stored_spans(joint_store, "test")
    contents = set()
    for size in (1, 7, 64):
        predictor = JointPredictor(_ReadsBoth(), joint_store, WINDOW, batch_size=size)
        files = write_tracks(predictor, regions, tmp_path / f"{size}", labels="hidden")
        contents.add(b"".join(path.read_bytes() for path in files.paths))
    assert len(contents) == 1


def test_progress_counts_the_windows_of_both_strands(predictor, tmp_path):
    counted = []
    write_tracks(
        predictor,
        [Region("chrC", 0, 1472)],
        tmp_path / "x",
        labels="hidden",
        progress=counted.append,
    )
    assert sum(counted) == 2 * 23


def test_a_region_without_windows(predictor, tmp_path):
    with pytest.raises(DatasetError, match="no window lies on chrA:5,961-5,990"):
        write_tracks(
            predictor, [Region("chrA", 5960, 5990)], tmp_path / "x", labels="hidden"
        )
    assert list(tmp_path.iterdir()) == []


def test_predictions_that_are_not_finite_leave_nothing(joint_store, tmp_path):
    predictor = JointPredictor(_NeverFinite(), joint_store, WINDOW, batch_size=8)
    with pytest.raises(RunError, match="not finite"):
        write_tracks(
            predictor, [Region("chrC", 0, 1472)], tmp_path / "x", labels="hidden"
        )
    assert list(tmp_path.iterdir()) == []
