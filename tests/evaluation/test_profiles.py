"""Expression from DNA alone over a split, on a model that reads A and T."""

import csv
import io
import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation import profile_prediction, profiles
from seqexp_tf.evaluation.borders import (
    compare_borders,
    find_borders,
    find_runs,
    pool_agreement,
)
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.evaluation.profile_plots import plot_profiles
from seqexp_tf.evaluation.profile_prediction import (
    count_windows,
    log_odds,
    predict_profile,
)
from seqexp_tf.evaluation.profile_scores import PREDICTORS
from seqexp_tf.evaluation.profile_tables import (
    curves_tsv,
    to_json,
    to_markdown,
    to_text,
    to_tsv,
    windows_tsv,
    write_tables,
)
from seqexp_tf.evaluation.profiles import evaluate_profiles
from seqexp_tf.genome.genes import with_utrs
from seqexp_tf.records.regions import STRANDS, Region, read_slice
from seqexp_tf.records.spans import stored_spans

WINDOW = 128


class _ReadsWeakBases:
    """p(expressed) grows with the share of A and T within 2 bases on either side."""

    output_names = ("expression_logits",)

    def __init__(self, answer=None):
        self.answer = answer
        self.shown = []

    def predict_on_batch(self, inputs):
        self.shown.append(inputs["expression"])
        if self.answer is not None:
            shape = inputs["expression"].shape
            return {"expression_logits": np.full(shape, self.answer, np.float32)}
        weak = inputs["sequence"][..., 0] + inputs["sequence"][..., 3]
        share = np.stack([np.convolve(row, np.ones(5) / 5, "same") for row in weak])
        return {"expression_logits": (12 * (share - 0.5)).astype(np.float32)}


@pytest.fixture
def predictor(joint_store):
    def make(batch_size=32, **options):
        return JointPredictor(
            _ReadsWeakBases(**options), joint_store, WINDOW, batch_size=batch_size
        )

    return make


@pytest.fixture(scope="module")
def frames_of():
    """Reading frames that say exactly what is expressed on a stretch."""

    def make(store, split):
        rows = []
        for span in stored_spans(store, split):
            genome = read_slice(store, span)
            for strand, labels in zip(STRANDS, genome.expression, strict=True):
                for start, end in find_runs(labels.astype(bool)) + span.start:
                    rows.append((span.contig, start, end, strand))
        return pd.DataFrame(rows, columns=["contig", "start", "end", "strand"])

    return make


@pytest.fixture
def evaluation(predictor, joint_store, frames_of):
    return evaluate_profiles(
        predictor(), "train", frames=frames_of(joint_store, "train")
    )


def test_scores_are_those_of_the_whole_contig(evaluation, predictor, joint_store):
    (span,) = stored_spans(joint_store, "train")
    genome = read_slice(joint_store, span)
    assert 0 < genome.valid.sum() < len(span)
    agreements = []
    for strand, labels in zip(STRANDS, genome.expression, strict=True):
        p = predict_profile(predictor(), span, strand, labels="hidden")
        truth, valid = labels.astype(bool), genome.valid
        score = evaluation.score("model", contig="chrA", strand=strand)
        expected = {
            "positions": valid.sum(),
            "accuracy": ((p > 0.5) == truth)[valid].mean(),
            "roc_auc": roc_auc_score(truth[valid], p[valid]),
            "average_precision": average_precision_score(truth[valid], p[valid]),
            "loss": log_loss(truth[valid], p[valid].astype(float)),
            "positive_fraction": truth[valid].mean(),
        }
        assert {name: score.metrics[name] for name in expected} == pytest.approx(
            expected, abs=1e-6
        )
        agreements.append(
            compare_borders(
                find_borders(truth, valid, strand=strand),
                find_borders(p > 0.5, valid, strand=strand),
            )
        )
        assert score.borders == agreements[-1]
    assert evaluation.score("model").borders == pool_agreement(agreements)
    # The toy reads what the plus strand's labels were made from.
    plus, minus = (evaluation.score("model", strand=strand) for strand in STRANDS)
    assert plus.metrics["accuracy"] > 0.9 > minus.metrics["accuracy"]
    f1 = {agreement.tolerance: agreement.both.f1 for agreement in plus.borders}
    assert f1[0] < f1[10] <= f1[50] <= f1[100]


def test_every_label_is_hidden(predictor):
    chosen = predictor()
    evaluate_profiles(chosen, "test")
    assert all((shown == 0.5).all() for shown in chosen.model.shown)


def test_strands_and_contigs_are_pooled(evaluation):
    for name in PREDICTORS:
        both = evaluation.score(name, contig="chrA")
        parts = [evaluation.score(name, contig="chrA", strand=s) for s in STRANDS]
        assert both.metrics["positions"] == sum(
            part.metrics["positions"] for part in parts
        )
        assert both.metrics["accuracy"] == pytest.approx(
            np.mean([part.metrics["accuracy"] for part in parts])
        )
        pooled = evaluation.score(name)
        assert pooled.metrics == pytest.approx(both.metrics, nan_ok=True)
        assert pooled.borders == both.borders
    with pytest.raises(KeyError):
        evaluation.score("model", contig="chrB")


