"""Expression of every base from DNA alone, by a joint model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.genome.alphabet import decode, reverse_complement
from seqexp_tf.genome.windows import centred_tiles
from seqexp_tf.prediction.model import DNA, EXPRESSION, PredictionModel
from seqexp_tf.records.regions import STRANDS, Region, read_slice
from seqexp_tf.records.spans import blocks
from seqexp_tf.records.store import RecordStore

BLOCK = 1 << 18
"""Bases of a region predicted at once."""

_HIDDEN = 0.5

Progress = Callable[[int], object]
"""Called with the number of windows predicted."""


class Bases(Protocol):
    """Where DNA comes from: a genome FASTA or the windows of a dataset."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Contig -> length."""
        ...

    def fetch(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns uint8 indices of the forward strand, within the contig."""
        ...


class StoredBases:
    """The DNA under a dataset's windows; N elsewhere."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store

    @property
    def sizes(self) -> Mapping[str, int]:
        return self._store.manifest["contigs"]

    def fetch(self, contig: str, start: int, end: int) -> np.ndarray:
        return read_slice(self._store, Region(contig, start, end)).sequence


def predict_bases(
    model: PredictionModel,
    sequences: Sequence[np.ndarray],
    *,
    batch_size: int,
    progress: Progress = lambda windows: None,
) -> list[np.ndarray]:
    """Predicts both strands of sequences with every label hidden.

    Args:
        model: of task ``joint``.
        sequences: uint8 indices of forward strands, each of 1 to ``model.window``
            bases. A shorter one lies in the middle of a window of masked bases.
        batch_size: strands predicted at once; nothing depends on it.
        progress: see ``Progress``; a strand is a window.

    Returns:
        p(expressed) of each, float32 ``(2, n)``, plus and minus strand, from left to
        right.

    Raises:
        RunError: the model answers with infinity or NaN, or its server does not.
    """
    oriented = [
        sequence if strand == "+" else reverse_complement(sequence)
        for sequence in sequences
        for strand in STRANDS
    ]
    found: list[np.ndarray] = []
    for first in range(0, len(oriented), batch_size):
        part = oriented[first : first + batch_size]
        found += _strands(model, part)
        progress(len(part))
    return [
        np.stack([plus, minus[::-1]])
        for plus, minus in zip(found[::2], found[1::2], strict=True)
    ]


def predict_region(
    model: PredictionModel,
    bases: Bases,
    region: Region,
    *,
    batch_size: int,
    progress: Progress = lambda windows: None,
) -> Iterator[tuple[Region, np.ndarray, np.ndarray]]:
    """Predicts a region of any length, piece by piece from left to right.

    A base is predicted from the window of ``centred_tiles`` whose centre is nearest,
    so that it has one prediction whatever region is asked for.

    Yields:
        A part of the region, its bases uint8 ``(n,)``, and p(expressed) float32 ``(2,
        n)`` of plus and minus strand.

    Raises:
        RunError: see ``predict_bases``.
    """
    length = bases.sizes[region.contig]
    window = min(model.window, length)
    # Both strands of a window go together.
    at_once = max(batch_size // 2, 1)
    for part in blocks(region, BLOCK):
        starts, owner = centred_tiles(
            length, window=model.window, start=part.start, end=part.end
        )
        low = int(starts[0])
        dna = bases.fetch(region.contig, low, int(starts[-1]) + window)
        result = np.empty((len(STRANDS), len(part)), dtype=np.float32)
        for first in range(0, starts.size, at_once):
            chosen = starts[first : first + at_once].tolist()
            predicted = predict_bases(
                model,
                [dna[start - low : start - low + window] for start in chosen],
                batch_size=batch_size,
                progress=progress,
            )
            for index, values in enumerate(predicted, start=first):
                at = np.flatnonzero(owner == index)
                result[:, at] = values[:, part.start + at - starts[index]]
        yield part, dna[part.start - low : part.end - low], result


def count_windows(model: PredictionModel, length: int, region: Region) -> int:
    """Returns how many windows, both strands counted, ``predict_region`` takes."""
    return len(STRANDS) * sum(
        centred_tiles(length, window=model.window, start=part.start, end=part.end)[
            0
        ].size
        for part in blocks(region, BLOCK)
    )


def _strands(
    model: PredictionModel, sequences: Sequence[np.ndarray]
) -> list[np.ndarray]:
    # As wide as the window: servers join requests of the same columns alone.
    columns = model.window
    inputs = {
        DNA: np.array([decode(bases).encode() for bases in sequences], dtype=object),
        EXPRESSION: np.full((len(sequences), columns), _HIDDEN, dtype=np.float32),
    }
    answer = model.ask(inputs, [EXPRESSION])[EXPRESSION]
    found = []
    for bases, values in zip(sequences, answer, strict=True):
        values = values[: len(bases)]
        if values.shape != bases.shape or not np.isfinite(values).all():
            raise RunError(
                f"{model.path}: the model's answer is not finite or not of every base; "
                "the run is damaged or diverged, or another model is served"
            )
        found.append(values)
    return found
