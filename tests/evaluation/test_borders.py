"""Borders: literal cases, optimal matching, mirror images."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.borders import (
    TOLERANCES,
    BorderAgreement,
    BorderCounts,
    Borders,
    ExpressedTotal,
    bed_table,
    call_expressed,
    compare_borders,
    count_matches,
    expressed_regions,
    find_borders,
    find_runs,
    pool_agreement,
    total_expressed,
)
from seqexp_tf.records.regions import Region

POSITIONS = st.lists(st.integers(0, 60), unique=True, max_size=12).map(sorted)
CALLS = st.lists(st.booleans(), min_size=1, max_size=40).map(
    lambda values: np.array(values, dtype=bool)
)


def _bools(text):
    return np.array([letter == "1" for letter in text])


def _positions(values):
    return np.array(values, dtype=np.int64)


def test_half_is_not_expressed():
    assert call_expressed(np.array([0.5, 0.5000001, 0.0, 1.0])).tolist() == [
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_that_is_not_finite_is_refused(value):
    with pytest.raises(RunError, match=r"1 of 3 predicted p\(expressed\) are not"):
        call_expressed(np.array([0.1, value, 0.2]))


def test_runs_reach_the_edges():
    assert find_runs(_bools("1100010")).tolist() == [[0, 2], [5, 6]]
    assert find_runs(_bools("000")).tolist() == []
    assert find_runs(_bools("11")).tolist() == [[0, 2]]


def test_borders_point_in_the_direction_of_transcription():
    expressed, valid = _bools("0011100110"), _bools("1111111111")
    plus = find_borders(expressed, valid, strand="+", offset=100)
    assert plus.starts.tolist() == [102, 107]
    assert plus.ends.tolist() == [105, 109]
    minus = find_borders(expressed, valid, strand="-", offset=100)
    assert minus.starts.tolist() == [105, 109]
    assert minus.ends.tolist() == [102, 107]


def test_an_edge_is_no_border():
    # Of the region: both ends are expressed. Of what was measured: base 4 was not.
    expressed, valid = _bools("1100110011"), _bools("1111011111")
    found = find_borders(expressed, valid, strand="+")
    assert found.ends.tolist() == [2, 6]
    assert found.starts.tolist() == [8]


@given(CALLS, st.data())
def test_the_minus_strand_is_the_mirror_image(expressed, data):
    n = expressed.size
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    plus = find_borders(expressed, valid, strand="+")
    minus = find_borders(expressed[::-1], valid[::-1], strand="-")
    assert sorted(n - minus.starts) == plus.starts.tolist()
    assert sorted(n - minus.ends) == plus.ends.tolist()


@given(CALLS)
def test_runs_and_borders_rebuild_the_calls(expressed):
    rebuilt = np.zeros_like(expressed)
    for start, end in find_runs(expressed):
        rebuilt[start:end] = True
    assert (rebuilt == expressed).all()
    found = find_borders(expressed, np.ones_like(expressed), strand="+")
    inner = {*found.starts.tolist(), *found.ends.tolist()}
    assert inner == {*find_runs(expressed).ravel().tolist()} - {0, expressed.size}


@pytest.mark.parametrize(
    ("true", "predicted", "tolerance", "matched"),
    [
        ([], [5], 100, 0),
        ([5], [5], 0, 1),
        ([5], [6], 0, 0),
        ([100], [50], 50, 1),
        ([100], [49], 50, 0),
        # One partner each.
        ([10, 11, 12], [11], 5, 1),
        # The nearest pair (10, 8) would leave 0 and 18 without a partner.
        ([0, 10], [8, 18], 8, 2),
        ([0, 10, 20], [5, 15, 25], 5, 3),
    ],
)
def test_matches(true, predicted, tolerance, matched):
    arrays = _positions(true), _positions(predicted)
    assert count_matches(*arrays, tolerance) == matched


@given(POSITIONS, POSITIONS, st.integers(0, 25))
def test_no_matching_is_larger(true, predicted, tolerance):
    found = count_matches(_positions(true), _positions(predicted), tolerance)
    reach = np.abs(np.subtract.outer(true, predicted)).reshape(
        len(true), len(predicted)
    )
    reach = (reach <= tolerance).astype(int)
    rows, columns = linear_sum_assignment(reach, maximize=True)
    assert found == reach[rows, columns].sum()
    if reach.size:
        partner = maximum_bipartite_matching(csr_matrix(reach), perm_type="column")
        assert found == (partner >= 0).sum()


@given(POSITIONS, POSITIONS)
def test_matches_grow_with_the_tolerance_and_go_both_ways(true, predicted):
    left, right = _positions(true), _positions(predicted)
    counts = [count_matches(left, right, tolerance) for tolerance in range(61)]
    assert counts == sorted(counts)
    assert counts == [count_matches(right, left, t) for t in range(61)]
    assert counts[0] == len(set(true) & set(predicted))
    assert counts[-1] == min(len(true), len(predicted))


def test_ratios():
    counts = BorderCounts(true=8, predicted=4, matched=3)
    assert counts.precision == 0.75
    assert counts.recall == 0.375
    assert counts.f1 == 0.5
    assert counts.f1 == pytest.approx(2 / (1 / 0.75 + 1 / 0.375))


def test_ratios_without_borders_are_undefined():
    nothing = BorderCounts()
    assert all(map(math.isnan, (nothing.precision, nothing.recall, nothing.f1)))
    missed = BorderCounts(true=3)
    assert math.isnan(missed.precision)
    assert (missed.recall, missed.f1) == (0.0, 0.0)


def test_only_one_kind_is_compared():
    true = Borders(_positions([100]), _positions([200]))
    swapped = Borders(_positions([200]), _positions([100]))
    for agreement in compare_borders(true, swapped):
        assert agreement.both.matched == (2 if agreement.tolerance == 100 else 0)
    (exact, *_) = compare_borders(true, true)
    assert exact == BorderAgreement(0, BorderCounts(1, 1, 1), BorderCounts(1, 1, 1))
    assert [a.tolerance for a in compare_borders(true, true)] == list(TOLERANCES)


def test_pooling_adds_counts():
    first = (BorderAgreement(10, BorderCounts(2, 3, 1), BorderCounts(1, 0, 0)),)
    second = (BorderAgreement(10, BorderCounts(1, 1, 1), BorderCounts(4, 4, 2)),)
    (pooled,) = pool_agreement([first, second])
    assert pooled == BorderAgreement(10, BorderCounts(3, 4, 2), BorderCounts(5, 4, 2))
    assert pooled.both == BorderCounts(8, 8, 4)
    assert json.loads(json.dumps(pooled.to_dict()))["both"]["f1"] == 0.5


def test_totals_count_measured_bases():
    expressed, valid = _bools("1111001"), _bools("1101111")
    assert total_expressed(expressed, valid) == ExpressedTotal(bases=4, regions=3)


def test_regions_as_bed():
    p = np.array([0.9, 0.7, 0.2, 0.6, 0.1], dtype=np.float32)
    region = Region("chrI", 1000, 1005)
    found = expressed_regions(call_expressed(p), p, region, "-")
    assert [item.region for item in found] == [
        Region("chrI", 1000, 1002),
        Region("chrI", 1003, 1004),
    ]
    assert found[0].mean == pytest.approx(0.8)
    assert bed_table(found).to_numpy().tolist() == [
        ["chrI", 1000, 1002, "expressed_1", 800, "-"],
        ["chrI", 1003, 1004, "expressed_2", 600, "-"],
    ]
    assert bed_table([]).empty


@pytest.fixture(scope="module")
def labels(yeast):
    """Labels and measured bases of one contig, by strand: the archive itself."""
    meta = json.loads((yeast / "archive" / "data_meta.json").read_text())
    arrays = np.load(yeast / "archive" / "data.npz")
    whole = {"+": arrays["expressed_plus"], "-": arrays["expressed_minus"]}
    measured = arrays["valid"]
    offsets = dict(zip(meta["contigs"], meta["offsets"], strict=True))

    def cut(contig, strand, start, end):
        at = slice(offsets[contig] + start, offsets[contig] + end)
        return whole[strand][at].astype(bool), measured[at].astype(bool)

    return cut


@pytest.mark.parametrize(
    ("contig", "start", "end", "total"),
    [
        ("chrIV", 1_468_899, 1_470_947, ExpressedTotal(bases=1202, regions=2)),
        ("chrIX", 47_249, 49_297, ExpressedTotal(bases=1626, regions=1)),
    ],
)
def test_two_loci_of_yeast(labels, contig, start, end, total):
    expressed, valid = labels(contig, "+", start, end)
    assert total_expressed(expressed, valid) == total
    found = find_borders(expressed, valid, strand="+", offset=start)
    # SMT3 and SDH7 lie within chrIV's two; chrIX's one starts upstream of UBP7.
    assert found.starts.tolist() == (find_runs(expressed)[:, 0] + start).tolist()
    assert found.ends.size == (2 if contig == "chrIV" else 0)
