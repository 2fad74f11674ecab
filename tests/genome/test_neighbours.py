"""Where bases lie among genes."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.genome.genes import annotation_of, gene_table
from seqexp_tf.genome.neighbours import locate

GENES = pd.DataFrame(
    [
        ("chrI", 100, 200, "+", "A"),
        ("chrI", 190, 300, "-", "B"),
        ("chrI", 120, 150, None, "C"),
        ("chrI", 2000, 2100, "+", "D"),
        ("chrII", 0, 5000, "+", "E"),
    ],
    columns=["contig", "start", "end", "strand", "label"],
)

PLACES = {
    0: "100 bp upstream of A",
    99: "1 bp upstream of A",
    100: "in A",
    119: "in A",
    130: "in A and C",
    195: "in A and B",
    199: "in A and B",
    200: "in B",
    300: "1 bp upstream of B, 1,700 bp upstream of D",
    1999: "1 bp upstream of D, 1,700 bp upstream of B",
    2100: "1 bp downstream of D",
}


def test_in_words():
    found = locate(GENES, "chrI", np.array(list(PLACES)))
    # Inside a gene, only what may be a promoter is added.
    assert dict(zip(PLACES, found.place, strict=True)) == PLACES


def test_in_columns():
    found = locate(GENES, "chrI", np.array([0, 195, 300, 2100]))
    assert found.genes.tolist() == [None, "A,B", None, None]
    assert found.left.tolist() == [None, "C", "B", "D"]
    assert found.right.tolist() == ["A", "D", "D", None]
    assert found.left_distance.tolist() == [pd.NA, 46, 1, 1]
    assert found.right_distance.tolist() == [100, 1805, 1700, pd.NA]


def test_a_promoter_within_another_gene():
    genes = GENES.assign(start=[100, 190, 120, 900, 0])[lambda t: t.label != "B"]
    found = locate(genes, "chrI", np.array([160, 199]))
    assert found.place.tolist() == [
        "in A, 740 bp upstream of D",
        "in A, 701 bp upstream of D",
    ]


@pytest.mark.parametrize("contig", ["chrI", "chrIII"])
def test_a_contig_without_genes(contig):
    found = locate(GENES.iloc[4:], contig, np.array([7, 8]))
    assert found.place.tolist() == ["no gene on the contig"] * 2
    assert found.genes.tolist() == [None, None]
    assert found.left_distance.isna().all()


def test_every_base_agrees_with_the_intervals():
    positions = np.arange(0, 2200, 7)
    found = locate(GENES, "chrI", positions)
    here = GENES[GENES.contig == "chrI"]
    for position, row in zip(positions, found.itertuples(), strict=True):
        cover = here[(here.start <= position) & (position < here.end)]
        assert (row.genes or "") == ",".join(cover.label)
        before = position - here.end[here.end <= position] + 1
        assert (row.left is None) == before.empty
        if len(before):
            assert row.left_distance == before.min()
        after = here.start[here.start > position] - position
        assert (row.right is None) == after.empty
        if len(after):
            assert row.right_distance == after.min()


def test_the_example_locus(yeast):
    sizes = {"chrIV": 1_531_933}
    path = yeast / "genome" / "ensembl_annotation.gff3.gz"
    genes = gene_table(annotation_of(path, sizes, contigs=["chrIV"]))
    # 1-based 1,469,500 (SMT3), 1,469,900 (before SDH7, which begins at 1,470,017).
    found = locate(genes, "chrIV", np.array([1_469_499, 1_469_899]))
    assert found.genes.tolist() == ["SMT3", None]
    assert found.right[1] == "SDH7"
    assert found.place[1].endswith("117 bp upstream of SDH7")
