"""What the CAGE recipes need besides what is downloaded."""

import gzip

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool

from seqexp_tf.genome.tracks import BigWigTrack, write_bigwig

TAGS = """\
chr2\t10\t11\tchr2:10..11,+\t3\t+
chr1\t5\t6\tx\t2\t+
chr1\t5\t6\tx\t4\t-
chr1\t9\t10\tx\t1\t+
chrUn_1\t1\t2\tx\t7\t+
"""
GENES = """\
chrom,TSS,gene_id,Gene name,Gene description,UTR5GC
X,101,G1,ABC,"a gene, its words",0.5
1,55,G2,DEF,other,0.25
"""
STRANDS = "chr1\t0\t10\tG2\t0\t-\nchrX\t50\t60\tG1\t0\t+\n"


@pytest.fixture
def tool():
    return load_tool("prepare_cage")


@pytest.fixture
def folder(tmp_path):
    for name in ("cage", "genes", "signals"):
        (tmp_path / name).mkdir()
    with gzip.open(tmp_path / "cage" / "C1.ctss.bed.gz", "wt") as stream:
        stream.write(TAGS)
    (tmp_path / "genes" / "mRNA_halflife_features.csv").write_text(GENES)
    (tmp_path / "genes" / "GeneList.TSS1kb.bed").write_text(STRANDS)
    sizes = {"chr1": 20, "chr2": 30}
    write_bigwig(tmp_path / "signals" / "s.bigWig", sizes, {"chr1": np.ones(20)})
    return tmp_path


def _run(tool, folder):
    return CliRunner().invoke(tool.command, [str(folder)])


def test_tags_by_strand_and_genes_with_strand(tool, folder, monkeypatch):
    monkeypatch.setattr(tool, "_PIECE", 8)
    done = _run(tool, folder)
    assert done.exit_code == 0, done.output
    assert "1 lines on other contigs left out" in done.output
    wanted = {
        "plus": {"chr1": {5: 2, 9: 1}, "chr2": {10: 3}},
        "minus": {"chr1": {5: 4}, "chr2": {}},
    }
    for strand, contigs in wanted.items():
        with BigWigTrack(folder / "cage" / f"C1.{strand}.bw") as track:
            for contig, tags in contigs.items():
                values = np.nan_to_num(track.values(contig, 0, track.sizes[contig]))
                assert {at: values[at] for at in values.nonzero()[0]} == tags
    genes = pd.read_csv(folder / "genes" / "genes_18377.tsv.gz", sep="\t")
    assert genes.strand.tolist() == ["+", "-"]
    assert genes.chrom.tolist() == ["X", "1"]
    assert genes.TSS.tolist() == [101, 55]
    before = (folder / "genes" / "genes_18377.tsv.gz").read_bytes()
    assert _run(tool, folder).exit_code == 0
    assert (folder / "genes" / "genes_18377.tsv.gz").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cage/C1.ctss.bed.gz", "chr1\t5\t7\tx\t2\t+\n", "chr1:5-7: expected one base"),
        ("cage/C1.ctss.bed.gz", "chr1\t5\t6\tx\t2\t.\n", "and its strand"),
        ("cage/C1.ctss.bed.gz", "chr1\t20\t21\tx\t2\t+\n", "inside the contig"),
        ("genes/GeneList.TSS1kb.bed", "chr1\t0\t1\tG2\t0\t-\n", "no strand of 1 genes"),
        ("genes/mRNA_halflife_features.csv", "a,b\n1,2\n", "not a table with gene_id"),
    ],
)
def test_bad_input_is_one_line(tool, folder, name, content, message):
    opener = gzip.open if name.endswith(".gz") else open
    with opener(folder / name, "wt") as stream:
        stream.write(content)
    done = _run(tool, folder)
    assert done.exit_code == 1
    assert message in done.output and len(done.output.splitlines()) == 1


def test_without_downloads(tool, tmp_path):
    done = _run(tool, tmp_path)
    assert done.exit_code == 1
    assert "seqexp-tf download" in done.output
