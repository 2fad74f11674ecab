from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import ConfigError
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.interpretation.elements import (
    COLUMNS,
    Selection,
    element_table,
    learnt,
    mask_ratio,
    model_selection,
    signed_distance,
)
from seqexp_tf.models.mask_config import MaskConfig

WINDOW = GeneWindow(
    gene="g1",
    name="abc",
    contig="chr1",
    start=1000,
    end=1012,
    strand="+",
    gene_strand="+",
    tss=1006,
    split="test",
)
MASK = np.array([0.9, 0.7, 0, 0.2, 0, 0, 0.5, 0, 0, 0.6, 0.8, 1.0], dtype=np.float32)


def _runs(mask, **options):
    selection = Selection(**{"fraction": None, **options})
    return selection.runs(np.asarray(mask, dtype=np.float32)).tolist()


def test_threshold_joins_and_lengths():
    assert _runs(MASK, threshold=0.5) == [[0, 2], [6, 7], [9, 12]]
    assert _runs(MASK, threshold=0.5, max_gap=2) == [[0, 2], [6, 12]]
    assert _runs(MASK, threshold=0.5, max_gap=4) == [[0, 12]]
    assert _runs(MASK, threshold=0.5, min_length=2) == [[0, 2], [9, 12]]
    assert _runs(MASK, threshold=0.5, max_gap=2, min_length=3) == [[6, 12]]


def test_fraction_takes_the_highest_and_ties_together():
    assert _runs(MASK, fraction=0.25) == [[0, 1], [10, 12]]
    tied = [0.1, 0.5, 0.5, 0.5, 0.2, 0.1, 0.1, 0.1]
    assert _runs(tied, fraction=0.25) == [[1, 4]]


def _kept(start, end):
    kept = np.zeros(MASK.shape, dtype=bool)
    kept[start:end] = True
    return kept


def test_the_promoter_is_neither_ranked_nor_joined_across():
    # The highest quarter of the nine bases outside it, not of the twelve.
    selection = Selection(fraction=0.25, max_gap=12)
    assert selection.runs(MASK, _kept(9, 12)).tolist() == [[0, 2]]
    # [0, 2) and [9, 12) would be joined, were the promoter not between them.
    selection = Selection(threshold=0.5, fraction=None, max_gap=12)
    assert selection.runs(MASK, _kept(6, 7)).tolist() == [[0, 2], [9, 12]]
    # What reaches into the promoter ends there.
    assert selection.runs(MASK, _kept(10, 11)).tolist() == [[0, 10], [11, 12]]
    assert selection.runs(MASK, np.ones(12, dtype=bool)).tolist() == []
    assert Selection().runs(MASK, np.ones(12, dtype=bool)).tolist() == []


def test_a_mask_that_is_the_same_outside_the_promoter_selects_nothing():
    mask = np.where(_kept(4, 8), 1.0, 0.3).astype(np.float32)
    assert Selection(fraction=0.5).runs(mask, _kept(4, 8)).tolist() == []


def test_a_fraction_of_a_mask_of_zeros_and_ones_is_its_ones():
    assert _runs([0, 0, 1, 0, 0, 0, 0, 0], fraction=0.5) == [[2, 3]]
    assert _runs([1, 1, 1, 0], fraction=0.25) == [[0, 3]]


@pytest.mark.parametrize("value", [0.0, 0.4])
def test_a_mask_that_is_the_same_everywhere_has_no_highest_share(value):
    assert _runs(np.full(50, value), fraction=0.1) == []
    assert _runs(np.full(50, value), threshold=0.3) == ([[0, 50]] if value else [])


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 10), min_size=2, max_size=60),
    st.floats(0.05, 0.95),
)
def test_a_fraction_selects_at_least_its_share_unless_zeros_are_in_it(values, fraction):
    mask = np.array(values, dtype=np.float32) / 10
    selected = Selection(fraction=fraction).bases(mask)
    if mask.max() == mask.min():
        assert not selected.any()
        return
    wanted = max(round(fraction * mask.size), 1)
    assert selected.sum() >= min(wanted, (mask > 0).sum())
    assert not selected[mask == 0].any()
    if (~selected).any() and selected.any():
        assert mask[selected].min() > mask[~selected].max()


