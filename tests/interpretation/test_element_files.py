from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.interpretation.element_files import (
    GENE_COLUMNS,
    STEP,
    GenomeMaximum,
    gene_row,
    join_elements,
    write_elements_bed,
    write_gene_bigwig,
    write_table,
)
from seqexp_tf.interpretation.elements import COLUMNS, Selection, element_table

SIZES = {"chr2": 400, "chr10": 300}
WINDOW = GeneWindow(
    gene="g1",
    name="abc",
    contig="chr2",
    start=100,
    end=150,
    strand="+",
    gene_strand="+",
    tss=125,
    split="test",
)


def _gene(start, values, **changes):
    window = replace(WINDOW, start=start, end=start + len(values), **changes)
    return GeneMask(
        window=window,
        mask=np.asarray(values, dtype=np.float32),
        prediction=1.5,
        target=2.0,
    )


def test_the_genome_view_is_the_maximum_over_genes(tmp_path):
    rng = np.random.default_rng(0)
    genes = [
        _gene(100, rng.random(50)),
        _gene(120, rng.random(60), gene="g2"),
        _gene(250, [0.0, 0.0, 1.0], gene="g3"),
        _gene(0, rng.random(300), gene="g4", contig="chr10"),
    ]
    path = tmp_path / "mask.bw"
    with GenomeMaximum(SIZES, tmp_path) as maximum:
        for gene in genes:
            maximum.add(gene)
        maximum.write(path)
    expected = np.full(400, np.nan)
    for gene in genes[:3]:
        here = slice(gene.window.start, gene.window.end)
        expected[here] = np.fmax(expected[here], gene.mask)
    with BigWigTrack(path) as track:
        assert track.sizes == SIZES
        np.testing.assert_allclose(
            track.values("chr2", 0, 400), expected, atol=STEP / 2 + 1e-7
        )
        np.testing.assert_allclose(
            track.values("chr10", 0, 300), genes[3].mask, atol=STEP / 2 + 1e-7
        )
    assert [entry.name for entry in tmp_path.iterdir()] == ["mask.bw"]


def test_a_genome_view_without_genes_is_refused(tmp_path):
    with GenomeMaximum(SIZES, tmp_path) as maximum, pytest.raises(InputError):
        maximum.write(tmp_path / "mask.bw")


def test_the_bigwig_of_one_gene(tmp_path):
    gene = _gene(100, np.linspace(0, 1, 50))
    write_gene_bigwig(tmp_path / "g.bw", gene, SIZES)
    with BigWigTrack(tmp_path / "g.bw") as track:
        values = track.values("chr2", 0, 400)
    np.testing.assert_allclose(values[100:150], gene.mask, atol=STEP / 2 + 1e-7)
    assert np.isnan(values[:100]).all() and np.isnan(values[150:]).all()


def test_elements_are_joined_in_genome_order_and_read_back(tmp_path):
    selection = Selection(threshold=0.5, fraction=None)
    tables = [
        element_table(_gene(0, [0.9, 0.1], contig="chr10", gene="b"), selection),
        element_table(_gene(100, [0, 0.5, 0.7, 0], gene="c", name="cee"), selection),
        element_table(_gene(90, [0.6, 0], gene="d", name="dee"), selection),
        element_table(_gene(90, [0.0, 0]), selection),
    ]
    joined = join_elements(tables, SIZES)
    assert joined.gene.tolist() == ["d", "c", "b"]
    write_elements_bed(tmp_path / "e.bed", joined)
    bed = read_bed(tmp_path / "e.bed")
    assert bed[["contig", "start", "end"]].to_numpy().tolist() == [
        ["chr2", 90, 91], ["chr2", 101, 103], ["chr10", 0, 1],
    ]  # fmt: skip
    assert bed.name.tolist() == ["dee", "cee", "abc"]
    assert bed.score.tolist() == [600, 600, 900]
    assert bed.strand.tolist() == ["+", "+", "+"]
    write_table(tmp_path / "e.tsv", joined)
    again = pd.read_csv(tmp_path / "e.tsv", sep="\t")
    assert list(again.columns) == list(COLUMNS)
    np.testing.assert_allclose(again.score, joined.score.astype(float), rtol=1e-6)


def test_no_element_anywhere_writes_empty_files(tmp_path):
    joined = join_elements([], SIZES)
    write_elements_bed(tmp_path / "e.bed", joined)
    write_table(tmp_path / "e.tsv", joined)
    assert (tmp_path / "e.bed").read_text() == ""
    assert (tmp_path / "e.tsv").read_text().split() == list(COLUMNS)


def test_row_of_a_gene():
    gene = _gene(100, [0.2, 0.5, 0.7, 0])
    selection = Selection(threshold=0.5, fraction=None)
    row = gene_row(gene, element_table(gene, selection))
    assert tuple(row) == GENE_COLUMNS
    assert row["mask_ratio"] == 0.5
    assert row["mask_mean"] == pytest.approx(0.35)
    assert (row["elements"], row["selected"]) == (1, 2)
    assert (row["prediction"], row["target"]) == (1.5, 2.0)
