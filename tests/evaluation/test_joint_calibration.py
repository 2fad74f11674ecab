"""Pooled calibration scores: literal values, rescaling, the figure."""

import math

import numpy as np
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.calibration import TopLabelReliability
from seqexp_tf.evaluation.joint_calibration import (
    JointReliability,
    describe_scaling,
    plot_calibration,
)
from seqexp_tf.evaluation.metrics import softmax

RNA, DNA = "expression_logits", "sequence_logits"

# Rows of p(A), p(C), p(G), p(T), p(N) and the true base.
P = np.array(
    [
        [0.71, 0.10, 0.09, 0.05, 0.05],
        [0.72, 0.08, 0.10, 0.05, 0.05],
        [0.10, 0.10, 0.13, 0.62, 0.05],
        [0.31, 0.29, 0.20, 0.15, 0.05],
    ]
)
TRUE = np.array([0, 1, 3, 2])


def expected_calibration_error(p, hit, bins=10):
    """Sum over bins of |bin| / n x |accuracy - confidence|, as in Guo et al."""
    index = np.minimum((p * bins).astype(int), bins - 1)
    return sum(
        np.mean(index == k) * abs(hit[index == k].mean() - p[index == k].mean())
        for k in np.unique(index)
    )


def gathered(temperatures=None):
    found = JointReliability(temperatures=temperatures)
    found.update(RNA, np.array([1, 0, 1]), np.log([3.0, 1 / 3, 1 / 3]))
    found.update(DNA, TRUE, np.log(P))
    return found.result()


def test_top_label_literal():
    reliability = TopLabelReliability()
    reliability.update(TRUE, np.log(P))
    curve = reliability.result()["top label"]
    assert curve["counts"] == [0, 0, 0, 1, 0, 0, 1, 2, 0, 0]
    # Confidences 0.71 and 0.72 are right once, 0.62 is right, 0.31 is wrong.
    assert curve["ece"] == pytest.approx(
        (abs(1 - 1.43) + abs(1 - 0.62) + abs(0 - 0.31)) / 4
    )
    assert curve["brier"] == pytest.approx((0.29**2 + 0.72**2 + 0.38**2 + 0.31**2) / 4)


def test_it_knows_its_bins():
    assert gathered().bins == 10
    dna_alone = JointReliability((DNA,), bins=7)
    dna_alone.update(DNA, TRUE, np.log(P))
    assert dna_alone.result().bins == 7


def test_scores_are_means_of_the_bases():
    scores = gathered().scores()
    by_base = [
        expected_calibration_error(P[:, base], (TRUE == base).astype(float))
        for base in range(4)
    ]
    dna = scores[DNA]
    assert [dna[f"ece_{base}"] for base in "ACGT"] == pytest.approx(by_base)
    assert dna["ece"] == pytest.approx(np.mean(by_base))
    assert dna["ece_top_label"] == pytest.approx((0.43 + 0.38 + 0.31) / 4)
    assert dna["brier"] == pytest.approx(
        np.mean(np.sum((P[:, :4] - np.eye(4)[TRUE]) ** 2, axis=1))
    )
    assert dna["loss"] == pytest.approx(-np.log([0.71, 0.08, 0.62, 0.2]).mean())
    # p = 3/4 and 1/4, 1/4: right, right (as its complement), wrong.
    assert scores[RNA]["ece"] == pytest.approx((0.25 + abs(1 - 0.5)) / 3)
    assert scores[RNA]["loss"] == pytest.approx(-np.log([0.75, 0.75, 0.25]).mean())


def test_temperatures_divide_the_logits():
    found = gathered({DNA: 2.0})
    softer = softmax(np.log(P) / 2)
    assert found.loss[DNA] == pytest.approx(-np.log(softer[np.arange(4), TRUE]).mean())
    # An output that is not named stays.
    assert repr(found.expression) == repr(gathered().expression)


def test_batches_add_up():
    parts = JointReliability()
    for row in range(4):
        parts.update(DNA, TRUE[row : row + 1], np.log(P[row : row + 1]))
    for name, value in gathered().scores()[DNA].items():
        assert parts.result().scores()[DNA][name] == pytest.approx(value)


def test_positions_behind_the_mask_do_not_count():
    masked = JointReliability((DNA,))
    labels, logits = np.tile(TRUE, 2), np.log(np.concatenate([P, P[::-1]]))
    masked.update(DNA, labels, logits, np.arange(8) < 4)
    assert masked.result().scores()[DNA] == pytest.approx(gathered().scores()[DNA])


def test_nothing_seen_is_undefined():
    found = JointReliability().result()
    assert math.isnan(found.loss[RNA])
    assert math.isnan(found.scores()[DNA]["ece"])


def test_non_finite_logits_are_refused():
    with pytest.raises(RunError, match="1 of 1 logits are not finite"):
        JointReliability().update(RNA, np.array([1]), np.array([np.inf]))


def test_the_figure_sets_both_side_by_side():
    before, temperatures = gathered(), {RNA: 1.25, DNA: 2.0}
    figure = plot_calibration(before, gathered(temperatures), temperatures)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "Expression, as predicted",
        "Expression, T = 1.250",
        "Nucleotides, as predicted",
        "Nucleotides, T = 2.000",
    ]
    labels = [line.get_label() for line in figure.axes[2].lines[1:]]
    assert [label.split("  ")[0] for label in labels] == [*"ACGT", "top label"]
    only = JointReliability((RNA,)).result()
    assert len(plot_calibration(only, only, {}).axes) == 2


def test_the_lines_say_before_and_after():
    temperatures = {RNA: 1.25, DNA: 2.0}
    text = describe_scaling(gathered(), gathered(temperatures), temperatures)
    first, second = text.splitlines()
    assert first.startswith("Expression, T = 1.2500: ECE 0.2500 -> ")
    assert "ECE of the top base 0.2800 -> " in second
