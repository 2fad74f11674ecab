"""GFF3 and GTF annotation."""

import gzip

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import decode, reverse_complement
from seqexp_tf.genome.annotation import (
    COLUMNS,
    read_annotation,
    sequence_regions,
    transcripts,
)
from seqexp_tf.genome.fasta import pack_fasta

GFF3 = """\
##gff-version 3
##sequence-region chrI 1 1000
# a comment

chrI\tsgd\tgene\t11\t200\t.\t+\t.\tID=gene:A;Name=two%2C%20words;biotype=protein_coding
chrI\tsgd\tmRNA\t11\t200\t7.5\t+\t.\tID=t1;Parent=gene:A
chrI\tsgd\texon\t11\t200\t.\t+\t.\tParent=t1,t2
chrI\t.\tCDS\t21\t100\t.\t+\t0\tID=cds;Parent=t1;gene_id=A2
chrI\tsgd\trepeat\t300\t300\t.\t.\t.\t.
###
##FASTA
>chrI
ACGT
"""

GTF = """\
#!genome-build X
I\tsgd\tgene\t11\t200\t.\t-\t.\tgene_id "A"; gene_name "n; m"; gene_biotype "coding";
I\tsgd\ttranscript\t11\t200\t.\t-\t.\tgene_id "A"; transcript_id "A.1"; tag "x";
I\tsgd\tCDS\t21\t100\t.\t-\t2\tgene_id "A"; transcript_id "A.1"; exon_number 1;
I\tsgd\tgene\t300\t400\t.\t-\t.\tgene_id "B"; transcript_id "";
"""


def write(tmp_path, text, name="x.gff3"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_gff3(tmp_path):
    table = read_annotation(write(tmp_path, GFF3))
    assert tuple(table.columns) == COLUMNS
    assert table["start"].tolist() == [10, 10, 10, 20, 299]
    assert table["end"].tolist() == [200, 200, 200, 100, 300]
    assert table["strand"].tolist() == ["+", "+", "+", "+", None]
    assert table["phase"].tolist() == [None, None, None, 0, None]
    assert table["source"].tolist() == ["sgd", "sgd", "sgd", None, "sgd"]
    assert table["score"].isna().tolist() == [True, False, True, True, True]
    assert table["id"].tolist() == ["gene:A", "t1", None, "cds", None]
    assert table["name"].tolist() == ["two, words", None, None, None, None]
    assert table["parent"].tolist() == [None, "gene:A", "t1,t2", "t1", None]
    assert table["gene_id"].tolist() == ["gene:A", "gene:A", "gene:A", "A2", None]
    assert table["transcript_id"].tolist() == [None, "t1", "t1", "t1", None]
    assert table["biotype"].tolist() == ["protein_coding", None, None, None, None]


def test_gtf(tmp_path):
    # The content tells the format, whatever the name says.
    for name in ("x.gtf", "x.gff3"):
        table = read_annotation(write(tmp_path, GTF, name))
        assert table["id"].tolist() == ["A", "A.1", None, "B"]
        assert table["parent"].tolist() == [None, "A", "A.1", None]
        assert table["name"].tolist() == ["n; m", None, None, None]
        assert table["gene_id"].tolist() == ["A", "A", "A", "B"]
        assert table["transcript_id"].tolist() == [None, "A.1", "A.1", None]
        assert table["biotype"].tolist() == ["coding", None, None, None]
        assert table["phase"].tolist() == [None, None, 2, None]
        assert table["start"].tolist() == [10, 10, 20, 299]


def test_gzip(tmp_path):
    path = tmp_path / "x.gtf.gz"
    path.write_bytes(gzip.compress(GTF.encode()))
    plain = read_annotation(write(tmp_path, GTF, "y.gtf"))
    pd.testing.assert_frame_equal(read_annotation(path), plain)


def test_parents_in_a_circle_end(tmp_path):
    lines = ["c\ts\texon\t1\t2\t.\t+\t.\tID=a;Parent=b"]
    lines += ["c\ts\texon\t1\t2\t.\t+\t.\tID=b;Parent=a"]
    table = read_annotation(write(tmp_path, "\n".join(lines)))
    assert table["gene_id"].tolist() == [None, None]


GOOD = "chrI\tsgd\tgene\t11\t200\t.\t+\t.\tID=A"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("chrI\tsgd\tgene\t11\t200", "line 2: 5 tab-separated columns, expected 9"),
        (GOOD.replace("\t", " "), "line 2: 1 tab-separated columns"),
        (GOOD.replace("11", "x"), "line 2: start 'x' and end '200' must be whole"),
        (GOOD.replace("11", "0"), "line 2: start 0, end 200: expected 1 <= start"),
        (GOOD.replace("11", "201"), "line 2: start 201, end 200"),
        (GOOD.replace("+", "*"), r"line 2: strand '\*'"),
        (GOOD.replace("200\t.", "200\thigh"), "line 2: score 'high'"),
        (GOOD.replace("+\t.", "+\t3"), "line 2: phase '3'"),
        (GOOD.replace("chrI", ""), "line 2: an empty contig"),
    ],
)
def test_bad_lines(tmp_path, line, message):
    with pytest.raises(InputError, match=message) as caught:
        read_annotation(write(tmp_path, f"{GOOD}\n{line}\n"))
    assert "x.gff3" in str(caught.value)