def test_distances_by_strand():
    starts, ends = np.array([90, 98, 100, 101, 110]), np.array([95, 101, 101, 105, 120])
    edge, centre = signed_distance(starts, ends, tss=100, strand="+")
    assert edge.tolist() == [-6, 0, 0, 1, 10]
    assert centre.tolist() == [-8, -1, 0, 2.5, 14.5]
    edge, centre = signed_distance(starts, ends, tss=100, strand="-")
    assert edge.tolist() == [6, 0, 0, -1, -10]
    assert centre.tolist() == [8, 1, 0, -2.5, -14.5]


def test_table_of_a_gene_by_hand():
    table = element_table(
        GeneMask(window=WINDOW, mask=MASK), Selection(threshold=0.5, fraction=None)
    )
    assert list(table.columns) == list(COLUMNS)
    assert table.start.tolist() == [1000, 1006, 1009]
    assert table.end.tolist() == [1002, 1007, 1012]
    np.testing.assert_allclose(table.score, [0.8, 0.5, 0.8], rtol=1e-6)
    np.testing.assert_allclose(table["max"], [0.9, 0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(table.area, [1.6, 0.5, 2.4], rtol=1e-6)
    assert table.distance.tolist() == [-5, 0, 3]
    assert table.centre_distance.tolist() == [-5.5, 0, 4]
    assert table.length.tolist() == [2, 1, 3]
    assert set(table.gene) == {"g1"} and set(table.name) == {"abc"}


def test_table_names_the_promoter():
    mask = np.where(WINDOW.promoter(4), 1.0, MASK)
    gene = GeneMask(window=WINDOW, mask=mask)
    selection = Selection(threshold=0.5, fraction=None, promoter=4)
    table = element_table(gene, selection)
    # Bases 4 to 7 around the TSS are a row of their own.
    assert table.start.tolist() == [1000, 1004, 1009]
    assert table.end.tolist() == [1002, 1008, 1012]
    assert table.kind.tolist() == ["learnt", "promoter", "learnt"]
    assert table.distance.tolist() == [-5, 0, 3]
    assert learnt(table).start.tolist() == [1000, 1009]


def test_distance_follows_the_gene_whatever_the_orientation_of_the_arrays():
    minus = replace(WINDOW, gene_strand="-")
    selection = Selection(threshold=0.5, fraction=None)
    for strand in "+-":
        window = replace(minus, strand=strand)
        table = element_table(GeneMask(window=window, mask=MASK), selection)
        assert table.distance.tolist() == [5, 0, -3]
        assert set(table.strand) == {"-"}


def test_no_elements_give_an_empty_table_of_the_same_columns():
    zero = GeneMask(window=WINDOW, mask=np.zeros(12, dtype=np.float32))
    table = element_table(zero, Selection())
    assert table.empty
    assert list(table.columns) == list(COLUMNS)


def test_mask_ratio():
    assert mask_ratio(MASK) == pytest.approx(6 / 12)
    assert mask_ratio(np.zeros(4)) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.5}, "by threshold or by fraction, one of the two"),
        ({"fraction": None}, "by threshold or by fraction, one of the two"),
        ({"fraction": None, "threshold": 0.0}, "threshold is 0.0"),
        ({"fraction": None, "threshold": 1.5}, "threshold is 1.5"),
        ({"fraction": 1.0}, "fraction is 1.0"),
        ({"max_gap": -1}, "max_gap is -1"),
        ({"min_length": 0}, "min_length is 0"),
    ],
)
def test_bad_selections_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Selection(**options)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "soft",
            "the 10 % of each window outside the promoter whose mask is highest",
        ),
        ("hard", "bases whose mask is at least 0.7"),
        ("packed", "bases whose mask is at least 0.7"),
        ("given", "bases whose mask is at least 0.5"),
        ("run", "bases whose mask is at least 0.5"),
    ],
)
def test_what_a_model_s_own_mask_selects(kind, words):
    run = "folder" if kind == "run" else None
    mask = MaskConfig(kind=kind, threshold=0.7, run=run)
    joined = ", joined over gaps of up to 10 bp, of 10 bp or more"
    assert model_selection(mask).describe() == words + joined
    bare = replace(mask, promoter=0)
    asked = model_selection(bare, fraction=0.25, max_gap=5, min_length=20)
    assert asked.describe() == (
        "the 25 % of each window whose mask is highest, joined over gaps of up to "
        "5 bp, of 20 bp or more"
    )
    assert model_selection(mask, threshold=0.2).threshold == 0.2
