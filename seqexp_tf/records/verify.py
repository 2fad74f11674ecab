"""Verification: is a dataset on disk what its manifest says?"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.store import WINDOWS, RecordStore, Shard
from seqexp_tf.records.tfrecord import hash_file, read_shard


@dataclass(frozen=True)
class Verification:
    """Outcome of ``verify``.

    Attributes:
        shards: shards looked at.
        records: records the manifest lists.
        problems: one line each, naming the file; empty when all is well.
    """

    shards: int
    records: int
    problems: tuple[str, ...]


def verify(
    folder: str | os.PathLike,
    *,
    full: bool = False,
    progress: Callable[[int], None] = lambda records: None,
) -> Verification:
    """Compares a dataset with its manifest.

    The quick check looks at presence, size and the window table. The full check
    also hashes every shard and decodes every record against the schema and the
    window table.

    Args:
        folder: the dataset.
        full: read every byte.
        progress: called with the number of records of each shard looked at.

    Raises:
        DatasetError: no readable manifest or schema.
    """
    store = RecordStore.open(folder)
    problems = list(_check_windows(store))
    known = set()
    for split in store.splits:
        rows = None if problems or not full else store.windows(split)
        first = 0
        for shard in store.shards(split):
            known.add(shard.name)
            here = None if rows is None else rows.iloc[first : first + shard.records]
            problems += _check_shard(store, split, shard, here, full=full)
            first += shard.records
            progress(shard.records)
    for path in sorted(store.folder.glob("*.tfrecord*")):
        if path.name not in known:
            problems.append(
                f"{path}: not in the manifest; remove it, no reader will use it"
            )
    total = sum(store.count(split) for split in store.splits)
    return Verification(len(known), total, tuple(problems))


def _check_shard(
    store: RecordStore,
    split: str,
    shard: Shard,
    windows: pd.DataFrame | None,
    *,
    full: bool,
) -> Iterator[str]:
    path = store.folder / shard.name
    if not path.is_file():
        yield f"{path}: shard is missing; convert again"
        return
    size = path.stat().st_size
    if size != shard.bytes:
        yield (
            f"{path}: {size:,} bytes, the manifest says {shard.bytes:,}; "
            "the shard was cut or overwritten, convert again"
        )
    elif full and hash_file(path) != shard.sha256:
        yield f"{path}: content differs from the manifest's sha256; convert again"
    if full:
        yield from _check_records(store, split, shard, path, windows)


def _check_records(
    store: RecordStore,
    split: str,
    shard: Shard,
    path: Path,
    windows: pd.DataFrame | None,
) -> Iterator[str]:
    count = 0
    try:
        for record in read_shard(path, compression=store.schema.compression):
            values = store.decode(record, split=split, origin=f"{path}: record {count}")
            if windows is not None and count < len(windows):
                row = windows.iloc[count]
                found = tuple(values[key] for key in ("contig", "start", "strand"))
                expected = (row.contig, row.start, row.strand)
                if found != expected:
                    yield (
                        f"{path}: record {count} is {found}, {WINDOWS} says {expected}"
                    )
                    return
            count += 1
    except DatasetError as error:
        yield str(error)
        return
    if count != shard.records:
        yield (
            f"{path}: {count:,} records, the manifest says {shard.records:,}; "
            "convert again"
        )


def _check_windows(store: RecordStore) -> Iterator[str]:
    path = store.folder / WINDOWS
    try:
        table = store.windows()
    except FileNotFoundError:
        yield f"{path}: missing; convert again"
        return
    except (OSError, ValueError) as error:
        yield f"{path}: cannot be read: {str(error).splitlines()[0]}"
        return
    counted = table.groupby("shard").size().to_dict()
    for split in store.splits:
        for shard in store.shards(split):
            if counted.get(shard.name, 0) != shard.records:
                yield (
                    f"{path}: {counted.get(shard.name, 0):,} rows of {shard.name}, "
                    f"the manifest says {shard.records:,}"
                )
