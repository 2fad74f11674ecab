"""Requests made from a record of a run's dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seqexp_tf.genome.alphabet import ALPHABET, BASES, decode
from seqexp_tf.models.shape import expression_shape
from seqexp_tf.pipeline.expression import scored_batches
from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving.card import SignatureCard
from seqexp_tf.serving.joint_signatures import HIDDEN
from seqexp_tf.training.expression_task import given_channel
from seqexp_tf.training.run import Run

_SPLITS = ("test", "validation", "train")
_MUTATED = 10
_THRESHOLD = 0.5


@dataclass(frozen=True)
class Example:
    """One record, as requests.

    Attributes:
        record: which it is, in words.
        inputs: signature -> input -> array, a batch of one.
    """

    record: str
    inputs: dict[str, dict[str, np.ndarray]]


def example_of(
    run: Run, store: RecordStore, signatures: Mapping[str, SignatureCard]
) -> Example:
    """Returns the first record of a dataset, of its test split where there is one.

    Args:
        run: a run.
        store: a dataset the run can read.
        signatures: those that need inputs, by name.

    Raises:
        DatasetError: the dataset cannot be read.
    """
    split = next(split for split in _SPLITS if split in store.splits)
    place = store.windows(split).iloc[0]
    margin = 0
    if run.task == "expression":
        window = expression_shape(run.schema, run.config.pipeline.window).window
        margin = (place.end - place.start - window) // 2
    first, last = place.start + margin + 1, place.end - margin
    record = f"{place.contig}:{first:,}-{last:,} ({place.strand})"
    if run.task == "joint":
        inputs = _joint(store.read(split, 0), run.config.masking.expression_value)
    else:
        record = f"gene {place.gene}, {record}"
        arrays = tuple(signatures["serving_default"].inputs)
        inputs = _gene(run, store, split, arrays)
    return Example(
        f"{record} of {store.manifest['name']}, {split} split",
        {name: inputs[name] for name in signatures},
    )


def as_json(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Returns the inputs as TF Serving's REST interface takes them."""
    return {name: _plain(values) for name, values in inputs.items()}


def _joint(
    record: dict[str, Any], expression_value: float
) -> dict[str, dict[str, np.ndarray]]:
    """Every base is seen, and the labels of the outer quarters."""
    bases = record["sequence"]
    window = bases.size
    quarter = window // 4
    hidden = record["valid"] == 0
    hidden[quarter : quarter + window // 2] = True
    known = record["expression"][0]
    labels = np.where(hidden, HIDDEN, known).astype(np.float32)[None]
    text = {"dna": np.array([decode(bases)]), "expression": labels}
    return {
        "serving_default": {
            "sequence": np.eye(len(ALPHABET), dtype=np.float32)[bases][None],
            "expression": np.where(hidden, expression_value, known).astype(np.float32)[
                None
            ],
        },
        "serve_sequence": text,
        "serve_mutagenesis": {
            **text,
            "first": np.array([0], np.int32),
            "last": np.array([min(_MUTATED, window)], np.int32),
        },
    }


def _gene(
    run: Run, store: RecordStore, split: str, names: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray]]:
    batches = scored_batches(
        store,
        split,
        batch_size=1,
        inputs=names,
        pipeline=run.config.pipeline,
        given=given_channel(run.config),
    )
    # Strands are averaged where the model was trained on both.
    average = run.config.pipeline.reverse_complement
    arrays, _, _ = next(batches.take(1).as_numpy_iterator())
    # Six digits are enough in an example, and make its text half as long.
    arrays = {name: _rounded(values) for name, values in arrays.items()}
    one_hot = arrays["sequence"][0]
    bases = np.where(one_hot.any(axis=-1), one_hot.argmax(axis=-1), len(BASES))
    text = {
        "dna": np.array([decode(bases)]),
        **{name: values for name, values in arrays.items() if name != "sequence"},
    }
    return {
        "serving_default": arrays,
        "serve_sequence": {**text, "average_strands": np.array([average])},
        "serve_elements": {**text, "threshold": np.array([_THRESHOLD], np.float32)},
    }


def _rounded(values: np.ndarray) -> np.ndarray:
    texts = np.char.mod("%.6g", values.ravel())
    return texts.astype(np.float32).reshape(values.shape)


def _plain(values: np.ndarray) -> list:
    if values.dtype != np.float32:
        return values.tolist()
    # The shortest text that is read as the same float32.
    texts = [float(str(number)) for number in values.ravel()]
    return np.array(texts).reshape(values.shape).tolist()
