"""Where expression begins and ends, and how well a prediction finds it.

A base is called expressed where p(expressed) > 0.5. A border lies between two
measured neighbours of which one is expressed and the other is not; its position
is that of the right one (0-based). So neither the edge of a region nor the edge
of bases that were not measured is a border. Borders have a kind, in the direction
of transcription: ``start`` (5' end of an expressed region; on the minus strand its
right edge) and ``end``. Only borders of one kind and one strand are compared.

A predicted and a true border match when they are at most ``tolerance`` bases
apart, each with one partner at most, such that as many as possible match.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.errors import RunError
from seqexp_tf.records.regions import Region

THRESHOLD = 0.5
TOLERANCES = (0, 10, 50, 100)
"""Distances in bases at which borders are compared."""


@dataclass(frozen=True)
class Borders:
    """Borders of one strand.

    Attributes:
        starts: int64 positions, ascending, where expression starts.
        ends: int64 positions, ascending, where it ends.
    """

    starts: np.ndarray
    ends: np.ndarray


@dataclass(frozen=True)
class BorderCounts:
    """How many borders there are and how many of them match.

    Attributes:
        true: measured borders.
        predicted: predicted borders.
        matched: pairs.
    """

    true: int = 0
    predicted: int = 0
    matched: int = 0

    def __add__(self, other: "BorderCounts") -> "BorderCounts":
        return BorderCounts(
            self.true + other.true,
            self.predicted + other.predicted,
            self.matched + other.matched,
        )

    @property
    def precision(self) -> float:
        """Matched / predicted; NaN without predicted borders."""
        return _ratio(self.matched, self.predicted)

    @property
    def recall(self) -> float:
        """Matched / true; NaN without true borders."""
        return _ratio(self.matched, self.true)

    @property
    def f1(self) -> float:
        """2 matched / (true + predicted); NaN without any border."""
        return _ratio(2 * self.matched, self.true + self.predicted)

    def to_dict(self) -> dict[str, float]:
        """Returns counts and ratios by name."""
        return {
            "true": self.true,
            "predicted": self.predicted,
            "matched": self.matched,
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
        }


@dataclass(frozen=True)
class BorderAgreement:
    """Predicted against true borders at one tolerance.

    Attributes:
        tolerance: largest distance of a pair, in bases.
        starts: counts of the starts.
        ends: counts of the ends.
    """

    tolerance: int
    starts: BorderCounts
    ends: BorderCounts

    @property
    def both(self) -> BorderCounts:
        """Counts of starts and ends together."""
        return self.starts + self.ends

    def to_dict(self) -> dict[str, Any]:
        """Returns the tolerance and what each kind and both together count."""
        return {
            "tolerance": self.tolerance,
            "starts": self.starts.to_dict(),
            "ends": self.ends.to_dict(),
            "both": self.both.to_dict(),
        }


@dataclass(frozen=True)
class ExpressedRegion:
    """A run of bases called expressed.

    Attributes:
        region: where it lies.
        strand: ``+`` or ``-``.
        mean: mean p(expressed) over it.
    """

    region: Region
    strand: str
    mean: float


@dataclass(frozen=True)
class ExpressedTotal:
    """How much is called expressed.

    Attributes:
        bases: expressed measured bases.
        regions: runs of them.
    """

    bases: int
    regions: int


def call_expressed(probability: np.ndarray) -> np.ndarray:
    """Returns True where p(expressed) > 0.5.

    Raises:
        RunError: a value is not finite.
    """
    broken = np.count_nonzero(~np.isfinite(probability))
    if broken:
        raise RunError(
            f"{broken:,} of {probability.size:,} predicted p(expressed) are not finite "
            "(NaN or infinite); the model cannot be evaluated: see where its loss "
            "diverged"
        )
    return probability > THRESHOLD


def find_runs(expressed: np.ndarray) -> np.ndarray:
    """Returns start and exclusive end of every run of True, int64 ``(runs, 2)``."""
    edges = np.diff(expressed.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges).reshape(-1, 2)


def total_expressed(expressed: np.ndarray, valid: np.ndarray) -> ExpressedTotal:
    """Returns the measured bases that are expressed and their runs."""
    counted = expressed & valid
    return ExpressedTotal(int(counted.sum()), len(find_runs(counted)))


def expressed_regions(
    expressed: np.ndarray, probability: np.ndarray, region: Region, strand: str
) -> list[ExpressedRegion]:
    """Returns the runs called expressed in a region, from left to right.

    Args:
        expressed: bool calls ``(n,)``, from left to right.
        probability: p(expressed) ``(n,)``, likewise.
        region: of ``n`` bases.
        strand: ``+`` or ``-``.
    """
    return [
        ExpressedRegion(
            Region(region.contig, region.start + start, region.start + end),
            strand,
            float(probability[start:end].mean(dtype=np.float64)),
        )
        for start, end in find_runs(expressed).tolist()
    ]


def bed_table(regions: Iterable[ExpressedRegion]) -> pd.DataFrame:
    """Returns BED6 columns; name counts from 1, score is 1000 x mean p(expressed)."""
    return pd.DataFrame(
        [
            (
                item.region.contig,
                item.region.start,
                item.region.end,
                f"expressed_{number}",
                round(1000 * item.mean),
                item.strand,
            )
            for number, item in enumerate(regions, start=1)
        ],
        columns=["contig", "start", "end", "name", "score", "strand"],
    )


def find_borders(
    expressed: np.ndarray, valid: np.ndarray, *, strand: str, offset: int = 0
) -> Borders:
    """Returns the borders of one strand.

    Args:
        expressed: bool ``(n,)``, from left to right.
        valid: bool ``(n,)``, True where expression was measured.
        strand: ``+`` or ``-``.
        offset: position of the first base.
    """
    known = valid[1:] & valid[:-1]
    rises = np.flatnonzero(expressed[1:] & ~expressed[:-1] & known) + 1 + offset
    falls = np.flatnonzero(~expressed[1:] & expressed[:-1] & known) + 1 + offset
    return Borders(rises, falls) if strand == "+" else Borders(falls, rises)


def count_matches(true: np.ndarray, predicted: np.ndarray, tolerance: int) -> int:
    """Returns the largest number of one-to-one pairs at most ``tolerance`` apart.

    Taking the leftmost positions of both first is optimal: if they are within reach
    of each other some largest matching pairs them, else the left one of the two has
    no partner at all.

    Args:
        true: positions, ascending.
        predicted: positions, ascending.
        tolerance: in bases, 0 or more.
    """
    left, right = true.tolist(), predicted.tolist()
    matched = i = j = 0
    while i < len(left) and j < len(right):
        distance = left[i] - right[j]
        if abs(distance) <= tolerance:
            matched, i, j = matched + 1, i + 1, j + 1
        elif distance < 0:
            i += 1
        else:
            j += 1
    return matched


def compare_borders(
    true: Borders, predicted: Borders, *, tolerances: Iterable[int] = TOLERANCES
) -> tuple[BorderAgreement, ...]:
    """Returns how well predicted borders of one strand agree with the true ones."""
    return tuple(
        BorderAgreement(
            tolerance,
            _count(true.starts, predicted.starts, tolerance),
            _count(true.ends, predicted.ends, tolerance),
        )
        for tolerance in tolerances
    )


def pool_agreement(
    parts: Iterable[tuple[BorderAgreement, ...]],
) -> tuple[BorderAgreement, ...]:
    """Returns the sum of agreements over strands, windows or contigs.

    Args:
        parts: each with the same tolerances; at least one.
    """
    return tuple(
        BorderAgreement(
            same[0].tolerance,
            sum((item.starts for item in same), BorderCounts()),
            sum((item.ends for item in same), BorderCounts()),
        )
        for same in zip(*parts, strict=True)
    )


def _count(true: np.ndarray, predicted: np.ndarray, tolerance: int) -> BorderCounts:
    matched = count_matches(true, predicted, tolerance)
    return BorderCounts(true.size, predicted.size, matched)


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
