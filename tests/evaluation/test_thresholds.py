"""Curves for drawing, against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import auc, precision_recall_curve, roc_auc_score

from seqexp_tf.evaluation.thresholds import ThresholdCounts


@pytest.fixture
def scored():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 2, 20_000)
    logits = rng.normal(2 * labels - 1, 1.5)
    return labels, logits, rng.random(20_000) < 0.9


def _counted(labels, logits, mask):
    counts = ThresholdCounts()
    counts.update(labels, logits, mask)
    return counts


def test_the_area_is_that_of_the_scores(scored):
    labels, logits, mask = scored
    curve = _counted(*scored).curve()
    area = auc(curve.false_positive_rate, curve.true_positive_rate)
    assert area == pytest.approx(roc_auc_score(labels[mask], logits[mask]), abs=1e-3)
    precision, recall, _ = precision_recall_curve(labels[mask], logits[mask])
    some = ~np.isnan(curve.precision)
    assert auc(curve.true_positive_rate[some], curve.precision[some]) == pytest.approx(
        auc(recall, precision), abs=2e-3
    )


def test_rates_at_half(scored):
    labels, logits, mask = scored
    called, true = logits[mask] > 0, labels[mask] == 1
    assert _counted(*scored).curve().at_half() == pytest.approx(
        (called[true].mean(), called[~true].mean(), true[called].mean())
    )


def test_parts_add_up(scored):
    labels, logits, mask = scored
    first = _counted(labels[:7000], logits[:7000], mask[:7000])
    first.merge(_counted(labels[7000:], logits[7000:], mask[7000:]))
    whole, merged = _counted(*scored).curve(), first.curve()
    np.testing.assert_array_equal(whole.precision, merged.precision)


def test_without_positives_recall_is_undefined():
    logits = np.array([-40.0, 0.3, 40.0])
    curve = _counted(np.zeros(3, int), logits, np.ones(3, bool)).curve()
    assert np.isnan(curve.true_positive_rate).all()
    assert curve.false_positive_rate[[0, -1]].tolist() == [0.0, 1.0]
    assert curve.at_half()[1] == pytest.approx(2 / 3)