@pytest.mark.parametrize("text", ["", "##gff-version 3\n", "##FASTA\n>a\nAC\n"])
def test_no_features(tmp_path, text):
    with pytest.raises(InputError, match="no feature line"):
        read_annotation(write(tmp_path, text))


def test_sequence_regions(tmp_path):
    assert sequence_regions(write(tmp_path, GFF3)) == {"chrI": 1000}
    assert sequence_regions(write(tmp_path, GTF)) == {}
    with pytest.raises(InputError, match="line 1: expected '##sequence-region"):
        sequence_regions(write(tmp_path, "##sequence-region chrI 1\n"))
    with pytest.raises(InputError, match="line 2: contig 'a' ends at 6, but at 5"):
        twice = "##sequence-region a 1 5\n##sequence-region a 1 6\n"
        sequence_regions(write(tmp_path, twice))


def test_transcripts_or_else_genes(tmp_path):
    table = read_annotation(write(tmp_path, GTF))
    expected = {"contig": "I", "start": 10, "end": 200, "strand": "-", "id": "A.1"}
    assert transcripts(table).to_dict("records") == [expected]
    genes = transcripts(table[table["feature"] == "gene"])
    assert genes["id"].tolist() == ["A", "B"]
    none = transcripts(table[table["feature"] == "CDS"])
    assert none.columns.tolist() == ["contig", "start", "end", "strand", "id"]
    assert none.empty


def test_yeast_files(yeast):
    folder = yeast / "genome"
    gtf = read_annotation(folder / "Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz")
    gff = read_annotation(folder / "ensembl_annotation.gff3.gz")
    assert (gtf["feature"] == "gene").sum() == 7036
    assert len(transcripts(gtf)) == len(transcripts(gff)) == 7036
    ours, theirs = (
        transcripts(table).set_index("id").sort_index() for table in (gtf, gff)
    )
    for column in ("start", "end", "strand"):
        np.testing.assert_array_equal(ours[column], theirs[column])
    coding = gtf[(gtf["feature"] == "gene") & (gtf["biotype"] == "protein_coding")]
    assert len(coding) == 6600
    assert gff["gene_id"].notna().all()
    smt3 = gtf[(gtf["feature"] == "gene") & (gtf["gene_id"] == "YDR510W")].iloc[0]
    place = (smt3["contig"], smt3["start"], smt3["end"], smt3["strand"])
    assert place == ("IV", 1469399, 1469705, "+")
    named = gff.loc[(gff["feature"] == "gene") & (gff["gene_id"] == "YDR510W"), "name"]
    assert named.tolist() == ["SMT3"]
    assert len(sequence_regions(folder / "ensembl_annotation.gff3.gz")) == 17

    tif = read_annotation(folder / "tifseq_abundant_transcripts.gff.gz")
    assert (tif["source"] == "SGD").sum() == 4818
    assert transcripts(tif)["id"].iloc[0] == "YAL001C_tx0"


def test_yeast_start_codons_read_atg(yeast, tmp_path):
    folder = yeast / "genome"
    name = "Saccharomyces_cerevisiae.R64-1-1"
    genome = pack_fasta(folder / f"{name}.dna.toplevel.fa.gz", tmp_path)
    table = read_annotation(folder / f"{name}.96.gtf.gz")
    codons = table[table["feature"] == "start_codon"]
    # Four codons are broken by an intron and have two rows each.
    codons = codons[codons["end"] - codons["start"] == 3]
    count = 0
    for row in codons.itertuples():
        bases = genome.fetch(row.contig, row.start, row.end)
        count += (
            decode(bases if row.strand == "+" else reverse_complement(bases)) == "ATG"
        )
    assert (count, len(codons)) == (6586, 6593)
