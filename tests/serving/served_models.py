"""Exported models as TF Serving keeps them: loaded, warmed up, rolled over, unloaded.

Only TensorFlow and the protos of TF Serving are used: what loads here loads there.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_status_pb2, prediction_log_pb2

WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
States = get_model_status_pb2.ModelVersionStatus.State

_CODES = {code.value[0]: code for code in grpc.StatusCode}

Tensors = Mapping[str, tensor_pb2.TensorProto]


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


class Version:
    """One version folder, loaded through the SavedModel API alone."""

    def __init__(self, folder: Path, *, most: int, delay: float) -> None:
        self.number = int(folder.name)
        self.in_flight = 0
        self._most, self._delay = most, delay
        # The object owns the variables of its signatures.
        self._model = tf.saved_model.load(str(folder))
        proto = saved_model_pb2.SavedModel()
        proto.ParseFromString((folder / "saved_model.pb").read_bytes())
        self.definitions = dict(proto.meta_graphs[0].signature_def)

    def warm_up(self, path: Path) -> int:
        """Answers the requests of a log, and returns how many."""
        if not path.exists():
            return 0
        count = 0
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            assert log.WhichOneof("log_type") == "predict_log"
            request = log.predict_log.request
            self.predict(request.model_spec.signature_name, request.inputs, ())
            count += 1
        return count

    def definition(self, signature: str):
        try:
            return self.definitions[signature or "serving_default"]
        except KeyError:
            raise Refused(
                grpc.StatusCode.FAILED_PRECONDITION,
                f'Serving signature key "{signature}" not found.',
            ) from None

    def predict(
        self, signature: str, inputs: Tensors, wanted: Sequence[str]
    ) -> dict[str, tensor_pb2.TensorProto]:
        """Answers one request; the refusals are those of TF Serving."""
        definition = self.definition(signature)
        arrays = self._arrays(definition, inputs)
        for name in wanted:
            if name not in definition.outputs:
                raise invalid(f"output tensor alias not found in signature: {name}")
        time.sleep(self._delay)
        function = self._model.signatures[signature or "serving_default"]
        try:
            outputs = function(**arrays)
        except tf.errors.OpError as error:
            raise Refused(_CODES[error.error_code], error.message) from None
        except (TypeError, ValueError) as error:
            raise invalid(str(error)) from None
        return {
            name: tf.make_tensor_proto(outputs[name].numpy())
            for name in wanted or outputs
        }

    def _arrays(self, definition, inputs: Tensors) -> dict[str, tf.Tensor]:
        sent, known = set(inputs), set(definition.inputs)
        if sent != known:
            raise invalid(
                f"input size does not match signature: {len(sent)}!={len(known)} "
                f"len({{{','.join(sorted(sent))}}}) != "
                f"len({{{','.join(sorted(known))}}}). "
                f"Sent extra: {{{','.join(sorted(sent - known))}}}. "
                f"Missing but required: {{{','.join(sorted(known - sent))}}}."
            )
        arrays = {}
        for name, proto in inputs.items():
            dtype = definition.inputs[name].dtype
            if proto.dtype != dtype:
                found, expected = map(tf.dtypes.as_dtype, (proto.dtype, dtype))
                raise invalid(
                    f"Expects arg to be {expected.name} but {found.name} is provided: "
                    f"input {name}"
                )
            try:
                values = tf.make_ndarray(proto)
            except (TypeError, ValueError) as error:
                raise invalid(f"input {name} is no tensor: {error}") from None
            if self._most and np.ndim(values) and len(values) > self._most:
                raise invalid(
                    f"Task size {len(values)} is larger than maximum input batch size "
                    f"{self._most}"
                )
            arrays[name] = tf.constant(values)
        return arrays


class Model:
    """A model folder of which the latest version is served.

    A new version is loaded and warmed up before the old one is taken from service; that
    one is dropped once its last request is answered.
    """

    def __init__(self, folder: Path, *, say: Callable[[dict], None], **options) -> None:
        self.folder, self.name = folder, folder.name
        self.states: dict[int, tuple[int, str]] = {}
        self._say, self._options = say, options
        self._ready: dict[int, Version] = {}
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Looks for a new version."""
        numbers = [int(p.name) for p in self.folder.iterdir() if p.name.isdecimal()]
        latest = max(numbers, default=0)
        if not latest or latest in self.states:
            return
        self.states[latest] = States.LOADING, ""
        event = {"model": self.name, "version": latest}
        try:
            version = Version(self.folder / str(latest), **self._options)
            count = version.warm_up(self.folder / str(latest) / WARM_UP)
        except Exception as error:
            message = getattr(error, "message", str(error)).splitlines()[0]
            self.states[latest] = States.END, message
            self._say({"event": "failed", **event, "reason": message})
            return
        with self._lock:
            old = [v for number, v in self._ready.items() if number != latest]
            self._ready = {latest: version}
            self.states[latest] = States.AVAILABLE, ""
        self._say({"event": "loaded", **event, "warm_up": count})
        for version in old:
            self._unload(version)

    def _unload(self, version: Version) -> None:
        self.states[version.number] = States.UNLOADING, ""
        while version.in_flight:
            time.sleep(0.01)
        self.states[version.number] = States.END, ""
        unloaded = {"event": "unloaded", "model": self.name, "version": version.number}
        self._say(unloaded)

    @contextlib.contextmanager
    def use(self, number: int | None) -> Iterator[Version]:
        """Holds a version for one request."""
        with self._lock:
            wanted = max(self._ready, default=None) if number is None else number
            version = self._ready.get(wanted)
            if version is None:
                raise not_found(self.name, number)
            version.in_flight += 1
        try:
            yield version
        finally:
            with self._lock:
                version.in_flight -= 1


def not_found(name: str, number: int | None) -> Refused:
    asked = f"Latest({name})" if number is None else f"Specific({name}, {number})"
    message = f"Servable not found for request: {asked}"
    return Refused(grpc.StatusCode.NOT_FOUND, message)


class Models:
    """Every model of a folder."""

    def __init__(self, folder: Path, **options) -> None:
        self._models = {
            path.name: Model(path, **options)
            for path in sorted(folder.iterdir())
            if path.is_dir()
        }

    def poll(self) -> None:
        for model in self._models.values():
            model.poll()

    def __getitem__(self, name: str) -> Model:
        try:
            return self._models[name]
        except KeyError:
            raise not_found(name, None) from None
