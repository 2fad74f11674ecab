"""``seqexp-tf mutagenesis`` on a run that was never trained."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.interpretation.mutation_map import read_map
from seqexp_tf.records.store import RecordStore

GENES = """\
##gff-version 3
C\tx\tgene\t301\t400\t.\t+\t.\tID=a;Name=SMT3
C\tx\tgene\t451\t600\t.\t+\t.\tID=b;Name=SDH7
"""
REGION = "chrC:391-430"


@pytest.fixture(scope="module")
def run(joint_folder, tmp_path_factory, write_run):
    folder = tmp_path_factory.mktemp("mutagenesis") / "run"
    return write_run(folder, RecordStore.open(joint_folder))


@pytest.fixture
def annotation(tmp_path):
    path = tmp_path / "genes.gff3"
    path.write_text(GENES)
    return path


def test_maps_tables_and_figures(call, run, annotation):
    code, out, _ = call(
        "mutagenesis", run, "--region", REGION, "--strand", "-",
        "--zoom", "chrC:401-410", "--annotation", annotation,
    )  # fmt: skip
    assert code == 0
    folder = run / "mutagenesis"
    stem = "chrC_391-430_minus"
    pictures = [
        "influence",
        *(
            f"{measure}{part}"
            for measure in ("log_odds", "log_ratio")
            for part in ("", "_zoom_401-410")
        ),
    ]
    names = {f"{stem}.npz", f"{stem}.tsv"} | {
        f"{stem}_{name}.{kind}" for name in pictures for kind in ("png", "svg")
    }
    assert {path.name for path in folder.iterdir()} == names
    assert all(str(folder / name) in out for name in names)
    found = read_map(folder / f"{stem}.npz")
    assert str(found.region) == str(found.recorded) == REGION
    assert (found.strand, found.labels) == ("-", "half")
    table = pd.read_csv(folder / f"{stem}.tsv", sep="\t")
    assert table.position.tolist() == list(range(391, 431))
    np.testing.assert_allclose(table.log_odds_max, found.log_odds.max(1), rtol=1e-4)
    assert (
        table.genes.tolist() == ["SMT3"] * 10 + [np.nan] * 30
        or (table.genes[:10] == "SMT3").all()
    )
    assert table.place[10] == "1 bp downstream of SMT3, 50 bp upstream of SDH7"
    best = table.sort_values("log_odds_mean", ascending=False).iloc[0]
    first = out.splitlines()[2]
    assert first.split()[0] == str(best.position) and best.place in first


def test_names_tell_settings_apart(call, run, tmp_path):
    code, _, _ = call(
        "mutagenesis", run, "--region", REGION, "--labels", "hidden",
        "--whole-window", "--target", "chrC:395-397", "--out", tmp_path,
    )  # fmt: skip
    assert code == 0
    path = tmp_path / "chrC_391-430_plus_dna_only_whole_window_target_395-397.npz"
    found = read_map(path)
    assert found.labels == "hidden"
    assert found.recorded == found.window
    assert str(found.target) == "chrC:395-397"
    assert found.log_odds.shape == (40, 128)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "chrC:1401-1600"], "chrC ends at 1,500"),
        (["--region", "chrQ:1-10"], "has no contig 'chrQ'"),
        (["--region", "chrC:20-10"], "starts after its end; swap the two"),
        (["--region", "chrC:10"], "expected CONTIG:START-END"),
        (["--region", "chrC:1-129"], "129 bases, more than the model's window of 128"),
        (["--region", "chrC"], "1,500 bases, more than the model's window"),
        (
            ["--region", REGION, "--zoom", "chrC:380-400"],
            "zoom chrC:380-400: not within the mutated region",
        ),
        (
            ["--region", REGION, "--zoom", "chrA:391-400"],
            "zoom chrA:391-400: not within the mutated region",
        ),
        (
            ["--region", REGION, "--target", "chrC:380-400"],
            "target chrC:380-400: not within the recorded region",
        ),
    ],
)
def test_what_cannot_be_mapped_is_one_line(call, run, tmp_path, arguments, message):
    out = tmp_path / "out"
    code, _, err = call("mutagenesis", run, *arguments, "--out", out)
    assert code == 1
    line = err.strip().splitlines()[-1]
    assert line.startswith("Error: ") and message in line
    assert not out.exists() or not list(out.iterdir())


def test_an_annotation_of_another_genome(call, run, tmp_path):
    path = tmp_path / "human.gff3"
    path.write_text("chr21\tx\tgene\t1\t40\t.\t+\t.\tID=a\n")
    out = tmp_path / "out"
    code, _, err = call(
        "mutagenesis", run, "--region", REGION, "--annotation", path, "--out", out
    )
    assert code == 1
    assert "no contig here is chrC of the dataset" in err
    assert not out.exists()


def test_a_region_is_required(call, run):
    code, _, err = call("mutagenesis", run)
    assert code == 2
    assert "--region" in err
