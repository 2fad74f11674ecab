"""Bringing the files of a recipe into a folder, and checking those that are there."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pooch
from tqdm import tqdm

from seqexp_tf.download.config import DownloadFile
from seqexp_tf.download.lock import DownloadLock, LockedFile
from seqexp_tf.download.transfer import (
    AddressError,
    ChangedError,
    Patience,
    ResumingDownloader,
)
from seqexp_tf.errors import ConfigError, InputError, SeqExpError
from seqexp_tf.records.locks import locked
from seqexp_tf.records.tfrecord import hash_file, sync_folder

PARTS = ".download"
"""Folder of unfinished transfers, inside the folder of the data."""

_AT_ONCE = 3


@dataclass(frozen=True)
class FetchedFile:
    """A file that is there, and verified.

    Attributes:
        name: of its table.
        path: of the file.
        how: ``downloaded``; ``verified``: it was there with the bytes that are
            pinned or recorded; ``recorded``: it was there, and nothing was known
            of it.
        bytes: size.
        sha256: of the content.
        seconds: what it took.
    """

    name: str
    path: Path
    how: Literal["downloaded", "verified", "recorded"]
    bytes: int
    sha256: str
    seconds: float


def fetch(
    files: Mapping[str, DownloadFile],
    folder: Path,
    *,
    mirrors: Sequence[str] = (),
    patience: Patience | None = None,
    say: Callable[[str], None] = lambda message: None,
    show_bar: bool = False,
) -> list[FetchedFile]:
    """Downloads what is missing, three files at a time, and verifies the rest.

    A file is looked for at ``MIRROR/PATH`` of each of ``mirrors``, at its address
    and at its own mirrors, in this order. It gets its name only when its hash is
    right: the one pinned in the recipe, or the one in ``download.lock.json``, which
    the first download of a file writes. An interrupted download goes on when it is
    called again.

    Args:
        files: by name.
        folder: where they go; made if absent.
        mirrors: addresses of copies of ``folder``.
        patience: when to give up on an address.
        say: called with a line for each file, and for each retry.
        show_bar: show a progress bar, where standard error is a terminal.

    Returns:
        The files in the order given.

    Raises:
        InputError: a file could not be had, or is not what it was; the others were
            brought all the same.
        ConfigError: the recipe pins another hash than was recorded.
        DatasetError: the folder cannot be written, or another download uses it.
    """
    pooch.get_logger().setLevel("WARNING")
    with locked(folder / PARTS, task="download", option="--into"):
        _clear(folder / PARTS)
        lock = DownloadLock(folder)
        with tqdm(
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None if show_bar else True,
        ) as bar:
            work = _Work(folder, lock, mirrors, patience or Patience(), say, bar)
            found, faults = _run(work, files)
    with contextlib.suppress(OSError):
        (folder / PARTS).rmdir()
    if len(faults) == 1:
        raise next(iter(faults.values()))
    if faults:
        for fault in faults.values():
            say(f"Error: {fault}")
        raise InputError(
            f"{folder}: {len(faults)} of {len(files)} files could not be had: "
            f"{', '.join(faults)}; see above"
        )
    return [found[name] for name in files]


def _clear(parts: Path) -> None:
    """Removes the temporary files of pooch that a kill left, which have no suffix."""
    for path in parts.glob("tmp*"):
        if not path.suffix:
            path.unlink()


def _run(
    work: "_Work", files: Mapping[str, DownloadFile]
) -> tuple[dict[str, FetchedFile], dict[str, SeqExpError]]:
    found: dict[str, FetchedFile] = {}
    faults: dict[str, SeqExpError] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tasks = {pool.submit(work.bring, name, f): name for name, f in files.items()}
        try:
            for task in as_completed(tasks):
                try:
                    found[tasks[task]] = task.result()
                except SeqExpError as error:
                    faults[tasks[task]] = error
        except BaseException:
            work.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    order = {name: faults[name] for name in files if name in faults}
    return found, order


class _Work:
    """One call of ``fetch``: what its threads share."""

    def __init__(
        self,
        folder: Path,
        lock: DownloadLock,
        mirrors: Sequence[str],
        patience: Patience,
        say: Callable[[str], None],
        bar: tqdm,
    ) -> None:
        self.folder = folder
        self.lock = lock
        self.mirrors = mirrors
        self.patience = patience
        self.stop = threading.Event()
        self._say = say
        self._bar = bar
        self._guard = threading.Lock()
        self._counts: dict[str, tuple[int, int]] = {}

    def bring(self, name: str, file: DownloadFile) -> FetchedFile:
        """Verifies or downloads one file."""
        began = time.monotonic()
        known = self.lock.get(file.place)
        expected = self._expected(name, file, known)
        path = self.folder / file.place
        how: Literal["downloaded", "verified", "recorded"]
        if path.exists():
            how = "recorded" if expected is None else "verified"
            entry = self._verify(file, path, expected)
        else:
            how = "downloaded"
            entry = self._download(name, file, path, expected)
        if known is None or known.sha256 != entry.sha256 or known.url != entry.url:
            self.lock.record(file.place, entry)
        seconds = time.monotonic() - began
        result = FetchedFile(name, path, how, entry.bytes, entry.sha256, seconds)
        self.say(_line(result))
        return result

    def say(self, message: str) -> None:
        with self._guard:
            self._bar.clear()
            self._say(message)
            self._bar.refresh()

    def _expected(
        self, name: str, file: DownloadFile, known: LockedFile | None
    ) -> str | None:
        """The sha256 the file must have, if anything says so."""
        if known is None:
            return file.sha256
        remedy = (
            f"delete the file and its entry {file.place!r} there to have the "
            f"recipe's, or give download.{name} another path"
        )
        if file.sha256 not in (None, known.sha256):
            raise ConfigError(
                f"{self.lock.path}: {file.place} was recorded on {known.date} with "
                f"sha256 {known.sha256}, but the recipe pins {file.sha256}; {remedy}"
            )
        if file.sha256 is None and known.url != file.url:
            raise ConfigError(
                f"{self.lock.path}: {file.place} was recorded from {known.url}, but "
                f"the recipe names {file.url}; {remedy}"
            )
        return known.sha256

    def _verify(
        self, file: DownloadFile, path: Path, expected: str | None
    ) -> LockedFile:
        try:
            size, found = path.stat().st_size, hash_file(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        if expected not in (None, found):
            raise InputError(
                f"{path}: sha256 is {found}, but {expected} is "
                f"{'pinned in the recipe' if file.sha256 else 'recorded'}: the file "
                "was changed or is damaged; move it away and run the same command to "
                "download it again"
            )
        return LockedFile(file.url, size, found, _today())

    def _download(
        self, name: str, file: DownloadFile, path: Path, expected: str | None
    ) -> LockedFile:
        known = self.lock.get(file.place)
        downloader = ResumingDownloader(
            self.folder / PARTS / f"{name}.part",
            label=name,
            hash_known=expected is not None,
            bytes_known=known.bytes if known else None,
            patience=self.patience,
            stop=self.stop,
            say=self.say,
            progress=lambda have, size: self._count(name, have, size),
        )
        faults: list[AddressError] = []
        for url in self._addresses(file):
            try:
                got, found = self._retrieve(url, name, expected, downloader)
                break
            except AddressError as fault:
                faults.append(fault)
        else:
            reasons = "; ".join(map(str, faults))
            raise InputError(f"{name}: {reasons}; {self._remedy(name, file, faults)}")
        try:
            size = got.stat().st_size
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(got, path)
            sync_folder(path.parent)
        except OSError as error:
            raise InputError(f"{path}: cannot write: {error.strerror}") from None
        described = downloader.described
        return LockedFile(
            url=file.url,
            bytes=size,
            sha256=found,
            date=_today(),
            etag=described.etag if described else None,
            last_modified=described.last_modified if described else None,
        )

    def _retrieve(
        self,
        url: str,
        name: str,
        expected: str | None,
        downloader: ResumingDownloader,
    ) -> tuple[Path, str]:
        """The verified file, still in the folder of parts, and its sha256."""
        hashes: list[str] = []

        def download(url: str, output_file: str, _: object) -> None:
            downloader(url, output_file)
            hashes.append(hash_file(Path(output_file)))

        while True:
            downloader.resumed = False
            try:
                got = pooch.retrieve(
                    url,
                    expected,
                    fname=f"{name}.whole",
                    path=self.folder / PARTS,
                    downloader=download,
                )
                return Path(got), hashes[-1]
            except ValueError:
                if not downloader.resumed:
                    raise ChangedError(
                        f"{url}: sha256 is {hashes[-1]}, not {expected}"
                    ) from None
            except OSError as error:
                raise InputError(
                    f"{self.folder}: cannot write: {error.strerror}"
                ) from None
            # The parts may be of two states of the file.
            self.say(f"{name}: its parts do not fit together; beginning again")

    def _addresses(self, file: DownloadFile) -> list[str]:
        copies = [f"{m.rstrip('/')}/{quote(file.place)}" for m in self.mirrors]
        return list(dict.fromkeys([*copies, file.url, *file.mirrors]))

    def _remedy(
        self, name: str, file: DownloadFile, faults: Sequence[AddressError]
    ) -> str:
        if not any(isinstance(fault, ChangedError) for fault in faults):
            return (
                "run the same command later to go on, or name another source with "
                f"--mirror or in download.{name}.mirrors"
            )
        known = self.lock.get(file.place)
        if known is None:
            meant = f"correct download.{name}.sha256 in the recipe"
        else:
            meant = (
                f"delete the entry {file.place!r} of {self.lock.path} (sha256 "
                f"{known.sha256}, recorded on {known.date})"
            )
        return f"if the other file is meant, {meant}; else name a --mirror of the old"

    def _count(self, name: str, have: int, size: int | None) -> None:
        with self._guard:
            before, _ = self._counts.get(name, (0, 0))
            self._counts[name] = have, size or have
            self._bar.total = sum(total for _, total in self._counts.values())
            self._bar.update(have - before)


def _line(file: FetchedFile) -> str:
    what = {
        "downloaded": f"downloaded in {file.seconds:,.0f} s",
        "verified": "already there, verified",
        "recorded": "already there; its hash is recorded from now on",
    }[file.how]
    return f"{file.name}: {file.path}, {file.bytes / 1e6:,.1f} MB, {what}"


def _today() -> str:
    return datetime.now(timezone.utc).date().isoformat()