def test_an_annotation_that_is_right(evaluation):
    score = evaluation.score("annotation")
    assert score.metrics["accuracy"] == score.metrics["roc_auc"] == 1.0
    assert all(math.isnan(score.metrics[name]) for name in ("loss", "ece", "brier"))
    for agreement in score.borders:
        assert agreement.both.true > 50
        assert agreement.both.f1 == agreement.starts.f1 == agreement.ends.f1 == 1.0
    assert evaluation.curves["annotation"].at_half() == (1.0, 0.0, 1.0)


def test_frames_with_utrs_are_another_baseline(evaluation, frames_of, joint_store):
    frames = with_utrs(frames_of(joint_store, "train"))
    (span,) = stored_spans(joint_store, "train")
    genome = read_slice(joint_store, span)
    right = []
    for index, strand in enumerate(STRANDS):
        called = np.zeros(len(span), bool)
        for frame in frames[frames.strand == strand].itertuples():
            called[frame.start : frame.end] = True
        right.append((called == genome.expression[index])[genome.valid])
    score = evaluation.score("annotation_utr")
    assert score.metrics["accuracy"] == pytest.approx(np.concatenate(right).mean())
    assert math.isnan(score.metrics["loss"])


def test_the_majority_says_one_thing(evaluation, joint_store):
    unexpressed, expressed = joint_store.statistics("train")["labels_01"]
    share = expressed / (unexpressed + expressed)
    metrics = evaluation.score("majority").metrics
    positive = metrics["positive_fraction"]
    assert metrics["accuracy"] == pytest.approx(
        positive if share > 0.5 else 1 - positive
    )
    assert metrics["roc_auc"] == 0.5
    assert metrics["loss"] == pytest.approx(
        -positive * np.log(share) - (1 - positive) * np.log(1 - share)
    )
    assert metrics["ece"] == pytest.approx(abs(share - positive))
    assert all(
        agreement.both.predicted == 0
        for agreement in evaluation.score("majority").borders
    )


def test_without_an_annotation_there_is_no_such_row(predictor):
    evaluation = evaluate_profiles(predictor(), "test")
    assert set(evaluation.curves) == {"model", "segments", "majority"}
    assert "annotation" not in to_json(evaluation)
    assert len(plot_profiles(evaluation).axes) == 3


def test_segments_have_fewer_borders(evaluation):
    model, segments = (evaluation.score(name) for name in ("model", "segments"))
    assert segments.borders[0].both.predicted < model.borders[0].both.predicted
    assert segments.borders[2].both.precision > model.borders[2].both.precision
    assert math.isnan(segments.metrics["loss"])


def test_neither_batch_size_nor_pieces_change_anything(
    predictor, joint_store, frames_of, monkeypatch
):
    frames = frames_of(joint_store, "test")
    whole = evaluate_profiles(predictor(), "test", frames=frames)
    monkeypatch.setattr(profile_prediction, "BLOCK", 100)
    monkeypatch.setattr(profiles, "BLOCK", 77)
    pieces = evaluate_profiles(predictor(batch_size=1), "test", frames=frames)
    for left, right in zip(whole.scores, pieces.scores, strict=True):
        assert left.borders == right.borders
        assert left.metrics == pytest.approx(right.metrics, abs=1e-12, nan_ok=True)
    assert whole.windows == pieces.windows
    assert whole.regions == pieces.regions
    np.testing.assert_array_equal(
        whole.curves["model"].precision, pieces.curves["model"].precision
    )


def test_progress_counts_every_window(predictor, joint_store):
    counted = []
    evaluate_profiles(predictor(batch_size=5), "test", progress=counted.append)
    spans = stored_spans(joint_store, "test")
    assert sum(counted) == count_windows(predictor(), spans) == 2 * 23


def test_windows_follow_each_other(evaluation):
    rows = [w for w in evaluation.windows if (w.predictor, w.strand) == ("model", "+")]
    starts = [window.region.start for window in rows]
    assert starts == list(range(0, 5952, WINDOW))
    assert all(len(window.region) <= WINDOW for window in rows)
    score = evaluation.score("model", strand="+")
    assert sum(window.positions for window in rows) == score.metrics["positions"]
    right = sum(window.accuracy * window.positions for window in rows)
    assert right / score.metrics["positions"] == pytest.approx(
        score.metrics["accuracy"]
    )
    # Borders between two windows are of neither.
    inside = sum(window.borders[0].both.true for window in rows)
    assert 0 < inside <= score.borders[0].both.true


