"""Stretches of genome: those a dataset has windows on, merged and cut."""

from collections.abc import Iterable, Iterator

import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.regions import Region
from seqexp_tf.records.store import RecordStore


def stored_spans(store: RecordStore, split: str | None = None) -> list[Region]:
    """Returns the stretches that windows cover without a gap, in genome order.

    Genome order is by contig name, as bigWig has it, then by start.

    Args:
        store: the dataset.
        split: windows of this split alone; None takes all.

    Raises:
        DatasetError: no such split.
    """
    table = store.windows(split).drop_duplicates(["contig", "start", "end"])
    return merge(
        Region(contig, start, end)
        for contig, start, end in zip(
            table.contig, table.start.tolist(), table.end.tolist(), strict=True
        )
    )


def merge(regions: Iterable[Region]) -> list[Region]:
    """Returns regions in genome order; those that touch or overlap become one."""
    merged: list[Region] = []
    for region in sorted(regions, key=lambda r: (r.contig, r.start)):
        last = merged[-1] if merged else None
        if last and last.contig == region.contig and region.start <= last.end:
            end = max(last.end, region.end)
            merged[-1] = Region(last.contig, last.start, end)
        else:
            merged.append(region)
    return merged


def stored_parts(store: RecordStore, regions: Iterable[Region]) -> list[Region]:
    """Returns what windows cover of some regions, merged, in genome order.

    Raises:
        DatasetError: no window lies on one of the regions.
    """
    spans = stored_spans(store)
    parts = []
    for region in regions:
        inside = [
            Region(
                span.contig, max(span.start, region.start), min(span.end, region.end)
            )
            for span in spans
            if span.contig == region.contig
            and span.start < region.end
            and region.start < span.end
        ]
        if not inside:
            raise DatasetError(
                f"{store.folder}: no window lies on {region}; the recipe left it out"
            )
        parts += inside
    return merge(parts)


def uncovered(region: Region, spans: Iterable[Region]) -> list[Region]:
    """Returns what ``spans`` leave of a region, from left to right."""
    gaps, start = [], region.start
    for span in merge(spans):
        if span.contig != region.contig or span.end <= start:
            continue
        if span.start >= region.end:
            break
        if span.start > start:
            gaps.append(Region(region.contig, start, span.start))
        start = span.end
    if start < region.end:
        gaps.append(Region(region.contig, start, region.end))
    return gaps


def blocks(region: Region, size: int) -> Iterator[Region]:
    """Yields a region in pieces of at most ``size`` bases, from left to right."""
    for start in np.arange(region.start, region.end, size).tolist():
        yield Region(region.contig, start, min(start + size, region.end))
