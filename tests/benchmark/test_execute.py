"""A benchmark that is killed goes on; one that fails says so and goes on."""

import json

import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli
from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.training.callbacks import RunRecorder

SUITE = """
name = "small"
seeds = [2, 22]
overrides = [
    "pipeline.window=64", "pipeline.shift=0", "training.epochs=2",
    "training.batch_size=16", "model.width=4", "model.center=16", "model.bins=1",
    "model.head=[4]",
    "model.predictor.filters=[4]", "model.predictor.pool=2",
    "training.precision=float32",
]

[[models]]
name = "plain"
preset = "cnn_signals_small"
baseline = true

[[models]]
name = "retrain"
label = "Retrained"
preset = "seq2exp_retrain_small"
overrides = ["model.mask.run={out}/soft/{seed}", "model.mask.promoter=8"]

[[models]]
name = "soft"
preset = "seq2exp_soft_small"
overrides = [
    "model.mask.promoter=8", "model.generator.dilations=[1]",
    "model.generator.kernel=3", "model.mask.weights={}", "model.mask.constants=1.0",
]
"""


def _invoke(*arguments):
    result = CliRunner().invoke(cli, ["benchmark", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


@pytest.mark.slow
def test_it_goes_on_after_a_kill(suite, gene_folder, tmp_path, monkeypatch):
    """Killed in the third run, in its second epoch."""
    out = tmp_path / "out"
    options = (suite, "--data", gene_folder, "--out", out)
    listed = _invoke(*options, "--dry-run")
    assert listed.splitlines()[-1] == "6 runs, 6 to train"
    assert not out.exists()

    ended = []

    def on_epoch_end(self, epoch, logs=None):
        if len(ended) == 5:
            raise KeyboardInterrupt
        ended.append(self.folder)
        return undisturbed(self, epoch, logs)

    undisturbed = RunRecorder.on_epoch_end
    monkeypatch.setattr(RunRecorder, "on_epoch_end", on_epoch_end)
    CliRunner().invoke(cli, ["benchmark", *map(str, options)])
    monkeypatch.undo()
    states = [line.split()[0] for line in _invoke(*options, "--dry-run").splitlines()]
    assert states[:4] == ["finished", "finished", "begun", "new"]
    assert ended[4] == out / "genes" / "retrain" / "2"
    first = out / "genes" / "plain" / "2"
    kept = {p: p.stat().st_mtime_ns for p in first.rglob("*") if p.is_file()}

    shown = _invoke(*options)
    assert "going on after step 6" in shown
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert "| Retrained |" in shown
    assert {path.name for path in out.iterdir()} == {
        "genes", "runs.tsv", "all.tsv", "all.md", "paired.tsv", "paired.md",
    }  # fmt: skip
    document = json.loads((first / "metrics" / "test.json").read_text())
    line = (out / "runs.tsv").read_text().splitlines()[1].split("\t")
    assert float(line[3]) == document["scores"][0]["metrics"]["mse"]

    with pytest.raises(RunError, match="6 of 6 runs failed, .* another configuration"):
        _invoke(*options, "--set", "training.learning_rate=0.5")


@pytest.mark.slow
def test_what_fails_does_not_stop_the_rest(suite, gene_folder, tmp_path):
    steep = '"training.learning_rate=1e30", "training.clip_norm=1e30", '
    head, soft = SUITE.rsplit("overrides = [", 1)
    text = f"{head}overrides = [{steep}{soft}"
    suite.write_text(text.replace("seeds = [2, 22]", "seeds = [2]"))
    out = tmp_path / "out"
    with pytest.raises(RunError, match=r"2 of 3 runs failed, .*soft/2"):
        _invoke(suite, "--data", gene_folder, "--out", out)
    assert "plain" in (out / "all.md").read_text()
    assert "retrain" not in (out / "runs.tsv").read_text()


def test_what_is_missing_is_said(suite, gene_folder, tmp_path):
    with pytest.raises(ConfigError, match="needs --data DATASET and --out DIR"):
        _invoke(suite)
    assert "give a suite" in CliRunner().invoke(cli, ["benchmark"]).output
    assert _invoke("--list-suites").split() == ["seq2exp", "yeast_small"]
