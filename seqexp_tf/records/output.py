"""Where a dataset goes: a folder of this machine, or a remote address.

Either way a name stands for whole content only. On a disk that takes a temporary name,
a sync and a rename; object stores show an object when all of it has come.
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.locks import locked
from seqexp_tf.records.remote import cache_folder, filesystem, is_remote, reaching
from seqexp_tf.records.tfrecord import (
    Compression,
    WrittenFile,
    hash_file,
    write_atomically,
    write_shard,
)

SCRATCH = ".scratch"
"""Folder of what only the conversion itself needs."""


_PROBE = ".lock"


class Output(Protocol):
    """The place of a dataset; cheap to send to another machine.

    ``str`` gives it as the user wrote it.

    Attributes:
        remote: whether it is an object store: a file there cannot be added to, and
            who sees it may see no disk of this machine.
    """

    remote: bool

    def locked(self) -> AbstractContextManager[None]:
        """Keeps other conversions out, as far as this machine can."""

    def scratch(self, fingerprint: str) -> Path:
        """Returns where packed inputs go, a path of this machine."""

    def stage(self, path: Path) -> str:
        """Returns where other machines find a file; one of this machine is copied."""

    def remove_scratch(self) -> None:
        """Removes what ``scratch`` and ``stage`` made."""

    def place(self, name: str) -> str:
        """Returns the path or address of a file of the dataset."""

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Returns the size of every file of the dataset, or of a folder in it."""

    def read(self, name: str) -> bytes | None:
        """Returns a small file, None if there is none."""

    def read_folder(self, name: str) -> dict[str, bytes]:
        """Returns the small files of a folder of the dataset."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file, so that it is always either old or whole."""

    def append(self, name: str, content: bytes) -> None:
        """Adds to the end of a small file; not if ``remote``."""

    def remove(self, name: str) -> None:
        """Removes a file, if there is one."""

    def remove_folder(self, name: str) -> None:
        """Removes a folder of the dataset and the files in it."""

    def write_shard(
        self,
        name: str,
        records: Iterable[bytes],
        *,
        compression: Compression,
        level: int,
    ) -> WrittenFile:
        """Writes a shard, which appears only when whole."""

    def holds(self, name: str, written: WrittenFile) -> bool:
        """Whether a shard is there as it was written."""


def open_output(folder: str | os.PathLike) -> Output:
    """Returns the output at a path, or at an address that fsspec can write to."""
    if not is_remote(folder):
        return LocalOutput(Path(folder))
    url = os.fspath(folder).rstrip("/")
    if url.startswith(("http://", "https://")):
        raise DatasetError(
            f"{url}: datasets cannot be written over HTTP; give --out a folder, or "
            "an address such as s3://BUCKET/NAME or gs://BUCKET/NAME"
        )
    return RemoteOutput(url)


