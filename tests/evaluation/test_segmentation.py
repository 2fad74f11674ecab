"""Segments: the cheapest calls of all, and a cost that comes from the data."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.evaluation import segmentation
from seqexp_tf.evaluation.segmentation import measured_switch_cost, segment
from seqexp_tf.records.regions import read_slice
from seqexp_tf.records.spans import stored_spans

LOG_ODDS = st.lists(
    st.integers(-40, 40).map(lambda value: value / 8), min_size=1, max_size=9
).map(np.array)


def _cost(calls, log_odds, switch_cost):
    calls = np.array(calls)
    signed = np.where(calls, log_odds, -log_odds)
    return np.logaddexp(0, -signed).sum() + switch_cost * np.count_nonzero(
        calls[1:] != calls[:-1]
    )


@given(LOG_ODDS, st.sampled_from([0.0, 0.3, 1.0, 2.5, 7.6]))
def test_no_calls_are_cheaper(log_odds, switch_cost):
    best = min(
        _cost(calls, log_odds, switch_cost)
        for calls in itertools.product([False, True], repeat=log_odds.size)
    )
    found = segment(log_odds, switch_cost=switch_cost)
    assert found.dtype == bool
    assert _cost(found, log_odds, switch_cost) == pytest.approx(best, abs=1e-9)


@given(LOG_ODDS)
def test_without_a_cost_every_base_is_called_for_itself(log_odds):
    decided = log_odds != 0
    found = segment(log_odds, switch_cost=0.0)
    assert (found == (log_odds > 0))[decided].all()


def test_flicker_goes_and_a_region_stays():
    log_odds = np.array([-3.0] * 20 + [0.4, -0.3] * 5 + [-3.0] * 5 + [3.0] * 20)
    found = segment(log_odds, switch_cost=7.6)
    assert found.tolist() == [False] * 35 + [True] * 20


def test_no_bases():
    assert segment(np.zeros(0), switch_cost=1.0).shape == (0,)


def test_pieces_make_no_difference(monkeypatch):
    log_odds = np.random.default_rng(5).normal(0, 2, 1000)
    whole = segment(log_odds, switch_cost=3.0)
    monkeypatch.setattr(segmentation, "_BLOCK", 7)
    assert (segment(log_odds, switch_cost=3.0) == whole).all()


def test_the_cost_is_how_rare_a_change_is(joint_store):
    changes = pairs = 0
    for span in stored_spans(joint_store, "train"):
        genome = read_slice(joint_store, span)
        known = genome.valid[1:] & genome.valid[:-1]
        pairs += 2 * known.sum()
        changes += (np.diff(genome.expression.astype(int)) != 0)[:, known].sum()
    assert 0 < changes < pairs
    found = measured_switch_cost(joint_store)
    assert found == pytest.approx(-math.log(changes / pairs))
