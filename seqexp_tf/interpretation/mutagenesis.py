"""In-silico mutagenesis: what every possible mutation of a region changes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.predictor import EXPRESSION, JointPredictor
from seqexp_tf.genome.alphabet import BASES, COMPLEMENT, UNKNOWN
from seqexp_tf.interpretation.mutants import Mutants
from seqexp_tf.interpretation.mutation_map import (
    Labels,
    MutationMap,
    map_of,
    require_within,
)
from seqexp_tf.interpretation.npz import NpzStream
from seqexp_tf.records.regions import STRANDS, Region, read_slice


def mutagenesis(
    predictor: JointPredictor,
    region: Region,
    strand: str,
    *,
    labels: Labels = "half",
    recorded: Region | None = None,
    target: Region | None = None,
    progress: Callable[[int], object] = lambda bases: None,
) -> MutationMap:
    """Mutates every base of a region to every other one.

    No base is masked. All windows are ``predictor.window_around(region)``, and all
    is computed in float32, whatever the model was trained in.

    Args:
        predictor: a model with an expression head.
        region: the bases mutated, at most a window.
        strand: whose expression is predicted, ``+`` or ``-``.
        labels: which measured labels the model is not shown; see ``Labels``.
        recorded: whose expression is compared, within the window; ``region`` if not
            given.
        target: the part of ``recorded`` that ``effect`` adds up; all if not given.
        progress: called with the number of bases of each batch.

    Returns:
        The map; 10 bytes for each pair of a mutated and a recorded base.

    Raises:
        InputError: the region does not fit the window, has no base but N, or
            ``recorded`` or ``target`` lies outside; an unknown strand or choice of
            labels.
        RunError: the model has no expression head or predicts no finite number.
    """
    made = _Experiment(predictor, region, strand, labels, recorded, target)
    arrays = made.fixed | {
        name: np.empty((len(region), *row), kind)
        for name, (kind, row) in made.layout.items()
    }
    for first, rows in made.rows(progress):
        for name, values in rows.items():
            arrays[name][first : first + len(values)] = values
    return map_of(arrays)


def write_mutagenesis(
    path: Path,
    predictor: JointPredictor,
    region: Region,
    strand: str,
    *,
    labels: Labels = "half",
    recorded: Region | None = None,
    target: Region | None = None,
    progress: Callable[[int], object] = lambda bases: None,
) -> Path:
    """Writes the map to an ``.npz`` as it is computed, in memory of one batch.

    Args:
        path: the file; it appears only when whole, and ``read_map`` reads it.
        predictor: and all that follow as in ``mutagenesis``.

    Returns:
        ``path``.

    Raises:
        InputError, RunError: as ``mutagenesis``; or the file cannot be written.
    """
    made = _Experiment(predictor, region, strand, labels, recorded, target)
    with NpzStream(path, made.layout) as stream:
        for _, rows in made.rows(progress):
            for name, values in rows.items():
                stream.append(name, values)
        for name, values in made.fixed.items():
            stream.put(name, np.asarray(values))
    return path


class _Experiment:
    """A region in its window: what is known before any mutation, then the rows."""

    def __init__(
        self,
        predictor: JointPredictor,
        region: Region,
        strand: str,
        labels: Labels,
        recorded: Region | None,
        target: Region | None,
    ) -> None:
        predictor.require(EXPRESSION, purpose="mutagenesis maps")
        _require_choice("strand", strand, STRANDS)
        _require_choice("labels", labels, get_args(Labels))
        window = predictor.window_around(region)
        recorded, target = recorded or region, target or recorded or region
        require_within("recorded region", recorded, window, "the window")
        require_within("target", target, recorded, "the recorded region")
        genome = read_slice(predictor.store, window)
        at = slice(region.start - window.start, region.end - window.start)
        there = slice(recorded.start - window.start, recorded.end - window.start)
        if (genome.sequence[at] == UNKNOWN).all():
            raise InputError(f"region {region}: every base is N, nothing to mutate")
        quarter = len(window) // 4
        hidden = window
        if labels == "half":
            hidden = Region(
                window.contig,
                window.start + quarter,
                window.start + quarter + len(window) // 2,
            )
        self._batch_size = predictor.batch_size
        self._strand, self._length = strand, len(window)
        self._offset = at.start
        self._sequence = genome.sequence[at]
        piece = genome.strand(strand)
        unseen = np.zeros(len(window), dtype=bool)
        unseen[hidden.start - window.start : hidden.end - window.start] = True
        # A strand reads its rows in its own direction.
        ends = there.start, there.stop
        if strand == "-":
            ends = len(window) - there.stop, len(window) - there.start
        self._mutants = Mutants(
            predictor.model,
            predictor.inputs([piece], hidden=piece.genomic(unseen)),
            first=ends[0],
            last=ends[1],
            batch_size=predictor.batch_size,
            temperature=predictor.temperatures.get(EXPRESSION, 1.0),
        )
        self._reference = self._left_to_right(self._mutants.reference[None])[0]
        self._target = slice(target.start - recorded.start, target.end - recorded.start)
        places = {
            "region": region,
            "recorded": recorded,
            "window": window,
            "hidden": hidden,
            "target": target,
        }
        self.fixed: dict[str, Any] = {
            name: np.array([place.start, place.end]) for name, place in places.items()
        } | {
            "contig": np.array(window.contig),
            "strand": np.array(strand),
            "sequence": self._sequence,
            "reference": self._reference,
            "expressed": genome.expression[STRANDS.index(strand), there],
            "measured": genome.valid[there],
        }
        one = (len(recorded),)
        self.layout: dict[str, tuple[Any, tuple[int, ...]]] = {
            "log_odds": (np.float32, one),
            "log_ratio": (np.float32, one),
            "log_odds_base": (np.uint8, one),
            "log_ratio_base": (np.uint8, one),
            "effect": (np.float32, (len(BASES),)),
        }

    def rows(
        self, progress: Callable[[int], object]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """Yields the first base and the rows of batch after batch."""
        # Neighbours go together; see ``Propagation``.
        for first in range(0, self._sequence.size, self._batch_size):
            yield (
                first,
                self._batch(
                    self._sequence[first : first + self._batch_size],
                    self._offset + first,
                ),
            )
            progress(min(self._batch_size, self._sequence.size - first))

    def _batch(self, bases: np.ndarray, start: int) -> dict[str, np.ndarray]:
        rows = {
            name: np.full(
                (bases.size, *row), UNKNOWN if kind is np.uint8 else np.nan, kind
            )
            for name, (kind, row) in self.layout.items()
        }
        known = np.flatnonzero(bases != UNKNOWN)
        if not known.size:
            return rows
        others = (bases[known, None] + np.array([1, 2, 3], np.uint8)) % len(BASES)
        logits = self._logits(start + known, others)
        reference = self._reference.astype(np.float64)
        change = logits - reference
        ratio = _log_sigmoid(logits) - _log_sigmoid(reference)
        for name, values in (("log_odds", change), ("log_ratio", ratio)):
            size = np.abs(values)
            best = size.argmax(axis=1)
            top = np.take_along_axis(size, best[:, None], axis=1)[:, 0]
            base = np.take_along_axis(others, best, axis=1)
            rows[name][known] = top
            rows[f"{name}_base"][known] = np.where(top > 0, base, UNKNOWN)
        rows["effect"][known] = 0
        rows["effect"][known[:, None], others] = change[:, :, self._target].sum(axis=2)
        return rows

    def _logits(self, positions: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Logits ``(bases, 3, recorded)``, for positions and bases of the genome."""
        if self._strand == "-":
            positions, others = self._length - 1 - positions, COMPLEMENT[others]
        logits = self._mutants.logits(
            np.repeat(positions, others.shape[1]), others.ravel()
        )
        logits = self._left_to_right(logits).astype(np.float64)
        return logits.reshape(*others.shape, -1)

    def _left_to_right(self, logits: np.ndarray) -> np.ndarray:
        return logits if self._strand == "+" else logits[:, ::-1]


def _require_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{what} {value!r}: expected one of {', '.join(choices)}")


def _log_sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.minimum(logits, 0) - np.log1p(np.exp(-np.abs(logits)))
