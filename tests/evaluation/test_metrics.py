import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    log_loss,
    roc_auc_score,
)

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation import selection
from seqexp_tf.evaluation.metrics import (
    FORMULAS,
    BinaryMetrics,
    NucleotideMetrics,
    sigmoid,
    softmax,
)

seeds = st.integers(0, 2**32 - 1)


def binary_batch(seed, shape=(6, 50)):
    generator = np.random.default_rng(seed)
    labels = (generator.random(shape) < 0.4).astype(np.uint8)
    logits = (generator.normal(size=shape) * 2 + labels).astype(np.float32)
    return labels, logits, generator.random(shape) < 0.5


def base_batch(seed, shape=(6, 50)):
    generator = np.random.default_rng(seed)
    labels = generator.choice(5, size=shape, p=[0.3, 0.18, 0.18, 0.3, 0.04])
    logits = generator.normal(size=(*shape, 5)) + np.eye(5)[labels]
    return (
        labels.astype(np.uint8),
        logits.astype(np.float32),
        (generator.random(shape) < 0.5),
    )


CASES = [(BinaryMetrics, binary_batch), (NucleotideMetrics, base_batch)]


def score(accumulator, *batches):
    for batch in batches:
        accumulator.update(*batch)
    return accumulator.result()


@settings(max_examples=25)
@given(seeds)
def test_binary_metrics_equal_scikit_learn(seed):
    labels, logits, mask = binary_batch(seed)
    result = score(BinaryMetrics(), (labels, logits, mask))
    true, logit = labels[mask], logits[mask].astype(np.float64)
    p = sigmoid(logit)
    assert result == pytest.approx(
        {
            "positions": mask.sum(),
            "loss": log_loss(true, p),
            "accuracy": accuracy_score(true, p > 0.5),
            "f1_weighted": f1_score(true, p > 0.5, average="weighted"),
            "roc_auc": roc_auc_score(true, logit),
            "roc_auc_error": 0,
            "average_precision": average_precision_score(true, logit),
            "brier": brier_score_loss(true, p),
            "positive_fraction": true.mean(),
        },
        abs=1e-12,
    )


@settings(max_examples=25)
@given(seeds)
def test_nucleotide_metrics_equal_scikit_learn(seed):
    labels, logits, mask = base_batch(seed)
    result = score(NucleotideMetrics(), (labels, logits, mask))
    kept = mask & (labels < 4)
    true, p = labels[kept], softmax(logits[kept].astype(np.float64))
    guess = p.argmax(axis=1)
    one_hot = np.eye(4)[true]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(true, guess, labels=range(5), average="weighted")
    loss = log_loss(true, p, labels=range(5))
    assert result == pytest.approx(
        {
            "positions": kept.sum(),
            "loss": loss,
            "accuracy": accuracy_score(true, guess),
            "f1_weighted": f1,
            "roc_auc": roc_auc_score(one_hot, p[:, :4], average="macro"),
            "roc_auc_error": 0,
            "average_precision": average_precision_score(one_hot, p[:, :4]),
            "perplexity": math.exp(loss),
            **{f"true_count_{b}": (true == i).sum() for i, b in enumerate("ACGT")},
            **{
                f"predicted_count_{b}": (guess == i).sum()
                for i, b in enumerate("ACGTN")
            },
        },
        abs=1e-6,  # scikit-learn ranks float64 probabilities, we float32 log-odds
    )


def test_binary_literal_values():
    labels = np.array([1, 1, 0, 0])
    logits = np.log([3.0, 1 / 3, 1 / 3, 1.0])
    result = score(BinaryMetrics(), (labels, logits))
    assert result["loss"] == pytest.approx(
        -(np.log(0.75) + np.log(0.25) + np.log(0.75) + np.log(0.5)) / 4
    )
    assert result["accuracy"] == 0.75  # p = 0.5 predicts "not expressed"
    assert result["f1_weighted"] == pytest.approx(0.5 * 2 / 3 + 0.5 * 4 / 5)
    assert result["roc_auc"] == pytest.approx(2.5 / 4)
    assert result["brier"] == pytest.approx((0.0625 + 0.5625 + 0.0625 + 0.25) / 4)
    assert result["positive_fraction"] == 0.5


def test_nucleotide_literal_values():
    labels = np.array([0, 1, 4, 3])
    logits = np.log(
        [
            [0.6, 0.1, 0.1, 0.1, 0.1],
            [0.3, 0.4, 0.1, 0.1, 0.1],
            [0.2, 0.2, 0.2, 0.2, 0.2],
            [0.1, 0.1, 0.1, 0.2, 0.5],
        ]
    )
    result = score(NucleotideMetrics(), (labels, logits))
    assert result["positions"] == 3
    assert result["loss"] == pytest.approx(-np.log(0.6 * 0.4 * 0.2) / 3)
    assert result["perplexity"] == pytest.approx((0.6 * 0.4 * 0.2) ** (-1 / 3))
    assert result["accuracy"] == pytest.approx(2 / 3)
    # T is missed for N: F1 of A and C is 1, of T 0.
    assert result["f1_weighted"] == pytest.approx(2 / 3)
    # G does not occur: the macro mean runs over A, C and T.
    assert result["roc_auc"] == 1
    assert [result[f"true_count_{b}"] for b in "ACGT"] == [1, 1, 0, 1]
    assert [result[f"predicted_count_{b}"] for b in "ACGTN"] == [1, 1, 0, 0, 1]


