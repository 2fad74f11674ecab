"""bigWig tracks: values a base, read in blocks and written as runs."""

import math
import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyBigWig

from seqexp_tf.errors import InputError
from seqexp_tf.genome.contigs import nearest
from seqexp_tf.genome.files import atomic_path

_MAGIC = 0x888FFC26  # Kent et al. 2010, doi:10.1093/bioinformatics/btq351
_HEADS = (struct.pack("<I", _MAGIC), struct.pack(">I", _MAGIC))
_ENTRIES = 1 << 18  # values written at once


def is_bigwig(path: str | Path) -> bool:
    """Whether a file begins as a bigWig; `InputError` where it cannot be read."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(4) in _HEADS
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


class BigWigTrack:
    """A bigWig file, opened when first read, once in each process.

    The object pickles by absolute path and may cross a fork; the handle never does.
    Usable as a context manager.

    Args:
        path: the file.

    Raises:
        InputError: on first use, where the file is missing or no bigWig.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._handle = None
        self._process = -1
        self._sizes: dict[str, int] | None = None

    def __getstate__(self) -> Path:
        return self.path.absolute()

    def __setstate__(self, path: Path) -> None:
        self.__init__(path)

    def __enter__(self) -> "BigWigTrack":
        self._open()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the handle; a later read opens it again."""
        if self._handle is not None and self._process == os.getpid():
            self._handle.close()
        self._handle = None

    def _open(self):
        if self._handle is None or self._process != os.getpid():
            self._check_magic()
            try:
                self._handle = pyBigWig.open(str(self.path))
            except RuntimeError as error:
                raise InputError(
                    f"{self.path}: a damaged bigWig ({error}); download it again"
                ) from error
            self._process = os.getpid()
        return self._handle

    def _check_magic(self) -> None:
        try:
            with self.path.open("rb") as stream:
                head = stream.read(4)
                stream.seek(-min(4, self.path.stat().st_size), os.SEEK_END)
                tail = stream.read()
        except FileNotFoundError as error:
            raise InputError(f"{self.path}: no such file") from error
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error})") from error
        if head not in _HEADS:
            raise InputError(
                f"{self.path}: not a bigWig (it begins with {head!r}); convert a "
                "bedGraph or wiggle file with bedGraphToBigWig or wigToBigWig"
            )
        if tail != head:
            raise InputError(
                f"{self.path}: the signature at the end of the bigWig is missing, so "
                "the file is truncated; copy or download it again"
            )

    @property
    def sizes(self) -> dict[str, int]:
        """Contig -> length in bases, in the order of the file."""
        if self._sizes is None:
            self._sizes = {
                name: int(size) for name, size in self._open().chroms().items()
            }
        return self._sizes

    def values(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns float32 values of ``[start, end)``, shape (end - start,).

        NaN where the track has no data.

        Raises:
            InputError: unknown contig, an interval outside it, or unreadable data.
        """
        size = self.sizes.get(contig)
        if size is None:
            raise InputError(
                f"{self.path}: no contig {contig!r}; {nearest(contig, self.sizes)}"
            )
        if not 0 <= start <= end <= size:
            raise InputError(
                f"{self.path}: {contig}:{start}-{end} (0-based half-open) is outside "
                f"the contig, which is 0-{size}"
            )
        if start == end:
            return np.zeros(0, dtype=np.float32)
        try:
            values = self._open().values(contig, start, end, numpy=True)
        except RuntimeError as error:
            raise InputError(
                f"{self.path}: {contig}:{start}-{end} cannot be read ({error}); the "
                "file is damaged"
            ) from error
        return np.asarray(values, dtype=np.float32)


def write_bigwig(
    path: str | Path, sizes: Mapping[str, int], values: Mapping[str, np.ndarray]
) -> None:
    """Writes values a base as runs of equal value, atomically.

    NaN leaves a gap, so that "no data" stays different from zero. Contigs are put in
    lexicographic order, which readers that search the name tree rely on.

    Args:
        path: the file to write.
        sizes: contig -> length, for every contig of the genome.
        values: contig -> numbers, shape (length,); a contig left out has no data.

    Raises:
        InputError: a contig not in ``sizes``, values of another length, an infinite
            value, or no value at all.
    """
    for contig, array in values.items():
        if contig in sizes and np.shape(array) != (sizes[contig],):
            raise InputError(
                f"{path}: contig {contig!r} has {sizes[contig]} bases, but values of "
                f"shape {np.shape(array)}"
            )
    with bigwig_writer(path, sizes) as writer:
        for contig in sorted(values):
            writer.add(contig, 0, values[contig])


