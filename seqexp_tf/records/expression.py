"""The ``expression`` kind: one window a gene, centred on its TSS."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.fasta import PackedGenome
from seqexp_tf.genome.intervals import interval_mask
from seqexp_tf.records.expression_details import ExpressionDetails
from seqexp_tf.records.schema import NUCLEOTIDES, Feature, Schema
from seqexp_tf.records.signals import Signal, merged

GENE_COLUMNS = ("name", "gene_strand", "tss", "target")
"""Columns of the window table, besides its own and ``gene``."""

_AS_READ = "sequence", "signals", "channels"
"""Arrays that are read from the forward strand, then reversed where needed."""


def centred_windows(genes: pd.DataFrame, *, size: int, oriented: bool) -> pd.DataFrame:
    """Returns start, end and strand of the window of each gene.

    The TSS base is at index ``size // 2`` of the window as stored. Of an even number
    of bases none is the middle one: read forwards, the window reaches ``size // 2``
    bases to the left of the TSS and one fewer to its right; turned round for a gene
    on the minus strand, it lies one base further right on the contig, so that here
    too ``size // 2`` bases come before the TSS in the direction of reading.

    Args:
        genes: columns tss (0-based) and strand.
        size: bases in a window, even.
        oriented: turn the windows of genes on the minus strand round.

    Returns:
        start, end (0-based half-open; they may lie outside the contig) and strand,
        the orientation of the arrays.
    """
    reverse = (genes.strand == "-").to_numpy() & oriented
    start = genes.tss.to_numpy() - size // 2 + reverse
    return pd.DataFrame(
        {
            "start": start,
            "end": start + size,
            "strand": pd.Series(np.where(reverse, "-", "+"), dtype=object),
        }
    )


def contact_bins(window: int, resolution: int) -> int:
    """Returns how many bins a window of that many bases can touch at most."""
    return (window + resolution - 2) // resolution + 1


def expression_schema(
    window: int,
    *,
    channels: tuple[str, ...],
    compression: Literal["none", "gzip"],
    details: ExpressionDetails,
) -> Schema:
    """Returns the schema of an expression dataset.

    Args:
        window: bases in a window.
        channels: names of the per-base masks.
        compression: of the shards.
        details: signals, features, contacts and target.
    """
    features = [
        Feature(
            "sequence",
            "uint8",
            (window,),
            ("position",),
            description="nucleotides of the window's strand; N outside the contig",
            encoding=NUCLEOTIDES,
        ),
        Feature(
            "inside",
            "int64",
            (2,),
            ("bound",),
            description="first position inside the contig, and the one after the last",
        ),
    ]
    if details.signals:
        features.append(
            Feature(
                "signals",
                "float32",
                (len(details.signals), window),
                ("track", "position"),
                description="transformed signals; 0 outside the contig",
                tracks=tuple(signal.name for signal in details.signals),
            )
        )
    if channels:
        features.append(
            Feature(
                "channels",
                "uint8",
                (len(channels), window),
                ("track", "position"),
                description="1 inside an interval of the track's BED",
                tracks=channels,
            )
        )
    if details.resolution:
        features += [
            Feature(
                "contact",
                "float32",
                (contact_bins(window, details.resolution),),
                ("bin",),
                description="contact of each genomic bin with the TSS, in the window's "
                "direction; 0 after the last bin of the window",
                unit=details.contact,
            ),
            Feature(
                "contact_offset",
                "int64",
                (),
                (),
                description="bases of the first bin before the window: position p is "
                f"in bin (p + contact_offset) // {details.resolution}",
            ),
        ]
    if details.features:
        features.append(
            Feature(
                "features",
                "float32",
                (len(details.features),),
                ("feature",),
                description="numbers of the gene: "
                + ", ".join(feature.name for feature in details.features),
            )
        )
    features.append(
        Feature(
            "target",
            "float32",
            (),
            (),
            description=f"{details.target.name}, transform {details.target.transform}",
            unit=details.target.unit,
        )
    )
    return Schema(
        "expression",
        window,
        tuple(features),
        compression,
        identifiers=("gene",),
        expression=details,
    )


@dataclass(frozen=True)
class ExpressionSource:
    """Everything a shard task needs to make records; cheap to send to a worker.

    Attributes:
        genome: the DNA.
        contigs: the dataset's contig names and the FASTA's name for each.
        sizes: length of every contig.
        signals: the tracks of ``signals``.
        channels: by name and contig, starts and ends of disjoint intervals in
            ascending order.
        rows: ``.npy`` files of ``contact`` and ``features``, a row a gene, numbered
            by the column ``row`` of the windows.
        schema: of the dataset.
    """

    genome: PackedGenome
    contigs: dict[str, str]
    sizes: dict[str, int]
    signals: tuple[Signal, ...]
    channels: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]]
    rows: dict[str, Path]
    schema: Schema

    @property
    def files(self) -> tuple[Path, ...]:
        """What ``records`` reads."""
        tracks = (signal.track.path for signal in self.signals)
        return (*self.genome.files, *self.rows.values(), *tracks)

    def records(self, windows: pd.DataFrame, split: str) -> dict[str, np.ndarray]:
        """Returns the arrays of ``windows`` (one split), records first."""
        starts = windows.start.to_numpy()
        values = {
            feature.name: np.zeros((len(windows), *feature.shape), feature.dtype)
            for feature in self.schema.of_split(split)
        }
        values["sequence"][:] = UNKNOWN
        for contig, rows in windows.groupby("contig", sort=False).indices.items():
            first = np.clip(-starts[rows], 0, None)
            last = np.clip(self.sizes[contig] - starts[rows], None, self.schema.window)
            values["inside"][rows] = np.stack([first, last], axis=1)
            self._fill(values, contig, rows, starts)
        minus = (windows.strand == "-").to_numpy()
        for name in _AS_READ:
            if name in values:
                feature = self.schema.by_name[name]
                values[name][minus] = feature.reverse(values[name][minus])
        inside = values["inside"]
        inside[minus] = self.schema.window - inside[minus][:, ::-1]
        for name, path in self.rows.items():
            stored = np.load(path, mmap_mode="r")
            values[name][:] = stored[windows.row.to_numpy()]
        values["target"][:] = windows.target.to_numpy()
        return values

    def statistics(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns counts of bases, those outside contigs left out."""
        counts = np.bincount(records["sequence"].ravel(), minlength=UNKNOWN + 1)
        first, last = records["inside"].T
        outside = records["sequence"].size - int((last - first).sum())
        counts[UNKNOWN] -= outside
        return {"bases_ACGTN": counts, "bases_outside": np.array([outside])}

    def results(
        self, statistics: Mapping[str, Mapping[str, np.ndarray]]
    ) -> tuple[list[str], list[str]]:
        """Returns the shares of N and of padding, and what they warn of."""
        parts, warnings = [], []
        for split, counts in statistics.items():
            bases, outside = counts["bases_ACGTN"], int(counts["bases_outside"][0])
            unknown = bases[UNKNOWN] / max(bases.sum(), 1)
            beyond = outside / max(bases.sum() + outside, 1)
            parts.append(f"{split} {unknown:.1%} N, {beyond:.1%} past contig ends")
            if unknown > 0.5:
                warnings.append(
                    f"{unknown:.0%} of the bases of split {split} are N; is the FASTA "
                    "complete?"
                )
        return [f"bases: {'; '.join(parts)}"], warnings

    def _fill(
        self,
        values: dict[str, np.ndarray],
        contig: str,
        rows: np.ndarray,
        starts: np.ndarray,
    ) -> None:
        """Fills in the windows of one contig, forward strand, a span at a time."""
        inside = values["inside"]
        begin = starts[rows] + inside[rows, 0]
        end = starts[rows] + inside[rows, 1]
        spans = merged(begin, end)
        owner = np.searchsorted(spans[0], begin, side="right") - 1
        for number, (low, high) in enumerate(zip(*spans, strict=True)):
            arrays = self._read(contig, int(low), int(high))
            mine = owner == number
            for row, left, right in zip(
                rows[mine], begin[mine] - low, end[mine] - low, strict=True
            ):
                place = slice(*inside[row])
                for name, array in arrays.items():
                    values[name][row][..., place] = array[..., left:right]

    def _read(self, contig: str, start: int, end: int) -> dict[str, np.ndarray]:
        """The per-base arrays of one span."""
        arrays = {"sequence": self.genome.fetch(self.contigs[contig], start, end)}
        if self.signals:
            arrays["signals"] = np.stack(
                [signal.values(contig, start, end) for signal in self.signals]
            )
        if self.channels:
            arrays["channels"] = np.stack(
                [
                    _paint(intervals.get(contig), start, end)
                    for intervals in self.channels.values()
                ]
            )
        return arrays


def _paint(
    intervals: tuple[np.ndarray, np.ndarray] | None, start: int, end: int
) -> np.ndarray:
    if intervals is None:
        return np.zeros(end - start, dtype=np.uint8)
    starts, ends = intervals
    touched = slice(np.searchsorted(ends, start, "right"), np.searchsorted(starts, end))
    return interval_mask(starts[touched], ends[touched], start, end)
