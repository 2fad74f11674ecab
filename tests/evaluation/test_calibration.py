import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.calibration import (
    ExpressionReliability,
    NucleotideReliability,
    plot_base_distribution,
    plot_reliability,
)
from seqexp_tf.evaluation.metrics import NucleotideMetrics, sigmoid, softmax


def logit(p):
    return np.log(p) - np.log1p(-np.asarray(p))


def check_against_scikit_learn(curve, hit, p):
    frequency, mean = calibration_curve(hit, p, n_bins=10)
    filled = np.array(curve["counts"]) > 0
    assert np.array(curve["mean_predicted"])[filled] == pytest.approx(mean)
    assert np.array(curve["true_frequency"])[filled] == pytest.approx(frequency)
    weights = np.array(curve["counts"])[filled] / len(p)
    assert curve["ece"] == pytest.approx(np.sum(weights * np.abs(frequency - mean)))
    assert curve["brier"] == pytest.approx(brier_score_loss(hit, p))


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_equals_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=400) * 2
    labels = (generator.random(400) < 0.4).astype(np.uint8)
    expression = ExpressionReliability()
    expression.update(labels, logits)
    check_against_scikit_learn(
        expression.result()["expressed"], labels, sigmoid(logits)
    )
    logits = generator.normal(size=(400, 5)) * 2
    labels = np.arange(400) % 4
    nucleotides = NucleotideReliability()
    nucleotides.update(labels, logits)
    for index, base in enumerate("ACGT"):
        check_against_scikit_learn(
            nucleotides.result()[base], labels == index, softmax(logits)[:, index]
        )


def test_literal_values():
    accumulator = ExpressionReliability(bins=4)
    accumulator.update(np.array([0, 1, 1, 1]), np.append(logit([0.1, 0.2, 0.6]), 1e4))
    curve = accumulator.result()["expressed"]
    assert curve["edges"] == [0, 0.25, 0.5, 0.75, 1]
    assert curve["counts"] == [2, 0, 1, 1]  # p = 1 belongs to the last bin
    assert curve["mean_predicted"][0] == pytest.approx(0.15)
    assert curve["true_frequency"][0] == 0.5
    assert math.isnan(curve["mean_predicted"][1])
    assert math.isnan(curve["true_frequency"][1])
    assert curve["ece"] == pytest.approx((2 * 0.35 + 0.4) / 4)
    assert curve["brier"] == pytest.approx((0.01 + 0.64 + 0.16) / 4)


def test_a_calibrated_prediction_has_no_error():
    accumulator = ExpressionReliability()
    accumulator.update(np.array([1, 0, 0, 0]), np.full(4, logit(0.25)))
    assert accumulator.result()["expressed"]["ece"] == pytest.approx(0, abs=1e-15)


def test_batches_masks_and_merges():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 5, size=(8, 30))
    logits = generator.normal(size=(8, 30, 5))
    mask = generator.random((8, 30)) < 0.5
    whole, left, right = (NucleotideReliability(bins=5) for _ in range(3))
    whole.update(labels, logits, mask)
    for row in range(8):
        (left if row % 2 else right).update(labels[row], logits[row], mask[row])
    left.merge(right)
    for base, curve in whole.result().items():
        assert sum(curve["counts"]) == np.count_nonzero(mask & (labels < 4))
        for key, values in curve.items():
            assert left.result()[base][key] == pytest.approx(
                values, abs=1e-12, nan_ok=True
            )


def test_nothing_seen_is_undefined():
    curve = ExpressionReliability().result()["expressed"]
    assert math.isnan(curve["ece"])
    assert math.isnan(curve["brier"])


def test_different_bins_do_not_merge():
    with pytest.raises(RunError, match="in 5 bins"):
        ExpressionReliability(bins=10).merge(ExpressionReliability(bins=5))


def test_non_finite_logits_are_refused():
    with pytest.raises(RunError, match="1 of 2 logits are not finite"):
        ExpressionReliability().update(np.array([0, 1]), np.array([0.0, np.nan]))


def test_figures_show_the_filled_bins_and_the_shares():
    labels = np.tile([0, 1, 2, 3, 0, 0], 100)
    logits = np.tile(3 * np.eye(5)[[0, 1, 2, 3, 0, 3]], (100, 1))
    reliability, metrics = NucleotideReliability(), NucleotideMetrics()
    reliability.update(labels, logits)
    metrics.update(labels, logits)
    (ax,) = plot_reliability(reliability.result()).axes
    diagonal, *lines = ax.lines
    assert list(diagonal.get_xdata()) == [0, 1]
    assert [line.get_label()[0] for line in lines] == list("ACGT")
    filled = np.array(reliability.result()["A"]["counts"]) > 0
    assert len(lines[0].get_xdata()) == filled.sum() == 2
    (ax,) = plot_base_distribution(metrics.result()).axes
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx(
        [50, 50 / 3, 50 / 3, 50 / 3, 100 / 3, 50 / 3, 50 / 3, 100 / 3]
    )
    figure = ax.figure
    assert plot_reliability(reliability.result(), ax=ax) is figure
