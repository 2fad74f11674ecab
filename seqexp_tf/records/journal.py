"""The journal of an unfinished conversion, and the folder it lies in.

Line 1 of ``conversion.jsonl`` holds the fingerprint of inputs and recipe, and every
shard name the conversion may remove; then follows a line a finished shard. A killed
conversion goes on with the shards whose files still have the size and hash of their
line.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.store import JOURNAL
from seqexp_tf.records.tfrecord import hash_file, write_atomically

_LOCK = ".lock"
_KEYS = {"name", "records", "bytes", "sha256", "statistics"}

Entry = dict[str, Any]
"""What is known of a finished shard: the keys of the manifest, and statistics."""


class Journal:
    """Reads, restarts and extends ``conversion.jsonl``.

    Args:
        folder: the dataset folder.

    Attributes:
        path: the file.
        fingerprint: of the conversion it was begun for; None without a journal,
            empty where the journal is unreadable.
        entries: finished shards by name, in the order they were finished.
        removable: shards of this conversion and of the dataset it replaces.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self.fingerprint: str | None = None
        self.entries: dict[str, Entry] = {}
        self.removable: set[str] = set()
        if self.path.is_file():
            self._read()

    def _read(self) -> None:
        self.fingerprint = ""
        for number, line in enumerate(self.path.read_bytes().split(b"\n")):
            try:
                content = json.loads(line)
            except ValueError:
                # A line torn by the kill: its shard is written again.
                break
            if not isinstance(content, dict):
                break
            if number == 0:
                self.fingerprint = content.get("fingerprint", "")
                self.removable = set(content.get("removable", ()))
            elif set(content) == _KEYS:
                self.entries[content["name"]] = content

    def restart(
        self, fingerprint: str, planned: Mapping[str, int], replaced: AbstractSet[str]
    ) -> None:
        """Keeps what is whole, and makes the file ready for ``append``.

        Args:
            fingerprint: of the conversion that begins or goes on.
            planned: number of records by shard name.
            replaced: shards of a dataset that this conversion takes the place of.
        """
        if self.fingerprint != fingerprint:
            self.entries = {}
        self.fingerprint = fingerprint
        self.entries = {
            name: entry
            for name, entry in self.entries.items()
            if planned.get(name) == entry["records"]
            and _is_whole(self.path.parent / name, entry)
        }
        self.removable = replaced | set(planned)
        header = {"fingerprint": fingerprint, "removable": sorted(self.removable)}
        lines = [header, *self.entries.values()]
        write_atomically(self.path, b"".join(map(_line, lines)))

    def append(self, entry: Entry) -> None:
        """Adds a finished shard; it is on disk when this returns."""
        with self.path.open("ab") as file:
            file.write(_line(entry))
            file.flush()
            os.fsync(file.fileno())
        self.entries[entry["name"]] = entry

    def remove(self) -> None:
        """Removes the file, if there is one."""
        self.path.unlink(missing_ok=True)


def _is_whole(path: Path, entry: Entry) -> bool:
    return (
        path.is_file()
        and path.stat().st_size == entry["bytes"]
        and hash_file(path) == entry["sha256"]
    )


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content).encode() + b"\n"


@contextmanager
def locked(
    folder: Path, *, task: str = "conversion", option: str = "--out"
) -> Iterator[None]:
    """Makes ``folder`` and keeps other processes of the same task out of it.

    Args:
        folder: the folder.
        task: what is done there, for the message.
        option: of the command line that names another folder.

    Raises:
        DatasetError: the folder cannot be written, or is in use.
    """
    path = folder / _LOCK
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot write there: {error.strerror}; choose another {option}"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have removed the file after it was opened here.
            held = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except OSError:
            held = False
        if not held:
            raise DatasetError(
                f"{folder}: another {task} is writing here; wait for it or "
                f"choose another {option}"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
