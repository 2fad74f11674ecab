"""Conversion: a recipe becomes a dataset folder, by independent shard tasks.

The plan is fixed before anything is written: which windows go to which shard.
A task depends on nothing but its windows and the packed inputs, so any number of
workers gives the same bytes, and a killed conversion goes on with the shards
whose files still have the size and hash the journal recorded.
"""

import fcntl
import hashlib
import io
import json
import math
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from seqexp_tf import __version__
from seqexp_tf.config import to_dict
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.genome.contigs import ContigNames
from seqexp_tf.genome.splits import Splits, folds, split_by_contig, split_from_file
from seqexp_tf.records.example import encode_example
from seqexp_tf.records.joint import (
    JointSource,
    PreparedJoint,
    input_files,
    prepare_joint,
)
from seqexp_tf.records.recipe import JointRecipe
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import (
    JOURNAL,
    MANIFEST,
    MANIFEST_VERSION,
    SCHEMA,
    SPLITS,
    WINDOWS,
    RecordStore,
)
from seqexp_tf.records.tfrecord import (
    INCOMPLETE,
    WrittenFile,
    hash_file,
    write_atomically,
    write_shard,
)

_SCRATCH = ".scratch"
_LOCK = ".lock"
_CHUNK_BYTES = 16 << 20
"""Arrays held at once by a shard task, before they are encoded."""


