"""Files of predictions, told by their suffix, written row by row and whole or not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.genome.files import atomic_path
from seqexp_tf.genome.vcf import Allele

Format = Literal["parquet", "tsv", "bigwig"]

SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".tsv": "tsv",
    ".bw": "bigwig",
    ".bigwig": "bigwig",
}

TEXT, WHOLE, NUMBER = pa.string(), pa.int64(), pa.float32()
NUMBERS = pa.list_(pa.float32())

ALLELE_COLUMNS = {
    "contig": TEXT,
    "position": WHOLE,
    "id": TEXT,
    "ref": TEXT,
    "alt": TEXT,
}
"""Columns that name an allele; see ``allele_table``."""


def output_format(path: Path) -> Format:
    """Returns the format that the name of a file asks for.

    Raises:
        ConfigError: an unknown suffix, or a folder.
    """
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        raise ConfigError(
            f"{path}: unknown suffix {path.suffix!r}; choose one of "
            f"{', '.join(SUFFIXES)}"
        )
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder; give a file")
    return found


def refuse_bigwig(path: Path, *, what: str) -> None:
    """Raises ConfigError for a bigWig of what has no value for each base."""
    if output_format(path) == "bigwig":
        raise ConfigError(
            f"{path}: {what} cannot be a bigWig, which holds a value for each base of "
            "a genome; choose .parquet or .tsv"
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into one line.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).partition("\n")[0]
        raise RunError(
            f"{path}: cannot write: {reason}; free space or choose another --out"
        ) from None


class TableWriter:
    """Takes tables with the same columns; see ``table_writer``.

    Attributes:
        rows: taken so far.
    """

    def __init__(self, columns: Mapping[str, pa.DataType], rows_at_once: int) -> None:
        self.rows = 0
        self._columns = dict(columns)
        self._rows_at_once = rows_at_once
        self._kept: list[pd.DataFrame] = []

    def write(self, table: pd.DataFrame) -> None:
        """Adds rows; columns that the writer does not know are left out."""
        self._kept.append(table[list(self._columns)])
        self.rows += len(table)
        if sum(map(len, self._kept)) >= self._rows_at_once:
            self.flush()

    def flush(self) -> None:
        """Writes what was kept to be written together."""
        if self._kept:
            self._write(pd.concat(self._kept, ignore_index=True))
            self._kept = []

    def close(self) -> None:
        """Ends the file."""
        raise NotImplementedError

    def _write(self, table: pd.DataFrame) -> None:
        raise NotImplementedError


class _Parquet(TableWriter):
    def __init__(
        self, path: Path, columns: Mapping[str, pa.DataType], rows_at_once: int
    ) -> None:
        super().__init__(columns, rows_at_once)
        self._schema = pa.schema(list(columns.items()))
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

    def _write(self, table: pd.DataFrame) -> None:
        arrow = pa.Table.from_pandas(table, schema=self._schema, preserve_index=False)
        self._file.write_table(arrow)

    def close(self) -> None:
        self._file.close()


class _Tsv(TableWriter):
    def __init__(
        self, path: Path, columns: Mapping[str, pa.DataType], rows_at_once: int
    ) -> None:
        # A cell of a text table holds one value.
        single = {name: kind for name, kind in columns.items() if kind != NUMBERS}
        super().__init__(single, rows_at_once)
        self._file = path.open("w", encoding="utf-8", newline="")
        self._file.write("\t".join(self._columns) + "\n")

    def _write(self, table: pd.DataFrame) -> None:
        # No more digits than a float32 has.
        numbers = [name for name, kind in self._columns.items() if kind == NUMBER]
        table = table.astype(dict.fromkeys(numbers, np.float32))
        table.to_csv(
            self._file, sep="\t", header=False, index=False, lineterminator="\n"
        )

    def close(self) -> None:
        self._file.close()


@contextmanager
def table_writer(
    path: Path, columns: Mapping[str, pa.DataType], *, rows_at_once: int = 1 << 16
) -> Iterator[TableWriter]:
    """Gives a writer of one table, which appears under its name when all is well.

    Args:
        path: ``.parquet`` or ``.tsv``.
        columns: name -> type. Lists are left out of a TSV.
        rows_at_once: kept in memory and written together, a row group of parquet.

    Raises:
        RunError: it cannot be written.
    """
    kind = _Parquet if output_format(path) == "parquet" else _Tsv
    with writing(path), atomic_path(path) as temporary:
        writer = kind(temporary, columns, rows_at_once)
        try:
            yield writer
            writer.flush()
        finally:
            writer.close()


def allele_table(alleles: list[Allele]) -> pd.DataFrame:
    """Returns contig, position (1-based), id, reference and alternative of alleles."""
    return pd.DataFrame(
        {
            "contig": pd.Series([a.contig for a in alleles], dtype=object),
            "position": np.array([a.position for a in alleles], dtype=np.int64),
            "id": pd.Series([a.identifier or "." for a in alleles], dtype=object),
            "ref": pd.Series([a.reference for a in alleles], dtype=object),
            "alt": pd.Series([a.alternative for a in alleles], dtype=object),
        }
    )
