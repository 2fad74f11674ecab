"""Files at remote addresses (``s3://``, ``gs://``, ``https://``), through fsspec.

What reads a genome file wants one on a disk, so a remote input is copied into a cache
and used from there. The place of a copy follows from the address and from what the
store says of the object (size, ETag or time), so a changed object is another copy, and
every machine with the same ``$SEQEXP_CACHE`` has it in the same place.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp_tf.errors import DatasetError, InputError, SeqExpError
from seqexp_tf.records.tfrecord import INCOMPLETE, sync_folder

CACHE = "SEQEXP_CACHE"
"""Environment variable: where copies of remote files go."""

_BLOCK = 1 << 23
"""Bytes fetched at a time."""

_REFUSED = {
    "DefaultCredentialsError", "NoCredentialsError", "NoAuthHandlerFound",
    "PartialCredentialsError", "PermissionError", "ProfileNotFound", "RefreshError",
}  # fmt: skip
"""Exceptions, by name, of libraries that need not be installed."""


def is_remote(place: str | os.PathLike) -> bool:
    """Whether ``place`` is an address, and no path of this machine."""
    return "://" in os.fspath(place)


def join(root: str | os.PathLike, name: str) -> str:
    """Returns the address of ``name``, which may be one itself, under ``root``."""
    if is_remote(name):
        return name
    if name.startswith(("/", "~")):
        raise InputError(
            f"{name}: a path of this machine, but source.root is {root}; give the "
            "whole address of each file, or a path that starts from source.root"
        )
    return f"{os.fspath(root).rstrip('/')}/{name}"


def filesystem(url: str, error: type[SeqExpError] = InputError) -> tuple[Any, str]:
    """Returns the fsspec filesystem of an address, and the path on it.

    Raises:
        error: no such protocol, or what reads it is not installed.
    """
    try:
        import fsspec
    except ImportError:
        raise error(_not_installed(url)) from None
    for library in ("aiobotocore", "botocore"):
        logging.getLogger(library).setLevel(logging.WARNING)
    # It logs, with tracebacks, what it then raises.
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)
    with reaching(url, error):
        return fsspec.core.url_to_fs(url)


@contextlib.contextmanager
def reaching(url: str, error: type[SeqExpError] = InputError) -> Iterator[None]:
    """Turns whatever the libraries of a remote store raise into one line."""
    try:
        yield
    except SeqExpError:
        raise
    except ImportError:
        raise error(_not_installed(url)) from None
    except Exception as fault:
        if isinstance(fault, FileNotFoundError):
            cause = fault.__cause__
            if not isinstance(cause, OSError) or isinstance(cause, FileNotFoundError):
                raise error(
                    f"{url}: no such object; check the address (bucket, folder, name)"
                ) from None
            # For fsspec a web server that is down has no file.
            fault = cause
        reason = " ".join(str(fault).split()) or type(fault).__name__
        # aiohttp has status, Google's libraries code.
        code = fault.status if hasattr(fault, "status") else getattr(fault, "code", 0)
        if type(fault).__name__ in _REFUSED or str(code) in ("401", "403"):
            raise error(
                f"{url}: access refused ({reason}); give credentials: for s3 "
                "AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for gs "
                "`gcloud auth application-default login`, for public buckets "
                """FSSPEC_S3='{"anon": true}'"""
            ) from None
        if isinstance(fault, ValueError) and "rotocol" in reason:
            raise error(
                f"{url}: no such protocol; use s3://, gs:// or https://"
            ) from None
        raise error(
            f"{url}: cannot be reached ({type(fault).__name__}: {reason}); check the "
            "address and the network, then run the same command again"
        ) from None


def _not_installed(url: str) -> str:
    return f'{url}: remote paths need more packages: pip install "seqexp-tf[remote]"'


def cache_folder() -> Path:
    """Returns where copies go: ``$SEQEXP_CACHE``, else in the user's cache."""
    if given := os.environ.get(CACHE):
        return Path(given).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "seqexp-tf"


@dataclass(frozen=True)
class RemoteFile:
    """A remote file and the place of its copy; cheap to send to another machine.

    Attributes:
        url: its address.
        path: where the copy lies, or will.
        size: bytes; None where the server does not say.
    """

    url: str
    path: Path
    size: int | None

    @classmethod
    def look_up(cls, url: str) -> "RemoteFile":
        """Asks the store about an object.

        Raises:
            InputError: it is not there, or cannot be reached.
        """
        system, path = filesystem(url)
        with reaching(url):
            system.invalidate_cache()
            info = system.info(path)
        if info.get("type") == "directory":
            raise InputError(f"{url}: a folder, not a file")
        key = hashlib.sha256(f"{url} {info}".encode()).hexdigest()[:16]
        folder = cache_folder() / "files" / key
        return cls(url, folder / path.rstrip("/").rpartition("/")[2], info.get("size"))

    def bring(self) -> Path:
        """Makes the copy, unless it is there; other processes wait for it.

        Raises:
            InputError: the object cannot be read whole.
            DatasetError: the disk is full, or the cache cannot be written.
        """
        if self._is_there():
            return self.path
        folder = self.path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not self._is_there():
                    self._fetch()
        except OSError as error:
            raise DatasetError(
                f"{folder}: cannot write: {error.strerror}; set {CACHE} to a folder "
                "with space"
            ) from None
        return self.path

    def _is_there(self) -> bool:
        try:
            found = self.path.stat().st_size
        except OSError:
            return False
        return self.size is None or found == self.size

    def _fetch(self) -> None:
        temporary = self.path.with_name(self.path.name + INCOMPLETE)
        try:
            # Opened here: an error of this disk is not one of the remote store.
            with temporary.open("wb") as file:
                for block in self._blocks():
                    file.write(block)
                found = file.tell()
                file.flush()
                os.fsync(file.fileno())
            if self.size is not None and found != self.size:
                raise InputError(
                    f"{self.url}: came as {found:,} bytes of {self.size:,}; run the "
                    "same command again"
                )
            os.replace(temporary, self.path)
            sync_folder(self.path.parent)
        finally:
            temporary.unlink(missing_ok=True)

    def _blocks(self) -> Iterator[bytes]:
        system, path = filesystem(self.url)
        # A web server need not know ranges: there the file comes as one stream.
        block = 0 if self.url.startswith(("http://", "https://")) else _BLOCK
        with reaching(self.url), system.open(path, "rb", block_size=block) as stream:
            while content := stream.read(_BLOCK):
                yield content


_COPIES: dict[str, RemoteFile] = {}


def remote_file(url: str, *, refresh: bool = False) -> RemoteFile:
    """Returns what is known of an address; asked once, unless ``refresh``."""
    if refresh or url not in _COPIES:
        _COPIES[url] = RemoteFile.look_up(url)
    return _COPIES[url]


def known_copy(path: Path) -> RemoteFile | None:
    """Returns the remote file whose copy lies at ``path``, if it is one."""
    return next((file for file in _COPIES.values() if file.path == path), None)


def with_urls(text: str) -> str:
    """Returns ``text`` with the places of copies replaced by their addresses."""
    for file in _COPIES.values():
        text = text.replace(str(file.path), file.url)
    return text
