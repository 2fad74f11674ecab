import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from seqexp_tf.evaluation.ranking import MAXIMUM_BINS, ScoreHistogram, _digamma


def fill(scores, positive, *, cuts=1, maximum_bins=MAXIMUM_BINS):
    histogram = ScoreHistogram(maximum_bins=maximum_bins)
    for part, labels in zip(
        np.array_split(scores, cuts), np.array_split(positive, cuts), strict=True
    ):
        histogram.update(part, labels)
    return histogram


def random_scores(name, count):
    generator = np.random.default_rng(7)
    positive = generator.random(count) < 0.3
    normal = generator.normal(size=count)
    scores = {
        "overlapping": normal + positive,
        "tight cluster": 3 + 1e-4 * (normal + positive),
        "wide range": np.exp(6 * normal) * np.where(normal > 0, 1, -1) + positive,
        "two scales": np.where(normal > 0, 1e3 * normal, 5 + 1e-3 * normal) + positive,
        "saturated": 40 * np.sign(normal + positive) + 1e-2 * normal,
    }[name]
    return scores.astype(np.float32), positive


@pytest.mark.parametrize(
    "name", ["overlapping", "tight cluster", "wide range", "two scales", "saturated"]
)
def test_error_stays_below_its_bound_and_1e4_when_bins_are_shared(name):
    scores, positive = random_scores(name, 400_000)
    histogram = fill(scores, positive, cuts=3)
    error = abs(histogram.roc_auc() - roc_auc_score(positive, scores))
    assert histogram.bins <= MAXIMUM_BINS
    assert error <= histogram.roc_auc_error() + 1e-12
    assert error < 1e-4
    expected = average_precision_score(positive, scores)
    assert histogram.average_precision() == pytest.approx(expected, abs=1e-4)


def test_is_exact_up_to_the_number_of_bins():
    scores = np.random.default_rng(0).permutation(np.linspace(-1, 1, 20_000))
    positive = np.random.default_rng(1).random(20_000) < 0.5
    histogram = fill(scores, positive)
    assert histogram.exact
    assert histogram.roc_auc_error() == 0
    exact = roc_auc_score(positive, scores.astype(np.float32))
    assert histogram.roc_auc() == pytest.approx(exact, abs=1e-12)


def test_interleaved_labels_within_one_bin_stay_within_the_bound():
    # All positives just above all negatives, squeezed into two bins.
    scores = np.float32(1) + np.arange(64, dtype=np.float32) * np.float32(2**-23)
    histogram = fill(scores, np.arange(64) >= 48, maximum_bins=2)
    assert histogram.bins == 2
    assert histogram.roc_auc() == pytest.approx(1 - 16 * 16 / 2 / (48 * 16))
    assert 1 - histogram.roc_auc() <= histogram.roc_auc_error()


def test_well_separated_classes_score_one_in_few_bins():
    generator = np.random.default_rng(0)
    scores = np.concatenate(
        [generator.uniform(-9, -3, 5000), generator.uniform(2, 9, 5000)]
    )
    histogram = fill(scores, np.arange(10_000) >= 5000, maximum_bins=64)
    assert not histogram.exact
    assert histogram.roc_auc() == 1
    assert histogram.average_precision() == 1


@given(
    st.lists(
        st.tuples(st.sampled_from([-2.5, -1.0, -0.0, 0.0, 1e-30, 3.0]), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_ties_equal_scikit_learn(pairs):
    scores = np.array([score for score, _ in pairs])
    positive = np.array([label for _, label in pairs])
    histogram = fill(scores, positive)
    if positive.any() and not positive.all():
        assert histogram.roc_auc() == pytest.approx(roc_auc_score(positive, scores))
    else:
        assert np.isnan(histogram.roc_auc())
    if positive.any():
        expected = average_precision_score(positive, scores)
        assert histogram.average_precision() == pytest.approx(expected)
    else:
        assert np.isnan(histogram.average_precision())


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.sampled_from([8, 50, 4096]))
def test_order_cuts_and_merges_leave_the_same_histogram(seed, cuts, maximum_bins):
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=600) * np.exp(generator.normal(size=600))
    positive = generator.random(600) < 0.4
    whole = fill(scores, positive, maximum_bins=maximum_bins)

    order = generator.permutation(600)
    shuffled = fill(
        scores[order], positive[order], cuts=cuts, maximum_bins=maximum_bins
    )
    parts = [
        fill(*part, maximum_bins=maximum_bins)
        for part in zip(
            np.array_split(scores, cuts), np.array_split(positive, cuts), strict=True
        )
    ]
    merged = ScoreHistogram(maximum_bins=maximum_bins)
    for part in reversed(parts):
        merged.merge(part)
    for other in (shuffled, merged):
        assert other.bins == whole.bins <= maximum_bins
        assert other.roc_auc() == whole.roc_auc()
        assert other.average_precision() == whole.average_precision()
        assert other.roc_auc_error() == whole.roc_auc_error()


def test_merging_leaves_the_other_as_it_was():
    coarse = fill(np.linspace(0, 1, 50), np.arange(50) % 2 == 0, maximum_bins=4)
    fine = fill(np.array([0.25, 0.5]), np.array([True, False]), maximum_bins=4)
    before = (fine.bins, fine.exact, fine.roc_auc())
    coarse.merge(fine)
    assert (fine.bins, fine.exact, fine.roc_auc()) == before


@pytest.mark.parametrize(
    ("positive", "expected"),
    [
        # Ranks from the top, all in one bin of four: positives among them at
        # ranks 2.5; 1.5 and 3.5; 1, 2, 3, 4.
        ([1, 0, 0, 0], 1 / 2.5),
        ([0, 1, 1, 0], (1 / 1.5 + 2 / 3.5) / 2),
        ([1, 1, 1, 1], 1),
    ],
)
def test_average_precision_spreads_the_positives_of_a_shared_bin(positive, expected):
    scores = np.float32(1) + np.arange(4, dtype=np.float32) * np.float32(2**-23)
    histogram = fill(scores, np.array(positive) == 1, maximum_bins=1)
    assert (histogram.bins, histogram.exact) == (1, False)
    assert histogram.average_precision() == pytest.approx(expected, rel=1e-12)


def test_digamma_equals_scipy():
    x = np.concatenate([np.linspace(0.5, 20, 200), np.logspace(1, 12, 50)])
    assert _digamma(x) == pytest.approx(scipy.special.digamma(x), rel=1e-12, abs=1e-12)


def test_infinite_and_huge_scores_rank_last_and_first():
    scores = np.array([-np.inf, -1e300, 0.0, 1e300, np.inf])
    histogram = fill(scores, np.array([False, False, False, True, True]))
    assert histogram.roc_auc() == 1


def test_empty_is_undefined():
    histogram = ScoreHistogram()
    histogram.update(np.array([]), np.array([], dtype=bool))
    assert np.isnan(histogram.roc_auc())
    assert np.isnan(histogram.roc_auc_error())
    assert np.isnan(histogram.average_precision())
