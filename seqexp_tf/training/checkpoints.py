"""Checkpoints a kill cannot spoil: whole folders, renamed into place."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import INCOMPLETE, sync_folder

_MODEL = "model.keras"
_STATE = "state.json"


def save_checkpoint(
    folder: Path, model: keras.Model, state: dict[str, Any], *, epoch: int
) -> None:
    """Saves model, optimizer and loop state after ``epoch`` finished epochs.

    The folder of the epoch before is removed only when the new one is in place.
    """
    target = folder / f"epoch-{epoch:05d}"
    temporary = target.with_name(target.name + INCOMPLETE)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        model.save(temporary / _MODEL)
        (temporary / _STATE).write_text(json.dumps(state | {"epoch": epoch}))
        for path in (temporary / _MODEL, temporary / _STATE):
            with path.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"{target}: cannot save the checkpoint: {error.strerror or error}; the "
            "last good one is kept, free space and use --resume"
        ) from None
    for old in _checkpoints(folder)[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def last_checkpoint(folder: Path) -> Path | None:
    """Returns the newest whole checkpoint, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def restore_checkpoint(path: Path, model: keras.Model) -> dict[str, Any]:
    """Puts weights and optimizer state into a compiled model; returns loop state.

    The model is built and compiled anew rather than loaded whole, because Keras
    does not save everything a compiled optimizer knows (which variables it spares
    from weight decay).
    """
    saved = keras.saving.load_model(path / _MODEL)
    model.optimizer.build(model.trainable_variables)
    for own, theirs in (
        (model.variables, saved.variables),
        (model.optimizer.variables, saved.optimizer.variables),
    ):
        for variable, value in zip(own, theirs, strict=True):
            variable.assign(value)
    return json.loads((path / _STATE).read_text())


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model so that ``path`` is always either old or whole.

    Without optimizer and losses, so that Keras alone can load it.
    """
    temporary = path.with_name(f"{path.stem}{INCOMPLETE}{path.suffix}")
    try:
        keras.Model(model.input, model.output, name=model.name).save(temporary)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot save: {error.strerror or error}") from None


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("epoch-*") if not path.name.endswith(INCOMPLETE)
    )
