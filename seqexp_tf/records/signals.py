"""Signals of a dataset: a bigWig a track, its transform and its statistics."""

import dataclasses
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import InputError
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.expression_details import SignalDetails
from seqexp_tf.records.expression_recipe import SignalConfig

Span = tuple[str, int, int]
"""Contig (the dataset's name), start, end; 0-based half-open, inside the contig."""

_BLOCK = 1 << 20
"""Bases of a contig held at a time."""


def merged(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the union of intervals as disjoint ones, in ascending order.

    Args:
        starts: int ``(n,)``, in any order.
        ends: exclusive, ``(n,)``; intervals that touch become one.
    """
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.r_[True, starts[1:] > reach[:-1]][: starts.size])
    return starts[first], reach[np.r_[first[1:] - 1, starts.size - 1][: first.size]]


@dataclass(frozen=True)
class Signal:
    """A bigWig as a track of the dataset; cheap to send to another process.

    Attributes:
        name: of the track.
        config: path and transform.
        track: the bigWig.
        contigs: the dataset's contig names and the bigWig's name for each.
        mean: subtracted by a z-score.
        sd: divided by in a z-score.
    """

    name: str
    config: SignalConfig
    track: BigWigTrack
    contigs: dict[str, str]
    mean: float = 0.0
    sd: float = 1.0

    @property
    def transform(self) -> str:
        """The steps of the transform in words."""
        steps = [
            f"clip {self.config.clip:g}" if step == "clip" else step
            for step in self.config.transform
        ]
        return ", ".join(steps) or "none"

    def raw(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns the bigWig's float32 values, shape ``(end - start,)``; no data is 0.

        Raises:
            InputError: an infinite value, or a negative one unless allowed; named
                with its place (1-based).
        """
        own = self.contigs[contig]
        values = self.track.values(own, start, end)
        values[np.isnan(values)] = 0
        wrong = np.isinf(values)
        if not self.config.allow_negative:
            wrong |= values < 0
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            where = f"{self.track.path}: {own}:{start + first + 1}: signal {self.name}"
            if np.isinf(values[first]):
                raise InputError(f"{where} is infinite; expected finite numbers")
            raise InputError(
                f"{where} is negative ({float(values[first]):g}); a mask needs signals "
                "of zero or more: give coverage or fold change, or set "
                f"signals.{self.name}.allow_negative = true"
            )
        return values

    def values(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns the transformed values, float32 ``(end - start,)``."""
        return self._zscore(self._before_zscore(self.raw(contig, start, end)))

    def _before_zscore(self, values: np.ndarray) -> np.ndarray:
        for step in self.config.transform:
            if step == "clip":
                values = np.minimum(values, np.float32(self.config.clip))
            elif step == "log1p":
                values = np.log1p(values)
        return values

    def _zscore(self, values: np.ndarray) -> np.ndarray:
        if "zscore" not in self.config.transform:
            return values
        return (values - np.float32(self.mean)) / np.float32(self.sd)

    def fitted(
        self, training: Iterable[Span], others: Iterable[Span]
    ) -> tuple["Signal", SignalDetails]:
        """Reads every span once, and learns mean and sd from the training ones.

        Args:
            training: disjoint spans of the training windows.
            others: disjoint spans of all other windows.

        Raises:
            InputError: as ``raw``, or a z-score of values that are all alike.
        """
        moments, everywhere = _Moments(), _Moments()
        for spans, counted in (
            (training, [moments, everywhere]),
            (others, [everywhere]),
        ):
            for span in _blocks(spans):
                values = self._before_zscore(self.raw(*span))
                for statistics in counted:
                    statistics.add(values)
        signal = self
        if "zscore" in self.config.transform:
            if moments.sd == 0:
                raise InputError(
                    f"{self.track.path}: signal {self.name} is {moments.mean:g} in "
                    "every training window; a z-score of it is undefined: leave the "
                    "signal out, or zscore out of its transform"
                )
            signal = dataclasses.replace(self, mean=moments.mean, sd=moments.sd)
        extremes = np.array([everywhere.low, everywhere.high], dtype=np.float32)
        low, high = signal._zscore(extremes).tolist()
        return signal, SignalDetails(
            name=self.name,
            transform=self.transform,
            mean=moments.mean,
            sd=moments.sd,
            minimum=low,
            maximum=high,
        )


class _Moments:
    """Mean and variance over blocks, merged as of Chan et al. 1982."""

    def __init__(self) -> None:
        self.count, self.mean, self._squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        size = values.size
        mean = float(values.mean(dtype=np.float64))
        squares = float(np.square(values - mean, dtype=np.float64).sum())
        total, shift = self.count + size, mean - self.mean
        self._squares += squares + shift * shift * self.count * size / total
        self.mean += shift * size / total
        self.count = total
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    @property
    def sd(self) -> float:
        return math.sqrt(self._squares / self.count) if self.count else 0.0


def _blocks(spans: Iterable[Span]) -> Iterator[Span]:
    for contig, start, end in spans:
        for first in range(start, end, _BLOCK):
            yield contig, first, min(first + _BLOCK, end)
