"""SavedModels that load where this package is not installed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import INCOMPLETE
from seqexp_tf.training.run import Run


def export_run(run: Run, folder: str | os.PathLike) -> Path:
    """Writes the next version of a model as a SavedModel.

    Everything is float32 and the batch is free; weights are computed with in float32
    whatever the precision of training. The signature ``serving_default`` takes the
    model's inputs by their names. It gives, for a joint model (``sequence``
    ``(batch, length, 5)``, ``expression`` ``(batch, length)``, any length),
    probabilities: ``expression`` ``(batch, length)`` and ``sequence``
    ``(batch, length, 5)`` over A, C, G, T, N; for a model of genes, ``expression``
    ``(batch,)`` and, where it has a mask, ``mask`` ``(batch, window)``.

    Args:
        run: a finished run.
        folder: model folder; the SavedModel goes to its next version number.

    Returns:
        The version folder.

    Raises:
        RunError: the run is unfinished, or the folder cannot be written.
    """
    model = _in_float32(run.load_model())
    answer = {"joint": _probabilities, "expression": _expression}[run.task]
    return _write(model, answer, Path(folder))


def _probabilities(outputs: dict[str, Any]) -> dict[str, Any]:
    return {
        "expression": keras.ops.sigmoid(outputs["expression_logits"]),
        "sequence": keras.ops.softmax(outputs["sequence_logits"]),
    }


def _expression(outputs: dict[str, Any]) -> dict[str, Any]:
    return {name: outputs[name] for name in ("expression", "mask") if name in outputs}


def _write(
    model: keras.Model,
    answer: Callable[[dict[str, Any]], dict[str, Any]],
    folder: Path,
) -> Path:
    version = _next_version(folder)
    temporary = folder / f"{version}{INCOMPLETE}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint(
            "serve",
            lambda inputs: answer(model(inputs, training=False)),
            input_signature=[
                {
                    tensor.name: tf.TensorSpec(tensor.shape, tf.float32, tensor.name)
                    for tensor in model.inputs
                }
            ],
        )
        archive.write_out(temporary, verbose=False)
        os.replace(temporary, folder / str(version))
    except (OSError, tf.errors.OpError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{folder}: cannot write the export: {reason}; choose another --out"
        ) from None
    return folder / str(version)


def _in_float32(trained: keras.Model) -> keras.Model:
    """Returns a copy with the same weights and the policy float32 in every layer."""
    model = type(trained).from_config(_with_float32_policies(trained.get_config()))
    model.set_weights(trained.get_weights())
    return model


def _with_float32_policies(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _with_float32_policies(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_float32_policies(value) for value in config)
    return config


def _next_version(folder: Path) -> int:
    versions = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return max(versions, default=0) + 1
