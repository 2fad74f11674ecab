"""New versions under load: no request lost, none answered by a model half-way."""

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from seqexp_tf.serving.client import connect
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.run import MODEL, Run

TOOL = Path(__file__).resolve().parents[2] / "tools" / "serve_check.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("serve_check", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def other_version(joint_run, tmp_path_factory):
    """An export of the same model with other weights."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(joint_run.folder, folder / "run")
    model = joint_run.load_model()
    rng = np.random.default_rng(0)
    model.set_weights(
        [w + rng.normal(0, 0.3, w.shape).astype(w.dtype) for w in model.get_weights()]
    )
    model.save(folder / "run" / MODEL)
    return export_run(Run.open(folder / "run"), folder / "joint")


@pytest.fixture
def models(joint_version, tmp_path):
    """A folder of one model of one version."""
    shutil.copytree(joint_version, tmp_path / "models" / "joint" / "1")
    return tmp_path / "models"


@pytest.mark.parametrize(
    ("clients", "seconds"), [(8, 4), pytest.param(64, 60, marks=pytest.mark.slow)]
)
def test_no_request_is_lost_or_wrong(
    tool, start_server, models, other_version, clients, seconds
):
    with start_server(models) as server:
        arguments = [
            models / "joint",
            "--grpc", f"127.0.0.1:{server.grpc}",
            "--rest", f"127.0.0.1:{server.rest}",
            "--clients", clients,
            "--seconds", seconds,
            "--roll-over", other_version,
        ]  # fmt: skip
        found = CliRunner().invoke(tool.command, list(map(str, arguments)))
        assert found.exit_code == 0, found.output
        assert "answers and refusals: 0 problems" in found.output
        assert " 0 lost, 0 wrong;" in found.output
        assert "version 1 " in found.output and "version 2 " in found.output
        print(found.output)
        loaded = server.wait_for(event="loaded", version=2)
        assert loaded["warm_up"] == 3
        server.wait_for(event="unloaded", version=1)


def test_a_wrong_answer_is_seen(tool, start_server, models, other_version):
    """The tool compares with the version that answers, and so notices another one."""
    with start_server(models) as server:
        load = tool.run_load(
            server.url("grpc", "joint"), {1: other_version}, clients=2, seconds=0.5
        )
    assert sum(load.answered.values()) == len(load.wrong) > 0 and not load.lost


def test_a_broken_version_leaves_the_old_one_in_service(
    tool, start_server, models, joint_version
):
    with start_server(models) as server:
        logs = models / "cut"
        shutil.copytree(joint_version, logs)
        graph = logs / "saved_model.pb"
        graph.write_bytes(graph.read_bytes()[:1000])
        assert tool.add_version(logs, models / "joint") == 2
        server.wait_for(event="failed", version=2)
        with connect(server.url("grpc", "joint")) as client:
            assert client.pin() == 1
        assert tool.check_answers([server.url("http", "joint")], joint_version) == []
