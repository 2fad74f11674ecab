"""Loss and metrics over genes, against scikit-learn and scipy."""

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from seqexp_tf.training.expression_losses import (
    AbsoluteError,
    GeneLoss,
    MaskRatio,
    OutputLoss,
    OutputMean,
    Pearson,
    SquaredError,
)


@pytest.fixture
def genes():
    rng = np.random.default_rng(0)
    target = rng.gamma(2, 1, 103).astype("f4")
    return target, (0.7 * target + rng.normal(1, 0.5, 103)).astype("f4")


def in_batches(metric, target, predicted, weights=None, size=10):
    for first in range(0, len(target), size):
        rows = slice(first, first + size)
        sample = None if weights is None else weights[rows]
        metric.update_state(target[rows], predicted[rows], sample)
    return float(metric.result())


def test_metrics_are_exact_over_uneven_batches(genes):
    target, predicted = genes
    oracle = {
        SquaredError: sk.mean_squared_error(target, predicted),
        AbsoluteError: sk.mean_absolute_error(target, predicted),
        Pearson: stats.pearsonr(target, predicted).statistic,
    }
    for metric, wanted in oracle.items():
        assert in_batches(metric(), *genes) == pytest.approx(wanted, rel=1e-5)


def test_weights_leave_genes_out(genes):
    target, predicted = genes
    weights = (np.arange(103) % 3 > 0).astype("f4")
    kept = weights > 0
    wanted = stats.pearsonr(target[kept], predicted[kept]).statistic
    assert in_batches(Pearson(), *genes, weights) == pytest.approx(wanted, rel=1e-6)
    wanted = np.mean((target - predicted)[kept] ** 2)
    assert in_batches(SquaredError(), *genes, weights) == pytest.approx(
        wanted, rel=1e-5
    )


def test_pearson_of_large_values_that_hardly_vary():
    rng = np.random.default_rng(1)
    target = (1000 + rng.normal(size=500)).astype("f4")
    predicted = (target + rng.normal(size=500)).astype("f4")
    wanted = stats.pearsonr(target.astype(float), predicted.astype(float)).statistic
    assert in_batches(Pearson(), target, predicted) == pytest.approx(wanted, rel=1e-5)


def test_pearson_begins_anew_and_knows_no_correlation_of_a_constant(genes):
    target, predicted = genes
    metric = Pearson()
    assert in_batches(metric, target, np.full_like(target, 2.0)) == 0.0
    metric.reset_state()
    wanted = stats.pearsonr(target, predicted).statistic
    assert in_batches(metric, target, predicted) == pytest.approx(wanted, rel=1e-6)


def test_losses_a_gene(genes):
    target, predicted = genes
    for kind, oracle in (
        ("huber", keras.losses.Huber(reduction=None)),
        ("mse", keras.losses.MeanSquaredError(reduction=None)),
    ):
        found = GeneLoss(kind, reduction=None)(target, predicted)
        wanted = oracle(target[:, None], predicted[:, None])
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    weights = np.eye(103, dtype="f4")[5] * 103
    error = abs(target[5] - predicted[5])
    wanted = 0.5 * error**2 if error <= 1 else error - 0.5
    assert float(GeneLoss("huber")(target, predicted, weights)) == pytest.approx(wanted)
    assert float(OutputLoss()(target * 0, predicted)) == pytest.approx(predicted.mean())


def test_masks():
    mask = np.array([[0.0, 0.5, 1.0, 0.2], [0.0, 0.0, 0.0, 0.4]], "f4")
    unused = np.zeros(2, "f4")
    assert in_batches(OutputMean(), unused, mask, size=1) == pytest.approx(0.2625)
    assert in_batches(MaskRatio(), unused, mask, size=1) == pytest.approx(0.25)
    assert in_batches(OutputMean(), unused, mask[:, 1], size=2) == pytest.approx(0.25)


def test_they_are_saved_with_a_model():
    for thing in (GeneLoss("mse"), OutputLoss(), SquaredError(), Pearson()):
        copy = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(thing)
        )
        assert type(copy) is type(thing)
        assert copy.get_config() == thing.get_config()
