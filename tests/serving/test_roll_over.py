"""New versions under load: no request lost, none answered by a model half-way."""

import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool

from seqexp_tf.serving.client import connect
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.run import MODEL, Run


@pytest.fixture(scope="module")
def tool():
    return load_tool("serve_check")


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


@pytest.fixture(scope="module")
def server(joint_version, start_server, tmp_path_factory):
    """A server of one model, whose folder these tests add versions to, in order."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(joint_version, folder / "joint" / "1")
    with start_server(folder) as running:
        yield running


def test_a_wrong_answer_is_seen(tool, server, other_version):
    """The tool compares with the version that answers, and so notices another one."""
    url = server.url("grpc", "joint")
    load = tool.run_load(url, {1: other_version}, clients=2, seconds=0.5)
    assert sum(load.answered.values()) == len(load.wrong) > 0 and not load.lost


@pytest.mark.parametrize(
    ("clients", "seconds", "old"),
    [(8, 4, 1), pytest.param(64, 60, 2, marks=pytest.mark.slow)],
)
def test_no_request_is_lost_or_wrong(
    tool, server, joint_version, other_version, clients, seconds, old
):
    arguments = [
        server.models / "joint",
        "--grpc", f"127.0.0.1:{server.grpc}",
        "--rest", f"127.0.0.1:{server.rest}",
        "--clients", clients,
        "--seconds", seconds,
        "--roll-over", other_version if old == 1 else joint_version,
    ]  # fmt: skip
    found = CliRunner().invoke(tool.command, list(map(str, arguments)))
    assert found.exit_code == 0, found.output
    assert "answers and refusals: 0 problems" in found.output
    assert " 0 lost, 0 wrong;" in found.output
    assert f"version {old} " in found.output and f"version {old + 1} " in found.output
    assert server.wait_for(event="loaded", version=old + 1)["warm_up"] == 3
    server.wait_for(event="unloaded", version=old)


def test_a_broken_version_leaves_the_old_one_in_service(
    tool, server, joint_version, tmp_path
):
    with connect(server.url("grpc", "joint")) as client:
        before = client.pin()
    shutil.copytree(joint_version, tmp_path / "cut")
    graph = tmp_path / "cut" / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:1000])
    broken = tool.add_version(tmp_path / "cut", server.models / "joint")
    assert broken == before + 1
    server.wait_for(event="failed", version=broken)
    with connect(server.url("grpc", "joint")) as client:
        assert client.pin() == before
