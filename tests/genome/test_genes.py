"""Genes and reading frames on the contigs of a genome."""

import json

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.genes import (
    annotation_of,
    gene_table,
    open_reading_frames,
    with_utrs,
)
from seqexp_tf.genome.intervals import interval_mask

SIZES = {"chrI": 1000, "chrII": 500, "chrVI": 300}

GFF3 = """\
##gff-version 3
##sequence-region I 1 1000
I\tx\tgene\t101\t400\t.\t+\t.\tID=gene:A;Name=SMT3;gene_id=YA
I\tx\tmRNA\t101\t400\t.\t+\t.\tID=A1;Parent=gene:A
I\tx\tCDS\t121\t180\t.\t+\t0\tID=c;Parent=A1
I\tx\tCDS\t221\t380\t.\t+\t0\tID=c;Parent=A1
II\tx\tgene\t11\t100\t.\t-\t.\tID=gene:B;gene_id=YB
II\tx\tmRNA\t11\t100\t.\t-\t.\tID=B1;Parent=gene:B
II\tx\tCDS\t11\t97\t.\t-\t0\tParent=B1
II\tx\tpseudogene\t201\t300\t.\t.\t.\tID=C
VI\tx\tregion\t1\t300\t.\t.\t.\tID=r
"""

GTF = """\
chrII\tx\tgene\t11\t100\t.\t-\t.\tgene_id "YB"; gene_name "COA1";
chrII\tx\ttranscript\t11\t100\t.\t-\t.\tgene_id "YB"; transcript_id "B1";
chrII\tx\tCDS\t14\t100\t.\t-\t0\tgene_id "YB"; transcript_id "B1";
chrII\tx\tstop_codon\t11\t13\t.\t-\t0\tgene_id "YB"; transcript_id "B1";
"""


def _written(tmp_path, text, name="genes.gff3"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_reading_frames_span_introns(tmp_path):
    table = annotation_of(_written(tmp_path, GFF3), SIZES, contigs=["chrI", "chrII"])
    assert open_reading_frames(table).to_numpy().tolist() == [
        ["chrI", 120, 380, "+", "A1"],
        ["chrII", 10, 97, "-", "B1"],
    ]


def test_the_stop_codon_of_a_gtf_belongs_to_the_frame(tmp_path):
    path = _written(tmp_path, GTF, "genes.gtf")
    table = annotation_of(path, SIZES, contigs=["chrII"])
    assert open_reading_frames(table).to_numpy().tolist() == [
        ["chrII", 10, 100, "-", "B1"]
    ]
    assert gene_table(table).label.tolist() == ["COA1"]


def test_genes_are_named_by_what_is_known(tmp_path):
    table = annotation_of(_written(tmp_path, GFF3), SIZES, contigs=["chrI", "chrII"])
    assert gene_table(table).to_numpy().tolist() == [
        ["chrI", 100, 400, "+", "SMT3"],
        ["chrII", 10, 100, "-", "YB"],
        ["chrII", 200, 300, None, "C"],
    ]


def test_frames_stand_in_for_genes(tmp_path):
    lines = [line for line in GFF3.splitlines(True) if "gene\t" not in line]
    table = annotation_of(
        _written(tmp_path, "".join(lines)), SIZES, contigs=["chrI", "chrII"]
    )
    assert gene_table(table).label.tolist() == ["A1", "B1"]


def test_utrs_lie_before_and_after_along_the_strand():
    frames = pd.DataFrame(
        [
            ("chrI", 300, 400, "+", "a"),
            ("chrI", 300, 400, "-", "b"),
            ("chrI", 20, 30, "+", "c"),
        ],
        columns=["contig", "start", "end", "strand", "id"],
    )
    assert with_utrs(frames).to_numpy().tolist() == [
        ["chrI", 240, 550, "+", "a"],
        ["chrI", 150, 460, "-", "b"],
        ["chrI", 0, 180, "+", "c"],
    ]


def test_only_the_wanted_contigs_are_kept(tmp_path):
    table = annotation_of(_written(tmp_path, GFF3), SIZES, contigs=["chrVI"])
    assert table.contig.unique().tolist() == ["chrVI"]
    assert open_reading_frames(table).empty
    assert gene_table(table).empty


def test_a_contig_without_a_feature_may_be_declared(tmp_path):
    path = _written(tmp_path, "##sequence-region II 1 500\n" + GFF3.split("II\t")[0])
    assert annotation_of(path, SIZES, contigs=["chrII"]).empty


def test_contigs_that_do_not_match_name_both_sides(tmp_path):
    path = _written(tmp_path, "scaffold_1\tx\tgene\t1\t5\t.\t+\t.\tID=a\n")
    with pytest.raises(InputError) as error:
        annotation_of(path, SIZES, contigs=["chrI", "chrII"])
    assert str(error.value) == (
        f"{path}: no contig here is chrI, chrII of the dataset; its features are on "
        "scaffold_1; give the annotation of the same genome"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no feature line"),
        ("##gff-version 3\n# nothing\n", "no feature line"),
        (
            GFF3.replace("I 1 1000", "I 1 1200"),
            "'I' has 1,200 bases, but chrI has 1,000 in the dataset",
        ),
        (
            GFF3.replace("\t380\t", "\t1380\t"),
            "a feature ends at chrI:1,380, but chrI has 1,000 bases",
        ),
        (GFF3.replace("\t121\t", "\tx\t"), "line 5: start 'x'"),
    ],
)
def test_bad_annotation(tmp_path, text, message):
    path = _written(tmp_path, text)
    with pytest.raises(InputError, match=message) as error:
        annotation_of(path, SIZES, contigs=["chrI"])
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("ensembl_annotation.gff3.gz", {"chrIV": 0.8509, "chrIX": 0.8287}),
        # With the stop codons, which this GTF has apart from the CDS.
        ("*.96.gtf.gz", {"chrIV": 0.8515, "chrIX": 0.8292}),
    ],
)
def test_reading_frames_say_what_is_expressed(yeast, name, accuracy):
    meta = json.loads((yeast / "archive" / "data_meta.json").read_text())
    sizes = dict(zip(meta["contigs"], meta["lengths"], strict=True))
    offsets = dict(zip(meta["contigs"], meta["offsets"], strict=True))
    (path,) = (yeast / "genome").glob(name)
    frames = open_reading_frames(annotation_of(path, sizes, contigs=accuracy))
    arrays = np.load(yeast / "archive" / "data.npz")
    labels = {"+": arrays["expressed_plus"], "-": arrays["expressed_minus"]}
    valid = arrays["valid"]
    for contig, expected in accuracy.items():
        at = slice(offsets[contig], offsets[contig] + sizes[contig])
        right = []
        for strand, values in labels.items():
            rows = frames[(frames.contig == contig) & (frames.strand == strand)]
            called = interval_mask(
                rows.start.to_numpy(), rows.end.to_numpy(), 0, sizes[contig]
            )
            right.append((called == values[at])[valid[at] == 1])
        assert np.concatenate(right).mean() == pytest.approx(expected, abs=5e-5)
        # Of each base on its own, as it is usually quoted: 0.851 and 0.830.
        assert expected == pytest.approx(
            {"chrIV": 0.851, "chrIX": 0.830}[contig], abs=0.0015
        )


def test_declared_contigs_do_not_excuse_features_of_another_genome(tmp_path):
    text = "##sequence-region I 1 1000\nscaffold_1\tx\tgene\t1\t5\t.\t+\t.\tID=a\n"
    with pytest.raises(InputError, match="its features are on scaffold_1"):
        annotation_of(_written(tmp_path, text), SIZES, contigs=["chrI"])
