"""Hi-C matrices on disk: ``.cool`` and ``.mcool`` by cooler, ``.hic`` by hictkpy."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from seqexp_tf.config import nearest
from seqexp_tf.errors import InputError

_HDF5, _HIC = b"\x89HDF\r\n\x1a\n", b"HIC\0"
_PIXELS = 1 << 22  # read at once
# Columns that hic2cool writes, by which counts are divided as in the .hic file.
_DIVISIVE = frozenset({"KR", "VC", "VC_SQRT"})


class Pixels(NamedTuple):
    """Raw contacts; bins are counted from the start of the contig."""

    rows: np.ndarray
    columns: np.ndarray
    counts: np.ndarray


class ContactFile(Protocol):
    """One resolution of a matrix of contacts within contigs.

    Attributes:
        resolution: bases a bin.
        sizes: contig -> length as the file states it.
    """

    resolution: int
    sizes: Mapping[str, int]

    def weights(self, contig: str) -> np.ndarray:
        """Factors that balance counts, float64 ``(bins,)``; NaN where unmeasured."""

    def pixels(self, contig: str, first: int, last: int, width: int) -> Pixels:
        """Contacts of rows ``[first, last)`` with columns row to row + width."""

    def close(self) -> None:
        """Closes the file."""


def open_contact_file(path: Path, resolution: int, balance: str) -> ContactFile:
    """Opens a file of contacts, told by its content.

    Args:
        path: ``.cool``, ``.mcool`` or ``.hic``.
        resolution: bases a bin; 0 where the file has one resolution only.
        balance: a column of the bins (cooler) or a normalisation (.hic), or "none".

    Raises:
        InputError: an unreadable file or another format, an absent resolution or
            balance, bins of unequal size, or the reader is not installed.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if head == _HDF5:
        return _CoolFile(path, resolution, balance)
    if head[:4] == _HIC:
        return _HicFile(path, resolution, balance)
    raise InputError(
        f"{path}: no .cool, .mcool or .hic file (it begins with {head[:4]!r})"
    )


def _choose(path: Path, resolution: int, found: Sequence[int]) -> int:
    """The resolution to read of those a file has."""
    if resolution in found:
        return resolution
    listed = ", ".join(f"{value:,}" for value in sorted(found))
    if resolution:
        raise InputError(f"{path}: has no resolution {resolution:,} bp, only {listed}")
    if len(found) == 1:
        return found[0]
    raise InputError(f"{path}: has several resolutions; choose one of {listed}")


def _not_installed(path: Path, package: str) -> InputError:
    return InputError(
        f'{path}: reading it needs {package}: pip install "seqexp-tf[hic]"'
    )


