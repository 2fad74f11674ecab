"""Intervals: BED and narrowPeak files, region text, and painting them over bases."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.files import atomic_path, text_lines

_COLUMNS = ("contig", "start", "end", "name", "score", "strand")
_REGION = re.compile(r"(\S+):(\d[\d,]*)-(\d[\d,]*)", re.ASCII)
_SKIPPED = re.compile(r"(track|browser)(\s|$)|#")


def read_bed(path: str | Path) -> pd.DataFrame:
    """Reads BED3 to BED12 or narrowPeak, plain or gzip.

    Columns contig, start, end (0-based half-open, as in BED), name (None if absent),
    score (float, NaN if absent), strand ("+", "-" or None); in file order. Track,
    browser, comment and empty lines are skipped; a file without intervals gives an
    empty table.

    Raises:
        InputError: a malformed line, with its number.

    Reference: UCSC BED and ENCODE narrowPeak format descriptions.
    """
    return bed_table([row for _, row, _ in bed_lines(path)])


def bed_table(rows: Sequence[tuple]) -> pd.DataFrame:
    """Returns rows of ``bed_lines`` as the table of ``read_bed``."""
    values = zip(*rows, strict=True) if rows else [()] * len(_COLUMNS)
    kinds = (object, np.int64, np.int64, object, np.float64, object)
    return pd.DataFrame(
        {
            name: pd.Series(column, dtype=kind)
            for name, column, kind in zip(_COLUMNS, values, kinds, strict=True)
        }
    )


def bed_lines(path: str | Path) -> Iterator[tuple[str, tuple, list[str]]]:
    """Yields, for each interval of a BED file, its place, its row and all its fields.

    The place is ``FILE: line N`` for a message, the row that of ``read_bed``.
    """
    for number, line in text_lines(path):
        if line.strip() and not _SKIPPED.match(line):
            place = f"{path}: line {number}"
            fields = line.split("\t") if "\t" in line else line.split()
            yield place, _bed_row(place, fields), fields


def write_bed(path: str | Path, table: pd.DataFrame) -> None:
    """Writes BED6 in the order of the table, atomically; ``read_bed`` reads it back.

    There is no track line, which some readers of BED refuse.

    Args:
        path: the file to write.
        table: contig, start, end (0-based half-open), name, score, strand.
    """
    text = table[list(_COLUMNS)].to_csv(
        sep="\t", header=False, index=False, na_rep=".", lineterminator="\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _bed_row(where: str, fields: list[str]) -> tuple:
    if len(fields) < 3 or not fields[0]:
        raise InputError(
            f"{where}: {len(fields)} columns, expected contig, start, end (BED)"
        )
    contig, first, last = fields[:3]
    try:
        start, end = int(first), int(last)
    except ValueError as error:
        raise InputError(
            f"{where}: start {first!r} and end {last!r} must be whole numbers"
        ) from error
    if not 0 <= start <= end:
        raise InputError(
            f"{where}: start {start}, end {end}: expected 0 <= start <= end"
        )
    name, score, strand = (fields[3:6] + ["."] * 3)[:3]
    try:
        value = float("nan") if score in (".", "") else float(score)
    except ValueError as error:
        raise InputError(f"{where}: score {score!r} is no number or '.'") from error
    if strand not in ("+", "-", ".", ""):
        raise InputError(f"{where}: strand {strand!r}: expected + - or .")
    return (
        contig,
        start,
        end,
        None if name in (".", "") else name,
        value,
        strand if strand in ("+", "-") else None,
    )


def parse_region(text: str) -> tuple[str, int, int]:
    """Parses a genome browser's region into contig, start, end (0-based half-open).

    The text is 1-based inclusive, commas allowed: ``chrIV:1,468,900-1,469,900``.

    Raises:
        InputError: malformed or reversed text.
    """
    match = _REGION.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"region {text!r}: expected CONTIG:START-END (1-based, inclusive), for "
            "example chrIV:1,468,900-1,469,900"
        )
    start, end = (int(match.group(part).replace(",", "")) for part in (2, 3))
    if start < 1:
        raise InputError(f"region {text!r}: starts at 0; the first base is 1")
    if start > end:
        raise InputError(f"region {text!r}: starts after its end; swap the two")
    return match.group(1), start - 1, end


def interval_mask(
    starts: np.ndarray, ends: np.ndarray, start: int, end: int
) -> np.ndarray:
    """Paints intervals of one contig over the block ``[start, end)``.

    Args:
        starts: 0-based starts, shape (n,), in any order; intervals may overlap.
        ends: exclusive ends, shape (n,).
        start: first base of the block.
        end: exclusive end of the block.

    Returns:
        uint8 (end - start,), 1 where any interval covers the base.
    """
    length = end - start
    first = np.clip(np.asarray(starts, dtype=np.int64) - start, 0, length)
    last = np.clip(np.asarray(ends, dtype=np.int64) - start, 0, length)
    kept = first < last
    depth = np.bincount(first[kept], minlength=length + 1)
    depth -= np.bincount(last[kept], minlength=length + 1)
    return (np.cumsum(depth[:length]) > 0).astype(np.uint8)
