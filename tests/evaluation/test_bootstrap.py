"""Confidence intervals: exact draws, honest blocks."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.evaluation import bootstrap
from seqexp_tf.evaluation.bootstrap import BinaryBootstrap, Blocks, NucleotideBootstrap
from seqexp_tf.evaluation.metrics import (
    BinaryMetrics,
    NucleotideMetrics,
    sigmoid,
    softmax,
)

seeds = st.integers(0, 2**32 - 1)


def windows(*rows):
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


def expression(seed, shape=(12, 40)):
    generator = np.random.default_rng(seed)
    labels = (generator.random(shape) < 0.4).astype(np.uint8)
    logits = (2 * generator.normal(size=shape) + labels).astype(np.float32)
    return labels, logits, generator.random(shape) < 0.7


def bases(seed, shape=(12, 40)):
    generator = np.random.default_rng(seed)
    labels = generator.choice(5, size=shape, p=[0.3, 0.18, 0.18, 0.3, 0.04])
    logits = generator.normal(size=(*shape, 5)) + np.eye(5)[labels]
    mask = generator.random(shape) < 0.7
    return labels.astype(np.uint8), logits.astype(np.float32), mask


class TestBlocks:
    def test_both_strands_and_near_windows_share_a_block(self):
        table = windows(
            ("chrI", 0, 100),
            ("chrI", 0, 100),
            ("chrI", 149, 249),
            ("chrI", 150, 250),
            ("chrII", 0, 100),
        )
        blocks = Blocks.of(table, bases=200)
        assert blocks.index.tolist() == [0, 0, 0, 1, 2]
        assert (blocks.count, blocks.bases) == (3, 200)

    def test_one_base_keeps_places_apart_but_not_strands(self):
        table = windows(*[("chrI", start, start + 10) for start in (0, 0, 5, 5, 10)])
        assert Blocks.of(table, bases=1).index.tolist() == [0, 0, 1, 1, 2]

    def test_too_many_blocks_grow(self, monkeypatch):
        monkeypatch.setattr(bootstrap, "MAXIMUM_BLOCKS", 4)
        table = windows(*[("chrI", 10 * n, 10 * n + 10) for n in range(16)])
        blocks = Blocks.of(table, bases=10)
        assert (blocks.bases, blocks.count) == (40, 4)
        assert blocks.index.tolist() == np.repeat(range(4), 4).tolist()

    def test_draws_are_seeded_and_whole(self):
        blocks = Blocks(10, np.arange(30), 30)
        drawn = blocks.draw(500, seed=4)
        assert drawn.shape == (500, 30)
        assert (drawn.sum(axis=1) == 30).all()
        assert np.array_equal(drawn, blocks.draw(500, seed=4))
        assert not np.array_equal(drawn, blocks.draw(500, seed=5))
        assert drawn.mean(axis=0) == pytest.approx(1, abs=0.25)

    def test_a_block_without_length_is_refused(self):
        with pytest.raises(ConfigError, match="block is 0 bases"):
            Blocks.of(windows(("chrI", 0, 100)), bases=0)


def check_draw(result, row, true, p, scores, one_hot, classes):
    assert result["loss"][row] == pytest.approx(log_loss(true, p, labels=classes))
    guess = p.argmax(axis=1)
    assert result["accuracy"][row] == pytest.approx(accuracy_score(true, guess))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = f1_score(true, guess, labels=classes, average="weighted")
    assert result["f1_weighted"][row] == pytest.approx(f1)
    auc = roc_auc_score(one_hot, scores, average="macro")
    # Few positions, so every pair that shares a bin weighs much.
    assert result["roc_auc"][row] == pytest.approx(auc, abs=1e-3)


@settings(max_examples=10)
@given(seeds)
def test_a_draw_equals_scikit_learn_on_the_drawn_windows(seed):
    blocks = Blocks(1, np.repeat(np.arange(6), 2), 6)
    drawn = blocks.draw(3, seed=seed)
    labels, logits, mask = expression(seed)
    binary = BinaryBootstrap(6)
    binary.update(blocks.index, labels, logits, mask)
    found = binary.replicates(drawn)
    nucleotide_labels, nucleotide_logits, nucleotide_mask = bases(seed)
    nucleotides = NucleotideBootstrap(6)
    nucleotides.update(
        blocks.index, nucleotide_labels, nucleotide_logits, nucleotide_mask
    )
    found_bases = nucleotides.replicates(drawn)
    for row, weights in enumerate(drawn):
        rows = np.repeat(np.arange(12), weights[blocks.index])
        at = mask[rows]
        true, logit = labels[rows][at], logits[rows][at].astype(float)
        p = np.stack([1 - sigmoid(logit), sigmoid(logit)], axis=1)
        check_draw(found, row, true, p, logit, true, [0, 1])
        at = nucleotide_mask[rows] & (nucleotide_labels[rows] < 4)
        true = nucleotide_labels[rows][at]
        p = softmax(nucleotide_logits[rows][at].astype(float))
        check_draw(found_bases, row, true, p, p[:, :4], np.eye(4)[true], range(5))


@pytest.mark.parametrize(
    ("kind", "metrics", "draw"),
    [
        (BinaryBootstrap, BinaryMetrics, expression),
        (NucleotideBootstrap, NucleotideMetrics, bases),
    ],
)
def test_every_block_once_gives_the_metrics(kind, metrics, draw):
    labels, logits, mask = draw(1, (20, 4000))
    whole, pooled = kind(20), metrics()
    whole.update(np.arange(20), labels, logits, mask)
    pooled.update(labels, logits, mask)
    found = whole.replicates(np.ones((1, 20)))
    for name in ("loss", "accuracy", "f1_weighted"):
        assert found[name][0] == pytest.approx(pooled.result()[name], abs=1e-12)
    assert found["roc_auc"][0] == pytest.approx(pooled.result()["roc_auc"], abs=1e-4)


@settings(max_examples=15)
@given(seeds, st.floats(0.5, 20), st.floats(-2, 2))
def test_binning_moves_roc_auc_by_less_than_1e_4(seed, spread, shift):
    generator = np.random.default_rng(seed)
    logits = shift + spread * generator.normal(size=(1, 200_000))
    labels = (generator.random(logits.shape) < sigmoid(logits)).astype(np.uint8)
    binned, exact = BinaryBootstrap(1), BinaryMetrics()
    binned.update(np.zeros(1, int), labels, logits)
    exact.update(labels, logits)
    found = binned.replicates(np.ones((1, 1)))["roc_auc"][0]
    assert found == pytest.approx(exact.result()["roc_auc"], abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "draw"), [(BinaryBootstrap, expression), (NucleotideBootstrap, bases)]
)
def test_batches_of_any_size_give_the_same(kind, draw):
    labels, logits, mask = draw(2)
    index = np.repeat(np.arange(4), 3)
    weights = Blocks(1, index, 4).draw(50)
    whole, parts = kind(4), kind(4)
    whole.update(index, labels, logits, mask)
    for first in range(0, 12, 5):
        at = slice(first, first + 5)
        parts.update(index[at], labels[at], logits[at], mask[at])
    for name, values in whole.replicates(weights).items():
        assert parts.replicates(weights)[name] == pytest.approx(values, abs=1e-12)
    assert whole.intervals(weights).keys() == parts.intervals(weights).keys()


def test_intervals_are_percentiles():
    labels, logits, mask = expression(3)
    counts = BinaryBootstrap(12)
    counts.update(np.arange(12), labels, logits, mask)
    weights = Blocks(1, np.arange(12), 12).draw(200)
    values = counts.replicates(weights)["accuracy"]
    low, high = counts.intervals(weights)["accuracy"]
    assert low == pytest.approx(np.percentile(values, 2.5))
    assert high == pytest.approx(np.percentile(values, 97.5))


def test_twin_windows_do_not_narrow_the_interval_of_blocks():
    labels, logits, _ = expression(5, (200, 30))
    twice = np.repeat(np.arange(200), 2)
    widths = {}
    for name, index in (("windows", np.arange(400)), ("blocks", twice)):
        counts = BinaryBootstrap(index.max() + 1)
        counts.update(index, labels[twice], logits[twice])
        weights = Blocks(1, index, index.max() + 1).draw(2000)
        low, high = counts.intervals(weights)["accuracy"]
        widths[name] = high - low
    assert widths["blocks"] / widths["windows"] == pytest.approx(2**0.5, rel=0.1)


def test_the_truth_lies_within_as_often_as_promised():
    generator = np.random.default_rng(0)
    inside = 0
    for trial in range(100):
        # Windows of a block are alike, blocks are not: accuracy 0.5 to 0.9.
        right = generator.random((40, 1, 1)) * 0.4 + 0.5
        hit = generator.random((40, 4, 10)) < right
        counts = BinaryBootstrap(40)
        index = np.repeat(np.arange(40), 4)
        logits = np.where(hit, -1.0, 1.0).reshape(160, 10)
        counts.update(index, np.zeros((160, 10), int), logits)
        weights = Blocks(1, index, 40).draw(200, seed=trial)
        low, high = counts.intervals(weights)["accuracy"]
        inside += low <= 0.7 <= high
    assert 0.90 <= inside / 100 <= 0.99


def test_one_class_leaves_only_roc_auc_undefined():
    counts = BinaryBootstrap(2)
    counts.update(np.arange(2), np.ones((2, 5), int), np.ones((2, 5)))
    found = counts.intervals(np.ones((3, 2)))
    assert found["accuracy"] == (1, 1)
    assert np.isnan(found["roc_auc"]).all()


def test_nothing_seen_is_undefined():
    found = NucleotideBootstrap(3).intervals(np.ones((2, 3)))
    assert np.isnan([*found.values()]).all()


def test_non_finite_logits_are_refused():
    with pytest.raises(RunError, match="1 of 2 logits are not finite"):
        BinaryBootstrap(1).update(
            np.zeros(1, int), np.array([[0, 1]]), np.array([[0.0, np.nan]])
        )
