"""Requests to TF Serving's PredictionService over gRPC."""

from collections.abc import Mapping, Sequence

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from seqexp_tf.serving.transport import Address, Kind, Unanswered, size_of

_KINDS = {
    grpc.StatusCode.UNAVAILABLE: Kind.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: Kind.SLOW,
    grpc.StatusCode.NOT_FOUND: Kind.UNKNOWN,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Kind.TOO_LARGE,
    grpc.StatusCode.INVALID_ARGUMENT: Kind.REFUSED,
    grpc.StatusCode.FAILED_PRECONDITION: Kind.REFUSED,
}
_LARGEST = (1 << 31) - (1 << 20)
"""Bytes of a protocol buffer, with room for its framing."""


class GrpcTransport:
    """A channel to one model; see ``Transport``."""

    def __init__(self, address: Address) -> None:
        self._model = address.model
        self._channel = grpc.insecure_channel(
            address.netloc,
            options=[
                ("grpc.max_send_message_length", -1),
                ("grpc.max_receive_message_length", -1),
                # A channel of one's own: connections of others may be backing off.
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        signature: str,
        outputs: Sequence[str],
        version: int | None,
        timeout: float,
    ) -> tuple[dict[str, np.ndarray], int | None]:
        if size_of(inputs) > _LARGEST:
            raise Unanswered(Kind.TOO_LARGE, "a protocol buffer holds 2 GB at most")
        request = predict_pb2.PredictRequest(output_filter=outputs)
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        response = _call(self._predictions.Predict, request, timeout)
        found = {
            name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()
        }
        spec = response.model_spec
        return found, spec.version.value if spec.HasField("version") else None

    def versions(self, *, timeout: float) -> list[int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        response = _call(self._models.GetModelStatus, request, timeout)
        available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
        return sorted(
            status.version
            for status in response.model_version_status
            if status.state == available
        )

    def close(self) -> None:
        self._channel.close()


def _call(method, request, timeout: float):
    try:
        return method(request, timeout=timeout)
    except grpc.RpcError as error:
        kind = _KINDS.get(error.code(), Kind.FAILED)
        raise Unanswered(kind, error.details() or error.code().name) from None
