"""``seqexp-tf logo`` on a run that was never trained."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from seqexp_tf.cli import logo
from seqexp_tf.cli.main import cli
from seqexp_tf.errors import InputError, RunError
from seqexp_tf.interpretation import logos
from seqexp_tf.records.store import RecordStore

REGION = "chrA:301-600"


@pytest.fixture(scope="module")
def run(joint_folder, tmp_path_factory, write_run):
    folder = tmp_path_factory.mktemp("logo") / "run"
    return write_run(folder, RecordStore.open(joint_folder))


def _logo(*arguments):
    return CliRunner().invoke(cli, ["logo", *map(str, arguments)])


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_region_gives_a_page_and_a_table(run):
    result = _logo(run, "--region", REGION)
    assert result.exit_code == 0, result.output
    assert "chrA:301-600 (+): 300 bases" in result.output
    stem = "chrA_301-600_plus"
    assert _names(run / "logos") == {
        f"{stem}.tsv",
        f"{stem}.png",
        f"{stem}.svg",
        f"{stem}_certainty.png",
        f"{stem}_certainty.svg",
    }
    for name in _names(run / "logos"):
        assert str(run / "logos" / name) in result.output
    table = pd.read_csv(run / "logos" / f"{stem}.tsv", sep="\t")
    assert table.position.tolist() == list(range(301, 601))
    probability = table[["p_A", "p_C", "p_G", "p_T"]].sum(axis=1)
    assert probability.to_numpy() == pytest.approx(np.ones(300), abs=1e-5)
    assert f"right at {table.correct.mean():.1%}" in result.output


def test_several_regions_of_the_minus_strand_at_their_best(run, tmp_path):
    out = tmp_path / "out"
    result = _logo(
        run, "--region", REGION, "--region", "chrC:1-200", "--strand", "-",
        "--top", 3, "--length", 20, "--out", out,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    stems = ("chrA_301-600_minus", "chrC_1-200_minus")
    assert _names(out) == {
        f"{stem}{part}"
        for stem in stems
        for part in (
            ".tsv",
            "_top_20-mers.tsv",
            "_top_20-mers.png",
            "_top_20-mers.svg",
            "_certainty.png",
            "_certainty.svg",
        )
    }
    table = pd.read_csv(out / f"{stems[1]}.tsv", sep="\t")
    assert table.position.tolist() == list(range(200, 0, -1))
    best = pd.read_csv(out / f"{stems[1]}_top_20-mers.tsv", sep="\t")
    assert best["rank"].tolist() == [1, 2, 3]
    assert (best.end - best.start == 19).all()
    rows = table[table.position.between(best.start[0], best.end[0])]
    assert "".join(rows.true_base) == best.true_bases[0]
    assert "".join(rows.chosen_base) == best.chosen_bases[0]
    assert rows.information.mean() == pytest.approx(best.information[0], rel=1e-4)
    assert table.information.rolling(20).mean().max() == pytest.approx(
        best.information[0], rel=1e-4
    )


def test_the_most_certain_positions_are_a_table(run, tmp_path):
    result = _logo(
        run, "--region", REGION, "--top", 10, "--length", 1, "--out", tmp_path
    )
    assert result.exit_code == 0, result.output
    stem = "chrA_301-600_plus"
    assert _names(tmp_path) == {
        f"{stem}.tsv",
        f"{stem}_top_positions.tsv",
        f"{stem}_certainty.png",
        f"{stem}_certainty.svg",
    }
    best = pd.read_csv(tmp_path / f"{stem}_top_positions.tsv", sep="\t")
    table = pd.read_csv(tmp_path / f"{stem}.tsv", sep="\t")
    # Ten bases of the region are N.
    wanted = table[table.true_base != "N"].information.nlargest(10).to_numpy()
    assert best.information.to_numpy() == pytest.approx(wanted, rel=1e-5)
    assert "Their 10 most certain" in result.output


def test_each_way_of_masking_has_its_own_files(run, tmp_path):
    region = "chrA:301-320"
    tables = {}
    for masks, name in (
        ("blockwise", ""),
        ("leave-one-out", "_leave_one_out"),
        ("none", "_unmasked"),
    ):
        result = _logo(
            run, "--region", region, "--masks", masks, "--labels", "hidden",
            "--out", tmp_path,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        path = tmp_path / f"chrA_301-320_plus{name}_dna_only.tsv"
        tables[masks] = pd.read_csv(path, sep="\t").p_A.to_numpy()
    assert not np.allclose(tables["blockwise"], tables["leave-one-out"], atol=1e-5)
    assert not np.allclose(tables["none"], tables["leave-one-out"], atol=1e-5)


def test_a_long_region_has_several_pages(run, tmp_path, monkeypatch):
    monkeypatch.setattr(logos, "PAGE", 100)
    result = _logo(run, "--region", "chrA:1-130", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    pages = {f"chrA_1-130_plus_page_{n}.{k}" for n in (1, 2) for k in ("png", "svg")}
    assert pages <= _names(tmp_path)
    text = (tmp_path / "chrA_1-130_plus_page_2.svg").read_text()
    assert "chrA:101-130, plus strand" in text


def test_many_stretches_take_several_figures(run, tmp_path, monkeypatch):
    monkeypatch.setattr(logo, "_STRETCHES_A_FIGURE", 2)
    result = _logo(
        run, "--region", "chrB", "--top", 3, "--length", 10, "--out", tmp_path
    )
    assert result.exit_code == 0, result.output
    stem = "chrB_1-1500_plus_top_10-mers"
    assert {f"{stem}.png", f"{stem}_from_3.png"} <= _names(tmp_path)


@pytest.mark.parametrize("masks", ["blockwise", "none"])
def test_a_run_that_never_hid_a_base_is_refused(
    joint_store, tmp_path, write_run, call, masks
):
    run = write_run(tmp_path / "run", joint_store, masking={"sequence_fraction": 0.0})
    code, out, err = call("logo", run, "--region", "chrA:301-310", "--masks", masks)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error: {run}: trained with no base hidden (masking.")
    assert "--masking rna_dna" in err and len(err.splitlines()) == 1
    assert not (run / "logos").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "chrA:5,990-6,001"], "chrA ends at 6,000"),
        (["--region", "chrA:90-80"], "starts after its end; swap the two"),
        (["--region", "chrA:0-80"], "starts at 0; the first base is 1"),
        (["--region", "chrA:a-b"], "expected CONTIG:START-END"),
        (["--region", "chrZ:1-100"], "no contig 'chrZ'"),
        (["--region", "chrA:1-100", "--top", "3"], "do not fit in chrA:1-100"),
    ],
)
def test_bad_regions_are_refused_before_anything_is_written(
    run, tmp_path, arguments, message
):
    out = tmp_path / "out"
    result = _logo(run, *arguments, "--out", out)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no region; give one, for example --region chrIV:1,468,900-1,469,900"),
        (["--region", REGION, "--strand", "minus"], "'minus' is not one of '+', '-'"),
        (["--region", REGION, "--top", "0"], "0 is not in the range x>=1"),
        (["--region", REGION, "--masks", "all"], "'all' is not one of"),
        (["--region", REGION, "--length", "5"], "--length goes with --top"),
    ],
)
def test_bad_options_are_usage_errors(run, arguments, message):
    result = _logo(run, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    result = _logo(tmp_path, "--region", REGION)
    assert isinstance(result.exception, RunError)
    assert "not a run" in str(result.exception)
