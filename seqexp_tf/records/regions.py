"""Any stretch of genome, put together again from the windows of a dataset."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.genome.alphabet import UNKNOWN, reverse_complement
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.intervals import parse_region
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard

STRANDS = ("+", "-")


@dataclass(frozen=True)
class Region:
    """A stretch of one contig, 0-based half-open.

    Attributes:
        contig: name as the dataset spells it.
        start: first base.
        end: exclusive end.
    """

    contig: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.contig}:{self.start + 1:,}-{self.end:,}"


@dataclass(frozen=True)
class StrandedSequence:
    """One strand of a region, read in its own direction (5' to 3').

    Attributes:
        region: where it lies.
        strand: ``+`` or ``-``; on ``-``, index 0 is the region's last base.
        sequence: uint8 nucleotides ``(n,)``; N where the dataset has no window.
        expression: uint8 labels ``(n,)``, 1 = expressed.
        valid: bool ``(n,)``, True where the labels are measured.
    """

    region: Region
    strand: str
    sequence: np.ndarray
    expression: np.ndarray
    valid: np.ndarray

    def __len__(self) -> int:
        return self.sequence.size

    def genomic(self, values: np.ndarray) -> np.ndarray:
        """Returns per-base values (positions first) from left to right."""
        return values if self.strand == "+" else values[::-1]


@dataclass(frozen=True)
class GenomeSlice:
    """Both strands of a region, from left to right.

    Attributes:
        region: where it lies.
        sequence: uint8 nucleotides of the plus strand ``(n,)``.
        expression: uint8 labels ``(2, n)`` of the plus and the minus strand.
        valid: bool ``(n,)``, True where the labels are measured.
        stored: bool ``(n,)``, True where a window of the dataset lies.
    """

    region: Region
    sequence: np.ndarray
    expression: np.ndarray
    valid: np.ndarray
    stored: np.ndarray

    def strand(
        self, strand: str, start: int | None = None, end: int | None = None
    ) -> StrandedSequence:
        """Returns one strand of ``[start, end)``, the whole slice by default."""
        start = self.region.start if start is None else start
        end = self.region.end if end is None else end
        at = slice(start - self.region.start, end - self.region.start)
        region = Region(self.region.contig, start, end)
        labels = self.expression[STRANDS.index(strand), at]
        if strand == "+":
            return StrandedSequence(
                region, strand, self.sequence[at], labels, self.valid[at]
            )
        return StrandedSequence(
            region,
            strand,
            reverse_complement(self.sequence[at]),
            labels[::-1],
            self.valid[at][::-1],
        )


def find_region(store: RecordStore, text: str) -> Region:
    """Returns the region that a browser's text names, checked against the dataset.

    Args:
        store: the dataset.
        text: 1-based inclusive, for example ``chrIV:1,468,900-1,469,900``; the
            contig in any usual spelling, alone for the whole of it.

    Raises:
        InputError: malformed or reversed text, an unknown contig, or a region that
            leaves its contig.
    """
    lengths: dict[str, int] = store.manifest["contigs"]
    whole = ":" not in text
    contig, start, end = (text.strip(), 0, None) if whole else parse_region(text)
    name = ContigNames(lengths).resolve(contig)
    if name is None:
        raise InputError(
            f"region {text!r}: {store.folder} has no contig {contig!r}; "
            f"{nearest(contig, lengths)}"
        )
    end = lengths[name] if end is None else end
    if end > lengths[name]:
        raise InputError(
            f"region {text!r}: {name} ends at {lengths[name]:,}; choose a region "
            f"within {name}:1-{lengths[name]:,}"
        )
    return Region(name, start, end)


def read_slice(store: RecordStore, region: Region) -> GenomeSlice:
    """Returns both strands of a region as the dataset's windows have them.

    Only shards with a window on the region are read, and no more than the region
    is held.

    Raises:
        DatasetError: another kind of dataset, no window on the region, or a damaged
            shard.
    """
    if store.schema.kind != "joint":
        raise DatasetError(
            f"{store.folder}: a dataset of kind {store.schema.kind!r}; labels of a "
            'region are in one of kind "joint"'
        )
    n = len(region)
    sequence = np.full(n, UNKNOWN, dtype=np.uint8)
    expression = np.zeros((2, n), dtype=np.uint8)
    valid = np.zeros(n, dtype=bool)
    stored = np.zeros(n, dtype=bool)
    table = store.windows()
    rows = table[
        (table.contig == region.contig)
        & (table.start < region.end)
        & (table.end > region.start)
    ]
    for record in _records(store, rows):
        window = _left_to_right(record)
        first, last = max(region.start, record["start"]), min(region.end, record["end"])
        here = slice(first - region.start, last - region.start)
        there = slice(first - record["start"], last - record["start"])
        sequence[here] = window["sequence"][there]
        expression[:, here] = window["expression"][:, there]
        valid[here] = window["valid"][there]
        stored[here] = True
    if not stored.any():
        raise DatasetError(
            f"{store.folder}: no window lies on {region}; the recipe left it out"
        )
    return GenomeSlice(region, sequence, expression, valid, stored)


def _records(store: RecordStore, rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    for (split, shard), wanted in rows.groupby(["split", "shard"], observed=True):
        path = store.folder / shard
        numbers = set(wanted.row.tolist())
        last = max(numbers)
        records = read_shard(path, compression=store.schema.compression)
        for row, record in enumerate(records):
            if row in numbers:
                yield store.decode(record, split=split, origin=path)
            if row == last:
                break


def _left_to_right(record: dict[str, Any]) -> dict[str, Any]:
    if record["strand"] == "+":
        return record
    return {
        "sequence": reverse_complement(record["sequence"]),
        "expression": record["expression"][::-1, ::-1],
        "valid": record["valid"][::-1],
    }
