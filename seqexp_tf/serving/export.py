"""SavedModels that load where this package is not installed."""

import os
import shutil
from pathlib import Path

import keras
import tensorflow as tf

from seqexp_tf.errors import RunError
from seqexp_tf.models import registry
from seqexp_tf.records.tfrecord import INCOMPLETE
from seqexp_tf.training.config import model_config
from seqexp_tf.training.run import Run


def export_joint(run: Run, folder: str | os.PathLike) -> Path:
    """Writes the next version of a joint model as a SavedModel.

    The signature ``serving_default`` takes ``sequence`` ``(batch, length, 5)`` and
    ``expression`` ``(batch, length)``, and gives probabilities: ``expression``
    ``(batch, length)`` and ``sequence`` ``(batch, length, 5)`` over A, C, G, T, N.
    Everything is float32; batch and length are free. Weights are computed with in
    float32 whatever the precision of training.

    Args:
        run: a finished run.
        folder: model folder; the SavedModel goes to its next version number.

    Returns:
        The version folder.

    Raises:
        RunError: the run is unfinished, or the folder cannot be written.
    """
    model = _in_float32(run)
    folder = Path(folder)
    version = _next_version(folder)
    temporary = folder / f"{version}{INCOMPLETE}"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        archive = keras.export.ExportArchive()
        archive.track(model)

        def serve(inputs):
            outputs = model(inputs, training=False)
            return {
                "expression": keras.ops.sigmoid(outputs["expression_logits"]),
                "sequence": keras.ops.softmax(outputs["sequence_logits"]),
            }

        archive.add_endpoint(
            "serve",
            serve,
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


def _in_float32(run: Run) -> keras.Model:
    trained = run.load_model()
    model = registry.build(run.config.model["architecture"], model_config(run.config))
    model.set_weights(trained.get_weights())
    return model


def _next_version(folder: Path) -> int:
    versions = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
    return max(versions, default=0) + 1
