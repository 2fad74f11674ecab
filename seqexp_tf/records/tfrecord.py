"""TFRecord files: framing, checksums, and shards that exist only when whole."""

import contextlib
import gzip
import hashlib
import os
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import google_crc32c

from seqexp_tf.errors import DatasetError

Compression = Literal["none", "gzip"]

INCOMPLETE = ".incomplete"
"""Suffix of a file still being written; never a name a reader looks for."""

_MASK_DELTA = 0xA282EAD8


@dataclass(frozen=True)
class WrittenFile:
    """What was stored under a shard's final name.

    Attributes:
        records: number of records.
        bytes: size of the file as stored.
        sha256: hash of the file as stored.
    """

    records: int
    bytes: int
    sha256: str


def frame(record: bytes) -> bytes:
    """Returns a record with the length and checksums TFRecord files carry."""
    header = struct.pack("<Q", len(record))
    return b"".join(
        (
            header,
            struct.pack("<I", _masked_crc(header)),
            record,
            struct.pack("<I", _masked_crc(record)),
        )
    )


def write_shard(
    path: Path, records: Iterable[bytes], *, compression: Compression, level: int = 1
) -> WrittenFile:
    """Writes ``records`` to ``path``, which appears only when whole.

    The bytes go to a temporary name in the same folder, are flushed to disk and
    then renamed. Gzip headers carry no time, so equal records are equal bytes.

    Raises:
        DatasetError: the disk is full or the folder cannot be written.
    """
    # A name of its own: on a shared disk two machines may try the same shard.
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}{INCOMPLETE}")
    digest = hashlib.sha256()
    count = size = 0
    compressor = zlib.compressobj(level, wbits=31) if compression == "gzip" else None
    try:
        with temporary.open("wb") as file:

            def store(block: bytes) -> int:
                digest.update(block)
                file.write(block)
                return len(block)

            for record in records:
                block = frame(record)
                size += store(compressor.compress(block) if compressor else block)
                count += 1
            if compressor:
                size += store(compressor.flush())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        _discard(temporary)
        raise DatasetError(
            f"{path}: cannot write: {error.strerror}; free space or choose "
            "another --out, then run the same command to go on"
        ) from None
    except BaseException:
        _discard(temporary)
        raise
    return WrittenFile(records=count, bytes=size, sha256=digest.hexdigest())


def read_shard(path: Path, *, compression: Compression) -> Iterator[bytes]:
    """Yields the records of a shard, checking every checksum.

    Raises:
        DatasetError: the file is missing, cut short or corrupted; the message
            names the file and the record.
    """
    opener = gzip.open if compression == "gzip" else open
    index = 0
    try:
        with opener(path, "rb") as file:
            while header := file.read(12):
                record = _read_record(file, header)
                if record is None:
                    raise DatasetError(
                        f"{path}: record {index} is corrupted or cut short; "
                        "convert again with --overwrite"
                    )
                yield record
                index += 1
    except FileNotFoundError:
        raise DatasetError(f"{path}: shard is missing") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(
            f"{path}: cannot be read past record {index} ({error}); "
            "convert again with --overwrite"
        ) from None


def hash_file(path: Path) -> str:
    """Returns the sha256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a small file so that ``path`` is always either old or whole."""
    temporary = path.with_name(path.name + INCOMPLETE)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        _discard(temporary)
        raise DatasetError(f"{path}: cannot write: {error.strerror}") from None


def sync_folder(folder: Path) -> None:
    """Makes renames in ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink()


def _masked_crc(data: bytes) -> int:
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _read_record(file, header: bytes) -> bytes | None:
    if len(header) < 12:
        return None
    length, length_crc = struct.unpack("<QI", header)
    if _masked_crc(header[:8]) != length_crc:
        return None
    body = file.read(length + 4)
    if len(body) < length + 4:
        return None
    record = body[:length]
    (crc,) = struct.unpack("<I", body[length:])
    return record if _masked_crc(record) == crc else None
