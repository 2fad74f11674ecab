"""The doctor on this installation, and on installations broken on purpose."""

import importlib
import os
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet

from seqexp_tf import doctor
from seqexp_tf.cli.doctor import command


def _problems(findings):
    problems = [finding.problem for finding in findings if finding.problem]
    assert all("\n" not in problem for problem in problems)
    return problems


@pytest.fixture
def installed(monkeypatch):
    """Pretends that packages have other versions, or (None) are missing."""
    real = metadata.version

    def pretend(**versions):
        def version(name):
            key = name.replace("-", "_")
            if key not in versions:
                return real(name)
            if versions[key] is None:
                raise metadata.PackageNotFoundError(name)
            return versions[key]

        monkeypatch.setattr(metadata, "version", version)

    return pretend


def test_this_installation_meets_its_requirements():
    findings = list(doctor.check_requirements())
    assert _problems(findings) == []
    assert findings[-1].name == "requirements"
    assert _problems(doctor.check_imports()) == []


def test_versions_are_those_of_the_metadata(installed):
    installed(logomaker=None, keras="3.99.1")
    values = {finding.name: finding.value for finding in doctor.check_versions()}
    assert values["keras"] == "3.99.1"
    assert values["logomaker"] == "not installed"
    assert values["seqexp-tf"] == metadata.version("seqexp-tf")
    assert values["Python"] == ".".join(map(str, sys.version_info[:3]))


def test_a_version_out_of_range(installed):
    installed(matplotlib="3.5.0")
    problem = _problems(doctor.check_requirements())[0]
    assert problem == (
        'seqexp-tf needs matplotlib>=3.8, found 3.5.0; pip install "matplotlib>=3.8"'
    )


def test_one_remedy_for_all_that_ask(installed):
    installed(keras="3.5.0")
    (problem,) = _problems(doctor.check_requirements())
    assert problem.startswith(
        "seqexp-tf needs keras<4,>=3.12 and tensorflow needs keras>=3.12.0, found 3.5.0"
    )
    _, _, remedy = problem.partition('; pip install "keras')
    wanted = SpecifierSet(remedy.rstrip('"'))
    assert [v in wanted for v in ("3.11.9", "3.12.0", "3.15.1", "4.0")] == [
        False,
        True,
        True,
        False,
    ]


def test_a_missing_package(installed):
    installed(logomaker=None)
    (problem,) = _problems(doctor.check_requirements())
    assert problem == (
        'seqexp-tf needs logomaker>=0.8.6, found none; pip install "logomaker>=0.8.6"'
    )


def test_a_missing_package_that_an_extra_of_a_requirement_needs(installed):
    installed(tf_keras=None)
    (problem,) = _problems(doctor.check_requirements())
    assert problem.startswith("tensorflow-probability needs tf-keras")
    assert 'pip install "tf-keras' in problem


def test_a_requirement_of_a_requirement_out_of_range(installed):
    installed(tf_keras="2.14.0")
    (problem,) = _problems(doctor.check_requirements())
    assert "tf-keras>=2.16, found 2.14.0" in problem


def test_a_development_version_counts(installed):
    installed(keras="3.16.0.dev1")
    assert _problems(doctor.check_requirements()) == []


def test_requirements_of_other_extras_do_not_count(installed):
    installed(cooler=None, ruff=None)
    assert _problems(doctor.check_requirements()) == []


def test_every_unmet_requirement_is_a_problem(installed):
    installed(logomaker=None, pyBigWig="0.1.0", pandas="1.5.3")
    problems = _problems(doctor.check_requirements())
    for package in ("logomaker", "pyBigWig", "pandas"):
        assert any(f'pip install "{package}>=' in problem for problem in problems)


