"""An ``.npz`` whose large arrays arrive a few rows at a time."""

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import INCOMPLETE, sync_folder

_BLOCK = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)  # Equal arrays are equal bytes.


class NpzStream:
    """Writes arrays row by row into one file that ``numpy.load`` reads.

    Rows wait in nameless files of the same folder, which vanish with the process;
    at the end they are put together in blocks. So memory holds a batch of rows
    whatever the size of the arrays, and the file appears under its name only when
    whole: not after an error within the ``with`` block, nor after a kill.

    Args:
        path: the file; its folder exists.
        rows: by name, the dtype of each array and the shape of one row of it.

    Raises:
        RunError: the folder or the disk cannot be written.
    """

    def __init__(
        self, path: Path, rows: Mapping[str, tuple[Any, tuple[int, ...]]]
    ) -> None:
        self._path = path
        self._rows = {name: (np.dtype(kind), row) for name, (kind, row) in rows.items()}
        self._counts = dict.fromkeys(rows, 0)
        self._whole: dict[str, np.ndarray] = {}
        self._waiting: dict[str, IO[bytes]] = {}
        self._open = contextlib.ExitStack()

    def __enter__(self) -> "NpzStream":
        with self._refusing():
            for name in self._rows:
                file = tempfile.TemporaryFile(dir=self._path.parent)
                self._waiting[name] = self._open.enter_context(file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._open, self._refusing():
            if kind is None:
                self._assemble()

    def append(self, name: str, rows: np.ndarray) -> None:
        """Adds rows ``(k, ...)`` to the end of an array."""
        kind, shape = self._rows[name]
        if rows.dtype != kind or rows.shape[1:] != shape:
            raise ValueError(f"{name}: {rows.dtype} {rows.shape}")
        with self._refusing():
            self._waiting[name].write(np.ascontiguousarray(rows).data)
        self._counts[name] += len(rows)

    def put(self, name: str, array: np.ndarray) -> None:
        """Adds a small array as it is."""
        self._whole[name] = array

    def _assemble(self) -> None:
        temporary = self._path.with_name(self._path.name + INCOMPLETE)
        try:
            with temporary.open("wb") as file:
                # Not compressed: noise in the last digits leaves little to gain.
                with zipfile.ZipFile(file, "w") as archive:
                    for name in self._rows:
                        with _member(archive, name) as member:
                            self._copy(name, member)
                    for name, array in self._whole.items():
                        with _member(archive, name) as member:
                            np.lib.format.write_array(member, array, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(self._path.parent)

    def _copy(self, name: str, member: IO[bytes]) -> None:
        kind, row = self._rows[name]
        header = {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": (self._counts[name], *row),
        }
        np.lib.format.write_array_header_1_0(member, header)
        rows = self._waiting[name]
        rows.seek(0)
        while block := rows.read(_BLOCK):
            member.write(block)

    @contextlib.contextmanager
    def _refusing(self):
        try:
            yield
        except OSError as error:
            raise RunError(
                f"{self._path}: cannot write: {error.strerror}; free space or choose "
                "another --out"
            ) from None


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
    return archive.open(info, "w", force_zip64=True)
