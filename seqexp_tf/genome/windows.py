"""Windows of equal length over contigs, and their overlap with intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError


def tile(
    sizes: Mapping[str, int],
    *,
    window: int,
    stride: int,
    strands: Sequence[str] = ("+", "-"),
) -> pd.DataFrame:
    """Tiles every contig with full windows.

    A contig shorter than the window gives none.

    Args:
        sizes: contig -> length in bases.
        window: bases a window.
        stride: bases from one start to the next.
        strands: strands of each window, in the order wanted.

    Returns:
        Columns contig, start, end (0-based half-open), strand; ordered by contig (as
        in ``sizes``), start, strand (as in ``strands``).

    Raises:
        ConfigError: window or stride below 1, or strands other than + and -.
    """
    for name, value in (("window", window), ("stride", stride)):
        if value < 1:
            raise ConfigError(f"{name} = {value}: expected 1 or more bases")
    strands = tuple(strands)
    if not strands or len(set(strands)) < len(strands) or set(strands) - {"+", "-"}:
        raise ConfigError(f"strands = {strands!r}: expected '+', '-' or both, once")
    starts = [
        np.arange(0, size - window + 1, stride, dtype=np.int64)
        for size in sizes.values()
    ]
    counts = [part.size for part in starts]
    start = np.repeat(np.concatenate([*starts, np.empty(0, np.int64)]), len(strands))
    contig = np.repeat(np.array(list(sizes), dtype=object), counts)
    return pd.DataFrame(
        {
            "contig": pd.Series(np.repeat(contig, len(strands)), dtype=object),
            "start": start,
            "end": start + window,
            "strand": pd.Series(
                np.tile(np.array(strands, dtype=object), sum(counts)), dtype=object
            ),
        }
    )


def centred_tiles(
    length: int, *, window: int, start: int, end: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the windows of a contig's grid whose centres are nearest to some bases.

    The grid is fixed by the contig alone: a stride of half a window, and the last
    window ends with the contig. A contig shorter than the window is one.

    Args:
        length: of the contig.
        window: bases in a window.
        start: first base.
        end: exclusive end, within the contig.

    Returns:
        starts: int64 ``(tiles,)``, of the windows, in ascending order.
        owner: int64 ``(end - start,)``, for each base the index of its window.
    """
    window = min(window, length)
    stride = max(window // 2, 1)
    last = -(-(length - window) // stride)
    base = np.arange(start, end)
    owner = np.clip((base - window // 4) // stride, 0, last)
    index = np.arange(owner[0], owner[-1] + 1)
    return np.minimum(index * stride, length - window), owner - owner[0]


def overlaps(windows: pd.DataFrame, intervals: pd.DataFrame) -> np.ndarray:
    """Tells which windows share at least one base with any interval.

    Args:
        windows: columns contig, start, end (0-based half-open).
        intervals: the same columns, in any order; they may overlap one another.

    Returns:
        bool (len(windows),). Strands are not looked at.
    """
    result = np.zeros(len(windows), dtype=bool)
    filled = intervals[intervals["start"] < intervals["end"]]
    by_contig = dict(iter(filled.groupby("contig", sort=False)))
    begin, end = windows["start"].to_numpy(), windows["end"].to_numpy()
    for contig, rows in windows.groupby("contig", sort=False).indices.items():
        found = by_contig.get(contig)
        if found is None:
            continue
        order = np.argsort(found["start"].to_numpy(), kind="stable")
        starts = found["start"].to_numpy()[order]
        reach = np.maximum.accumulate(found["end"].to_numpy()[order])
        # Of the intervals that start before the window's end, the farthest reach
        # decides.
        before = np.searchsorted(starts, end[rows], side="left")
        farthest = np.where(before > 0, reach[before - 1], -1)
        result[rows] = (farthest > begin[rows]) & (begin[rows] < end[rows])
    return result