def test_a_package_that_cannot_be_imported(monkeypatch):
    real = importlib.import_module

    def import_module(name, *arguments):
        if name == "pyBigWig":
            raise ImportError("undefined symbol: foo\nmore")
        return real(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", import_module)
    (problem,) = _problems(doctor.check_imports())
    assert problem == (
        "pyBigWig is installed but cannot be imported: ImportError: undefined symbol: "
        "foo; pip install --force-reinstall --no-deps pyBigWig"
    )


def test_frameworks_agree():
    findings = list(doctor.check_frameworks(lambda: None))
    assert _problems(findings) == []
    beta = {finding.name: finding.value for finding in findings}["Beta gradient"]
    assert float(beta.split()[0]) == pytest.approx(0.125, abs=0.02)


def test_tensorflow_that_cannot_be_loaded():
    def load():
        raise ImportError("libcudart.so.12: cannot open shared object file")

    problem = _problems(doctor.check_frameworks(load))[0]
    assert "libcudart.so.12" in problem
    assert 'pip install --force-reinstall "tensorflow<2.22,>=2.20"' in problem


def test_an_unsupported_keras_backend(monkeypatch):
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    (problem,) = _problems(doctor.check_frameworks(lambda: None))
    assert "torch" in problem
    assert problem.endswith("export KERAS_BACKEND=tensorflow")


def test_an_unknown_backend_is_one_problem(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "nope")
    (problem,) = _problems(doctor.check_frameworks(lambda: pytest.fail("loaded")))
    assert problem.startswith("KERAS_BACKEND is 'nope'")
    assert problem.endswith("export KERAS_BACKEND=tensorflow")


def test_a_beta_sample_without_gradient(monkeypatch):
    import tensorflow as tf
    import tensorflow_probability as tfp

    class Beta:
        def __init__(self, a, b):
            self.a = a

        def sample(self, size, seed):
            return tf.ones(size) * tf.stop_gradient(self.a)

    monkeypatch.setattr(tfp.distributions, "Beta", Beta)
    (problem,) = _problems(doctor.check_frameworks(lambda: None))
    assert "gradient of a Beta mean is None, not 0.125" in problem
    assert 'pip install --force-reinstall "tensorflow-probability[tf]' in problem


@pytest.fixture
def nvidia_smi(monkeypatch, tmp_path):
    """Puts a stand-in nvidia-smi first on the path."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def write(script):
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return write


def _hide_gpus(monkeypatch):
    import tensorflow as tf

    real = tf.config.list_physical_devices
    monkeypatch.setattr(
        tf.config,
        "list_physical_devices",
        lambda kind=None: [] if kind == "GPU" else real(kind),
    )


def test_a_gpu_that_tensorflow_does_not_see(monkeypatch, nvidia_smi):
    nvidia_smi("echo 'GPU 0: H200 (UUID: a)'; echo 'GPU 1: H200 (UUID: b)'")
    _hide_gpus(monkeypatch)
    assert _problems(doctor.check_devices()) == [
        'TensorFlow sees 0 of 2 GPUs; pip install "seqexp-tf[gpu]"'
    ]


def test_a_gpu_hidden_on_purpose_is_no_problem(monkeypatch, nvidia_smi):
    nvidia_smi("echo 'GPU 0: H200 (UUID: a)'")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    _hide_gpus(monkeypatch)
    findings = {finding.name: finding for finding in doctor.check_devices()}
    assert findings["GPUs"].problem is None
    assert "CUDA_VISIBLE_DEVICES=-1" in findings["GPUs"].value


def test_a_gpu_known_by_its_device_file_alone(monkeypatch, nvidia_smi):
    nvidia_smi("echo 'driver not loaded' >&2; exit 9")
    monkeypatch.setattr(doctor, "_device_files", lambda: ["/dev/nvidia0"])
    _hide_gpus(monkeypatch)
    (problem,) = _problems(doctor.check_devices())
    assert problem.startswith("TensorFlow sees 0 of 1 GPUs")


def test_little_space(monkeypatch, tmp_path):
    assert _problems(doctor.check_space(tmp_path)) == []
    monkeypatch.setattr(doctor, "_free_memory", lambda: 300_000_000)
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=2_000_000)
    )
    memory, disk = _problems(doctor.check_space(tmp_path))
    assert memory.startswith("0.3 GB of memory is free")
    assert disk.startswith(f"{tmp_path}: 0.0 GB is free")


def test_a_training_step_that_fails(monkeypatch):
    from seqexp_tf.models import registry

    def build(name, config, shape):
        raise RuntimeError("No DNN in stream executor.\nlong explanation")

    monkeypatch.setattr(registry, "build", build)
    problems = _problems(doctor.check_training_step())
    assert problems
    assert "RuntimeError: No DNN in stream executor.; pip install" in problems[0]


def test_command_on_this_machine(monkeypatch):
    monkeypatch.setattr(doctor, "check_space", lambda folder: [])
    run = CliRunner().invoke(command, [])
    assert run.exit_code == 0, run.output
    assert "windows/s (cnn, 8 x 2,048 bp" in run.output
    assert run.output.endswith("All well.\n")


def test_command_names_problems_and_fails(monkeypatch, installed):
    installed(keras="2.0.0")

    def load():
        raise ImportError("no TensorFlow here")

    monkeypatch.setattr("seqexp_tf.cli.doctor.load_tensorflow", load)
    run = CliRunner().invoke(command, [])
    assert run.exit_code == 1
    assert "\nProblem: seqexp-tf needs keras<4,>=3.12" in run.output
    assert "\nProblem: TensorFlow: ImportError: no TensorFlow here; " in run.output
    assert "! keras" in run.output
    assert "training step" not in run.output
    assert "All well" not in run.output


def test_help_shows_an_example_without_tensorflow():
    code = (
        "import sys; from seqexp_tf.cli.main import cli\n"
        "try: cli(['doctor', '--help'])\n"
        "finally: assert 'tensorflow' not in sys.modules"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "Example:\n    seqexp-tf doctor" in run.stdout
