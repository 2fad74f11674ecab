"""``download.lock.json``: which bytes a folder's files are.

The first download of a file records its size and sha256; every later one has to give
the same bytes. The file lies beside the data, so that it travels with them, and holds
one entry for each path, whichever recipes asked for it.
"""

import dataclasses
import json
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp_tf.config import build
from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.records.tfrecord import write_atomically

LOCK = "download.lock.json"
_VERSION = 1


@dataclass(frozen=True)
class LockedFile:
    """A file as it was first had.

    Attributes:
        url: the recipe's address of it.
        bytes: size.
        sha256: of the content.
        date: day it was recorded, ISO 8601, UTC.
        etag: entity tag the server gave with it.
        last_modified: date of last modification the server gave with it.
    """

    url: str
    bytes: int
    sha256: str
    date: str
    etag: str | None = None
    last_modified: str | None = None


class DownloadLock:
    """The lock file of a folder; safe to use from several threads.

    Args:
        folder: of the downloaded files.

    Attributes:
        path: the lock file; written with the first entry.

    Raises:
        InputError: the file is there but cannot be understood.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self._guard = threading.Lock()
        self._files = self._read()

    def get(self, place: str) -> LockedFile | None:
        """Returns the entry of a path from the folder, if there is one."""
        return self._files.get(place)

    def record(self, place: str, entry: LockedFile) -> None:
        """Adds or replaces an entry; it is on disk when this returns."""
        with self._guard:
            self._files[place] = entry
            files = {
                name: {k: v for k, v in dataclasses.asdict(file).items() if v}
                for name, file in sorted(self._files.items())
            }
            content = json.dumps({"version": _VERSION, "files": files}, indent=1)
            write_atomically(self.path, f"{content}\n".encode())

    def _read(self) -> dict[str, LockedFile]:
        try:
            content: Any = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.path}: cannot be read ({error}); restore it, or remove it to "
                "record the files as they are now"
            ) from None
        version = content.get("version") if isinstance(content, dict) else None
        if version != _VERSION:
            raise InputError(
                f"{self.path}: version is {version!r}, this program reads {_VERSION}; "
                "update seqexp-tf, or remove the file to record the files anew"
            )
        try:
            return {
                name: build(LockedFile, entry, origin=f"{self.path}: files.{name}")
                for name, entry in content["files"].items()
            }
        except (ConfigError, KeyError, AttributeError) as error:
            raise InputError(
                f"{self.path}: not a lock of downloads ({error}); restore it, or "
                "remove it to record the files anew"
            ) from None
