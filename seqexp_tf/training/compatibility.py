"""Whether a model can read another dataset than the one it was trained on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seqexp_tf.errors import RunError
from seqexp_tf.records.schema import Schema

_ARRAYS = {
    "joint": ("sequence", "expression", "valid"),
    "expression": ("sequence", "signals", "contact", "features", "target"),
}
"""Arrays of each kind that a model's inputs and targets are made from."""


def check_schema(theirs: Schema, ours: Schema, *, folder: Path, run: Path) -> None:
    """Raises RunError, in one line, where two datasets differ to a model.

    Args:
        theirs: of the dataset to be read.
        ours: of the dataset a run was trained on.
        folder: the dataset, to be named.
        run: the run, to be named.
    """
    if theirs.kind != ours.kind:
        raise RunError(
            f"{folder}: dataset of kind {theirs.kind!r}, but {run} was trained on "
            f"kind {ours.kind!r}"
        )
    if theirs.window != ours.window:
        raise RunError(
            f"{folder}: windows of {theirs.window:,} bases, but {run} was trained on "
            f"{ours.window:,}; convert the data with the recipe of the run"
        )
    for what, found, wanted in _facts(theirs, ours):
        if found != wanted:
            raise RunError(
                f"{folder}: {what} is {found!r}, but {run} was trained on "
                f"{wanted!r}; convert the data with the recipe of the run"
            )


def _facts(theirs: Schema, ours: Schema) -> Iterator[tuple[str, Any, Any]]:
    """Yields what must be alike, with both values."""
    for name in _ARRAYS[ours.kind]:
        found, wanted = theirs.by_name.get(name), ours.by_name.get(name)
        for attribute in ("dtype", "axes", "encoding", "tracks"):
            yield (
                f"{attribute} of {name}",
                found and getattr(found, attribute),
                wanted and getattr(wanted, attribute),
            )
    if ours.kind == "expression":
        yield from _expression_facts(theirs, ours)


def _expression_facts(theirs: Schema, ours: Schema) -> Iterator[tuple[str, Any, Any]]:
    found, wanted = theirs.expression, ours.expression
    yield (
        "whether windows follow the strand of their gene",
        *(details.oriented for details in (found, wanted)),
    )
    yield (
        "the features",
        *(
            [feature.name for feature in details.features]
            for details in (found, wanted)
        ),
    )
    yield (
        "the transform of signals",
        *(
            {signal.name: signal.transform for signal in details.signals}
            for details in (found, wanted)
        ),
    )
    yield (
        "the transform of the target",
        *(details.target.transform for details in (found, wanted)),
    )
    yield "the bin of contacts", found.resolution, wanted.resolution
    # More of them do no harm.
    kept = [name for name in _channels(ours) if name in _channels(theirs)]
    yield "the list of its channels among the run's", kept, list(_channels(ours))


def _channels(schema: Schema) -> tuple[str, ...]:
    channels = schema.by_name.get("channels")
    return channels.tracks if channels else ()