@contextmanager
def bigwig_writer(
    path: str | Path, sizes: Mapping[str, int]
) -> Iterator["BigWigWriter"]:
    """Gives a writer of one bigWig, which appears under its name when all is well.

    Args:
        path: the file to write.
        sizes: contig -> length, for every contig of the genome.

    Raises:
        InputError: what ``BigWigWriter.add`` refuses, or no value at all.
    """
    with atomic_path(path) as temporary:
        handle = pyBigWig.open(str(temporary), "w")
        try:
            handle.addHeader([(name, int(sizes[name])) for name in sorted(sizes)])
            writer = BigWigWriter(path, sizes, handle)
            yield writer
        finally:
            handle.close()
        if writer.empty:
            raise InputError(f"{path}: no value to write; a bigWig needs at least one")


class BigWigWriter:
    """Writes a bigWig piece by piece, in genome order; see ``bigwig_writer``.

    Attributes:
        empty: whether no value was written yet.
    """

    def __init__(self, path: str | Path, sizes: Mapping[str, int], handle) -> None:
        self.empty = True
        self._path = path
        self._sizes = sizes
        self._handle = handle
        self._next = ("", 0)

    def add(self, contig: str, start: int, values: np.ndarray) -> None:
        """Writes the values of ``[start, start + n)`` as runs of equal value.

        Args:
            contig: in lexicographic order from call to call.
            start: 0-based, not before the end of the last piece.
            values: numbers, shape (n,); NaN leaves a gap.

        Raises:
            InputError: an unknown contig, a piece that leaves it or is out of order,
                or an infinite value.
        """
        size = self._sizes.get(contig)
        if size is None:
            raise InputError(
                f"{self._path}: values for contig {contig!r}, which the genome lacks; "
                f"{nearest(contig, self._sizes)}"
            )
        end = start + len(values)
        if not 0 <= start <= end <= size:
            raise InputError(
                f"{self._path}: values for {contig}:{start}-{end} (0-based half-open), "
                f"outside the contig, which is 0-{size}"
            )
        if (contig, start) < self._next:
            raise InputError(
                f"{self._path}: values for {contig}:{start}-{end} come after those up "
                f"to {self._next[0]}:{self._next[1]}; write them in genome order"
            )
        self._next = (contig, end)
        for first in range(0, len(values), _ENTRIES):
            self._write(contig, start + first, values[first : first + _ENTRIES])

    def _write(self, contig: str, start: int, values: np.ndarray) -> None:
        starts, ends, levels = _runs(values)
        infinite = np.flatnonzero(np.isinf(levels))
        if infinite.size:
            raise InputError(
                f"{self._path}: {contig}:{start + starts[infinite[0]] + 1}: infinite "
                "value; a bigWig holds finite numbers"
            )
        if starts.size:
            self.empty = False
            self._handle.addEntries(
                [contig] * starts.size, starts + start, ends=ends + start, values=levels
            )


def _runs(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends and values of the runs of equal value, NaN left out."""
    array = np.ascontiguousarray(array, dtype=np.float32)
    # Compared as bits, so that a stretch of NaN is one run.
    bits = array.view(np.int32)
    borders = np.flatnonzero(bits[1:] != bits[:-1]) + 1
    starts = np.concatenate([[0], borders])[: array.size]
    ends = np.concatenate([borders, [array.size]])[: array.size]
    levels = array[starts]
    kept = ~np.isnan(levels)
    return starts[kept], ends[kept], levels[kept].astype(np.float64)


def check_coverage(
    values: np.ndarray, *, path: str | Path, contig: str, start: int
) -> None:
    """Refuses values that cannot be coverage; NaN means no data and passes.

    Args:
        values: numbers a base, shape (length,).
        path: the file they come from, for the message.
        contig: the contig, for the message.
        start: 0-based position of the first value.

    Raises:
        InputError: a negative or infinite value, named with its 1-based position.
    """
    bad = np.flatnonzero((values < 0) | np.isinf(values))
    if bad.size:
        value = float(values[bad[0]])
        kind = "infinite" if math.isinf(value) else "negative"
        raise InputError(
            f"{path}: {contig}:{start + int(bad[0]) + 1}: {kind} coverage {value:g}; "
            "coverage must be zero or more (are minus-strand values stored negative?)"
        )
