"""The labelled positions a metric counts, checked and cut into chunks."""

from collections.abc import Iterator

import numpy as np

from seqexp_tf.errors import RunError

CHUNK = 1 << 18
"""Positions handled at a time, which bounds the temporary memory of a batch."""


def select_labels(
    labels: np.ndarray, mask: np.ndarray | None, *, classes: int, scored: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels to score and where they lie.

    Args:
        labels: class indices of any shape.
        mask: booleans of the same shape, true where a position counts; None
            counts all.
        classes: labels must lie in ``0 .. classes - 1`` where the mask is true.
        scored: labels of ``scored`` and above are never counted.

    Returns:
        The labels, int64 of shape ``(n,)`` in row-major order, and the booleans,
        of the shape of ``labels``, that select them.

    Raises:
        RunError: the shapes differ or a label is not a class index.
    """
    labels = np.asarray(labels)
    if mask is None:
        selected = np.ones(labels.shape, dtype=bool)
    else:
        selected = np.asarray(mask).astype(bool)
        if selected.shape != labels.shape:
            raise RunError(
                f"mask has shape {selected.shape}; labels have {labels.shape}: "
                "they must be equal"
            )
    values = labels[selected]
    with np.errstate(invalid="ignore"):
        indices = values.astype(np.int64)
    wrong = (indices != values) | (indices < 0) | (indices >= classes)
    if wrong.any():
        raise RunError(
            f"labels hold {values[wrong][0]} at {np.count_nonzero(wrong):,} of "
            f"{values.size:,} positions; labels are whole numbers from 0 to "
            f"{classes - 1}"
        )
    if scored < classes:
        selected = selected & (labels < scored)
        indices = indices[indices < scored]
    return indices, selected


def select_logits(
    logits: np.ndarray, selected: np.ndarray, *, classes: int | None
) -> np.ndarray:
    """Returns the logits at the selected positions, ``(n,)`` or ``(n, classes)``.

    Raises:
        RunError: the shape does not fit the labels or a selected logit is not
            finite.
    """
    logits = np.asarray(logits)
    expected = selected.shape if classes is None else (*selected.shape, classes)
    if logits.shape != expected:
        raise RunError(
            f"logits have shape {logits.shape}; labels of shape {selected.shape} "
            f"need {expected}"
        )
    values = logits[selected]
    broken = np.count_nonzero(~np.isfinite(values))
    if broken:
        raise RunError(
            f"{broken:,} of {values.size:,} logits are not finite (NaN or infinite); "
            "the model cannot be evaluated: see where its loss diverged"
        )
    return values


def chunks(
    labels: np.ndarray, *aligned: np.ndarray
) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields the arrays in runs of at most ``CHUNK`` positions, in order."""
    for start in range(0, len(labels), CHUNK):
        yield tuple(array[start : start + CHUNK] for array in (labels, *aligned))
