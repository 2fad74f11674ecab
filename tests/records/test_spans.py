"""Stretches of genome under windows."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.regions import Region
from seqexp_tf.records.spans import (
    blocks,
    merge,
    stored_parts,
    stored_spans,
    uncovered,
)

REGIONS = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.integers(1, 15)).map(
        lambda values: Region(values[0], values[1], values[1] + values[2])
    ),
    max_size=8,
)


def test_windows_are_merged_by_contig(joint_store):
    # Windows of 128 bp, stride 64: the last bases of each contig have none.
    assert stored_spans(joint_store) == [
        Region("chrA", 0, 5952),
        Region("chrB", 0, 1472),
        Region("chrC", 0, 1472),
    ]
    assert stored_spans(joint_store, "test") == [Region("chrC", 0, 1472)]
    with pytest.raises(DatasetError, match="no split 'tets'"):
        stored_spans(joint_store, "tets")


@given(REGIONS, REGIONS)
def test_what_is_uncovered_is_the_rest(regions, spans):
    for region in regions:
        bases = {(region.contig, at) for at in range(region.start, region.end)}
        for span in spans:
            bases -= {(span.contig, at) for at in range(span.start, span.end)}
        gaps = uncovered(region, spans)
        assert gaps == merge(gaps)
        found = [(gap.contig, at) for gap in gaps for at in range(gap.start, gap.end)]
        assert set(found) == bases and len(found) == len(bases)


@given(REGIONS)
def test_merged_regions_cover_the_same_bases(regions):
    def cover(items):
        mask = np.zeros((2, 60), dtype=bool)
        for item in items:
            mask["ab".index(item.contig), item.start : item.end] = True
        return mask

    merged = merge(regions)
    assert (cover(merged) == cover(regions)).all()
    for left, right in itertools.pairwise(merged):
        assert left.contig < right.contig or left.end < right.start


def test_parts_are_what_windows_cover(joint_store):
    asked = [
        Region("chrC", 1400, 1500),
        Region("chrA", 50, 70),
        Region("chrA", 0, 60),
    ]
    assert stored_parts(joint_store, asked) == [
        Region("chrA", 0, 70),
        Region("chrC", 1400, 1472),
    ]
    with pytest.raises(DatasetError, match="no window lies on chrA:5,953-6,000"):
        stored_parts(joint_store, [Region("chrA", 5952, 6000)])


def test_blocks_join_to_the_region():
    region = Region("x", 5, 28)
    assert list(blocks(region, 10)) == [
        Region("x", 5, 15),
        Region("x", 15, 25),
        Region("x", 25, 28),
    ]
    assert list(blocks(region, 100)) == [region]
