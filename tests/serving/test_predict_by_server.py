"""``seqexp-tf predict --server`` gives what it gives without."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli
from seqexp_tf.errors import RunError
from seqexp_tf.genome.alphabet import encode
from seqexp_tf.genome.fasta import write_fasta


@pytest.fixture
def predict(tmp_path):
    def run_it(model, *arguments):
        out = tmp_path / "out.parquet"
        words = ["predict", model, *arguments, "--out", out]
        result = CliRunner().invoke(cli, list(map(str, words)))
        if isinstance(result.exception, RunError):
            assert not out.exists()
            raise result.exception
        assert result.exit_code == 0, result.output
        return pd.read_parquet(out)

    return run_it


@pytest.fixture
def genome(tmp_path):
    rng = np.random.default_rng(2)
    dna = {"chr1": encode("".join(rng.choice(list("ACGT"), 500)))}
    write_fasta(tmp_path / "genome.fa", dna)
    base = "ACGTN"[dna["chr1"][299]]
    (tmp_path / "v.vcf").write_text(
        f"#CHROM\tPOS\tID\tREF\tALT\n1\t300\t.\t{base}\t{base}GG\n"
    )
    (tmp_path / "r.bed").write_text("1\t30\t400\n")
    return tmp_path


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_numbers_are_the_same(
    server, joint_version, gene_version, gene_folder, genome, predict, scheme
):
    fasta = ["--genome", genome / "genome.fa"]
    for version, source in [
        (joint_version, ["--bed", genome / "r.bed", *fasta]),
        (joint_version, ["--vcf", genome / "v.vcf", *fasta]),
        (gene_version, ["--split", "test", "--data", gene_folder]),
    ]:
        url = server.url(scheme, version.parent.name)
        here = predict(version, *source)
        there = predict(version.parent, *source, "--server", url)
        if "mask" in here:
            masks = (np.concatenate(list(t.pop("mask"))) for t in (here, there))
            np.testing.assert_allclose(*masks, atol=1e-5)
        pd.testing.assert_frame_equal(here, there, atol=1e-5, rtol=1e-5)


def test_a_server_that_is_down_leaves_nothing(joint_version, genome, predict):
    source = ["--bed", genome / "r.bed", "--genome", genome / "genome.fa"]
    url = "grpc://127.0.0.1:1/joint"
    with pytest.raises(RunError, match=f"^{url}: no server answers, after 1 try in"):
        predict(joint_version, *source, "--server", url, "--retries", 0)


def test_another_model_under_the_name_is_noticed(
    server, gene_version, joint_version, genome, predict
):
    source = ["--bed", genome / "r.bed", "--genome", genome / "genome.fa"]
    with pytest.raises(RunError, match="genes/1: the model there takes other inp"):
        predict(joint_version, *source, "--server", server.url("grpc", "genes"))