class LocalOutput:
    """A folder of this machine, or of a disk that all workers share."""

    remote = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        # Another process may run in another folder.
        return LocalOutput, (self.folder.absolute(),)

    def __str__(self) -> str:
        return str(self.folder)

    def locked(self) -> AbstractContextManager[None]:
        return locked(self.folder)

    def scratch(self, fingerprint: str) -> Path:
        folder = self.folder.absolute() / SCRATCH
        folder.mkdir(exist_ok=True)
        return folder

    def stage(self, path: Path) -> str:
        return str(path.absolute())

    def remove_scratch(self) -> None:
        self.remove_folder(SCRATCH)

    def place(self, name: str) -> str:
        return str(self.folder / name)

    def sizes(self, folder: str = "") -> dict[str, int]:
        place = self.folder / folder
        if not place.is_dir():
            return {}
        return {
            p.name: p.stat().st_size for p in sorted(place.iterdir()) if p.is_file()
        }

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def read_folder(self, name: str) -> dict[str, bytes]:
        return {
            file: (self.folder / name / file).read_bytes() for file in self.sizes(name)
        }

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, content)

    def append(self, name: str, content: bytes) -> None:
        with (self.folder / name).open("ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    def remove(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def remove_folder(self, name: str) -> None:
        shutil.rmtree(self.folder / name, ignore_errors=True)

    def write_shard(
        self,
        name: str,
        records: Iterable[bytes],
        *,
        compression: Compression,
        level: int,
    ) -> WrittenFile:
        path = self.folder / name
        return write_shard(path, records, compression=compression, level=level)

    def holds(self, name: str, written: WrittenFile) -> bool:
        path = self.folder / name
        return (
            path.is_file()
            and path.stat().st_size == written.bytes
            and hash_file(path) == written.sha256
        )


class RemoteOutput:
    """A folder of an object store."""

    remote = True

    def __init__(self, url: str) -> None:
        self.url = url
        # Fails here, not after hours, where a package is missing.
        filesystem(url, DatasetError)

    def __str__(self) -> str:
        return self.url

    @property
    def _home(self) -> Path:
        key = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return cache_folder() / "conversions" / key

    @contextmanager
    def locked(self) -> Iterator[None]:
        with locked(self._home):
            # Tells whether it may be written to, before hours of work.
            system, path = self._at(_PROBE)
            with reaching(self.url, DatasetError):
                system.pipe_file(path, b"")
            try:
                yield
            finally:
                with suppress(DatasetError):
                    self.remove(_PROBE)

    def scratch(self, fingerprint: str) -> Path:
        # Other machines hold copies under the same path: it must name their content.
        folder = self._home / fingerprint[:16]
        folder.mkdir(exist_ok=True)
        return folder

    def stage(self, path: Path) -> str:
        key = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]
        name = f"{SCRATCH}/{key}-{path.name}"
        system, target = self._at(name)
        with reaching(self.place(name), DatasetError):
            system.put_file(str(path), target)
        return self.place(name)

    def remove_scratch(self) -> None:
        for folder in self._home.iterdir():
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
        # What stays is no harm; the error before it is the one to show.
        with suppress(DatasetError):
            self.remove_folder(SCRATCH)

    def place(self, name: str) -> str:
        return f"{self.url}/{name}"

    def sizes(self, folder: str = "") -> dict[str, int]:
        system, path = self._at(folder)
        with reaching(self.place(folder), DatasetError):
            system.invalidate_cache()
            try:
                found = system.ls(path, detail=True)
            except FileNotFoundError:
                return {}
        return {
            entry["name"].rpartition("/")[2]: entry["size"]
            for entry in sorted(found, key=lambda entry: entry["name"])
            if entry["type"] == "file"
        }

    def read(self, name: str) -> bytes | None:
        system, path = self._at(name)
        with reaching(self.place(name), DatasetError):
            try:
                return system.cat_file(path)
            except FileNotFoundError:
                return None

    def read_folder(self, name: str) -> dict[str, bytes]:
        system, path = self._at(name)
        paths = [f"{path}/{file}" for file in self.sizes(name)]
        with reaching(self.place(name), DatasetError):
            return system.cat(paths) if paths else {}

    def write(self, name: str, content: bytes) -> None:
        system, path = self._at(name)
        with reaching(self.place(name), DatasetError):
            system.pipe_file(path, content)

    def append(self, name: str, content: bytes) -> None:
        raise NotImplementedError(f"{self.place(name)}: objects cannot be added to")

    def remove(self, name: str) -> None:
        system, path = self._at(name)
        with reaching(self.place(name), DatasetError), suppress(FileNotFoundError):
            system.rm_file(path)

    def remove_folder(self, name: str) -> None:
        for file in self.sizes(name):
            self.remove(f"{name}/{file}")

    def write_shard(
        self,
        name: str,
        records: Iterable[bytes],
        *,
        compression: Compression,
        level: int,
    ) -> WrittenFile:
        system, path = self._at(name)
        with tempfile.TemporaryDirectory(prefix="seqexp-tf-") as folder:
            local = Path(folder) / name
            written = write_shard(local, records, compression=compression, level=level)
            with reaching(self.place(name), DatasetError):
                system.put_file(str(local), path)
        if not self.holds(name, written):
            raise DatasetError(
                f"{self.place(name)}: did not come through whole; run the same command "
                "to go on"
            )
        return written

    def holds(self, name: str, written: WrittenFile) -> bool:
        system, path = self._at(name)
        with reaching(self.place(name), DatasetError):
            system.invalidate_cache()
            try:
                return system.info(path)["size"] == written.bytes
            except FileNotFoundError:
                return False

    def _at(self, name: str) -> tuple:
        return filesystem(self.place(name) if name else self.url, DatasetError)
