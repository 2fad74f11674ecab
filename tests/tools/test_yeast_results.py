"""The table of ``tools/yeast_results.py`` beside the study's figures."""

import json
from pathlib import Path

import pytest
from fixtures.tools import load_tool

METRICS = ("loss", "accuracy", "f1_weighted", "roc_auc")


@pytest.fixture(scope="module")
def tool():
    return load_tool("yeast_results")


def _run(out: Path, name: str, **models: float) -> None:
    scores = {
        modality: {
            of: dict.fromkeys(METRICS, value)
            for of, value in (
                ("model", model),
                ("uniform_random", 0.25),
                ("stratified_random", 0.5),
            )
        }
        for modality, model in models.items()
    }
    (out / name / "metrics").mkdir(parents=True)
    (out / name / "metrics" / "test.json").write_text(
        json.dumps({"populations": {"masked": scores}})
    )
    (out / name / "history.csv").write_text("epoch,seconds\n1,60\n2,120\n")


def test_runs_stand_beside_baselines_and_the_study(tool, tmp_path):
    _run(tmp_path, "cnn", dna=0.42, rna=0.88)
    _run(tmp_path, "hybrid", dna=0.43, rna=0.95)
    lines = tool.table(tmp_path, ["cnn", "hybrid"], "rna_dna").splitlines()
    columns = [line.strip("|").split("|") for line in lines]
    assert len({len(row) for row in columns}) == 1
    assert "| DNA accuracy | 0.2500 | 0.5000 | 0.4200 | 0.4300 | 0.4233 | 0.3910 |" in (
        lines
    )
    assert "| RNA ROC AUC | 0.2500 | 0.5000 | 0.8800 | 0.9500 | 0.9475 | 0.8735 |" in (
        lines
    )
    assert lines[-2:] == [
        "| epochs | | | 2 | 2 | | |",
        "| minutes of training | | | 3 | 3 | | |",
    ]


def test_labels_alone_stand_beside_the_figures_of_labels_alone(tool, tmp_path):
    _run(tmp_path, "cnn_rna", rna=0.88)
    lines = tool.table(tmp_path, ["cnn_rna"], "rna").splitlines()
    assert not any("DNA" in line for line in lines)
    assert "| RNA accuracy | 0.2500 | 0.5000 | 0.8800 | 0.7400 | 0.7860 |" in lines


def test_every_run_is_a_preset_under_a_regime(tool):
    from seqexp_tf.training.config import read_preset, read_run_config

    for preset, masking, settings in tool.RUNS.values():
        settings = [text.format(out="runs") for text in settings]
        assert read_run_config(read_preset(preset), settings).task == "joint"
        assert masking in ("rna", "rna_dna", "dna_alone")


def test_each_verb_is_called_by_the_names_of_its_options(tool, tmp_path, monkeypatch):
    called = []

    def invoke(self, command, **given):
        assert given.keys() <= {parameter.name for parameter in command.params}
        called.append(command.callback.__module__.rpartition(".")[2])

    monkeypatch.setattr("click.Context.invoke", invoke)
    monkeypatch.setattr(tool, "table", lambda *_: "")
    arguments = ["--data", tmp_path, "--out", tmp_path / "out", "--run", "dna_alone"]
    with tool.main.make_context("tool", [*map(str, arguments), "--loci"]) as context:
        tool.main.callback(**context.params)
    assert set(called) == {
        *("convert", "fit", "evaluate", "borders", "logo", "mutagenesis", "curves"),
        *("report", "export"),
    }
