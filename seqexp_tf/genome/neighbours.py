"""Where bases lie among genes, in columns and in words."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

_FAR = 1000


def locate(genes: pd.DataFrame, contig: str, positions: np.ndarray) -> pd.DataFrame:
    """Returns the genes a base lies in, and the nearest on either side of it.

    Args:
        genes: contig, start, end (0-based half-open), strand and label, as
            ``gene_table`` returns them.
        contig: of the positions, spelt as in ``genes``.
        positions: 0-based, int ``(n,)``.

    Returns:
        ``n`` rows of: ``genes``, names of those that cover the base, comma-separated,
        None without any; ``left`` and ``right``, the nearest that end before it and
        that start after it, None at the end of the contig, and ``left_distance`` and
        ``right_distance`` in bases (1 = adjacent); ``place``, the same in words,
        ``upstream`` and ``downstream`` being the gene's own.
    """
    here = genes[genes.contig == contig]
    by_end = here.sort_values("end", kind="stable")
    by_start = here.sort_values("start", kind="stable")
    rows = []
    for position in np.asarray(positions).tolist():
        inside = here[(here.start <= position) & (here.end > position)]
        before = int(by_end.end.searchsorted(position, side="right"))
        after = int(by_start.start.searchsorted(position, side="right"))
        left = by_end.iloc[before - 1] if before else None
        right = by_start.iloc[after] if after < len(by_start) else None
        rows.append(
            {
                "genes": ",".join(inside.label) or None,
                "left": None if left is None else left.label,
                "left_distance": None if left is None else position - left.end + 1,
                "right": None if right is None else right.label,
                "right_distance": None if right is None else right.start - position,
                "place": _words(position, inside.label, left, right),
            }
        )
    table = pd.DataFrame(rows, dtype=object)
    distances = ["left_distance", "right_distance"]
    return table.astype(dict.fromkeys(distances, "Int64"))


def _words(
    position: int,
    inside: Iterable[str],
    left: pd.Series | None,
    right: pd.Series | None,
) -> str:
    names = list(inside)
    parts = [f"in {' and '.join(names)}"] if names else []
    sides = []
    if left is not None:
        sides.append((position - left.end + 1, left, left.strand == "-"))
    if right is not None:
        sides.append((right.start - position, right, right.strand == "+"))
    for distance, gene, upstream in sorted(sides, key=lambda side: side[0]):
        # Within a gene, what else matters is whose promoter it may be.
        if names and (not upstream or distance > _FAR):
            continue
        direction = "upstream of" if upstream else "downstream of"
        if gene.strand is None:
            direction = "from"
        parts.append(f"{distance:,} bp {direction} {gene.label}")
    return ", ".join(parts) or "no gene on the contig"
