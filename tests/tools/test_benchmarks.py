"""Both benchmarks at their smallest: the tables appear; no timing is judged."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool

TOOLS = Path(__file__).resolve().parents[2] / "tools"
NUMBER = r"[\d,.]+"


def _run(tool, *arguments):
    return subprocess.run(
        [sys.executable, TOOLS / f"{tool}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
    )


def _load(tool):
    return load_tool(tool)


def _assert_row(output, label, columns):
    row = re.escape(label) + rf"\s+{NUMBER}" * columns
    assert re.search(rf"^{row}", output, re.MULTILINE), (label, output)


@pytest.mark.parametrize(
    "tool",
    [
        "bench_attention",
        "bench_convolution",
        "bench_training",
        "bench_pipeline",
        "bench_input_wait",
    ],
)
def test_help_shows_an_example(tool):
    run = _run(tool, "--help")
    assert run.returncode == 0
    assert f"python tools/{tool}.py" in run.stdout
    assert "--worker" not in run.stdout


@pytest.mark.slow
def test_attention_over_lengths():
    run = _run("bench_attention", "--length", 64)
    assert run.returncode == 0, run.stderr
    rows = [line for line in run.stdout.splitlines() if line.startswith("| 64 |")]
    assert [row.split(" | ")[1] for row in rows] == ["seqexp-tf", "keras"]


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_convolutions_as_keras_computes_them(precision, most):
    tiny = ("--batch-size", 1, "--window", 70, "--repeats", 1)
    run = _run("bench_convolution", "--precision", precision, *tiny)
    assert run.returncode == 0, run.stderr
    rows = [line.split(" | ") for line in run.stdout.splitlines()[2:]]
    assert len(rows) == 4
    assert all(float(row[5].rstrip(" |")) < most for row in rows)


@pytest.mark.slow
def test_training_beside_pytorch():
    pytest.importorskip("torch", reason="PyTorch is missing; pip install torch")
    tiny = ("--batch-size", 1, "--window", 300, "--steps", 1, "--repeats", 1)
    run = _run("bench_training", *tiny, "--precision", "bfloat16")
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("same network: 79,110 weights, float32 outputs agree")
    _assert_row(run.stdout, "bfloat16   seqexp-tf", 2)
    _assert_row(run.stdout, "bfloat16   PyTorch", 2)
    _assert_row(run.stdout, "bfloat16   ratio", 1)


def test_training_without_pytorch(monkeypatch):
    tool = _load("bench_training")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "torch" else real(name),
    )
    run = CliRunner().invoke(tool.command, [])
    assert run.exit_code == 1
    assert run.output == "Error: PyTorch is missing; pip install torch\n"


def test_another_network_is_not_timed(monkeypatch, tmp_path):
    tool = _load("bench_training")
    answers = {"seqexp-tf": {"weights": 10}, "PyTorch": {"weights": 10}}
    monkeypatch.setattr(tool, "work", lambda _, contender, *rest: answers[contender])
    answers["PyTorch"]["difference"] = float("nan")
    with pytest.raises(click.ClickException, match="outputs differ by nan"):
        tool.compare("cnn", tmp_path)
    answers["PyTorch"] = {"weights": 11, "difference": 0.0}
    with pytest.raises(click.ClickException, match="10 weights here, 11 in PyTorch"):
        tool.compare("cnn", tmp_path)


@pytest.mark.slow
def test_pipeline_of_a_dataset(joint_folder):
    tiny = ("--batch-size", 4, "--steps", 1, "--repeats", 1)
    run = _run("bench_pipeline", joint_folder, *tiny, "--at-least", 0)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("small: ")
    for name in ("pipeline, fresh", "pipeline, cached", "one record at a time"):
        _assert_row(run.stdout, name, 3)
    _assert_row(run.stdout, "CNN training step", 3)
    _assert_row(run.stdout, "pipeline, fresh / one record at a time:", 1)


@pytest.mark.slow
def test_pipeline_of_a_simulated_genome_too_slow_for_the_bar():
    tiny = ("--batch-size", 4, "--steps", 1, "--repeats", 1)
    run = _run("bench_pipeline", *tiny, "--contig-length", 20_000, "--at-least", 1e9)
    assert run.returncode == 1
    assert run.stdout.startswith("simulated: ")
    assert re.fullmatch(
        rf"Error: the pipeline gives {NUMBER} times what the CNN consumes, "
        r"less than 1e\+09\n",
        run.stderr,
    )


def test_pipeline_without_a_dataset_there(tmp_path):
    run = _run("bench_pipeline", tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith(f"Error: {tmp_path}: not a dataset")
    assert run.stderr.count("\n") == 1


def test_the_serial_reader_gives_the_examples_of_the_pipeline(joint_store):
    """Both do the same work: batches of one form, masked by one rule."""
    from seqexp_tf.pipeline.config import PipelineConfig
    from seqexp_tf.pipeline.joint import training_batches
    from seqexp_tf.records.masks import MaskingConfig

    tool = _load("bench_pipeline")
    masking = MaskingConfig()
    serial = tool.one_record_at_a_time(
        joint_store, batch_size=4, masking=masking, shuffle_mb=1.0
    )
    ours, steps = training_batches(
        joint_store,
        batch_size=4,
        masking=masking,
        pipeline=PipelineConfig(),
        seed=1,
    )
    assert serial.element_spec == ours.element_spec
    seen = {}
    for name, batches in (("serial", serial), ("ours", ours.take(steps))):
        seen[name] = list(batches.as_numpy_iterator())
        assert len(seen[name]) == steps
        hidden = np.concatenate(
            [weights["expression_logits"] > 0 for _, _, weights in seen[name]]
        )
        shown = np.concatenate([inputs["expression"] for inputs, _, _ in seen[name]])
        assert (shown[hidden] == masking.expression_value).all()
        assert 0.4 < hidden.mean() <= 0.5


def test_input_wait_of_a_preset(monkeypatch, joint_store):
    tool = _load("bench_input_wait")
    monkeypatch.setattr(tool, "joint_store", lambda scratch: joint_store)
    run = CliRunner().invoke(
        tool.command, ["--preset", "cnn", "--steps", "1", "--at-most", "-1"]
    )
    assert run.exit_code == 1
    assert re.search(rf"^cnn +128 +16 +{NUMBER} +{NUMBER}%$", run.output, re.MULTILINE)
    assert run.output.endswith("Error: input wait above -100% of the time: cnn\n")
