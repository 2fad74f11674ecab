import gzip
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.gene_masks import GeneWindow
from seqexp_tf.evaluation.links import read_links

SIZES = {"chr1": 1000, "chr2": 500}
GENES = pd.DataFrame({"gene": ["ENSG01", "ENSG02"], "name": ["abc", "xyz"]})
WINDOW = GeneWindow(
    gene="ENSG01",
    name="abc",
    contig="chr1",
    start=100,
    end=300,
    strand="+",
    gene_strand="+",
    tss=200,
    split="test",
)
OTHER = replace(WINDOW, gene="ENSG02", name="xyz")


def _read(path, text):
    path.write_text(text)
    return read_links(path, sizes=SIZES, genes=GENES)


def _where(mask, start=100):
    return (np.flatnonzero(mask) + start).tolist()


def test_bed_counts_for_every_gene_whose_window_it_lies_in(tmp_path):
    links = _read(tmp_path / "a.bed", "track name=x\n1\t95\t103\tp\nchr2\t120\t130\n")
    assert not links.by_gene
    for window in (WINDOW, OTHER):
        assert _where(links.positives(window)) == [100, 101, 102]
    assert not links.positives(replace(WINDOW, start=110)).any()


def test_a_table_counts_for_its_gene_alone(tmp_path):
    links = _read(
        tmp_path / "a.tsv",
        "#chr\tstart\tend\tTargetGene\tTargetGeneEnsembl_ID\n"
        "chr1\t120\t123\tabc\tENSG01.7\n"
        "chr1\t150\t152\tother\tENSG02\n"
        "chr1\t160\t162\tforeign\tENSG99\n"
        "chr7\t1\t2\tabc\tENSG01\n",
    )
    assert links.by_gene
    assert _where(links.positives(WINDOW)) == [120, 121, 122]
    assert _where(links.positives(OTHER)) == [150, 151]
    assert links.skipped == {
        "contigs the dataset lacks": 1,
        "genes the dataset lacks": 1,
    }
    # An element of a foreign gene stays a candidate for the others.
    found = links.candidates(WINDOW)
    assert found.start.tolist() == [120, 150, 160]
    assert found.positive.tolist() == [True, False, False]


def test_names_serve_where_there_is_no_identifier(tmp_path):
    links = _read(tmp_path / "a.tsv", "chrom\tstart\tend\tgene\nchr1\t1\t200\tabc\n")
    assert links.positives(WINDOW).sum() == 100
    found = links.candidates(WINDOW)
    assert found.to_numpy().tolist() == [[100, 200, True]]


def test_candidates_have_their_middle_in_the_window(tmp_path):
    text = "contig\tstart\tend\tgene\nchr1\t50\t110\tabc\nchr1\t280\t340\tabc\n"
    links = _read(tmp_path / "a.tsv", text + "chr1\t290\t310\tabc\n")
    # Middles at 80, 310 and 300.
    assert links.candidates(WINDOW).empty
    assert links.candidates(replace(WINDOW, end=301)).start.tolist() == [290]


def test_tested_and_inactive_pairs_are_candidates(tmp_path):
    links = _read(
        tmp_path / "a.tsv",
        "chrom\tchromStart\tchromEnd\tmeasuredGeneSymbol\tRegulated\n"
        "chr1\t120\t130\tabc\tTRUE\nchr1\t140\t150\tabc\tFALSE\n",
    )
    assert links.candidates(WINDOW).positive.tolist() == [True, False]
    assert _where(links.positives(WINDOW)) == list(range(120, 130))


def test_a_simulation_s_truth(tmp_path):
    heading = "element\tkind\tparent\tcontig\tstart\tend\tgene\teffect\n"
    links = _read(
        tmp_path / "elements.tsv",
        heading + "a\tpromoter_motif\tENSG01\tchr1\t190\t195\tENSG01\t0.5\n"
        "b\ttata\tENSG01\tchr1\t180\t185\tENSG01\t0.9\n"
        "c\tenhancer\tc\tchr1\t110\t120\tENSG01\t0.2\n"
        "d\tenhancer\td\tchr1\t130\t140\tENSG02\t0.2\n"
        "e\tdecoy\te\tchr1\t150\t160\t\t0\n"
        "f\tenhancer_motif\tc\tchr1\t112\t114\tENSG01\t0.2\n"
        "g\tenhancer\tg\tchr1\t250\t260\tENSG01\t0\n",
    )
    assert _where(links.positives(WINDOW)) == [*range(110, 120), *range(190, 195)]
    found = links.candidates(WINDOW)
    assert found.start.tolist() == [110, 130, 150, 190, 250]
    assert found.positive.tolist() == [True, False, False, True, False]


def test_gzip_is_told_by_content(tmp_path):
    path = tmp_path / "a.tsv.gz"
    text = "chr\tstart\tend\tgene\nchr1\t120\t123\tabc\n"
    path.write_bytes(gzip.compress(text.encode()))
    links = read_links(path, sizes=SIZES, genes=GENES)
    assert links.positives(WINDOW).sum() == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no element in it"),
        ("# nothing\n", "no element in it"),
        ("chr\tstart\tend\tgene\n", "no element in it"),
        ("chr9\t1\t5\n", "no contig of it is in the dataset (the first is 'chr9')"),
        (
            "chr\tstart\tend\tgene\nchr1\t1\t5\tqqq\n",
            "none of its 1 links is of a gene",
        ),
        ("chr\tstart\tend\tscore\nchr1\t1\t5\t2\n", "no column names the gene"),
        ("chr\tstart\tend\tgene\nchr1\t1\t5\n", "line 2: 3 columns, the heading has 4"),
        (
            "chr\tstart\tend\tgene\nchr1\tx\t5\tabc\n",
            "line 2: position 'x' is no number",
        ),
        (
            "chr\tstart\tend\tgene\nchr1\t7\t5\tabc\n",
            "line 2: start 7, end 5: expected 0 <= start <= end",
        ),
        (
            "chr\tstart\tend\tgene\tRegulated\nchr1\t1\t5\tabc\tmaybe\n",
            "line 2: Regulated is 'maybe'; expected true or false",
        ),
        ("chr1\tfive\t9\n", "line 1: start 'five' and end '9' must be whole numbers"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        _read(tmp_path / "links", text)
    assert message in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "links"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "positives", "candidates"),
    [
        ("EnhancerPredictionsFull_threshold0.027_self_promoter.tsv.gz", 215, 1208),
        ("encode_re2g_dhs_intact_hic_threshold0.243.tsv.gz", 1558, 6666),
    ],
)
def test_the_real_tables_of_abc_and_re2g(k562, name, positives, candidates):
    genes = pd.read_csv(k562 / "genes" / "genes_full_window.tsv", sep="\t")
    genes = genes.rename(columns={"gene_id": "gene", "Gene name": "name"})
    genes = genes[genes.K562_RNA_TPM.notna()]
    links = read_links(
        k562 / "reference" / name, sizes={"chr22": 50_818_468}, genes=genes
    )
    assert links.by_gene
    assert links.elements.gene.notna().sum() == positives
    assert len(links.elements) == candidates
    assert list(links.skipped) == ["genes the dataset lacks"]
