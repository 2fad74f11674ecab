"""Tables of any columns: TSV and CSV, plain or gzip, and parquet."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from seqexp_tf.errors import InputError
from seqexp_tf.genome.files import text_lines

_MISSING = frozenset({"", ".", "na", "n/a", "nan", "nat", "none", "null", "<na>"})


def is_missing(value: Any) -> bool:
    """Whether a cell is empty or one of the usual words for a missing value."""
    return value is None or str(value).strip().lower() in _MISSING


def read_table(path: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Reads a table; the cells of a text table stay text.

    Args:
        path: parquet by its name (``.parquet``, ``.pq``), else text with one header
            line: tab-separated where the header holds a tab, else comma-separated.
            Empty lines are skipped.

    Returns:
        The table, and of each row where it is in the file (``line 7``, ``row 6``).

    Raises:
        InputError: an unreadable or empty file, a column named twice, or a line with
            another number of columns than the header.
    """
    path = Path(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    numbers: list[int] = []

    def lines() -> Iterator[str]:
        for number, line in text_lines(path):
            if line.strip():
                numbers.append(number)
                yield line if len(numbers) > 1 else line.lstrip("\ufeff")

    stream = lines()
    first = next(stream, None)
    if first is None:
        raise InputError(f"{path}: the table is empty; expected a header line")
    delimiter = "\t" if "\t" in first else ","
    header = next(csv.reader([first], delimiter=delimiter))
    for name in header:
        if header.count(name) > 1:
            raise InputError(
                f"{path}: line {numbers[0]}: column {name!r} appears twice; rename one"
            )
    rows, places = [], []
    try:
        for fields in csv.reader(stream, delimiter=delimiter):
            if len(fields) != len(header):
                raise InputError(
                    f"{path}: line {numbers[-1]}: {len(fields)} columns, but the "
                    f"header has {len(header)}; give every line a value or NA for each"
                )
            rows.append(fields)
            places.append(f"line {numbers[-1]}")
    except csv.Error as error:
        raise InputError(
            f"{path}: line {numbers[-1]}: not a table of text ({error})"
        ) from error
    return pd.DataFrame(rows, columns=header, dtype=object), places


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        frame = pd.read_parquet(path).reset_index(drop=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{path}: not a parquet table ({reason})") from error
    return frame, [f"row {number}" for number in range(1, len(frame) + 1)]


def typed(column: pd.Series) -> pd.Series:
    """Returns numbers where every cell is one or missing, else text with None."""
    if column.dtype != object:
        return column
    missing = column.map(is_missing).astype(bool)
    cells = column.where(~missing, None)
    if missing.all():
        return cells
    try:
        return pd.to_numeric(cells)
    except (ValueError, TypeError):
        return cells
