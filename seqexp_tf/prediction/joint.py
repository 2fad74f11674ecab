"""Expression of every base from DNA alone, by a joint model."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.genome.alphabet import decode, reverse_complement
from seqexp_tf.genome.windows import centred_tiles
from seqexp_tf.prediction.model import DNA, EXPRESSION, PredictionModel
from seqexp_tf.prediction.pieces import in_pieces
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


def predict_regions(
    model: PredictionModel,
    bases: Bases,
    regions: Iterable[tuple[str, Region]],
    *,
    batch_size: int,
    progress: Progress = lambda windows: None,
) -> Iterator["PredictedPart"]:
    """Predicts regions of any length, in parts of at most ``BLOCK`` bases.

    A base is predicted from the window of ``centred_tiles`` whose centre is nearest,
    so that it has one prediction whatever region is asked for. Windows of several
    regions go together in a batch.

    Yields:
        The parts of the regions, in the order given and from left to right.

    Raises:
        RunError: see ``predict_bases``.
    """
    # Both strands of a window go together.
    for batch in in_pieces(_windows(model, bases, regions), max(batch_size // 2, 1)):
        predicted = predict_bases(
            model,
            [dna for _, _, dna in batch],
            batch_size=batch_size,
            progress=progress,
        )
        for (part, index, _), values in zip(batch, predicted, strict=True):
            part.take(index, values)
            if index == part.starts.size - 1:
                yield part


@dataclass(frozen=True)
class PredictedPart:
    """A part of a region.

    Attributes:
        name: of the region.
        region: the part.
        dna: its bases, uint8 ``(n,)``.
        starts: first base of each window that predicts it, int64 ``(windows,)``.
        owner: for each base the index of its window, int64 ``(n,)``.
        values: p(expressed) of plus and minus strand, from left to right, float32
            ``(2, n)``.
    """

    name: str
    region: Region
    dna: np.ndarray
    starts: np.ndarray
    owner: np.ndarray
    values: np.ndarray

    def take(self, index: int, predicted: np.ndarray) -> None:
        """Takes over the bases that one window predicts, from ``(2, window)``."""
        at = np.flatnonzero(self.owner == index)
        self.values[:, at] = predicted[:, self.region.start + at - self.starts[index]]


def _windows(
    model: PredictionModel, bases: Bases, regions: Iterable[tuple[str, Region]]
) -> Iterator[tuple[PredictedPart, int, np.ndarray]]:
    """Yields each window: the part it predicts, its index there, and its bases."""
    for name, region in regions:
        length = bases.sizes[region.contig]
        window = min(model.window, length)
        for block in blocks(region, BLOCK):
            starts, owner = centred_tiles(
                length, window=model.window, start=block.start, end=block.end
            )
            low = int(starts[0])
            dna = bases.fetch(region.contig, low, int(starts[-1]) + window)
            part = PredictedPart(
                name=name,
                region=block,
                dna=dna[block.start - low : block.end - low],
                starts=starts,
                owner=owner,
                values=np.empty((len(STRANDS), len(block)), dtype=np.float32),
            )
            for index, start in enumerate((starts - low).tolist()):
                yield part, index, dna[start : start + window]


def count_windows(model: PredictionModel, length: int, region: Region) -> int:
    """Returns how many windows, both strands counted, ``predict_regions`` takes."""
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
