"""Temperature scaling: one number an output that makes its probabilities honest.

The logits of an output are divided by T > 0, fitted on the validation split by
least cross-entropy (Guo et al. 2017, "On Calibration of Modern Neural Networks").
T > 1 tempers an overconfident model, T < 1 sharpens a timid one; which class is
the most probable, and every ranking of positions by expression, stays as it is.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.joint_calibration import JointReliability
from seqexp_tf.evaluation.metrics import sigmoid, softmax
from seqexp_tf.evaluation.predictor import EXPRESSION, SEQUENCE
from seqexp_tf.evaluation.selection import chunks, select_labels, select_logits
from seqexp_tf.genome.alphabet import ALPHABET, BASES
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import MODEL, Run

if TYPE_CHECKING:
    import keras

TEMPERATURES = "temperatures.json"
SPLIT = "validation"
LIMITS = (0.05, 20.0)
"""Lowest and highest temperature; beyond, a model is all but certain or blind."""

MAXIMUM_POSITIONS = 4_000_000

_VERSION = 1


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature of one output, and what it changes where it was fitted.

    Attributes:
        temperature: what to divide the logits by.
        positions: hidden positions it was fitted on.
        loss_before: mean cross-entropy (nats) at those positions, T = 1.
        loss_after: likewise, with the temperature.
        ece_before: expected calibration error, T = 1; of nucleotides the mean over
            A, C, G, T.
        ece_after: likewise, with the temperature.
    """

    temperature: float
    positions: int
    loss_before: float
    loss_after: float
    ece_before: float
    ece_after: float


def fit_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """Returns the T that minimises the cross-entropy of ``logits / T``.

    The cross-entropy is convex in 1 / T; Newton's method finds its minimum, kept
    within a bracket. Where it falls all the way to one of ``LIMITS``, that is
    returned; where the logits do not differ, 1.

    Args:
        labels: classes, ``(n,)``: 0 or 1, or class indices.
        logits: log-odds of class 1, ``(n,)``, or of every class, ``(n, classes)``.

    Raises:
        DatasetError: there is no position.
    """
    if len(labels) == 0:
        raise DatasetError("no position to fit a temperature on")
    low, high = 1 / LIMITS[1], 1 / LIMITS[0]
    if _derivatives(labels, logits, 1.0)[1] == 0:
        return 1.0
    if _derivatives(labels, logits, low)[0] >= 0:
        return LIMITS[1]
    if _derivatives(labels, logits, high)[0] <= 0:
        return LIMITS[0]
    inverse = 1.0
    for _ in range(100):
        slope, curvature = _derivatives(labels, logits, inverse)
        if slope > 0:
            high = inverse
        else:
            low = inverse
        step = inverse - slope / curvature if curvature > 0 else high
        # Far from the minimum the curvature all but vanishes: halve instead.
        step = step if low < step < high else (low + high) / 2
        if abs(step - inverse) <= 1e-12 * inverse:
            break
        inverse = step
    return 1 / inverse


