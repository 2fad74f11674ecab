"""Exports of both tasks, and a process that uses them as a server does."""

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import fit

_CLIENT = """
import sys
sys.modules["seqexp_tf"] = None
import numpy as np, tensorflow as tf
arrays = np.load(sys.argv[1])
models, requests, answers = {}, {}, {}
for name in arrays.files:
    place, key = name.rsplit("|", 1)
    requests.setdefault(place, {})[key] = tf.constant(arrays[name])
for place, inputs in requests.items():
    version, signature = place.split("|")
    if version not in models:
        models[version] = tf.saved_model.load(version)
    for key, value in models[version].signatures[signature](**inputs).items():
        answers[f"{place}|{key}"] = value.numpy()
np.savez(sys.argv[2], **answers)
"""

_Arrays = Mapping[str, np.ndarray]
_Place = tuple[Path, str]


@pytest.fixture(scope="session")
def served(tmp_path_factory) -> Callable[..., dict[_Place, dict[str, np.ndarray]]]:
    """Returns a function: what signatures answer in a process without the package.

    They go by the folder of the version and their name.
    """

    def answer(requests: Mapping[_Place, _Arrays]):
        folder = tmp_path_factory.mktemp("served")
        paths = [folder / "inputs.npz", folder / "outputs.npz"]
        arrays = {
            f"{version}|{signature}|{name}": values
            for (version, signature), inputs in requests.items()
            for name, values in inputs.items()
        }
        np.savez(paths[0], **arrays)
        subprocess.run(
            [sys.executable, "-c", _CLIENT, *paths], check=True, capture_output=True
        )
        found = np.load(paths[1])
        answers: dict[_Place, dict[str, np.ndarray]] = {}
        for name in found.files:
            version, signature, key = name.split("|")
            answers.setdefault((Path(version), signature), {})[key] = found[name]
        return answers

    return answer


@pytest.fixture(scope="session")
def joint_run(joint_folder, tmp_path_factory) -> Run:
    """A trained joint model, computing in bfloat16."""
    config = read_run_config(
        {
            "model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]},
            "training": {"epochs": 2, "batch_size": 8, "precision": "bfloat16"},
        }
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    return fit(config, RecordStore.open(joint_folder), folder)


@pytest.fixture(scope="session")
def joint_version(joint_run, tmp_path_factory) -> Path:
    """Its export."""
    return export_run(joint_run, tmp_path_factory.mktemp("models") / "joint")


@pytest.fixture(scope="session")
def gene_run(write_gene_run, gene_folder, tmp_path_factory) -> Run:
    """An untrained model of genes with a hard mask; float32."""
    folder = tmp_path_factory.mktemp("runs") / "genes"
    store = RecordStore.open(gene_folder)
    return Run.open(write_gene_run(folder, store, mask={"kind": "hard", "promoter": 8}))


@pytest.fixture(scope="session")
def gene_version(gene_run, tmp_path_factory) -> Path:
    """Its export."""
    return export_run(gene_run, tmp_path_factory.mktemp("models") / "genes")


@pytest.fixture(scope="session")
def signatures() -> Callable:
    """Returns a function: the signatures of an export, of numpy arrays."""
    loaded = {}

    def load(version: Path) -> dict[str, Callable]:
        if version not in loaded:
            # The object owns the variables.
            model = tf.saved_model.load(version)
            loaded[version] = model, dict(model.signatures)
        return {
            name: lambda signature=signature, **inputs: {
                key: value.numpy()
                for key, value in signature(
                    **{name: tf.constant(values) for name, values in inputs.items()}
                ).items()
            }
            for name, signature in loaded[version][1].items()
        }

    return load


@pytest.fixture(scope="session")
def metagraph() -> Callable:
    """Returns a function: the graph and signatures in the file of an export."""

    def read(version: Path):
        content = (version / "saved_model.pb").read_bytes()
        (found,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
        return found

    return read


@pytest.fixture(scope="session")
def operations(metagraph) -> Callable[[Path], set[str]]:
    """Returns a function: the operations of an export, all of them such as a server
    without compiler, Python and libraries has, of float32."""

    def read(version: Path) -> set[str]:
        graph = metagraph(version).graph_def
        functions = graph.library.function
        nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
        found = {node.op for node in nodes}
        assert not {name for name in found if "PyFunc" in name or "Xla" in name}
        for name in found - {function.signature.name for function in functions}:
            assert op_def_registry.get(name) is not None, name
        attributes = {key for node in nodes for key in node.attr}
        attributes |= {key for function in functions for key in function.attr}
        assert not {key for key in attributes if "XlaMustCompile" in key}
        low = {tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum}
        assert not {
            node.name for node in nodes if low & {v.type for v in node.attr.values()}
        }
        return found

    return read


@dataclass(frozen=True)
class RunningServer:
    """A running ``server.py``.

    Attributes:
        models: its folder of models.
        grpc: port.
        rest: port.
        lines: what it printed so far, in order.
        process: that runs it.
    """

    models: Path
    grpc: int
    rest: int
    lines: list[dict]
    process: subprocess.Popen

    def url(self, scheme: str, name: str) -> str:
        """Returns the address of a model."""
        port = self.grpc if scheme == "grpc" else self.rest
        return f"{scheme}://127.0.0.1:{port}/{name}"

    def wait_for(self, seconds: float = 300, **event) -> dict:
        """Waits until it has printed an event with these values."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in list(self.lines):
                if event.items() <= line.items():
                    return line
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {event} in {self.lines}")


@contextmanager
def _running_server(models: Path, *options: object) -> Iterator[RunningServer]:
    """Starts ``server.py`` on loopback and stops it afterwards."""
    script = Path(__file__).with_name("server.py")
    with subprocess.Popen(
        [sys.executable, script, models, *map(str, options)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        lines: list[dict] = []

        def read() -> None:
            lines.extend(map(json.loads, process.stdout))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        server = RunningServer(models, 0, 0, lines, process)
        try:
            ready = server.wait_for(event="ready")
            yield replace(server, grpc=ready["grpc"], rest=ready["rest"])
        finally:
            process.terminate()
            process.wait(timeout=30)
            reader.join(timeout=10)


@pytest.fixture(scope="session")
def models_folder(joint_version, gene_version, tmp_path_factory) -> Path:
    """A folder of both models, version 1 of each."""
    folder = tmp_path_factory.mktemp("served_models")
    for version in (joint_version, gene_version):
        shutil.copytree(version, folder / version.parent.name / "1")
    return folder


@pytest.fixture(scope="session")
def server(models_folder) -> Iterator[RunningServer]:
    """A server of both models; let no test change its folder."""
    with _running_server(models_folder) as running:
        yield running


@pytest.fixture(scope="session")
def start_server() -> Callable[..., AbstractContextManager[RunningServer]]:
    """Starts another server: a folder of models and options of ``server.py``."""
    return _running_server
