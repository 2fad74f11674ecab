"""Genes and their transcription start sites, from tables and annotations."""

import gzip

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.annotation import sequence_regions
from seqexp_tf.genome.gene_sites import (
    GeneColumns,
    annotated_gene_sites,
    read_gene_sites,
    target_values,
)

SIZES = {"chrI": 1000, "chrIV": 500}
HEADER = "gene\tcontig\ttss\tstrand\tcage\tnote"
ROWS = ("a\tchrI\t0\t+\t1.5\tx", "b\t4\t499\t-\tNA\t", "c\tIV\t7.0\t+\t3\tz")


@pytest.fixture
def table(tmp_path):
    """Writes a table of these rows and returns its path."""

    def write(*rows: str, header: str = HEADER):
        path = tmp_path / "genes.tsv"
        path.write_text("\n".join((header, *rows)) + "\n")
        return path

    return write


def test_table_as_read(table):
    genes = read_gene_sites(table(*ROWS), SIZES)
    assert list(genes) == ["gene", "name", "contig", "tss", "strand", "cage", "note"]
    assert genes.gene.tolist() == genes.name.tolist() == ["a", "b", "c"]
    assert genes.contig.tolist() == ["chrI", "chrIV", "chrIV"]
    assert genes.tss.tolist() == [0, 499, 7] and genes.tss.dtype == np.int64
    assert genes.strand.tolist() == ["+", "-", "+"]
    assert genes.cage.dtype == np.float64 and np.isnan(genes.cage[1])
    assert genes.note.tolist() == ["x", None, "z"]
    assert genes.attrs["dropped"] == {}


@pytest.mark.parametrize("base", [0, 1])
def test_the_five_prime_end_where_there_is_no_tss(table, base):
    """The table's own TSS is not the one asked for, and is left out."""
    header = "gene\tcontig\ttss\tleft\tright\tstrand"
    rows = (
        f"a\tchrI\t9\t{10 + base}\t40\t+",
        f"b\tchrI\t9\t{10 + base}\t40\t-",
        f"c\tchrI\t9\t{10 + base}\t11\t-",
    )
    columns = GeneColumns(start="left", end="right")
    path = table(*rows, header=header)
    genes = read_gene_sites(path, SIZES, columns=columns, tss_base=base)
    assert list(genes) == ["gene", "name", "contig", "tss", "strand"]
    assert genes.tss.tolist() == [10, 39, 10]


def test_bad_ends(table):
    columns = GeneColumns(start="start", end="end")
    header = "gene\tcontig\tstart\tend\tstrand"
    for ends, message in (
        ("40\t10", "line 2: gene 'a' starts at 40 and ends at 10; the start is the"),
        ("10\t10", "starts at 10 and ends at 10"),
        ("10\t", "column 'end': gene 'a' has no TSS"),
    ):
        path = table(f"a\tchrI\t{ends}\t-", header=header)
        with pytest.raises(InputError, match=message):
            read_gene_sites(path, SIZES, columns=columns)
    with pytest.raises(InputError, match="has no column 'end' for the end; near"):
        read_gene_sites(
            table(*ROWS, header=HEADER.replace("tss", "start")), SIZES, columns=columns
        )
    with pytest.raises(ConfigError, match="columns.start and columns.end go together"):
        GeneColumns(start="start")
    with pytest.raises(ConfigError, match="columns.tss is 'x' beside columns.start"):
        GeneColumns(start="start", end="end", tss="x")


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet"])
def test_other_formats_and_mapped_columns_give_the_same(table, tmp_path, form):
    names = {"gene": "id", "contig": "chrom", "tss": "TSS", "strand": "s"}
    expected = read_gene_sites(table(*ROWS), SIZES)
    frame = pd.read_csv(table(*ROWS), sep="\t").rename(columns=names)
    frame["TSS"] += 1
    frame["label"] = ["A", None, "C, with comma"]
    path = tmp_path / f"mapped.{form}"
    if form == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    columns = GeneColumns(**names, name="label")
    genes = read_gene_sites(path, SIZES, columns=columns, tss_base=1)
    assert genes.name.tolist() == ["A", "b", "C, with comma"]
    plain = ["gene", "contig", "tss", "strand", "cage"]
    pd.testing.assert_frame_equal(genes[plain], expected[plain], check_dtype=False)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("d\tchrI\t\t+\t1\t", "line 5: column 'tss': gene 'd' has no TSS"),
        ("d\tchrI\tNA\t+\t1\t", "line 5: column 'tss': gene 'd' has no TSS"),
        ("d\tchrI\t3.5\t+\t1\t", "gene 'd' has TSS '3.5'; expected a whole number"),
        ("d\tchrI\tfar\t+\t1\t", "gene 'd' has TSS 'far'; expected a whole number"),
        ("d\tchrI\t1000\t+\t1\t", "TSS chrI:1000, outside the contig, which is 0 to 9"),
        ("d\tchrI\t-1\t+\t1\t", "TSS chrI:-1, outside the contig"),
        ("d\tchrXV\t5\t+\t1\t", "line 5: gene 'd' lies on contig 'chrXV', which"),
        ("a\tIV\t5\t+\t1\t", "gene 'a' appears twice (IV:5 and chrI:0)"),
        ("\tIV\t5\t+\t1\t", "line 5: a gene without identifier"),
        ("d\tIV\t5\t.\t1\t", "line 5: gene 'd' has strand missing; expected + or -"),
        ("d\tIV\t5\tplus\t1\t", "gene 'd' has strand plus; expected + or -"),
        ("d\tIV\t5\t+", "line 5: 4 columns, but the header has 6"),
    ],
)
def test_bad_genes(table, row, message):
    path = table(*ROWS, row)
    with pytest.raises(InputError) as caught:
        read_gene_sites(path, SIZES)
    text = str(caught.value)
    assert text.startswith(f"{path}: line 5") and message in text
    assert "\n" not in text


