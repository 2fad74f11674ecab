"""Opening text and gzip files, and writing files atomically."""

import gzip
import os
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from seqexp_tf.errors import InputError

_GZIP_MAGIC = b"\x1f\x8b"
# SAM/BAM specification, section 4.1.2: the empty block that ends a bgzip file.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def _is_gzip(path: Path) -> bool:
    """Tells gzip by its first bytes; checks the end marker of a bgzip file."""
    with path.open("rb") as stream:
        head = stream.read(16)
        if head[:2] != _GZIP_MAGIC:
            return False
        if len(head) == 16 and head[3] & 4 and head[12:14] == b"BC":
            stream.seek(-min(len(_BGZIP_END), path.stat().st_size), os.SEEK_END)
            if stream.read() != _BGZIP_END:
                raise InputError(
                    f"{path}: the bgzip end-of-file block is missing, so the file is "
                    "truncated; copy or download it again"
                )
    return True


@contextmanager
def open_bytes(path: str | Path) -> Iterator[BinaryIO]:
    """Opens a plain, gzip or bgzip file for reading its uncompressed bytes.

    Compression is told by content, not by name. Raises `InputError` where the file
    is missing, unreadable, named ``.gz`` without being gzip, or truncated, also
    when that shows only while the caller reads.
    """
    path = Path(path)
    try:
        compressed = _is_gzip(path)
        if not compressed and path.suffix.lower() in (".gz", ".bgz"):
            raise InputError(
                f"{path}: the name ends in {path.suffix} but the content is not gzip; "
                "rename or download it again"
            )
        with gzip.open(path, "rb") if compressed else path.open("rb") as stream:
            yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path}: truncated or damaged gzip ({error}); copy or download it again"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def text_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yields (line number from 1, line without its end) of a UTF-8 text file."""
    with open_bytes(path) as stream:
        for number, raw in enumerate(stream, start=1):
            try:
                yield number, raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}: line {number}: not UTF-8 text (byte "
                    f"{raw[error.start]:#04x} at column {error.start + 1})"
                ) from error


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside ``path`` that takes its name when all is well.

    On an exception the temporary file is removed and ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes the file private; give it the rights a plain open would.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
