"""The most certain stretches and positions, and how often they are right."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.genome.alphabet import UNKNOWN, encode
from seqexp_tf.interpretation.certainty import (
    certainty_table,
    most_certain,
    plot_certainty,
    stretch_table,
)
from seqexp_tf.interpretation.nucleotides import NucleotidePrediction
from seqexp_tf.records.regions import Region


def _prediction(top, *, strand="+", chosen=None, bases=None):
    """Probability ``top`` of one base a position, the rest shared out evenly."""
    top = np.asarray(top, dtype=np.float32)
    chosen = np.zeros(top.size, int) if chosen is None else np.asarray(chosen)
    p = np.repeat((1 - top)[:, None] / 3, 4, axis=1)
    p[np.arange(top.size), chosen] = top
    return NucleotidePrediction(
        region=Region("chrI", 100, 100 + top.size),
        strand=strand,
        probabilities=p,
        bases=np.zeros(top.size, np.uint8) if bases is None else bases,
        masks="blockwise",
        labels="visible",
    )


def test_positions_come_in_order_of_information():
    prediction = _prediction([0.3, 0.9, 0.5, 0.9, 0.7])
    found = most_certain(prediction, 4, length=1)
    assert [item.region.start - 100 for item in found] == [1, 3, 4, 2]


@pytest.mark.parametrize(("strand", "start"), [("+", 104), ("-", 104)])
def test_coordinates_are_those_of_the_genome(strand, start):
    top = np.full(12, 0.4)
    top[4:7] = 0.9
    prediction = _prediction(top if strand == "+" else top[::-1], strand=strand)
    (best,) = most_certain(prediction, 1, length=3)
    assert best.region == Region("chrI", start, start + 3)
    assert best.information == pytest.approx(prediction.information.max())


def test_stretches_share_no_base():
    top = np.full(20, 0.3)
    top[8:12] = 0.9
    found = most_certain(_prediction(top), 2, length=4)
    assert found[0].region == Region("chrI", 108, 112)
    assert found[1].region == Region("chrI", 100, 104)


@given(
    st.lists(st.floats(0.25, 0.99), min_size=6, max_size=40),
    st.integers(1, 4),
    st.integers(1, 5),
    st.sampled_from("+-"),
)
def test_greedy_against_brute_force(top, count, length, strand):
    prediction = _prediction(top, strand=strand)
    if count * length > len(top):
        return
    found = most_certain(prediction, count, length=length)
    information = prediction.information
    free = np.ones(len(top), dtype=bool)
    at = {int(p): i for i, p in enumerate(prediction.positions)}
    for item in found:
        candidates = [
            information[i : i + length].mean()
            for i in range(len(top) - length + 1)
            if free[i : i + length].all()
        ]
        first = at[int(item.positions[0])]
        assert free[first : first + length].all()
        assert item.information.mean() == pytest.approx(max(candidates), abs=1e-9)
        free[first : first + length] = False
    assert len(found) == count or not any(
        free[i : i + length].all() for i in range(len(top) - length + 1)
    )


def test_unknown_bases_are_passed_over():
    top = np.full(10, 0.4)
    top[4:6] = 0.99
    bases = np.zeros(10, np.uint8)
    bases[5] = UNKNOWN
    found = most_certain(_prediction(top, bases=bases), 2, length=3)
    assert [item.region.start for item in found] == [102, 106]


@pytest.mark.parametrize(
    ("count", "length", "message"),
    [
        (0, 50, "the 0 most certain stretches of 50 bases: expected at least 1"),
        (1, 0, "expected at least 1 of both"),
        (1, 61, "do not fit in chrI:101-160, which has 60 bases"),
        (13, 5, "do not fit"),
        (61, 1, "do not fit"),
    ],
)
def test_an_empty_or_impossible_selection_is_refused(count, length, message):
    with pytest.raises(InputError, match=message):
        most_certain(_prediction(np.full(60, 0.4)), count, length=length)


def test_a_region_of_n_has_nothing_to_select():
    prediction = _prediction(np.full(9, 0.4), bases=np.full(9, UNKNOWN, np.uint8))
    with pytest.raises(InputError, match="no stretch of 3 known bases"):
        most_certain(prediction, 1, length=3)
    with pytest.raises(InputError, match="every base is N"):
        certainty_table(prediction)


def test_the_table_of_stretches():
    prediction = _prediction(
        [0.9, 0.9, 0.5, 0.5], strand="-", chosen=[0, 1, 2, 3], bases=encode("ACGG")
    )
    table = stretch_table(most_certain(prediction, 2, length=2))
    expected = pd.DataFrame(
        {
            "rank": [1, 2],
            "contig": "chrI",
            "start": [103, 101],
            "end": [104, 102],
            "strand": "-",
            "true_bases": ["AC", "GG"],
            "chosen_bases": ["AC", "GT"],
            "information": prediction.information[[0, 2]],
            "probability": [0.9, 0.5],
            "correct": [2, 1],
            "accuracy": [1.0, 0.5],
        }
    )
    pd.testing.assert_frame_equal(table, expected)


def test_accuracy_of_the_k_most_certain():
    bases = np.array([0, 1, 0, UNKNOWN, 0], np.uint8)
    table = certainty_table(_prediction([0.5, 0.9, 0.7, 0.95, 0.6], bases=bases))
    assert table.positions.tolist() == [1, 2, 3, 4]
    assert table.accuracy.tolist() == pytest.approx([0, 1 / 2, 2 / 3, 3 / 4])
    assert table.probability.tolist() == pytest.approx(
        [0.9, 0.8, 2.2 / 3, 2.7 / 4], abs=1e-6
    )
    assert (np.diff(table.information) < 0).all()


@pytest.mark.parametrize("n", [1, 5, 300])
def test_the_figure_draws_both_curves(n, tmp_path):
    rng = np.random.default_rng(1)
    prediction = _prediction(rng.uniform(0.3, 0.9, n))
    figure = plot_certainty(prediction)
    (ax,) = figure.axes
    table = certainty_table(prediction)
    accuracy, probability = ax.lines[:2]
    assert accuracy.get_xdata()[-1] == n
    assert accuracy.get_ydata()[-1] == pytest.approx(table.accuracy.iloc[-1])
    assert probability.get_ydata()[-1] == pytest.approx(table.probability.iloc[-1])
    assert str(prediction.region) in ax.get_title(loc="left")
    assert all(p.stat().st_size > 1000 for p in save_figure(figure, tmp_path / "c"))
