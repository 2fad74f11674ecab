"""Checkpoints a kill cannot spoil: whole folders, renamed into place."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import INCOMPLETE, sync_folder

BEST = "best.keras"
_MODEL = "model.keras"
_STATE = "state.json"
_SEEDS = "seeds"


def save_checkpoint(
    folder: Path,
    model: keras.Model,
    state: dict[str, Any],
    *,
    epoch: int,
    improved: bool,
) -> None:
    """Saves model, optimizer, best model and loop state after an epoch.

    All in one folder, so that the best model is always the one the state speaks
    of. The folder of the epoch before is removed only when this one is in place.

    Args:
        folder: holds the checkpoints of a run.
        model: as it is now.
        state: what the training loop needs to go on.
        epoch: finished epochs.
        improved: the model is the best so far; else the best one before is kept.
    """
    before = last_checkpoint(folder)
    target = folder / f"epoch-{epoch:05d}"
    temporary = target.with_name(target.name + INCOMPLETE)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        model.save(temporary / _MODEL)
        if improved or before is None:
            # Without optimizer and losses, so that Keras alone can load it.
            best = keras.Model(model.input, model.output, name=model.name)
            best.save(temporary / BEST)
        else:
            shutil.copyfile(before / BEST, temporary / BEST)
        content = state | {"epoch": epoch, _SEEDS: _read_seeds(model)}
        (temporary / _STATE).write_text(json.dumps(content))
        for path in temporary.iterdir():
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
    try:
        saved = keras.saving.load_model(path / _MODEL)
        state = json.loads((path / _STATE).read_text())
    except (ValueError, TypeError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{path}: the checkpoint cannot be loaded ({reason}); remove it to begin "
            "again from the start"
        ) from None
    model.optimizer.build(model.trainable_variables)
    for own, theirs in (
        (model.variables, saved.variables),
        (model.optimizer.variables, saved.optimizer.variables),
    ):
        for variable, value in zip(own, theirs, strict=True):
            variable.assign(value)
    # Checkpoints of before this was kept have none.
    for variable, value in zip(_seeds(model), state.pop(_SEEDS, ()), strict=False):
        variable.assign(np.array(value, dtype=variable.dtype))
    return state


def _seeds(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of random layers, which a .keras file does not hold."""
    return [v for v in model.variables if v.path.endswith("seed_generator_state")]


def _read_seeds(model: keras.Model) -> list[list[int]]:
    return [keras.ops.convert_to_numpy(v).tolist() for v in _seeds(model)]


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("epoch-*") if not path.name.endswith(INCOMPLETE)
    )
