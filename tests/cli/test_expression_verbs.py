"""``fit``, ``evaluate`` and ``curves`` of a model of genes; what other verbs say."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli
from seqexp_tf.errors import ConfigError, DatasetError, RunError


def invoke(*arguments):
    result = CliRunner().invoke(cli, list(map(str, arguments)))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def run(gene_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "signals"
    changes = {
        "pipeline.window": 128,
        "pipeline.shift": 0,
        "model.width": 8,
        "model.center": 32,
        "model.bins": 4,
        "model.head": [8],
        "model.predictor.filters": [8],
        "model.predictor.pool": 2,
        "training.epochs": 6,
        "training.batch_size": 8,
        "training.learning_rate": 0.02,
        "training.warmup_steps": 2,
        "training.precision": "float32",
    }
    sets = [part for k, v in changes.items() for part in ("--set", f"{k}={v}")]
    shown = invoke(
        "fit", "--preset", "cnn_signals_small", "--data", gene_folder, "--out", folder,
        *sets,
    ).output  # fmt: skip
    assert "step 72/72" in shown
    return folder


def test_evaluate_writes_everything(run):
    shown = invoke("evaluate", run).output
    assert "Mean of training genes" in shown
    assert "Target: expression, a.u." in shown
    assert {path.name for path in (run / "metrics").iterdir()} >= {
        "test.json", "test.tsv", "test.md", "test_predictions.tsv",
        "test_scatter.png", "test_scatter.svg", "curves.png", "curves.svg",
    }  # fmt: skip
    document = json.loads((run / "metrics" / "test.json").read_text())
    model, *_ = document["scores"]
    table = pd.read_csv(run / "metrics" / "test_predictions.tsv", sep="\t")
    found = np.corrcoef(table.predicted, table.target)[0, 1]
    assert model["metrics"]["pearson"] == pytest.approx(found) and found > 0.8


def test_another_split_elsewhere_in_other_batches(run, tmp_path):
    shown = invoke(
        "evaluate", run, "--split", "validation", "--batch-size", 5, "--out", tmp_path
    ).output
    assert shown.startswith("validation\n")
    history = pd.read_csv(run / "history.csv")
    scores = json.loads((tmp_path / "validation.json").read_text())["scores"]
    assert scores[0]["metrics"]["mse"] == pytest.approx(history.val_mse.min(), rel=1e-4)


@pytest.mark.parametrize("option", [["--calibrate"], ["--bins", 5], ["--block", 10]])
def test_options_of_joint_models_are_refused(run, option):
    with pytest.raises(ConfigError, match=rf"^{option[0]} is for joint models"):
        invoke("evaluate", run, *option)


def test_a_dataset_of_another_kind_is_refused(run, joint_folder):
    with pytest.raises(RunError, match="dataset of kind 'joint', but"):
        invoke("evaluate", run, "--data", joint_folder)
    with pytest.raises(DatasetError, match="no split 'tset'"):
        invoke("evaluate", run, "--split", "tset")


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("tracks", []),
        ("borders", []),
        ("mutagenesis", ["--region", "chrC:1-100", "--strand", "+"]),
        ("logo", ["--region", "chrC:1-100"]),
    ],
)
def test_verbs_of_joint_models_refuse_the_run(run, verb, options):
    try:
        result = invoke(verb, run, *options)
    except RunError as error:
        assert f"a run of task 'expression'; `seqexp-tf {verb}` is for" in str(error)
    else:
        pytest.fail(result.output)


def test_curves_are_drawn_by_step(run, tmp_path):
    invoke("curves", run, "--out", tmp_path)
    table = pd.read_csv(tmp_path / "curves.tsv", sep="\t")
    assert table.columns.tolist() == ["run", "step", "metric", "training", "validation"]
    assert set(table.metric) == {"loss", "mse", "mae", "pearson"}
    assert table.step.max() == 72


def test_a_regime_of_masking_is_for_joint_models():
    with pytest.raises(ConfigError, match='unknown key "masking"'):
        invoke("fit", "--preset", "cnn_signals_small", "--masking", "rna", "--dry-run")


def test_what_a_dry_run_prints_is_read_back(tmp_path):
    printed = invoke("fit", "--preset", "seq2exp_soft", "--dry-run").output
    path = tmp_path / "config.toml"
    path.write_text(printed)
    assert invoke("fit", path, "--dry-run").output == printed
    assert "kl_weight = 0.01" in printed and "warmup_steps = 5000" in printed
