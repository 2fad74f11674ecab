"""``evaluate --calibrate``, its other options, ``curves`` and ``fit --masking``."""

import json
import os

import pandas as pd
import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli
from seqexp_tf.errors import ConfigError, DatasetError, RunError
from seqexp_tf.evaluation.temperature import read_temperatures
from seqexp_tf.records.convert import convert
from seqexp_tf.training.config import regimes


def invoke(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def run(joint_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "cnn"
    invoke(
        "fit", "--preset", "cnn", "--data", joint_folder, "--out", folder,
        "--set", "model.filters=4", "--set", "model.dilations=[2]",
        "--set", "training.epochs=1", "--set", "training.batch_size=8",
        "--set", "training.max_windows=80",
    )  # fmt: skip
    return folder


def test_calibrate_writes_temperatures_and_both_reliabilities(run, tmp_path):
    out = tmp_path / "metrics"
    options = ["--calibrate", "--bins", 5, "--block", 100, "--out", out]
    shown = invoke("evaluate", run, *options).output
    assert "Expression, T = " in shown
    assert "In brackets: 95% interval, 15 blocks of 100 bp" in shown
    temperatures = read_temperatures(run)
    assert list(temperatures) == ["expression_logits", "sequence_logits"]
    found = json.loads((out / "test_calibration.json").read_text())
    assert found["fitted_on"] == "validation"
    assert found["temperatures"] == temperatures
    assert len(found["before"]["nucleotides"]["A"]["counts"]) == 5
    for scores in (found["before"]["scores"], found["after"]["scores"]):
        assert set(scores["sequence_logits"]) == {
            "ece", "ece_A", "ece_C", "ece_G", "ece_T", "ece_top_label", "brier", "loss",
        }  # fmt: skip
    reliability = json.loads((out / "test_reliability.json").read_text())
    assert reliability["nucleotides"] == found["before"]["nucleotides"]
    assert {path.name for path in out.iterdir()} >= {
        "test_calibration.png",
        "test_calibration.svg",
    }
    masked = json.loads((out / "test.json").read_text())["populations"]["masked"]
    assert masked["rna"]["model"]["loss"] == pytest.approx(
        found["before"]["scores"]["expression_logits"]["loss"]
    )

    again = tmp_path / "again"
    invoke("evaluate", run, *options[:-1], again)
    for path in out.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name

    temperatures_file = run / "temperatures.json"
    temperatures_file.write_text("{")
    with pytest.raises(RunError, match="not a temperature file"):
        read_temperatures(run)


def test_too_few_blocks_are_said(run, tmp_path):
    shown = invoke("evaluate", run, "--out", tmp_path / "metrics").output
    assert "no confidence intervals; of blocks of 20,000 bases test has 1, " in shown
    assert "calibration.json" not in shown


@pytest.mark.parametrize("option", ["--bins", "--block", "--batch-size"])
def test_nothing_is_no_size(run, option):
    assert CliRunner().invoke(cli, ["evaluate", str(run), option, "0"]).exit_code == 2


def test_a_missing_validation_split_is_named(run, joint_folder, tmp_path):
    copy = tmp_path / "dataset"
    copy.mkdir()
    for path in joint_folder.iterdir():
        (copy / path.name).symlink_to(path)
    manifest = json.loads((copy / "manifest.json").read_text())
    del manifest["splits"]["validation"]
    (copy / "manifest.json").unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="no split 'validation'"):
        invoke("evaluate", run, "--data", copy, "--calibrate", "--out", tmp_path / "m")


def test_temperatures_of_another_dataset_are_not_those_of_the_run(
    run, tmp_path, tiny_genome
):
    recipe = tiny_genome.recipe("raw", windows={"size": 128, "stride": 64})
    convert(recipe, tmp_path / "other")
    invoke("evaluate", run, "--calibrate")
    before = (run / "temperatures.json").read_bytes()
    invoke(
        "evaluate", run, "--calibrate", "--data", tmp_path / "other",
        "--out", tmp_path / "metrics",
    )  # fmt: skip
    assert (run / "temperatures.json").read_bytes() == before
    found = json.loads((tmp_path / "metrics" / "temperatures.json").read_text())
    assert found["dataset"]["name"] == "tiny"


def test_an_export_about_another_dataset_needs_a_folder(run, tmp_path, tiny_genome):
    recipe = tiny_genome.recipe("raw", windows={"size": 128, "stride": 64})
    convert(recipe, tmp_path / "other")
    with pytest.raises(RunError, match="another dataset; give --out"):
        invoke("export", run, "--data", tmp_path / "other")
    assert not (run / "export").exists()


def test_a_folder_that_cannot_be_written_is_refused_first(run, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(RunError, match=f"{tmp_path}: cannot write here; choose ano"):
        invoke("evaluate", run, "--out", tmp_path)
    assert not list(tmp_path.iterdir())


def test_curves_of_one_run_lie_beside_its_metrics(run):
    shown = invoke("curves", run).output
    assert shown.splitlines()[0] == "Written:"
    table = pd.read_csv(run / "metrics" / "curves.tsv", sep="\t")
    assert table.run.unique().tolist() == ["cnn"]
    assert len(table) == 6
    assert (run / "metrics" / "curves.svg").is_file()


def test_curves_of_several_runs_need_a_folder(run, tmp_path):
    other = tmp_path / "cnn"
    other.mkdir()
    for name in ("config.toml", "dataset.json", "schema.json", "history.csv"):
        (other / name).write_bytes((run / name).read_bytes())
    with pytest.raises(ConfigError, match="several runs need --out"):
        invoke("curves", run, other)
    invoke("curves", run, other, "--out", tmp_path / "figures")
    table = pd.read_csv(tmp_path / "figures" / "curves.tsv", sep="\t")
    assert table.run.nunique() == 2
    (other / "history.csv").unlink()
    with pytest.raises(RunError, match="history.csv is missing"):
        invoke("curves", run, other, "--out", tmp_path / "figures")


def test_masking_regimes_are_listed_and_merged_under_set():
    shown = invoke("fit", "--help").output
    for regime in regimes():
        assert f"  {regime} " in shown
    printed = invoke(
        "fit", "--preset", "cnn", "--masking", "rna", "--dry-run",
        "--set", "masking.expression_spans=4",
    ).output  # fmt: skip
    assert "sequence_fraction = 0.0" in printed
    assert "expression_spans = 4" in printed
    with pytest.raises(ConfigError, match="no masking regime 'dna'"):
        invoke("fit", "--preset", "cnn", "--masking", "dna", "--dry-run")
