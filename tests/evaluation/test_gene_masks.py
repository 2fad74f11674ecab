from dataclasses import replace

import numpy as np
import pytest

from seqexp_tf.evaluation.gene_masks import GeneWindow

PLUS = GeneWindow(
    gene="g1",
    name="abc",
    contig="chr1",
    start=90,
    end=110,
    strand="+",
    gene_strand="+",
    tss=100,
    split="test",
)
"""20 bases; the TSS at index 10."""

MINUS = replace(PLUS, start=91, end=111, strand="-", gene_strand="-")
"""Read from the other strand, where the TSS is at index 10, too."""


@pytest.mark.parametrize("window", [PLUS, MINUS])
def test_the_middle_of_the_array_is_the_tss(window):
    read = np.arange(20)
    genomic = window.genomic(read)
    assert genomic[window.tss - window.start] == 10
    small = window.centre(8)
    assert len(small) == 8
    # What the model reads of the middle is the middle of what it reads.
    np.testing.assert_array_equal(
        small.genomic(read[6:14]),
        genomic[small.start - window.start : small.end - window.start],
    )
    assert small.genomic(read[6:14])[small.tss - small.start] == 10


def test_distance_is_negative_upstream_on_both_strands():
    assert PLUS.distance().tolist() == list(range(-10, 10))
    assert MINUS.distance().tolist() == list(range(9, -11, -1))
    forward_only = replace(PLUS, gene_strand="-")
    assert forward_only.distance().tolist() == list(range(10, -10, -1))


@pytest.mark.parametrize("window", [PLUS, MINUS])
def test_the_promoter_is_the_middle_of_the_array(window):
    read = np.zeros(20, dtype=bool)
    read[8:12] = True
    np.testing.assert_array_equal(window.promoter(4), window.genomic(read))
    assert not window.promoter(0).any()


def test_a_window_is_cut_to_its_contig():
    window = replace(PLUS, start=-10, end=30, tss=10)
    part, inside = window.on_contig(25)
    assert (part.start, part.end, inside) == (0, 25, slice(10, 35))
    assert np.arange(40)[inside][part.tss] == 20
