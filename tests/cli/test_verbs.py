"""The command line: help, one-line errors, and the verbs on a small dataset."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli

VERBS = cli.list_commands(None)


def _run(*arguments, **options):
    command = [sys.executable, "-m", "seqexp_tf.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_help_needs_no_tensorflow():
    code = (
        "import sys; from seqexp_tf.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('tensorflow', 'keras', 'pandas', 'numpy') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_teaches_with_an_example(verb):
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"seqexp-tf {verb}" in result.output


def test_help_of_a_verb_needs_no_tensorflow():
    code = (
        "import sys; from seqexp_tf.cli.main import cli\n"
        "for verb in sys.argv[1:]:\n"
        "    try: cli([verb, '--help'])\n"
        "    except SystemExit: pass\n"
        "    loaded = [m for m in ('tensorflow', 'keras') if m in sys.modules]\n"
        "    print('loaded by', verb, loaded)"
    )
    command = [sys.executable, "-c", code, *VERBS]
    done = subprocess.run(command, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("loaded by")]
    assert found == [f"loaded by {verb} []" for verb in VERBS]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "{tmp}"], "not a dataset, manifest.json is missing"),
        (["verify", "{tmp}/none"], "no such folder; say where the dataset is"),
        (["inspect", "{tmp}"], "not a dataset"),
        (["simulate", "/dev/null/genome"], "/dev/null: File exists; --debug shows"),
        (["convert", "{tmp}/none.toml"], "no such file"),
        (["export", "{tmp}"], "not a run, config.toml is missing"),
        (
            ["export", "{tmp}", "--out", "{tmp}/.."],
            "the folder names the model; choose --out MODELS/NAME",
        ),
        (["fit", "--preset", "cmn"], 'did you mean "cnn"'),
        (["fit", "--preset", "cnn"], "needs --data DATASET and --out RUN"),
        (["fit", "--resume", "--out", "{tmp}"], "not a run"),
        (
            ["fit", "--resume", "--preset", "cnn", "--out", "{tmp}"],
            "fit needs --data DATASET; or leave out --config and --preset, to go on",
        ),
        (["fit", "--resume"], "--resume needs --out RUN, the run to go on with"),
        (
            ["fit", "--preset", "cnn", "--set", "training.epoch=3"],
            'did you mean "epochs"',
        ),
        (["export", "{tmp}", "--out", "."], "the folder names the model"),
        (["demo", "--out", "{data}"], "not empty"),
    ],
)
def test_an_error_is_one_line(call, arguments, message, tmp_path, joint_folder):
    filled = [part.format(tmp=tmp_path, data=joint_folder) for part in arguments]
    code, _, err = call(*filled)
    assert code == 1
    assert message in err
    assert err.startswith("Error: ")
    assert len(err.strip().splitlines()) == 1


def test_an_error_is_one_line_in_a_process_that_loads_tensorflow(tmp_path):
    done = _run("evaluate", tmp_path)
    assert done.returncode == 1
    message = f"Error: {tmp_path}: not a run, config.toml is missing; "
    assert done.stderr.startswith(message)
    assert len(done.stderr.strip().splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path):
    done = _run("--debug", "verify", tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["covnert"], "seqexp-tf: no verb 'covnert'; did you mean \"convert\"; see"),
        (["evaluate"], "seqexp-tf evaluate: missing argument 'RUN'; see `seqexp-tf"),
        (["fit", "--outt", "x"], "seqexp-tf fit: no such option '--outt'; did you"),
        (["logo", "x", "--strand", "y"], "invalid value for '--strand': 'y' is not"),
        (["logo", "x"], "seqexp-tf logo: no region; give one, for example --region"),
        (["fit", "--out"], "option '--out' requires an argument"),
        (["export", "x", "--out", "s3://b/x"], "'--out': s3://b/x is a remote address"),
        (["evaluate", "gs://b/run"], "'RUN': gs://b/run is a remote address, and this"),
        (["demo", "--epochs", "0"], "'--epochs': 0 is not in the range x>=1"),
    ],
)
def test_a_usage_error_is_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert "--help`" in err


def test_without_a_verb_the_help_is_shown(call):
    code, _, err = call()
    assert code == 2
    assert err.startswith("Usage: seqexp-tf")
    assert "convert" in err


def test_the_version(call):
    assert call("--version") == (0, "seqexp-tf, version 0.1.0\n", "")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("seqexp-tf eva", "evaluate"),
        ("seqexp-tf logo --str", "--strand"),
        ("x f -", ""),
    ],
)
def test_the_shell_completes(words, found):
    variables = {
        "_SEQEXP_TF_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    done = _run(env={**os.environ, **variables})
    assert (done.returncode, done.stderr) == (0, "")
    assert found in done.stdout


def test_fit_evaluate_export(joint_folder, tmp_path, call):
    run = tmp_path / "run"
    settings = [
        "--set", "model.filters=8",
        "--set", "model.dilations=[2, 4]",
        "--set", "training.epochs=2",
        "--set", "training.batch_size=8",
    ]  # fmt: skip
    fitted = _run(
        "fit", "--preset", "cnn", "--data", joint_folder, "--out", run, *settings
    )
    assert fitted.returncode == 0, fitted.stderr
    assert "epoch 2/2" in fitted.stderr

    evaluated = _run("evaluate", run)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "Stratified random" in evaluated.stdout
    written = {path.name for path in (run / "metrics").iterdir()}
    assert written >= {
        "test.json",
        "test.csv",
        "test.md",
        "test_scores.png",
        "test_windows.tsv",
        "test_windows.png",
        "test_reliability_expression.svg",
        "curves.tsv",
        "curves.png",
    }
    metrics = json.loads((run / "metrics" / "test.json").read_text())
    masked = metrics["populations"]["masked"]
    assert masked["rna"]["uniform_random"]["loss"] == pytest.approx(1.0, abs=0.05)

    exported = _run("export", run)
    assert exported.returncode == 0, exported.stderr
    assert exported.stdout.strip() == str(run / "export" / "cnn" / "1")

    code, _, said = call("fit", "--resume", "--out", run)
    assert code == 0, said


def test_dry_run_prints_what_fit_reads_back(call, tmp_path):
    _, printed, _ = call("fit", "--preset", "cnn_large", "--dry-run")
    path = tmp_path / "config.toml"
    path.write_text(printed)
    assert call("fit", path, "--dry-run")[1] == printed
    assert "expression_fraction = 0.5" in printed


def test_presets_are_listed(call):
    listed = call("fit", "--list-presets")[1].split()
    assert listed == sorted(listed)
    assert {"cnn", "cnn_large", "hybrid", "transformer", "seq2exp_soft"} <= set(listed)


@pytest.mark.slow
def test_demo(tmp_path):
    done = _run("demo", "--out", tmp_path / "demo", "--epochs", "1", env=os.environ)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "demo" / "run"
    assert (run / "metrics" / "test_windows.png").is_file()
    assert (run / "export" / "cnn" / "1" / "saved_model.pb").is_file()
    # Every command it shows works when typed.
    shown = [line[2:] for line in done.stderr.splitlines() if line.startswith("$ ")]
    assert [line.split()[1] for line in shown] == [
        "simulate", "convert", "fit", "evaluate", "export",
    ]  # fmt: skip
    export = [part for part in shown[-1].split()[1:]]
    assert _run(*export).stdout.strip() == str(run / "export" / "cnn" / "2")