def test_a_one_based_position_is_reported_as_written(table):
    with pytest.raises(InputError, match="TSS chrI:0, .* 1 to 1000 .counted from 1"):
        read_gene_sites(table(*ROWS), SIZES, tss_base=1)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ((), HEADER, "a header without genes"),
        (ROWS, HEADER.replace("tss", "start"), "no column 'tss' for the tss; it has"),
        (ROWS, HEADER.replace("note", "name"), "column 'name' is not the one mapped"),
        (ROWS, HEADER.replace("note", "cage"), "line 1: column 'cage' appears twice"),
        (("a\tchr9\t0\t+\t1\tx",), HEADER, "no gene lies on a contig of the genome"),
    ],
)
def test_bad_tables(table, rows, header, message):
    with pytest.raises(InputError, match=message):
        read_gene_sites(table(*rows, header=header), SIZES)


def test_unreadable_tables(tmp_path):
    (tmp_path / "empty.tsv").write_text("\n")
    (tmp_path / "text.parquet").write_text("gene\n")
    for name, message in (
        ("empty.tsv", "the table is empty"),
        ("text.parquet", "not a parquet table"),
        ("absent.parquet", "no such file"),
        ("absent.tsv", "no such file"),
    ):
        with pytest.raises(InputError, match=message):
            read_gene_sites(tmp_path / name, SIZES)


def test_unknown_contigs_can_be_dropped(table):
    path = table(*ROWS, "d\tscaffold\t5\t+\t1\t")
    genes = read_gene_sites(path, SIZES, on_missing="drop")
    assert genes.gene.tolist() == ["a", "b", "c"]
    assert genes.attrs["dropped"] == {"on a contig that the genome lacks": 1}
    genes = read_gene_sites(path, SIZES, aliases={"scaffold": "chrI"})
    assert genes.contig.tolist()[-1] == "chrI"


def test_targets(table):
    genes = read_gene_sites(table(ROWS[0], ROWS[2]), SIZES)
    for transform, expected in (
        ("none", [1.5, 3]),
        ("log10p1", np.log10([2.5, 4])),
        ("log1p", np.log([2.5, 4])),
    ):
        values = target_values(genes, "cage", transform=transform)
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "transform", "message"),
    [
        ("NA", "none", "gene 'd': target 'cage' is missing; expected a finite number"),
        ("inf", "none", "target 'cage' is inf; expected a finite number"),
        ("-2", "log1p", "target 'cage' is -2.0; expected a finite number of zero or"),
        ("high", "none", "gene 'd': target 'cage' is high; expected a finite number"),
    ],
)
def test_bad_targets(table, value, transform, message):
    path = table(ROWS[0], f"d\tIV\t5\t+\t{value}\t")
    genes = read_gene_sites(path, SIZES)
    with pytest.raises(InputError, match=message) as caught:
        target_values(genes, "cage", transform=transform, path=path)
    assert str(path) in str(caught.value)


def test_absent_target_and_transform(table):
    genes = read_gene_sites(table(*ROWS), SIZES)
    with pytest.raises(InputError, match="no target column 'cge'; nearest: cage"):
        target_values(genes, "cge")
    with pytest.raises(ConfigError, match="transform = 'sqrt'"):
        target_values(genes, "cage", transform="sqrt")


ANNOTATION = """\
##gff-version 3
chrI\tx\tgene\t101\t400\t.\t+\t.\tID=g1;Name=One;biotype=protein_coding
chrI\tx\tmRNA\t101\t200\t.\t+\t.\tID=t1;Parent=g1
chrI\tx\tmRNA\t151\t400\t.\t+\t.\tID=t2;Parent=g1
4\tx\tgene\t11\t90\t.\t-\t.\tID=g2;biotype=protein_coding
4\tx\tmRNA\t11\t80\t.\t-\t.\tID=t3;Parent=g2
chrI\tx\tncRNA_gene\t1\t9\t.\t-\t.\tID=g3;biotype=snoRNA
"""


