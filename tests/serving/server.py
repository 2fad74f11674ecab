"""A model server for tests: TF Serving's protocols around the SavedModel API.

Run it as a script; see --help. It prints a line of JSON for each event, the first with
the ports once every model is loaded, and stops when its input ends: with its parent.
"""

import argparse
import json
import re
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import any_pb2, json_format
from served_models import Models, Refused, invalid
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_LOOPBACK = "127.0.0.1"
_PATH = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/(\d+))?(?::(predict)|/(metadata))?"
)
_HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


def predict(models: Models, request: predict_pb2.PredictRequest):
    """Answers a PredictRequest, or raises Refused."""
    spec = request.model_spec
    number = spec.version.value if spec.HasField("version") else None
    with models[spec.name].use(number) as version:
        outputs = version.predict(
            spec.signature_name, request.inputs, request.output_filter
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(spec)
        response.model_spec.version.value = version.number
    for name, proto in outputs.items():
        response.outputs[name].CopyFrom(proto)
    return response


def status(models: Models, name: str, number: int | None):
    """Returns the GetModelStatusResponse of a model."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, (state, message) in sorted(models[name].states.items()):
        if number in (None, version):
            entry = response.model_version_status.add(version=version, state=state)
            entry.status.error_message = message
            entry.status.error_code = 2 if message else 0
    return response


def metadata(models: Models, name: str, number: int | None):
    """Returns the GetModelMetadataResponse of a model."""
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with models[name].use(number) as version:
        response.model_spec.name = name
        response.model_spec.version.value = version.number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, definition in version.definitions.items():
            signatures.signature_def[key].CopyFrom(definition)
    packed = any_pb2.Any()
    packed.Pack(signatures)
    response.metadata["signature_def"].CopyFrom(packed)
    return response


class _Grpc(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, models: Models) -> None:
        self._models = models

    def Predict(self, request, context):
        return self._answer(context, predict, request)

    def GetModelMetadata(self, request, context):
        return self._answer(context, metadata, *_named(request))

    def GetModelStatus(self, request, context):
        return self._answer(context, status, *_named(request))

    def _answer(self, context, function, *arguments):
        try:
            return function(self._models, *arguments)
        except Refused as error:
            context.abort(error.code, error.message)


def _named(request) -> tuple[str, int | None]:
    spec = request.model_spec
    return spec.name, spec.version.value if spec.HasField("version") else None


class TooLarge(Exception):
    """A body over the limit."""


class _Rest(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    models: Models
    limit: int

    def do_GET(self):
        self._handle(self._get)

    def do_POST(self):
        self._handle(self._post)

    def log_message(self, *arguments):
        pass

    def _handle(self, function) -> None:
        match = _PATH.fullmatch(self.path)
        try:
            if match is None:
                raise invalid(f"Malformed request: {self.command} {self.path}")
            name, number, *rest = match.groups()
            content = function(name, None if number is None else int(number), *rest)
            self._send(200, content)
        except Refused as error:
            self._send(_HTTP.get(error.code, 500), {"error": error.message})
        except TooLarge:
            # What a proxy says; TF Serving itself has no limit here.
            self._send(413, "<html>413 Request Entity Too Large</html>")

    def _get(self, name, number, verb, about) -> dict:
        if verb:
            raise invalid(f"Malformed request: {self.command} {self.path}")
        function = metadata if about else status
        return json_format.MessageToDict(
            function(self.models, name, number), preserving_proto_field_name=True
        )

    def _post(self, name, number, verb, about) -> dict:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if len(body) > self.limit:
            raise TooLarge
        if not verb:
            raise invalid(f"Malformed request: {self.command} {self.path}")
        try:
            content = json.loads(body)
            inputs, rows = content.get("inputs"), content.get("instances")
            assert (inputs is None) != (rows is None)
            signature = content.get("signature_name", "")
        except (ValueError, AttributeError, AssertionError) as error:
            raise invalid(f"JSON Parse error: {error}") from None
        request = predict_pb2.PredictRequest()
        request.model_spec.name = name
        request.model_spec.signature_name = signature
        if number is not None:
            request.model_spec.version.value = number
        with self.models[name].use(number) as version:
            known = version.definition(signature).inputs
        if rows is not None:
            inputs = {key: [row[key] for row in rows] for key in rows[0]}
        for key, values in inputs.items():
            request.inputs[key].CopyFrom(_tensor(key, values, known))
        response = predict(self.models, request)
        outputs = {k: tf.make_ndarray(v) for k, v in response.outputs.items()}
        if rows is not None:
            pairs = [
                {key: array[i].tolist() for key, array in outputs.items()}
                for i in range(len(rows))
            ]
            return {"predictions": pairs}
        lists = {key: array.tolist() for key, array in outputs.items()}
        # TF Serving leaves out the name of a single output.
        return {"outputs": lists if len(lists) > 1 else next(iter(lists.values()))}

    def _send(self, code: int, content: dict | str) -> None:
        text = content if isinstance(content, str) else json.dumps(content)
        self.send_response(code)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def _tensor(name: str, values, known):
    if name not in known:
        raise invalid(f"JSON object: does not have named input: {name}")
    dtype = tf.dtypes.as_dtype(known[name].dtype)
    array = np.array(values, dtype=object)
    kinds = {tf.string: str, tf.bool: bool, tf.int32: int}.get(dtype, (int, float))
    for value in array.ravel():
        if not isinstance(value, kinds) or (
            isinstance(value, bool) and dtype != tf.bool
        ):
            raise invalid(
                f"JSON Value: {json.dumps(value)} Type: {type(value).__name__} is not "
                f"of expected type: {dtype.name}"
            )
    return tf.make_tensor_proto(values, dtype=dtype)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # 64 clients may connect at once.
    request_queue_size = 128

    def handle_error(self, request, address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, address)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="folder of model folders")
    parser.add_argument("--poll", type=float, default=0.2, metavar="SECONDS")
    parser.add_argument("--delay", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--max-bytes", type=int, default=1 << 30, metavar="BYTES")
    parser.add_argument("--max-batch-size", type=int, default=0, metavar="ROWS")
    options = parser.parse_args()

    def say(event: dict) -> None:
        print(json.dumps(event), flush=True)

    models = Models(
        options.models, say=say, most=options.max_batch_size, delay=options.delay
    )
    models.poll()
    service = _Grpc(models)
    server = grpc.server(
        ThreadPoolExecutor(16),
        options=[("grpc.max_receive_message_length", options.max_bytes)],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"{_LOOPBACK}:0")
    server.start()
    handler = type("Rest", (_Rest,), {"models": models, "limit": options.max_bytes})
    rest = _Server((_LOOPBACK, 0), handler)
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # What it serves must need nothing of the package.
    assert "seqexp_tf" not in sys.modules
    say({"event": "ready", "grpc": port, "rest": rest.server_address[1]})

    def follow_the_parent() -> None:
        sys.stdin.read()
        stop.set()

    threading.Thread(target=follow_the_parent, daemon=True).start()
    while not stop.wait(options.poll):
        models.poll()
    rest.shutdown()
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