@dataclass(frozen=True)
class ShardTask:
    """The windows of one shard.

    Attributes:
        name: file name.
        split: split the windows belong to.
        windows: contig, start, end, strand by record.
    """

    name: str
    split: str
    windows: pd.DataFrame


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion did.

    Attributes:
        folder: the dataset.
        wanted: windows the inputs hold.
        written: records by split.
        dropped: windows left out, by reason.
        shards: number of shards.
        reused: shards kept from an interrupted conversion.
        bytes: size of all shards.
        notes: what was noticed while reading the inputs.
    """

    folder: Path
    wanted: int
    written: dict[str, int]
    dropped: dict[str, int]
    shards: int
    reused: int
    bytes: int
    notes: tuple[str, ...]


def convert(
    recipe: JointRecipe,
    folder: str | os.PathLike,
    *,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda message: None,
    show_bar: bool = False,
) -> ConversionSummary:
    """Writes the dataset of ``recipe``, or finishes one that was interrupted.

    Args:
        recipe: what to convert.
        folder: the dataset folder; made if absent.
        workers: processes that write shards.
        overwrite: remove another dataset that is in the folder first.
        progress: called with each step.
        show_bar: show a progress bar on the terminal.

    Raises:
        ConfigError: the recipe cannot be followed.
        InputError: an input file cannot be used.
        DatasetError: the folder cannot be written, or holds something else.
    """
    folder = Path(folder)
    inputs = _fingerprint_inputs(input_files(recipe), recipe, progress)
    fingerprint = _fingerprint(recipe, inputs)
    with _locked(folder):
        finished = _finished(folder, fingerprint, overwrite)
        scratch = folder / _SCRATCH
        try:
            _make_folder(scratch)
            prepared = prepare_joint(recipe, scratch, progress=progress)
            tasks, dropped = _plan(recipe, prepared)
            _check_names(folder, tasks)
            done = _run(
                tasks,
                prepared.source,
                prepared.schema,
                recipe.output.level,
                journal=folder / JOURNAL,
                fingerprint=fingerprint,
                finished=finished,
                workers=workers,
                show_bar=show_bar,
            )
            _commit(folder, recipe, prepared, tasks, done, dropped, inputs, fingerprint)
        except OSError as error:
            raise DatasetError(
                f"{error.filename or folder}: cannot write: {error.strerror}; free "
                "space or choose another --out, then run the same command to go on"
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return ConversionSummary(
        folder=folder,
        wanted=prepared.wanted,
        written=dict(Counter(_split_of_each(tasks))),
        dropped=dropped,
        shards=len(tasks),
        reused=sum(task.name in finished for task in tasks),
        bytes=sum(entry["bytes"] for entry in done.values()),
        notes=prepared.notes,
    )


def assign_splits(recipe: JointRecipe, sizes: dict[str, int]) -> Splits:
    """Returns which part of the genome is train, validation and test."""
    config = recipe.splits
    if config.file is not None:
        return split_from_file(
            recipe.source.path(config.file), resolve=ContigNames(sizes).resolve
        )
    if config.folds is not None:
        return folds(sizes, k=config.folds, fold=config.fold)
    return split_by_contig(
        sizes,
        train=config.train,
        validation=config.validation,
        test=config.test,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        resolve=ContigNames(sizes).resolve,
    )


def _plan(
    recipe: JointRecipe, prepared: PreparedJoint
) -> tuple[list[ShardTask], dict[str, int]]:
    splits = assign_splits(recipe, prepared.sizes)
    assigned, reasons = splits.assign(prepared.windows)
    dropped = dict(prepared.dropped)
    for reason, count in reasons.items():
        dropped[reason] = dropped.get(reason, 0) + count
    tasks = []
    for split in SPLITS:
        windows = prepared.windows[assigned == split].reset_index(drop=True)
        if windows.empty:
            raise ConfigError(
                f"{recipe.name}: split {split} has no window; give it contigs that "
                f"hold data ({', '.join(prepared.windows.contig.unique()[:6])}, ...)"
            )
        stored = len(windows) * prepared.schema.record_bytes(split)
        wanted = max(
            math.ceil(stored / (recipe.output.shard_mb * 1e6)),
            recipe.output.min_shards,
        )
        count = min(wanted, len(windows))
        suffix = ".gz" if recipe.output.compression == "gzip" else ""
        edges = np.linspace(0, len(windows), count + 1).astype(int)
        tasks += [
            ShardTask(
                f"{split}-{index:05d}-of-{count:05d}.tfrecord{suffix}",
                split,
                windows.iloc[edges[index] : edges[index + 1]].reset_index(drop=True),
            )
            for index in range(count)
        ]
    return tasks, dropped


def write_task(
    task: ShardTask, folder: Path, source: JointSource, schema: Schema, level: int
) -> tuple[WrittenFile, dict[str, list[int]]]:
    """Writes one shard; returns what was stored and its statistics."""
    totals: dict[str, np.ndarray] = {}
    rows = max(1, _CHUNK_BYTES // schema.record_bytes(task.split))

    def encoded() -> Iterator[bytes]:
        for first in range(0, len(task.windows), rows):
            windows = task.windows.iloc[first : first + rows]
            arrays = source.records(windows, task.split)
            for name, counts in source.statistics(arrays).items():
                totals[name] = totals.get(name, 0) + np.asarray(counts)
            for index, window in enumerate(windows.itertuples(index=False)):
                fields: dict[str, bytes | int] = {
                    name: array[index].tobytes() for name, array in arrays.items()
                }
                fields["contig"] = window.contig.encode()
                fields["start"] = window.start
                fields["end"] = window.end
                fields["strand"] = window.strand.encode()
                yield encode_example(fields)

    written = write_shard(
        folder / task.name, encoded(), compression=schema.compression, level=level
    )
    return written, {name: counts.tolist() for name, counts in totals.items()}


def _run(
    tasks: list[ShardTask],
    source: JointSource,
    schema: Schema,
    level: int,
    *,
    journal: Path,
    fingerprint: str,
    finished: dict[str, dict],
    workers: int,
    show_bar: bool,
) -> dict[str, dict]:
    """Runs the tasks that are not finished; returns the journal by shard name."""
    done = dict(finished)
    left = [task for task in tasks if task.name not in finished]
    bar = tqdm(
        total=sum(len(task.windows) for task in tasks),
        initial=sum(len(task.windows) for task in tasks if task.name in finished),
        unit=" windows",
        disable=not show_bar,
    )
    if not finished:
        write_atomically(journal, _line({"fingerprint": fingerprint}))
    with bar, journal.open("ab") as log:
        arguments = (journal.parent, source, schema, level)
        for task, (written, statistics) in _results(left, arguments, workers):
            entry = {"name": task.name, **asdict(written), "statistics": statistics}
            log.write(_line(entry))
            log.flush()
            os.fsync(log.fileno())
            done[task.name] = entry
            bar.update(len(task.windows))
    return done


def _results(tasks: list[ShardTask], arguments: tuple, workers: int) -> Iterator:
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, write_task(task, *arguments)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context) as pool:
        futures = {pool.submit(write_task, task, *arguments): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BrokenProcessPool:
            raise DatasetError(
                f"{arguments[0]}: a worker process was killed (out of memory?); run "
                "the same command to go on, with fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _commit(
    folder: Path,
    recipe: JointRecipe,
    prepared: PreparedJoint,
    tasks: list[ShardTask],
    done: dict[str, dict],
    dropped: dict[str, int],
    inputs: list[dict],
    fingerprint: str,
) -> None:
    splits = {}
    for split in SPLITS:
        entries = [done[task.name] for task in tasks if task.split == split]
        statistics: dict[str, np.ndarray] = {}
        for entry in entries:
            for name, counts in entry["statistics"].items():
                statistics[name] = statistics.get(name, 0) + np.asarray(counts)
        splits[split] = {
            "records": sum(entry["records"] for entry in entries),
            "contigs": list(
                dict.fromkeys(
                    contig
                    for task in tasks
                    if task.split == split
                    for contig in task.windows.contig.unique()
                )
            ),
            "statistics": {name: c.tolist() for name, c in statistics.items()},
            "shards": [
                {key: entry[key] for key in ("name", "records", "bytes", "sha256")}
                for entry in entries
            ],
        }
    manifest = {
        "manifest_version": MANIFEST_VERSION,
        "name": recipe.name,
        "kind": recipe.kind,
        "created_by": f"seqexp-tf {__version__}",
        "fingerprint": fingerprint,
        "windows": {
            "wanted": prepared.wanted,
            "written": sum(split["records"] for split in splits.values()),
            "dropped": dropped,
        },
        "contigs": prepared.sizes,
        "splits": splits,
        "inputs": inputs,
        "notes": list(prepared.notes),
        "recipe": to_dict(recipe),
    }
    write_atomically(folder / SCHEMA, prepared.schema.to_json().encode())
    write_atomically(folder / WINDOWS, _window_table(tasks))
    write_atomically(
        folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode()
    )
    (folder / JOURNAL).unlink()


def _window_table(tasks: list[ShardTask]) -> bytes:
    tables = [
        task.windows.assign(
            split=task.split, shard=task.name, row=np.arange(len(task.windows))
        )
        for task in tasks
    ]
    table = pd.concat(tables, ignore_index=True)
    table["id"] = (
        table.contig
        + ":"
        + table.start.astype(str)
        + "-"
        + table.end.astype(str)
        + ":"
        + table.strand
    )
    order = ["split", "shard", "row", "contig", "start", "end", "strand", "id"]
    buffer = io.BytesIO()
    table[order].to_parquet(buffer, index=False)
    return buffer.getvalue()


def _split_of_each(tasks: list[ShardTask]) -> Iterator[str]:
    for task in tasks:
        yield from [task.split] * len(task.windows)


def _fingerprint_inputs(
    files: dict[str, Path], recipe: JointRecipe, progress: Callable[[str], None]
) -> list[dict]:
    entries = []
    for label, path in files.items():
        progress(f"hashing {path}")
        entries.append(
            {
                "label": label,
                "path": os.path.relpath(path, recipe.source.root),
                "bytes": path.stat().st_size,
                "sha256": hash_file(path),
            }
        )
    return entries


def _fingerprint(recipe: JointRecipe, inputs: list[dict]) -> str:
    content = to_dict(recipe)
    # The same files in another folder are the same dataset.
    del content["source"]["root"]
    content["inputs"] = [(entry["label"], entry["sha256"]) for entry in inputs]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(folder: Path, fingerprint: str, overwrite: bool) -> dict[str, dict]:
    """Returns the shards of an interrupted conversion that are still whole."""
    if (folder / MANIFEST).is_file():
        store = RecordStore.open(folder)
        if not overwrite:
            same = store.fingerprint == fingerprint
            raise DatasetError(
                f"{folder}: already holds {'this' if same else 'another'} dataset "
                f"({store.manifest['name']}, {store.manifest['windows']['written']:,} "
                "records); "
                + (
                    "check it with `seqexp-tf verify`, or use --overwrite"
                    if same
                    else "choose another --out, or use --overwrite"
                )
            )
        for split in store.splits:
            for path in store.paths(split):
                path.unlink(missing_ok=True)
        (folder / MANIFEST).unlink()
    journal = folder / JOURNAL
    if not journal.is_file():
        return {}
    lines = _journal_lines(journal)
    if not lines or lines[0].get("fingerprint") != fingerprint:
        if not overwrite:
            raise DatasetError(
                f"{folder}: holds an unfinished conversion of other inputs or "
                "another recipe; choose another --out, or use --overwrite"
            )
        for entry in lines[1:]:
            (folder / entry["name"]).unlink(missing_ok=True)
        journal.unlink()
        return {}
    whole = {}
    for entry in lines[1:]:
        path = folder / entry["name"]
        if (
            path.is_file()
            and path.stat().st_size == entry["bytes"]
            and hash_file(path) == entry["sha256"]
        ):
            whole[entry["name"]] = entry
    write_atomically(
        journal, b"".join(_line(line) for line in (lines[0], *whole.values()))
    )
    return whole


def _journal_lines(journal: Path) -> list[dict]:
    lines = []
    for line in journal.read_bytes().split(b"\n"):
        try:
            lines.append(json.loads(line))
        except ValueError:
            # A line torn by the kill: its shard is written again.
            break
    return lines


def _line(entry: dict) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _check_names(folder: Path, tasks: list[ShardTask]) -> None:
    """Removes what a kill left half-written; refuses shards of another dataset."""
    for path in folder.glob(f"*{INCOMPLETE}"):
        path.unlink()
    planned = {task.name for task in tasks}
    for path in sorted(folder.glob("*.tfrecord*")):
        if path.name not in planned:
            raise DatasetError(
                f"{path}: a shard that is not part of this dataset; remove it or "
                "choose another --out"
            )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot make the folder: {error.strerror}; choose another --out"
        ) from None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    _make_folder(folder)
    path = folder / _LOCK
    try:
        file = path.open("w")
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot write: {error.strerror}; choose another --out"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DatasetError(
                f"{folder}: another conversion is writing here; wait for it or "
                "choose another --out"
            ) from None
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