def test_annotated_genes(tmp_path):
    path = tmp_path / "genes.gff3.gz"
    path.write_bytes(gzip.compress(ANNOTATION.encode()))
    genes = annotated_gene_sites(path, SIZES)
    assert genes.gene.tolist() == ["g1", "g2"]
    assert genes.name.tolist() == ["One", "g2"]
    assert genes.contig.tolist() == ["chrI", "chrIV"]
    # The longest transcript begins at 151 (1-based); the other ends at 80.
    assert genes.tss.tolist() == [150, 79]
    assert genes.transcript.tolist() == ["t2", "t3"]
    everything = annotated_gene_sites(path, SIZES, protein_coding=False)
    assert everything.gene.tolist() == ["g1", "g2", "g3"]
    assert everything.tss.tolist() == [150, 79, 8]


def test_transcripts_without_genes_and_biotypes(tmp_path):
    path = tmp_path / "genes.gtf"
    ids = 'gene_id "{0}"; transcript_id "{0}.{1}";'
    lines = [
        ("transcript", 1, 50, ids.format("A", 1)),
        ("transcript", 1, 90, ids.format("A", 2)),
        ("CDS", 1, 30, ids.format("A", 2)),
        ("transcript", 201, 300, ids.format("B", 1)),
    ]
    path.write_text(
        "".join(f"I\tx\t{f}\t{s}\t{e}\t.\t-\t.\t{i}\n" for f, s, e, i in lines)
    )
    genes = annotated_gene_sites(path, SIZES)
    assert genes[["gene", "tss"]].values.tolist() == [["A", 89]]
    genes = annotated_gene_sites(path, SIZES, protein_coding=False)
    assert genes[["gene", "tss"]].values.tolist() == [["A", 89], ["B", 299]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ID=g2;", "ID=g1;", "gene 'g1' appears twice"),
        ("11\t90\t.\t-", "11\t90\t.\t.", "gene 'g2' has strand missing"),
        ("400", "4000", "gene 'g1' has TSS|outside the contig"),
        ("\n4\tx", "\nscaffold\tx", "lies on contig 'scaffold'"),
        ("protein_coding", "snoRNA", "no gene of biotype protein_coding"),
    ],
)
def test_bad_annotations(tmp_path, old, new, message):
    path = tmp_path / "genes.gff3"
    text = ANNOTATION.replace(old, new)
    if new == "4000":
        text = text.replace("151\t4000\t.\t+", "151\t4000\t.\t-")
        text = text.replace("101\t4000\t.\t+", "101\t4000\t.\t-")
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        annotated_gene_sites(path, SIZES)
    assert str(path) in str(caught.value)


def test_annotation_without_genes(tmp_path):
    path = tmp_path / "repeats.gff3"
    path.write_text("chrI\tx\trepeat\t1\t9\t.\t+\t.\tID=r\n")
    with pytest.raises(InputError, match="no gene and no transcript feature"):
        annotated_gene_sites(path, SIZES)


def test_real_yeast(yeast):
    gff3 = yeast / "genome/ensembl_annotation.gff3.gz"
    sizes = sequence_regions(gff3)
    columns = GeneColumns(gene="gene_id", name="name", contig="chrom")
    table = read_gene_sites(yeast / "expression/genes.tsv.gz", sizes, columns=columns)
    assert len(table) == 6572
    assert target_values(table, "cage_rpm", transform="log1p").min() == 0
    genes = annotated_gene_sites(gff3, sizes)
    gtf = yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.96.gtf.gz"
    same = annotated_gene_sites(gtf, sizes)
    assert len(genes) == len(same) == 6600
    where = ["gene", "contig", "tss", "strand"]
    pd.testing.assert_frame_equal(genes[where], same[where])
    known = genes.set_index("gene").tss
    assert known["YDR510W"] == 1469399 and known["YIL157C"] == 47541
    # Where the table fell back on the start codon, both say the same base.
    fallen = table[table.tss_source == "cds"]
    assert (fallen.tss.to_numpy() == known[fallen.gene].to_numpy()).mean() > 0.99


def test_real_k562(k562):
    lines = (k562 / "genome/hg38.slabs.fa.gz.fai").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines}
    columns = GeneColumns("gene_id", "chrom", "TSS", "strand", "Gene name")
    genes = read_gene_sites(
        k562 / "genes/genes_full_window.tsv", sizes, columns=columns
    )
    assert len(genes) == 176
    assert genes.contig.value_counts()["chr22"] == 81
    values = target_values(genes, "K562_RAMPAGE_384bp", transform="log10p1")
    assert values.shape == (176,) and np.isfinite(values).all()
    with pytest.raises(InputError, match="'K562_RNA_TPM' is missing .and 3 more"):
        target_values(genes, "K562_RNA_TPM")
