"""Verification: is a dataset on disk what its manifest says?"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.schema import COORDINATES, Schema
from seqexp_tf.records.store import MANIFEST, WINDOWS, RecordStore, Shard
from seqexp_tf.records.tfrecord import hash_file, read_shard

_Windows = dict[str, list[tuple]]


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


def require_whole(store: RecordStore) -> None:
    """Raises DatasetError, naming the file, where the quick check finds a fault."""
    problems = verify(store.folder).problems
    if problems:
        raise DatasetError(problems[0])


def require_shards(store: RecordStore) -> None:
    """Raises DatasetError, naming the file, if a shard is missing or of another size.

    Unlike ``require_whole`` it reads no file, and a shard too many is no fault.
    """
    for split in store.splits:
        for shard in store.shards(split):
            for problem in _check_shard(store, split, shard, None, full=False):
                raise DatasetError(problem)


def verify(
    folder: str | os.PathLike,
    *,
    full: bool = False,
    progress: Callable[[int], None] = lambda records: None,
) -> Verification:
    """Compares a dataset with its manifest.

    The quick check looks at presence and size of the shards, at the schema and the
    window table. The full check
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
    problems = list(_check_files(store))
    table = None
    if not problems:
        table, problems = _read_windows(store)
    known = set()
    total = 0
    for split in store.splits:
        shards = store.shards(split)
        listed = sum(shard.records for shard in shards)
        if listed != store.count(split):
            problems.append(
                f"{store.folder / MANIFEST}: {split} has {store.count(split):,} "
                f"records, its shards {listed:,}; convert again with --overwrite"
            )
        for shard in shards:
            known.add(shard.name)
            problems += _check_rows(store, shard, table)
            problems += _check_shard(store, split, shard, table, full=full)
            progress(shard.records)
        total += listed
    for path in sorted(store.folder.glob("*.tfrecord*")):
        if path.name not in known:
            problems.append(
                f"{path}: not in the manifest; remove it, no reader will use it"
            )
    return Verification(len(known), total, tuple(problems))


def _check_files(store: RecordStore) -> Iterator[str]:
    for name, digest in store.manifest["files"].items():
        path = store.folder / name
        if path.is_file() and hash_file(path) != digest:
            yield (
                f"{path}: content differs from the manifest's sha256; convert again "
                "with --overwrite"
            )


def _read_windows(store: RecordStore) -> tuple[_Windows | None, list[str]]:
    """The coordinates of the records by shard, in order; None if unreadable."""
    path, keys = store.folder / WINDOWS, _keys(store.schema)
    try:
        table = store.windows()
        groups = table.sort_values("row", kind="stable").groupby("shard")
        return {
            name: list(zip(*(rows[key] for key in keys), strict=True))
            for name, rows in groups
        }, []
    except DatasetError as error:
        return None, [str(error)]
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        return None, [
            f"{path}: cannot be read ({reason}); convert again with --overwrite"
        ]


def _keys(schema: Schema) -> tuple[str, ...]:
    """What a record and its row of the window table both say."""
    return (*COORDINATES, *schema.identifiers)


def _check_rows(
    store: RecordStore, shard: Shard, table: _Windows | None
) -> Iterator[str]:
    if table is not None and len(table.get(shard.name, ())) != shard.records:
        yield (
            f"{store.folder / WINDOWS}: {len(table.get(shard.name, ())):,} rows of "
            f"{shard.name}, the manifest says {shard.records:,}; convert again with "
            "--overwrite"
        )


def _check_shard(
    store: RecordStore,
    split: str,
    shard: Shard,
    table: _Windows | None,
    *,
    full: bool,
) -> Iterator[str]:
    path = store.folder / shard.name
    if not path.is_file():
        yield f"{path}: shard is missing; convert again with --overwrite"
        return
    size = path.stat().st_size
    if size != shard.bytes:
        yield (
            f"{path}: {size:,} bytes, the manifest says {shard.bytes:,}; the shard "
            "was cut or overwritten, convert again with --overwrite"
        )
    elif full and hash_file(path) != shard.sha256:
        yield (
            f"{path}: content differs from the manifest's sha256; convert again "
            "with --overwrite"
        )
    if full:
        windows = None if table is None else table.get(shard.name)
        yield from _check_records(store, split, shard, path, windows)


def _check_records(
    store: RecordStore,
    split: str,
    shard: Shard,
    path: Path,
    windows: list[tuple] | None,
) -> Iterator[str]:
    count = 0
    try:
        for record in read_shard(path, compression=store.schema.compression):
            values = store.decode(record, split=split, origin=f"{path}: record {count}")
            if windows is not None and count < len(windows):
                found = tuple(values[key] for key in _keys(store.schema))
                if found != windows[count]:
                    yield (
                        f"{path}: record {count} is {found}, {WINDOWS} says "
                        f"{windows[count]}"
                    )
                    return
            count += 1
    except DatasetError as error:
        yield str(error)
        return
    if count != shard.records:
        yield (
            f"{path}: {count:,} records, the manifest says {shard.records:,}; "
            "convert again with --overwrite"
        )