def fit_temperatures(
    model: "keras.Model",
    store: RecordStore,
    *,
    masking: MaskingConfig,
    batch_size: int = 32,
    maximum_positions: int = MAXIMUM_POSITIONS,
    progress: Callable[[int], None] = lambda windows: None,
) -> dict[str, TemperatureFit]:
    """Fits every output that the regime hides, under the fixed validation masks.

    Args:
        model: a joint model.
        store: the dataset.
        masking: the regime the model was trained under.
        batch_size: windows predicted at once.
        maximum_positions: hidden positions of an output kept in memory at most (20
            bytes each of DNA); of more, every second, third, ... in stored order,
            the step chosen from the size of the split alone.
        progress: called with the number of windows of each batch.

    Returns:
        By output, ``expression_logits`` and ``sequence_logits``.

    Raises:
        DatasetError: no validation split, no fixed masks, or nothing hidden in it.
        RunError: the model answers with infinity or NaN.
    """
    from seqexp_tf.pipeline.faults import damage_named
    from seqexp_tf.pipeline.joint import scored_batches
    from seqexp_tf.records.verify import require_whole

    batches = scored_batches(store, SPLIT, batch_size=batch_size, masking=masking)
    step = -(-store.count(SPLIT) * store.schema.window // maximum_positions)
    gathered = {}
    if masking.hides_expression:
        gathered[EXPRESSION] = _Gathered("rna", None, step)
    if masking.hides_sequence:
        gathered[SEQUENCE] = _Gathered("dna", len(ALPHABET), step)
    require_whole(store)
    with damage_named(store):
        for inputs, labels, positions in batches.as_numpy_iterator():
            answer = model.predict_on_batch(inputs)
            for output, kept in gathered.items():
                at = positions[f"{kept.modality}_masked"]
                kept.add(labels[kept.modality], np.asarray(answer[output]), at)
            progress(len(labels["rna"]))
    fits = {}
    for output, kept in gathered.items():
        labels, logits = kept.arrays()
        if len(labels) == 0:
            raise DatasetError(
                f"{store.folder}: split {SPLIT!r} has no valid hidden position to fit "
                f"the temperature of {output} on"
            )
        fits[output] = _judge(output, labels, logits, fit_temperature(labels, logits))
    return fits


def write_temperatures(
    folder: Path, run: Run, store: RecordStore, fits: Mapping[str, TemperatureFit]
) -> Path:
    """Writes ``temperatures.json`` into a folder, old or whole, and returns its path.

    Args:
        folder: that of the run, for the temperatures that the run has from then on.
        run: whose model they are for.
        store: on which they were fitted.
        fits: of each output.
    """
    document = {
        "version": _VERSION,
        "split": SPLIT,
        "dataset": {
            "name": store.manifest["name"],
            "fingerprint": store.fingerprint,
        },
        "model_sha256": run.model_sha256,
        "outputs": {output: asdict(fit) for output, fit in fits.items()},
    }
    content = json.dumps(document, indent=1, allow_nan=False) + "\n"
    return write_file(folder / TEMPERATURES, content.encode())


def read_temperatures(folder: str | os.PathLike) -> dict[str, float]:
    """Returns the temperature of each output of a run; empty if never fitted.

    Args:
        folder: the run folder.

    Raises:
        RunError: the file is damaged, or was fitted for another model.
    """
    folder = Path(folder)
    path = folder / TEMPERATURES
    if not path.is_file():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = {
            output: values["temperature"]
            for output, values in document["outputs"].items()
        }
        fitted_for = document["model_sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from None
    for output, value in found.items():
        if output not in (EXPRESSION, SEQUENCE):
            raise _damaged(path, f"unknown output {output!r}")
        if not _is_temperature(value):
            raise _damaged(path, f"temperature of {output} is {value!r}")
    model = folder / MODEL
    if model.is_file() and sha256(model.read_bytes()).hexdigest() != fitted_for:
        raise RunError(
            f"{path}: was fitted for another {MODEL}; fit it again with "
            f"`seqexp-tf evaluate {folder} --calibrate`"
        )
    return {output: float(value) for output, value in found.items()}


class _Gathered:
    """Labels and logits of every ``step``-th hidden position of one output."""

    def __init__(self, modality: str, classes: int | None, step: int):
        self.modality = modality
        self._classes = classes
        self._step = step
        self._seen = 0
        self._labels: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []

    def add(self, labels: np.ndarray, logits: np.ndarray, at: np.ndarray) -> None:
        classes, scored = (len(ALPHABET), len(BASES)) if self._classes else (2, 2)
        true, selected = select_labels(labels, at, classes=classes, scored=scored)
        scores = select_logits(logits, selected, classes=self._classes)
        first = -self._seen % self._step
        self._labels.append(true[first :: self._step].astype(np.uint8))
        self._logits.append(scores[first :: self._step])
        self._seen += len(true)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.concatenate(self._labels), np.concatenate(self._logits)


def _derivatives(
    labels: np.ndarray, logits: np.ndarray, inverse: float
) -> tuple[float, float]:
    """Returns slope and curvature of the summed cross-entropy by 1 / T."""
    slope = curvature = 0.0
    for label, logit in chunks(labels, logits):
        label, logit = label.astype(np.int64), logit.astype(np.float64)
        if logit.ndim == 1:
            p = sigmoid(inverse * logit)
            slope += float(np.sum((p - label) * logit))
            curvature += float(np.sum(p * (1 - p) * logit**2))
        else:
            # Of equal logits nothing must be left, not even a rounding error.
            logit -= logit.max(axis=-1, keepdims=True)
            p = softmax(inverse * logit)
            mean = np.sum(p * logit, axis=-1)
            true = np.take_along_axis(logit, label[:, None], axis=-1)[:, 0]
            slope += float(np.sum(mean - true))
            curvature += float(np.sum(p * (logit - mean[:, None]) ** 2))
    return slope, curvature


def _judge(
    output: str, labels: np.ndarray, logits: np.ndarray, temperature: float
) -> TemperatureFit:
    scores = []
    for value in (1.0, temperature):
        reliability = JointReliability((output,), temperatures={output: value})
        reliability.update(output, labels, logits)
        scores.append(reliability.result().scores()[output])
    before, after = scores
    return TemperatureFit(
        temperature=temperature,
        positions=len(labels),
        loss_before=before["loss"],
        loss_after=after["loss"],
        ece_before=before["ece"],
        ece_after=after["ece"],
    )


def _is_temperature(value: Any) -> bool:
    return (
        type(value) in (int, float)
        and math.isfinite(value)
        and LIMITS[0] <= value <= LIMITS[1]
    )


def _damaged(path: Path, reason: str) -> RunError:
    return RunError(
        f"{path}: not a temperature file ({reason}); fit it again with "
        f"`seqexp-tf evaluate {path.parent} --calibrate`"
    )