def test_regions_are_in_order_and_cover_the_calls(evaluation, predictor):
    for found in evaluation.regions.values():
        places = [(item.region.start, item.region.end) for item in found]
        assert places == sorted(places)
    p = predict_profile(predictor(), Region("chrA", 0, 5952), "-", labels="hidden")
    called = sum(
        len(item.region) for item in evaluation.regions["model"] if item.strand == "-"
    )
    assert called == np.count_nonzero(p > 0.5)


def test_tables_say_the_same(evaluation, tmp_path):
    document = json.loads(to_json(evaluation))
    assert document["dataset"]["split"] == "train"
    assert document["labels"] == "hidden"
    assert set(document["predictors"]) == set(PREDICTORS)
    assert {"accuracy", "ece", "borders"} <= set(document["formulas"])
    rows = list(csv.DictReader(io.StringIO(to_tsv(evaluation)), delimiter="\t"))
    # Five predictors; chrA and all; +, - and both.
    assert len(rows) == len(document["scores"]) == 5 * 2 * 3
    for row, entry in zip(rows, document["scores"], strict=True):
        assert row["strand"] == entry["strand"]
        assert float(row["accuracy"]) == entry["metrics"]["accuracy"]
        within = {item["tolerance"]: item for item in entry["borders"]}
        assert int(row["within_50_matched"]) == within[50]["both"]["matched"]
        if entry["predictor"].startswith("annotation"):
            assert row["loss"] == "" and entry["metrics"]["loss"] is None
    windows = pd.read_csv(io.StringIO(windows_tsv(evaluation.windows)), sep="\t")
    assert len(windows) == len(evaluation.windows)
    curves = pd.read_csv(io.StringIO(curves_tsv(evaluation)), sep="\t")
    assert set(curves.predictor) == set(PREDICTORS)
    markdown = to_markdown(evaluation)
    assert markdown.splitlines()[0].startswith("| Predictor | Contig | Strand |")
    assert sum(line.startswith("| ") for line in markdown.splitlines()) == 2 + 30
    assert "annotation      all     both      1.0000" in to_text(evaluation)
    paths = write_tables(evaluation, tmp_path / "out" / "train")
    assert sorted(path.name for path in paths) == [
        "train.json",
        "train.md",
        "train.tsv",
        "train_curves.tsv",
        "train_windows.tsv",
    ]
    assert paths[0].read_text() == to_json(evaluation)


def test_the_figure_shows_curves_and_points(evaluation):
    figure = plot_profiles(evaluation)
    roc, recall, borders = figure.axes
    area = evaluation.score("model").metrics["roc_auc"]
    assert roc.get_title(loc="left") == f"ROC (area {area:.3f})"
    assert recall.get_xlabel() == "Recall"
    assert [line.get_label() for line in borders.get_lines()] == [
        "model, p > 0.5",
        "model, segments",
        "annotated ORFs",
        "ORFs and usual UTRs",
    ]
    labels = [text.get_text() for text in borders.get_xticklabels()]
    assert labels == ["0", "10", "50", "100"]


def test_log_odds_stay_finite():
    p = np.array([0.0, 0.5, 1.0, 0.25], dtype=np.float32)
    found = log_odds(p)
    assert np.isfinite(found).all()
    assert found[1] == 0
    assert found[3] == pytest.approx(-math.log(3))
    assert found[2] > 16
    below, above = np.nextafter(np.float32(1), np.float32(0)), np.float32(1)
    assert log_odds(below) < log_odds(above)


def test_a_split_without_a_measured_base(predictor, monkeypatch):
    def unmeasured(store, region):
        genome = read_slice(store, region)
        fields = {**vars(genome), "valid": np.zeros_like(genome.valid)}
        return type(genome)(**fields)

    monkeypatch.setattr(profiles, "read_slice", unmeasured)
    with pytest.raises(DatasetError, match="test has no valid base to score"):
        evaluate_profiles(predictor(), "test")


def test_an_unknown_split(predictor):
    with pytest.raises(DatasetError, match="no split 'tset'; did you mean \"test\""):
        evaluate_profiles(predictor(), "tset")


def test_predictions_that_are_not_finite(predictor):
    with pytest.raises(RunError, match="expression_logits that are not finite"):
        evaluate_profiles(predictor(answer=np.nan), "test")


def test_a_model_without_an_expression_output(predictor):
    chosen = predictor()
    chosen.model.output_names = ("sequence_logits",)
    with pytest.raises(RunError, match="has no output 'expression_logits'"):
        evaluate_profiles(chosen, "test")


def test_a_model_that_says_nothing_is_drawn(predictor):
    # p = 0.5 everywhere: no expressed call, no border, no region.
    evaluation = evaluate_profiles(predictor(answer=0.0), "test")
    assert evaluation.regions == {"model": (), "segments": ()}
    assert evaluation.score("model").metrics["roc_auc"] == 0.5
    plot_profiles(evaluation)
    assert json.loads(to_json(evaluation))
