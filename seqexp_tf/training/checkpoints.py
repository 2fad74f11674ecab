"""Checkpoints a kill cannot spoil: whole folders, renamed into place."""

import dataclasses
import json
import math
import os
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras.ops import convert_to_numpy

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import INCOMPLETE, sync_folder
from seqexp_tf.training.weight_average import averaged

BEST = "best.keras"
_VARIABLES = "variables.npz"
_STATE = "state.json"

Metrics = Sequence[np.ndarray]
"""Values of the variables of a model's metrics."""


@dataclasses.dataclass
class Progress:
    """How far a fit has come.

    Attributes:
        step: batches trained on.
        best: the lowest monitored value so far.
        best_epoch: the period it is of, from 1; 0 before the first validation.
        history: a row a validation.
        seconds: spent so far on the period that is under way.
    """

    step: int = 0
    best: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    model: keras.Model,
    progress: Progress,
    *,
    metrics: Metrics | None = None,
    improved: bool = False,
) -> Path:
    """Saves everything a fit needs to go on as if it had never stopped.

    All in one folder, so that the best model is always the one the progress speaks
    of; unless it is a new one, it is a link to the file of the checkpoint before.
    That is removed only when this one is in place.

    Args:
        folder: holds the checkpoints of a run.
        model: as it is now, with its optimizer.
        progress: of the fit.
        metrics: of the period under way; None after a validation.
        improved: the model, with averaged weights where there is an average, is the
            best so far.

    Returns:
        The checkpoint.

    Raises:
        RunError: it cannot be written; the one before is kept.
    """
    before = last_checkpoint(folder)
    # A checkpoint before a validation and the one after it are of the same step.
    target = folder / f"step-{progress.step:09d}{'-validated' * (metrics is None)}"
    temporary = target.with_name(target.name + INCOMPLETE)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        np.savez(temporary / _VARIABLES, **_read(model, metrics))
        if improved:
            _save_best(model, temporary / BEST)
        elif before is not None and (before / BEST).exists():
            _link(before / BEST, temporary / BEST)
        (temporary / _STATE).write_text(json.dumps(dataclasses.asdict(progress)))
        for path in temporary.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, target)
        sync_folder(folder)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        remedy = (
            "the last good one is kept, free space and use --resume"
            if before
            else "free space and begin again"
        )
        raise RunError(
            f"{target}: cannot save the checkpoint: {error.strerror or error}; {remedy}"
        ) from None
    for old in _checkpoints(folder)[:-1]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def last_checkpoint(folder: Path) -> Path | None:
    """Returns the newest whole checkpoint, or None."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def restore_checkpoint(
    path: Path, model: keras.Model
) -> tuple[Progress, Metrics | None]:
    """Puts weights, seeds and optimizer state into a compiled model.

    Returns:
        The progress, and the metrics of the period under way, None if it has not
        begun.

    Raises:
        RunError: the checkpoint is damaged, or of another model.
    """
    try:
        with np.load(path / _VARIABLES, allow_pickle=False) as file:
            arrays = dict(file)
        progress = Progress(**json.loads((path / _STATE).read_text()))
        best = path / BEST
        if best.exists():
            with zipfile.ZipFile(best) as archive:
                damaged = archive.testzip()
            if damaged:
                raise ValueError(f"{BEST} is damaged in {damaged}")
    except (
        ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error
    ) as error:  # fmt: skip
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{path}: the checkpoint cannot be loaded ({reason}); start again with "
            "another --out"
        ) from None
    model.optimizer.build(model.trainable_variables)
    pairs = []
    for group, variables in _variables(model).items():
        saved = _group(arrays, group)
        if len(saved) != len(variables):
            raise _another(
                path, f"{len(saved)} variables of its {group}, here {len(variables)}"
            )
        for variable, value in zip(variables, saved, strict=True):
            if value.shape != tuple(variable.shape):
                raise _another(
                    path,
                    f"{variable.path} of shape {value.shape}, here "
                    f"{tuple(variable.shape)}",
                )
        pairs += zip(variables, saved, strict=True)
    for variable, value in pairs:
        variable.assign(value.astype(variable.dtype))
    return progress, _group(arrays, "metrics") or None


def read_metrics(model: keras.Model) -> Metrics:
    """Returns the state of a model's metrics."""
    return [convert_to_numpy(variable) for variable in model.metrics_variables]


def restore_metrics(model: keras.Model, metrics: Metrics) -> None:
    """Puts the state of metrics back; the model must have met a batch."""
    for variable, value in zip(model.metrics_variables, metrics, strict=True):
        variable.assign(value.astype(variable.dtype))


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """Returns what a checkpoint holds: weights and seeds, and the optimizer's own."""
    return {"model": model.variables, "optimizer": model.optimizer.variables}


def _read(model: keras.Model, metrics: Metrics | None) -> dict[str, np.ndarray]:
    groups = {
        name: [convert_to_numpy(variable) for variable in variables]
        for name, variables in _variables(model).items()
    }
    groups["metrics"] = metrics or ()
    return {
        f"{name}/{index}": value
        for name, values in groups.items()
        for index, value in enumerate(values)
    }


def _group(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(f"{name}/") for key in arrays)
    return [arrays[f"{name}/{index}"] for index in range(count)]


def _another(path: Path, what: str) -> RunError:
    return RunError(
        f"{path}: the checkpoint of another model, with {what}; start again with "
        "another --out"
    )


def _save_best(model: keras.Model, path: Path) -> None:
    # Without optimizer and losses, so that Keras alone can load it.
    best = keras.Model(model.input, model.output, name=model.name)
    with averaged(model):
        best.save(path)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # Not every file system has links.
        shutil.copyfile(source, target)


def _checkpoints(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.glob("step-*") if not path.name.endswith(INCOMPLETE)
    )
