import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve

from seqexp_tf.evaluation.average_precision import (
    average_precision,
    binned_average_precision,
    precision_recall,
    rank_bins,
)


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=60),
    st.sampled_from([1.0, 0.1, 1e-6]),
)
def test_equals_sklearn_with_ties(pairs, scale):
    scores = np.array([score for score, _ in pairs]) * scale
    positive = np.array([label for _, label in pairs])
    found = average_precision(scores, positive)
    if not positive.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(average_precision_score(positive, scores))


def test_equals_sklearn_on_float32_masks():
    rng = np.random.default_rng(0)
    scores = rng.beta(2, 20, 20_000).astype(np.float32)
    positive = rng.random(20_000) < scores
    curve = precision_recall(scores, positive)
    precision, recall, threshold = precision_recall_curve(positive, scores)
    np.testing.assert_allclose(curve.precision[::-1], precision[:-1])
    np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
    np.testing.assert_array_equal(curve.threshold[::-1], threshold)
    assert curve.average_precision == pytest.approx(
        average_precision_score(positive, scores)
    )


def test_small_cases_by_hand():
    best, worst = np.array([3.0, 2, 1, 0]), np.array([0.0, 1, 2, 3])
    positive = np.array([True, True, False, False])
    assert average_precision(best, positive) == 1
    assert average_precision(worst, positive) == pytest.approx((1 / 3 + 2 / 4) / 2)
    # All alike: the average precision is the prevalence.
    assert average_precision(np.zeros(4), positive) == 0.5


def test_a_thinned_curve_keeps_its_ends_and_lies_on_the_whole_one():
    rng = np.random.default_rng(1)
    scores = rng.normal(size=5000)
    curve = precision_recall(scores, rng.random(5000) < 0.1)
    thin = curve.thinned(50)
    assert len(thin.recall) <= 51
    assert thin.recall[-1] == 1
    assert thin.threshold[0] == curve.threshold[0]
    at = np.searchsorted(-curve.threshold, -thin.threshold)
    np.testing.assert_array_equal(thin.precision, curve.precision[at])


@settings(max_examples=60)
@given(
    st.lists(st.integers(-20, 20), min_size=1, max_size=80),
    st.integers(1, 100),
)
def test_bins_keep_the_order_and_never_part_ties(values, bins):
    scores = np.array(values, dtype=float)
    index, count = rank_bins(scores, bins=bins)
    assert count <= max(bins, 1) + 1
    assert sorted(set(index.tolist())) == list(range(count))
    order = np.argsort(-scores, kind="stable")
    assert (np.diff(index[order]) >= 0).all()
    for value in set(values):
        assert len(set(index[scores == value].tolist())) == 1


def test_binned_average_precision_is_close_to_the_exact_one():
    rng = np.random.default_rng(2)
    scores = rng.beta(2, 20, 200_000).astype(np.float32)
    positive = rng.random(200_000) < scores**2
    index, count = rank_bins(scores, bins=2048)
    hits = np.bincount(index, weights=positive, minlength=count)
    sizes = np.bincount(index, minlength=count)
    exact = average_precision(scores, positive)
    assert binned_average_precision(hits, sizes) == pytest.approx(exact, rel=0.01)


def test_enough_bins_are_exact_and_weights_repeat():
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 40, 500).astype(float)
    positive = rng.random(500) < 0.2
    weight = rng.integers(0, 4, 500)
    index, count = rank_bins(scores, bins=100_000)
    assert count == len(set(scores))
    hits = np.bincount(index, weights=weight * positive, minlength=count)
    sizes = np.bincount(index, weights=weight, minlength=count)
    repeated = average_precision(np.repeat(scores, weight), np.repeat(positive, weight))
    assert binned_average_precision(hits, sizes) == pytest.approx(repeated)
