"""``seqexp-tf peaks``."""

import numpy as np
import pytest

from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.tracks import write_bigwig

pytest.importorskip("MACS3")


@pytest.fixture
def files(tmp_path):
    """A bigWig and BEDPE fragments with one peak, and the FASTA of the contig."""
    signal = np.ones(20_000)
    signal[5_000:5_300] = 9
    write_bigwig(tmp_path / "a.bw", {"chrA": 20_000}, {"chrA": signal})
    rng = np.random.default_rng(0)
    starts = [*rng.integers(0, 19_000, 50), *rng.integers(5_000, 5_200, 80)]
    (tmp_path / "a.bedpe").write_text(
        "".join(f"chrA\t{start}\t{start + 100}\n" for start in starts)
    )
    write_fasta(tmp_path / "a.fa", {"chrA": np.zeros(20_000, np.uint8)})
    return tmp_path


def test_a_signal_and_fragments(call, files):
    out = files / "peaks.narrowPeak"
    code, text, _ = call("peaks", files / "a.bw", "--out", out)
    assert code == 0
    assert text == f"1 peaks over 300 bases.\nWritten:\n  {out}\n  {out}.json\n"
    genome = ("--genome", files / "a.fa")
    code, text, _ = call("peaks", files / "a.bedpe", *genome, "--out", out)
    assert code == 0 and text.startswith("1 peaks over ")
    more = ("--genome-size", 20_000, "--", "--keep-dup", "all")
    assert call("peaks", files / "a.bedpe", "--out", out, *more)[0] == 0
    assert '"--keep-dup",\n    "all"' in out.with_name(f"{out.name}.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("a.bedpe",), 2, "give either --genome or --genome-size"),
        (("a.bw", "--", "--broad"), 2, "bigWig takes no arguments after --"),
        (("absent.bw",), 1, "absent.bw: cannot be read"),
        (("a.bw", "--cutoff", "50"), 1, "lower the cutoff (50)"),
    ],
)
def test_what_is_refused(call, files, monkeypatch, arguments, code, message):
    monkeypatch.chdir(files)
    found, out, err = call("peaks", "--out", "x.narrowPeak", *arguments)
    assert found == code and out == ""
    assert message in err.splitlines()[-1] and "Traceback" not in err
    assert not (files / "x.narrowPeak").exists()
