"""Agreement of predicted and measured expression, against scipy and scikit-learn."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from seqexp_tf.evaluation.regression import (
    METRICS,
    bootstrap_intervals,
    draw_genes,
    pearson_share,
    regression_metrics,
    weighted_metrics,
)


def _oracle(predicted, target):
    pearson = stats.pearsonr(predicted, target).statistic
    return {
        "mse": sk.mean_squared_error(target, predicted),
        "mae": sk.mean_absolute_error(target, predicted),
        "pearson": pearson,
        "spearman": stats.spearmanr(predicted, target).statistic,
        "r2_pearson": pearson**2,
        "r2_determination": sk.r2_score(target, predicted),
    }


def _genes(count=200, seed=0):
    rng = np.random.default_rng(seed)
    target = np.where(rng.random(count) < 0.3, 0.0, rng.gamma(2, 1, count))
    return 0.6 * target + rng.normal(0.5, 0.4, count), target


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_metrics_are_those_of_scipy_and_scikit_learn(shift):
    predicted, target = _genes()
    found = regression_metrics(predicted + shift, target + shift)
    assert tuple(found) == METRICS
    assert found == pytest.approx(_oracle(predicted, target), rel=1e-6)


@settings(max_examples=40)
@example(values=[0, 0, 0, 1, 0, 0], seed=1)  # Rounding leaves something of the drawn.
@given(st.lists(st.integers(0, 4), min_size=5, max_size=30), st.integers(0, 99))
def test_a_weight_is_a_gene_as_often(values, seed):
    target = np.array(values, float)
    rng = np.random.default_rng(seed)
    predicted = rng.normal(size=len(values))
    weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)))
    drawn = np.repeat(np.arange(len(values)), weights)
    found = weighted_metrics(predicted, target, weights[None])
    wanted = regression_metrics(predicted[drawn], target[drawn])
    for name in set(METRICS) - {"spearman"}:
        assert found[name][0] == pytest.approx(wanted[name], rel=1e-6, nan_ok=True)


def test_intervals_are_those_of_drawing_genes():
    predicted, target = _genes(80)
    found = bootstrap_intervals(predicted, target, replicates=400)
    values = []
    for weights in draw_genes(80, 400):
        drawn = np.repeat(np.arange(80), weights)
        values.append(stats.pearsonr(predicted[drawn], target[drawn]).statistic)
    assert found["pearson"] == pytest.approx(np.quantile(values, [0.025, 0.975]))
    assert found["pearson"][0] < regression_metrics(predicted, target)["pearson"]


def test_a_share_of_the_ceiling_is_of_the_same_draws():
    predicted, target = _genes(80)
    ceiling = target + np.random.default_rng(1).normal(0, 0.2, 80)

    def pearson(values, rows):
        return stats.pearsonr(values[rows], target[rows]).statistic

    value, between = pearson_share(predicted, ceiling, target, replicates=300)
    every = np.arange(80)
    wanted = pearson(predicted, every) / pearson(ceiling, every)
    assert value == pytest.approx(wanted)
    draws = [np.repeat(every, weights) for weights in draw_genes(80, 300)]
    shares = [pearson(predicted, rows) / pearson(ceiling, rows) for rows in draws]
    assert between == pytest.approx(np.quantile(shares, [0.025, 0.975]))
    assert pearson_share(target, target, target, replicates=0)[0] == pytest.approx(1)
    value, between = pearson_share(predicted, np.ones(80), target, replicates=50)
    assert np.isnan([value, *between]).all()


def test_what_cannot_be_said_is_nan():
    constant = regression_metrics(np.full(20, 3.3), np.arange(20.0))
    assert np.isnan(constant["pearson"]) and np.isnan(constant["spearman"])
    assert constant["r2_determination"] == pytest.approx(
        sk.r2_score(np.arange(20), np.full(20, 3.3))
    )
    alone = regression_metrics(np.array([1.0]), np.array([3.0]))
    assert alone["mse"] == 4.0 and np.isnan(alone["pearson"])
    assert np.isnan(list(regression_metrics(np.empty(0), np.empty(0)).values())).all()
    assert bootstrap_intervals(np.ones(5), np.ones(5)) == {}
