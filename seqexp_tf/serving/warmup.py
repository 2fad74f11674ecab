"""Requests that a server answers once while it loads a model."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seqexp_tf.records.tfrecord import write_shard

WARM_UP = "assets.extra/tf_serving_warmup_requests"
"""Where TF Serving looks for them in a version folder."""


def can_write_requests() -> bool:
    """Returns whether the protos of TF Serving are installed."""
    return importlib.util.find_spec("tensorflow_serving") is not None


def write_requests(
    path: Path, model: str, requests: Mapping[str, Mapping[str, np.ndarray]]
) -> None:
    """Writes one request for each signature, as a log of predictions.

    Args:
        path: a TFRecord file.
        model: name of the model.
        requests: signature -> input -> array.

    Raises:
        DatasetError: the file cannot be written.
    """
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    def serialise(signature: str) -> bytes:
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        for name, values in requests[signature].items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        return log.SerializeToString(deterministic=True)

    write_shard(path, map(serialise, requests), compression="none")
