"""The archive tool against the real archive and on small made-up inputs."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.alphabet import encode
from seqexp_tf.genome.archive import read_archive
from seqexp_tf.genome.tracks import write_bigwig


@pytest.fixture(scope="module")
def tool():
    return load_tool("make_archive")


@pytest.fixture
def sample(tmp_path):
    """Two contigs, ``I`` with an N at 20, ``II``; tracks name them ``chrI``..."""
    first, second = "ACGT" * 10, "GGCC" * 8
    first = first[:20] + "N" + first[21:]
    with gzip.open(tmp_path / "genome.fa.gz", "wt") as stream:
        stream.write(f">I one\n{first}\n>II\n{second}\n")
    sizes = {"chrI": 40, "chrII": 32}
    plus = {"chrI": np.zeros(40, np.float32), "chrII": np.full(32, np.nan, np.float32)}
    plus["chrI"][5:10] = [1.0, 2.0, 2.5, 3.0, np.nan]
    plus["chrII"][0] = 9.0
    minus = {"chrI": np.zeros(40, np.float32), "chrII": np.full(32, 7.0, np.float32)}
    write_bigwig(tmp_path / "plus.bw", sizes, plus)
    write_bigwig(tmp_path / "minus.bw", sizes, minus)
    return {
        "fasta": tmp_path / "genome.fa.gz",
        "plus": tmp_path / "plus.bw",
        "minus": tmp_path / "minus.bw",
        "threshold": 2.0,
        "window": 8,
        "stride": 4,
    }, (first, second)


def _read(folder):
    return read_archive(
        folder / "data.npz",
        folder / "regions.parquet",
        meta=folder / "data_meta.json",
    )


def test_arrays_and_windows_of_a_small_sample(tool, sample, tmp_path):
    options, (first, second) = sample
    tool.make_archive(tmp_path / "out", **options, exclude=["II:1-2"])
    archive = _read(tmp_path / "out")
    assert archive.contigs == {"chrI": (0, 40), "chrII": (40, 32)}
    np.testing.assert_array_equal(archive.sequence, encode(first + second))
    np.testing.assert_array_equal(np.flatnonzero(archive.expressed_plus), [7, 8, 40])
    np.testing.assert_array_equal(
        np.flatnonzero(archive.expressed_minus), np.arange(40, 72)
    )
    np.testing.assert_array_equal(np.flatnonzero(archive.valid == 0), [20, 40, 41])
    plus = archive.regions[archive.regions["strand"] == "+"]
    starts = plus.groupby("contig")["start"].apply(list).to_dict()
    assert starts == {
        "chrI": [0, 4, 8, 12, 24, 28, 32],
        "chrII": [4, 8, 12, 16, 20, 24],
    }
    assert len(archive.regions) == 2 * len(plus)
    meta = json.loads((tmp_path / "out" / "data_meta.json").read_text())
    assert meta["excluded"] == ["II:1-2"]


def test_contigs_chosen_in_any_spelling(tool, sample, tmp_path):
    options, _ = sample
    regions = tool.make_archive(tmp_path / "out", **options, contigs=["chr2"])
    assert set(regions["contig"]) == {"chrII"}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"exclude": ["chrIV:1-2"]}, InputError, "chrIV"),
        ({"exclude": ["chrI:1-41"]}, InputError, "40 bases"),
        ({"exclude": ["chrI:9"]}, InputError, "chrI:9"),
        ({"contigs": ["chrX"]}, InputError, "chrX"),
        ({"threshold": float("nan")}, ConfigError, "threshold"),
        ({"threshold": -1.0}, ConfigError, "threshold"),
        ({"window": 0}, ConfigError, "window"),
        ({"window": 100}, InputError, "100 bp"),
        ({"plus": Path("absent.bw")}, InputError, "absent.bw"),
        ({"fasta": Path("absent.fa")}, InputError, "absent.fa"),
    ],
)
def test_bad_input_is_refused(tool, sample, tmp_path, change, error, message):
    options, _ = sample
    with pytest.raises(error, match=message) as caught:
        tool.make_archive(tmp_path / "out", **{**options, **change})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_refuses_a_filled_folder(tool, sample, tmp_path):
    options, _ = sample
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not an empty folder"):
        tool.make_archive(tmp_path / "out", **options)


def test_negative_coverage_is_refused(tool, sample, tmp_path):
    options, _ = sample
    low = {"chrI": np.full(40, -3.0), "chrII": np.zeros(32)}
    write_bigwig(options["minus"], {"chrI": 40, "chrII": 32}, low)
    with pytest.raises(InputError, match="chrI:1: negative"):
        tool.make_archive(tmp_path / "out", **options)


def test_command_line(tool, sample, tmp_path):
    options, _ = sample
    flags = [f"--{key}={value}" for key, value in options.items()]
    run = CliRunner().invoke(tool.command, [str(tmp_path / "out"), *flags])
    assert run.exit_code == 0, run.output
    assert "windows on 2 contigs" in run.output
    again = CliRunner().invoke(tool.command, [str(tmp_path / "out"), *flags])
    assert again.exit_code == 1
    assert again.output.startswith("Error: ")


def test_reproduces_the_real_yeast_archive(tool, yeast, tmp_path):
    fasta = next((yeast / "genome").glob("*.dna.toplevel.fa.gz"))
    real = yeast / "archive"
    contigs = json.loads((real / "data_meta.json").read_text())["contigs"]
    tool.make_archive(
        tmp_path / "out",
        fasta=fasta,
        plus=yeast / "rna" / "rna_pooled46_rpm.plus.bw",
        minus=yeast / "rna" / "rna_pooled46_rpm.minus.bw",
        threshold=2.0,
        window=2048,
        stride=1024,
        exclude=["chrIX:355,629-439,888"],
        contigs=contigs,
    )
    with np.load(real / "data.npz") as want, np.load(tmp_path / "out/data.npz") as got:
        assert sorted(got.files) == sorted(want.files)
        for name in want.files:
            assert got[name].dtype == want[name].dtype
            np.testing.assert_array_equal(got[name], want[name], err_msg=name)
    columns = ["offset", "contig", "window_size", "strand", "start"]
    want_rows = pd.read_parquet(real / "regions.parquet")[columns]
    got_rows = pd.read_parquet(tmp_path / "out" / "regions.parquet")[columns]
    assert len(got_rows) == 23_364
    pd.testing.assert_frame_equal(got_rows, want_rows, check_dtype=False)