@pytest.mark.parametrize(("metrics", "batch"), CASES)
@settings(max_examples=15)
@given(seed=seeds, cuts=st.integers(1, 6))
def test_neither_order_nor_batch_size_matters(metrics, batch, seed, cuts):
    arrays = batch(seed)
    whole = score(metrics(), arrays)
    order = np.random.default_rng(seed).permutation(len(arrays[0]))
    pieces = zip(*(np.array_split(a[order], cuts) for a in arrays), strict=True)
    assert score(metrics(), *pieces) == pytest.approx(whole, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize(("metrics", "batch"), CASES)
def test_merging_is_associative_and_equals_one_pass(metrics, batch):
    batches = [batch(seed) for seed in range(3)]

    def parts():
        accumulators = [metrics() for _ in batches]
        for accumulator, arrays in zip(accumulators, batches, strict=True):
            accumulator.update(*arrays)
        return accumulators

    a, b, c = parts()
    a.merge(b)
    a.merge(c)
    d, e, f = parts()
    e.merge(f)
    d.merge(e)
    once = score(metrics(), *batches)
    assert a.result() == pytest.approx(once, abs=1e-12, rel=1e-12)
    assert d.result() == pytest.approx(once, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize(("metrics", "batch"), CASES)
def test_chunks_leave_the_result_alone(metrics, batch, monkeypatch):
    whole = score(metrics(), batch(3))
    monkeypatch.setattr(selection, "CHUNK", 7)
    assert score(metrics(), batch(3)) == pytest.approx(whole, abs=1e-12, rel=1e-12)


@pytest.mark.parametrize(("metrics", "batch"), CASES)
def test_unmasked_positions_may_hold_anything(metrics, batch):
    labels, logits, mask = batch(5)
    expected = score(metrics(), (labels, logits, mask))
    labels, logits = np.where(mask, labels, 250), logits.copy()
    logits[~mask] = np.nan
    assert score(metrics(), (labels, logits, mask)) == expected


@pytest.mark.parametrize(("metrics", "batch"), CASES)
def test_every_metric_has_a_formula_and_is_undefined_without_positions(metrics, batch):
    labels, logits, mask = batch(0)
    result = score(metrics(), (labels, logits, np.zeros_like(mask)))
    assert set(result) <= set(FORMULAS)
    for name, value in result.items():
        assert value == 0 if "count" in name or name == "positions" else np.isnan(value)


def test_no_formula_without_a_metric():
    names = {*BinaryMetrics().result(), *NucleotideMetrics().result()}
    assert set(FORMULAS) == names
    assert all("\n" not in text for text in FORMULAS.values())


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_has_no_roc_auc(label):
    result = score(BinaryMetrics(), (np.full(4, label), np.arange(4.0)))
    assert np.isnan(result["roc_auc"])
    assert result["average_precision"] == pytest.approx(
        1 if label else np.nan, nan_ok=True
    )
    assert np.isfinite(result["loss"])


def test_extreme_logits_give_the_exact_loss():
    result = score(BinaryMetrics(), (np.array([0, 1]), np.array([1e4, 1e4])))
    assert result["loss"] == 5e3
    assert result["brier"] == 0.5
    logits = np.array([[1e4, 0, 0, 0, 0], [1e4, 0, 0, 0, 0.0]])
    result = score(NucleotideMetrics(), (np.array([0, 3]), logits))
    assert result["loss"] == 5e3
    assert result["perplexity"] == np.inf


def test_given_predictions_replace_the_threshold():
    labels = np.array([[1, 0, 1, 0]])
    accumulator = BinaryMetrics()
    accumulator.update(labels, np.full((1, 4), -3.0), predicted=labels)
    assert accumulator.result()["accuracy"] == 1
    assert accumulator.result()["roc_auc"] == 0.5


@pytest.mark.parametrize(("metrics", "batch"), CASES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_logits_are_counted(metrics, batch, value):
    labels, logits, mask = batch(1)
    mask[:] = True
    logits[0, :3] = value
    bad = 3 if logits.ndim == 2 else 3 * 5
    with pytest.raises(RunError, match=rf"^{bad} of [\d,]+ logits are not finite"):
        metrics().update(labels % 2, logits, mask)


@pytest.mark.parametrize(("metrics", "batch"), CASES)
def test_wrong_shapes_are_refused(metrics, batch):
    labels, logits, mask = batch(1)
    with pytest.raises(RunError, match=r"mask has shape \(6, 49\); labels have"):
        metrics().update(labels, logits, mask[:, 1:])
    with pytest.raises(RunError, match=r"logits have shape .*; labels of shape"):
        metrics().update(labels, logits[:-1], mask)
    with pytest.raises(RunError, match="need"):
        metrics().update(labels, logits[..., None], mask)


@pytest.mark.parametrize(
    ("metrics", "label", "highest"),
    [
        (BinaryMetrics, 2, 1),
        (BinaryMetrics, 0.5, 1),
        (BinaryMetrics, np.nan, 1),
        (BinaryMetrics, -1, 1),
        (NucleotideMetrics, 5, 4),
    ],
)
def test_labels_out_of_range_are_refused(metrics, label, highest):
    labels = np.array([0, label, 0])
    logits = np.zeros((3, 5) if highest == 4 else 3)
    with pytest.raises(RunError, match=f"at 1 of 3 positions.* 0 to {highest}$"):
        metrics().update(labels, logits)
