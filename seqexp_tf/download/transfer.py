"""A downloader for pooch that goes on where a broken transfer stopped.

Bytes gather in a part file that outlives the process, with what the server said of
the file beside it: its size and validators (RFC 9110: ``ETag``, ``Last-Modified``). A
later request asks for the rest (``Range``) on condition that the file is still the
same (``If-Range``); a server that knows no ranges, or holds another file by now,
sends all of it, and the part is begun again.
"""

import contextlib
import dataclasses
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from seqexp_tf import __version__
from seqexp_tf.errors import InputError
from seqexp_tf.records.tfrecord import write_atomically

_CHUNK = 1 << 16
_PROGRESS = 1 << 20
"""Bytes after which a broken transfer counts as having gone on."""
_LONGEST_PAUSE = 60.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_SIZE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


@dataclass(frozen=True)
class Patience:
    """How long a transfer is tried.

    Attributes:
        attempts: requests in a row that bring next to nothing before giving up.
        pause: seconds before the second request; doubled for each one after.
        connect: seconds to wait for a connection.
        read: seconds to wait for the next bytes.
    """

    attempts: int = 5
    pause: float = 1.0
    connect: float = 20.0
    read: float = 60.0


@dataclass(frozen=True)
class Described:
    """What a server said of the file it sends.

    Attributes:
        url: asked for.
        bytes: size; None where the server does not know.
        etag: entity tag.
        last_modified: date of last modification.
    """

    url: str
    bytes: int | None
    etag: str | None
    last_modified: str | None

    @property
    def validators(self) -> tuple[str | None, str | None]:
        """What differs between two states of a file."""
        return self.etag, self.last_modified

    @property
    def condition(self) -> str | None:
        """Value of ``If-Range``, which takes no weak entity tag."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified


class AddressError(InputError):
    """An address does not give the file."""


class ChangedError(AddressError):
    """An address gives another file than is expected."""


class Stopped(Exception):
    """Another thread asked the transfer to stop."""


class _Broken(Exception):
    """A fault worth another request; ``after`` is the pause the server asks for."""

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


class ResumingDownloader:
    """Downloads one address to one part file: ``pooch.retrieve(downloader=...)``.

    Args:
        part: where bytes gather; ``NAME.json`` beside it describes them.
        label: how messages name the file.
        hash_known: whether the whole will be checked against a known hash, so that
            a part without validators, or of another address, may be gone on with.
        bytes_known: size the file must have, if known; another is refused before
            anything is read.
        patience: when to give up.
        stop: set by another thread to end the transfer.
        say: called with a line where something went wrong and is tried again.
        progress: called with the bytes there are and the size, if known.

    Attributes:
        described: what the server said last.
        resumed: whether the file was put together from more than one request.
    """

    def __init__(
        self,
        part: Path,
        *,
        label: str,
        hash_known: bool = False,
        bytes_known: int | None = None,
        patience: Patience | None = None,
        stop: threading.Event | None = None,
        say: Callable[[str], None] = lambda message: None,
        progress: Callable[[int, int | None], None] = lambda have, size: None,
    ) -> None:
        self.part = part
        self.label = label
        self.hash_known = hash_known
        self.bytes_known = bytes_known
        self.patience = patience or Patience()
        self.stop = stop or threading.Event()
        self.say = say
        self.progress = progress
        self.described: Described | None = None
        self.resumed = False
        self._note = part.with_name(part.name + ".json")

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Downloads ``url`` and moves it to ``output_file`` when it is whole.

        Raises:
            AddressError: the server refuses, stayed unreachable, or has a file of
                another size than is known.
            InputError: the disk is full, or cannot be written; the part is kept.
            Stopped: as asked.
        """
        failures = 0
        while True:
            before = self._size()
            try:
                self._request(url)
                break
            except _Broken as fault:
                gained = self._size() - before
                failures = 1 if gained >= _PROGRESS else failures + 1
                if failures >= self.patience.attempts:
                    raise AddressError(
                        f"{url}: {fault}, {failures} times in a row"
                    ) from None
                pause = max(self.patience.pause * 2 ** (failures - 1), fault.after)
                pause = min(pause, _LONGEST_PAUSE)
                self.say(f"{self.label}: {fault}; trying again in {pause:.0f} s")
                if self.stop.wait(pause):
                    raise Stopped from None
        with self._disk():
            os.replace(self.part, output_file)
            self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        """Forgets the part: the next call begins from nothing."""
        self.part.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _request(self, url: str) -> None:
        have, headers = self._headers(url)
        try:
            with requests.get(
                url,
                headers=headers,
                stream=True,
                timeout=(self.patience.connect, self.patience.read),
            ) as response:
                self._receive(url, have, response)
        except requests.Timeout:
            raise _Broken("no answer in time") from None
        except requests.ConnectionError as error:
            raise _Broken(f"cannot connect ({_reason(error)})") from None
        except requests.RequestException as error:
            raise AddressError(f"{url}: cannot be asked for: {error}") from None
        except urllib3.exceptions.ReadTimeoutError:
            raise _Broken(f"nothing more came after {self._size():,} bytes") from None
        except urllib3.exceptions.HTTPError:
            raise _Broken(f"the connection broke at {self._size():,} bytes") from None

    def _headers(self, url: str) -> tuple[int, dict[str, str]]:
        """The bytes that may be kept, and a request for the rest."""
        # Compression on the way would make bytes and ranges those of another file.
        headers = {
            "Accept-Encoding": "identity",
            "User-Agent": f"seqexp-tf/{__version__}",
        }
        have, note = self._size(), self._read_note()
        if not have or note is None:
            return 0, headers
        condition = note.condition if note.url == url else None
        if condition is None and not self.hash_known:
            return 0, headers
        headers["Range"] = f"bytes={have}-"
        if condition is not None:
            headers["If-Range"] = condition
        return have, headers

    def _receive(self, url: str, have: int, response: requests.Response) -> None:
        status = response.status_code
        if status == 416 and have:
            if _content_range(response) == (None, have):
                self.described, self.resumed = self._read_note(), True
                return
            self.discard()
            raise _Broken("the server has another file than the part here")
        if status not in (200, 206):
            _refuse(url, response)
        described = _describe(url, response)
        if status == 206:
            self._require_same(have, described, response)
        else:
            have = 0
        if "text/html" in response.headers.get("Content-Type", ""):
            raise AddressError(
                f"{url}: the server sent a web page instead of the file (a log-in or "
                "a moved file?); open the address in a browser"
            )
        self._require_size(described)
        self._require_room(have, described.bytes)
        self.described = described
        self.resumed = self.resumed or have > 0
        with self._disk():
            self.part.parent.mkdir(parents=True, exist_ok=True)
            if not have:
                self.part.unlink(missing_ok=True)
            note = json.dumps(dataclasses.asdict(described))
            write_atomically(self._note, note.encode())
        self._store(response, have, described.bytes)

    def _store(self, response: requests.Response, have: int, total: int | None) -> None:
        self.progress(have, total)
        with self._disk(), self.part.open("ab") as file:
            try:
                # Not decoded: a .gz that is declared as gzip encoding stays as it is.
                for chunk in response.raw.stream(_CHUNK, decode_content=False):
                    file.write(chunk)
                    have += len(chunk)
                    self.progress(have, total)
                    if self.stop.is_set():
                        raise Stopped
            finally:
                file.flush()
                os.fsync(file.fileno())
        if total is not None and have < total:
            raise _Broken(f"the connection ended at {have:,} of {total:,} bytes")
        if total is not None and have > total:
            self.discard()
            raise _Broken(f"{have:,} bytes came, {total:,} were announced")

    def _require_same(
        self, have: int, described: Described, response: requests.Response
    ) -> None:
        """A range has to go on exactly where the part ends, in the same file."""
        note = self._read_note()
        start, _ = _content_range(response) or (None, None)
        same = (
            note is not None
            and start == have
            and note.bytes in (None, described.bytes)
            and (note.url != described.url or note.validators == described.validators)
        )
        if not same:
            self.discard()
            raise _Broken("the file changed on the server, beginning again")

    def _require_size(self, described: Described) -> None:
        known = self.bytes_known
        if known is not None and described.bytes not in (None, known):
            raise ChangedError(
                f"{described.url}: it has {described.bytes:,} bytes, not {known:,}"
            )

    def _require_room(self, have: int, total: int | None) -> None:
        if total is None:
            return
        folder = self.part.parent
        free = shutil.disk_usage(folder if folder.exists() else folder.parent).free
        if free < total - have:
            raise InputError(
                f"{folder}: {self.label} needs {(total - have) / 1e9:,.2f} GB more, "
                f"but {free / 1e9:,.2f} GB are free; free space or choose another "
                "--into, then run the same command to go on"
            )

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _read_note(self) -> Described | None:
        try:
            return Described(**json.loads(self._note.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @contextlib.contextmanager
    def _disk(self) -> Iterator[None]:
        # Errors of requests are OSErrors too, those of urllib3 are not.
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{error.filename or self.part}: cannot write: {error.strerror}; free "
                "space or choose another --into, then run the same command to go on"
            ) from None


def _describe(url: str, response: requests.Response) -> Described:
    headers = response.headers
    if response.status_code == 206:
        _, size = _content_range(response) or (None, None)
    else:
        length = headers.get("Content-Length", "")
        size = int(length) if length.isdecimal() else None
    return Described(url, size, headers.get("ETag"), headers.get("Last-Modified"))


def _content_range(response: requests.Response) -> tuple[int | None, int] | None:
    """Start and size of ``Content-Range``; no start where the range was refused."""
    found = _SIZE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        return None
    start, size = found.groups()
    return (None if start is None else int(start)), int(size)


def _refuse(url: str, response: requests.Response) -> None:
    reason = f"HTTP {response.status_code} {response.reason}".rstrip()
    if response.status_code in _BUSY:
        after = response.headers.get("Retry-After", "")
        raise _Broken(reason, float(after) if after.isdecimal() else 0.0)
    raise AddressError(f"{url}: {reason}")


def _reason(error: requests.ConnectionError) -> str:
    """The innermost cause, in words."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    text = str(getattr(cause, "strerror", None) or cause)
    return text.rpartition(": ")[2].strip() or type(error).__name__
