"""The README and warm-up requests of an export, by TF Serving's real protos."""

import os
import re
import subprocess
import sys
from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.records.tfrecord import read_shard
from seqexp_tf.serving import export
from seqexp_tf.serving.card import read_card
from seqexp_tf.serving.export import export_run
from seqexp_tf.serving.warmup import WARM_UP

grpc = pytest.importorskip("grpc")
apis = pytest.importorskip("tensorflow_serving.apis")

from tensorflow_serving.apis import (  # noqa: E402
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)


def _inputs(request):
    return {
        name: np.asarray(tf.make_ndarray(tensor))
        for name, tensor in request.inputs.items()
    }


@pytest.mark.parametrize("task", ["joint", "gene"])
def test_warm_up_requests_are_answered(task, request, signatures):
    version = request.getfixturevalue(f"{task}_version")
    asked = []
    for record in read_shard(version / WARM_UP, compression="none"):
        log = prediction_log_pb2.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        spec = log.predict_log.request.model_spec
        assert spec.name == version.parent.name
        answer = signatures(version)[spec.signature_name](
            **_inputs(log.predict_log.request)
        )
        assert {len(values) for values in answer.values()} == {1}
        asked.append(spec.signature_name)
    assert asked == list(read_card(version).signatures)


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers by the signatures of one export."""

    def __init__(self, name, signatures):
        self._name, self._signatures = name, signatures

    def Predict(self, request, context):
        assert request.model_spec.name == self._name
        signature = self._signatures[request.model_spec.signature_name]
        response = predict_pb2.PredictResponse()
        for key, values in signature(**_inputs(request)).items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(values))
        return response


def test_the_python_example_prints_what_it_says(joint_version, signatures):
    text = (joint_version / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (printed,) = re.findall(r"It prints `\[(.*)\]`", text)
    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        _Service("joint", signatures(joint_version)), server
    )
    port = server.add_insecure_port("localhost:0")
    server.start()
    try:
        done = subprocess.run(
            [sys.executable, "-c", code.replace(":8500", f":{port}")],
            cwd=joint_version,
            env={**os.environ, "no_proxy": "localhost"},
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        server.stop(None)
    found = [float(number) for number in done.stdout.strip()[1:-1].split()]
    start, end = printed.split(" ... ")
    assert found[:3] == pytest.approx([float(x) for x in start.split()], rel=1e-3)
    assert found[-3:] == pytest.approx([float(x) for x in end.split()], rel=1e-3)


def test_tables_and_answers_of_every_signature(joint_version, gene_version):
    for version in (joint_version, gene_version):
        text = (version / "README.md").read_text()
        card = read_card(version)
        for name, signature in card.signatures.items():
            assert f"### `{name}`" in text
            for tensors in (signature.inputs, signature.outputs):
                assert all(f"| `{key}` |" in text for key in tensors)
        # A bar in a formula would end a cell.
        for line in text.splitlines():
            if line.startswith("| "):
                assert len(re.findall(r"(?<!\\)\|", line)) == 6, line
        assert "test split" in text
        assert "NaN, NaN, NaN, NaN, NaN" not in text.split("## Signatures")[0]


def test_without_the_protos_the_user_is_told(joint_run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "can_write_requests", lambda: False)
    said = []
    version = export_run(joint_run, tmp_path / "NAME", say=said.append)
    assert not (version / WARM_UP).exists()
    assert "seqexp-tf[serving]" in said[0]
    files = [tmp_path / name for name in ("models.config", "batching.config")]
    assert said[1:] == [f"Written: {path}" for path in files]