class _CoolFile:
    """Reference: Abdennur & Mirny 2020, doi:10.1093/bioinformatics/btz540."""

    def __init__(self, path: Path, resolution: int, balance: str) -> None:
        try:
            import cooler
            import h5py
        except ImportError as error:
            raise _not_installed(path, "cooler") from error
        try:
            found = _cool_resolutions(cooler, path)
            self.resolution = _choose(path, resolution, list(found))
            matrix = cooler.Cooler(f"{path}::{found[self.resolution]}")
            self.sizes = {name: int(size) for name, size in matrix.chromsizes.items()}
            self._extents = {name: matrix.extent(name) for name in self.sizes}
            columns = list(matrix.bins().columns)
            self._group = h5py.File(path, "r")[found[self.resolution]]
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                f"{path}: not a whole cooler file ({str(error).partition(chr(10))[0]})"
            ) from error
        self._balance = balance
        others = [name for name in columns if name not in ("chrom", "start", "end")]
        if balance != "none" and balance not in others:
            hint = nearest(balance, others) if others else ""
            raise InputError(
                f"{path}: the matrix has no balancing column {balance!r} (run "
                f'"cooler balance" on it, or set balance = "none"){hint}'
            )

    def close(self) -> None:
        self._group.file.close()

    def weights(self, contig: str) -> np.ndarray:
        low, high = self._extents[contig]
        if self._balance == "none":
            return np.ones(high - low)
        values = self._group["bins"][self._balance][low:high].astype(np.float64)
        return 1 / values if self._balance in _DIVISIVE else values

    def pixels(self, contig: str, first: int, last: int, width: int) -> Pixels:
        low, high = self._extents[contig]
        offsets = self._group["indexes/bin1_offset"][low + first : low + last + 1]
        stored = self._group["pixels"]
        parts = []
        for start in range(int(offsets[0]), int(offsets[-1]), _PIXELS):
            end = min(start + _PIXELS, int(offsets[-1]))
            # Rows come in order, so that their column need not be read.
            counts = np.diff(np.clip(offsets, start, end))
            rows = np.repeat(np.arange(first, last), counts)
            columns = stored["bin2_id"][start:end] - low
            kept = (columns >= rows) & (columns <= rows + width)
            kept &= columns < high - low
            values = stored["count"][start:end][kept]
            parts.append((rows[kept], columns[kept], values))
        if not parts:
            empty = np.zeros(0, dtype=np.int64)
            return Pixels(empty, empty, empty)
        return Pixels(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _cool_resolutions(cooler, path: Path) -> dict[int, str]:
    """Resolution -> group, for the matrices of a file."""
    found = {}
    for group in cooler.fileops.list_coolers(str(path)):
        size = cooler.Cooler(f"{path}::{group}").binsize
        if size is not None:
            found[int(size)] = group
    if not found:
        raise InputError(
            f"{path}: holds no matrix of equal bins; bin the contacts at one "
            'resolution ("cooler cload pairs")'
        )
    return found


class _HicFile:
    """Reference: Durand et al. 2016, doi:10.1016/j.cels.2016.07.002."""

    def __init__(self, path: Path, resolution: int, balance: str) -> None:
        try:
            import hictkpy
        except ImportError as error:
            raise _not_installed(path, "hictkpy") from error
        try:
            found = [int(value) for value in hictkpy.MultiResFile(path).resolutions()]
            self.resolution = _choose(path, resolution, found)
            self._file = hictkpy.File(path, self.resolution)
            norms = list(self._file.avail_normalizations())
            self.sizes = dict(self._file.chromosomes())
        except RuntimeError as error:
            raise InputError(f"{path}: not a whole .hic file ({error})") from error
        self._path, self._balance = path, balance
        bins = [-(-size // self.resolution) for size in self.sizes.values()]
        starts = np.concatenate([[0], np.cumsum(bins)]).tolist()
        self._extents = dict(zip(self.sizes, itertools.pairwise(starts), strict=True))
        if balance != "none" and balance not in norms:
            raise InputError(
                f"{path}: has no normalisation {balance!r} at {self.resolution:,} bp "
                f"(it has {', '.join(norms) or 'none'}); name one of these, or set "
                'balance = "none"'
            )

    def close(self) -> None:
        self._file.close()

    def weights(self, contig: str) -> np.ndarray:
        low, high = self._extents[contig]
        if self._balance == "none":
            return np.ones(high - low)
        weights = self._file.weights(self._balance, divisive=False)
        return np.asarray(weights, dtype=np.float64)[low:high]

    def pixels(self, contig: str, first: int, last: int, width: int) -> Pixels:
        low, high = self._extents[contig]
        size, step = self.sizes[contig], self.resolution
        end = min(last + width, high - low)
        # A range is read by colon and dash, which a contig's name may hold: give BED.
        rows = f"{contig}\t{first * step}\t{min(last * step, size)}"
        columns = f"{contig}\t{first * step}\t{min(end * step, size)}"
        try:
            table = self._file.fetch(
                rows, columns, count_type="float64", query_type="BED"
            ).to_df()
        except RuntimeError as error:
            raise InputError(
                f"{self._path}: contacts of {contig} cannot be read ({error})"
            ) from error
        one = table["bin1_id"].to_numpy() - low
        two = table["bin2_id"].to_numpy() - low
        kept = (one >= first) & (one < last) & (two >= one) & (two <= one + width)
        return Pixels(one[kept], two[kept], table["count"].to_numpy()[kept])
