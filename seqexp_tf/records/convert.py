"""Conversion: a recipe becomes a dataset folder, by independent shard tasks.

The plan is fixed before anything is written, each shard appears only when whole,
and the manifest, written last, is what makes the folder a dataset.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from seqexp_tf import __version__
from seqexp_tf.config import to_dict
from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.records.expression_inputs import prepare_expression
from seqexp_tf.records.joint_inputs import prepare_joint
from seqexp_tf.records.journal import Entry, Journal, locked
from seqexp_tf.records.plan import Plan, plan_shards, window_table
from seqexp_tf.records.prepared import Prepared, input_files
from seqexp_tf.records.recipe import JointRecipe, Recipe
from seqexp_tf.records.store import (
    MANIFEST,
    MANIFEST_VERSION,
    SCHEMA,
    SPLITS,
    WINDOWS,
    read_manifest,
)
from seqexp_tf.records.tasks import run_tasks
from seqexp_tf.records.tfrecord import INCOMPLETE, hash_file, write_atomically

_SCRATCH = ".scratch"


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
        results: lines about what was written.
        warnings: what makes the dataset of doubtful use.
    """

    folder: Path
    wanted: int
    written: dict[str, int]
    dropped: dict[str, int]
    shards: int
    reused: int
    bytes: int
    notes: tuple[str, ...]
    results: tuple[str, ...]
    warnings: tuple[str, ...]


def convert(
    recipe: Recipe,
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
        workers: processes that write shards; with more than one, a script needs
            the guard ``if __name__ == "__main__":``.
        overwrite: remove another dataset that is in the folder, once the inputs
            of the new one have been read and checked.
        progress: called with each step.
        show_bar: show a progress bar, where standard error is a terminal.

    Raises:
        ConfigError: the recipe cannot be followed.
        InputError: an input file cannot be used.
        DatasetError: the folder cannot be written, or holds something else.
    """
    folder = Path(folder)
    inputs = _hash_inputs(recipe, progress)
    fingerprint = _fingerprint(recipe, inputs)
    with locked(folder):
        scratch = folder / _SCRATCH
        try:
            journal = Journal(folder)
            replaced = _replaced(folder, journal, fingerprint, overwrite)
            scratch.mkdir(exist_ok=True)
            prepare = (
                prepare_joint if isinstance(recipe, JointRecipe) else prepare_expression
            )
            prepared = prepare(recipe, scratch, progress=progress)
            plan = plan_shards(recipe, prepared)
            _check_known(folder, replaced, planned=plan.records)
            journal.restart(fingerprint, plan.records, replaced)
            _clear(folder, replaced - set(journal.entries))
            reused = len(journal.entries)
            _write_shards(
                recipe, prepared, plan, journal, workers=workers, show_bar=show_bar
            )
            files = {
                SCHEMA: prepared.source.schema.to_json().encode(),
                WINDOWS: window_table(plan),
            }
            for name, content in files.items():
                write_atomically(folder / name, content)
            manifest = _manifest(recipe, prepared, plan, journal, inputs, files)
            write_atomically(
                folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode()
            )
            journal.remove()
        except OSError as error:
            raise DatasetError(
                f"{error.filename or folder}: cannot write: {error.strerror}; free "
                "space or choose another --out, then run the same command to go on"
            ) from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    results, warnings = prepared.source.results(
        {
            split: {name: np.asarray(n) for name, n in entry["statistics"].items()}
            for split, entry in manifest["splits"].items()
        }
    )
    return ConversionSummary(
        folder=folder,
        wanted=prepared.wanted,
        written={split: manifest["splits"][split]["records"] for split in SPLITS},
        dropped=prepared.dropped,
        shards=len(plan.tasks),
        reused=reused,
        bytes=sum(entry["bytes"] for entry in journal.entries.values()),
        notes=prepared.notes,
        results=tuple(results),
        warnings=tuple(warnings),
    )


def _hash_inputs(
    recipe: Recipe, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    entries = []
    for label, path in input_files(recipe).items():
        progress(f"hashing {path}")
        try:
            size, digest = path.stat().st_size, hash_file(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        relative = os.path.relpath(path, recipe.source.path("."))
        entries.append(
            {"label": label, "path": relative, "bytes": size, "sha256": digest}
        )
    return entries


RECORDS_VERSION = 1
"""Raised when the same inputs and recipe come to give other records."""


def _fingerprint(recipe: Recipe, inputs: list[dict[str, Any]]) -> str:
    content = to_dict(recipe)
    # The same files in another folder, or from elsewhere, are the same dataset.
    del content["source"]["root"]
    content.pop("download", None)
    content["records_version"] = RECORDS_VERSION
    content["inputs"] = [(entry["label"], entry["sha256"]) for entry in inputs]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _replaced(
    folder: Path, journal: Journal, fingerprint: str, overwrite: bool
) -> set[str]:
    """Returns the shards that are to be removed; refuses unless allowed to."""
    if (folder / MANIFEST).is_file():
        # A kill between the manifest and the end of the journal leaves both.
        journal.remove()
        manifest = read_manifest(folder / MANIFEST)
        if not overwrite:
            which, advice = "another", "choose another --out"
            if manifest["fingerprint"] == fingerprint:
                which, advice = "this", "check it with `seqexp-tf verify`"
            raise DatasetError(
                f"{folder}: already holds {which} dataset ({manifest['name']}, "
                f"{manifest['windows']['written']:,} records); {advice}, or use "
                "--overwrite"
            )
        return {
            shard["name"]
            for split in manifest["splits"].values()
            for shard in split["shards"]
        }
    if journal.fingerprint in (None, fingerprint):
        return journal.removable
    if not overwrite:
        raise DatasetError(
            f"{folder}: holds an unfinished conversion of other inputs or another "
            "recipe; choose another --out, or use --overwrite"
        )
    return journal.removable


def _check_known(folder: Path, replaced: set[str], *, planned: dict[str, int]) -> None:
    """Refuses a folder with shards of which nothing is known.

    Raises:
        DatasetError: names the first.
    """
    for path in sorted(folder.glob("*.tfrecord*")):
        known = path.name in planned or path.name in replaced
        if not known and not path.name.endswith(INCOMPLETE):
            raise DatasetError(
                f"{path}: a shard that is not part of this dataset; remove it or "
                "choose another --out"
            )


def _clear(folder: Path, replaced: set[str]) -> None:
    """Removes what a kill left half-written, and the dataset to be replaced.

    The manifest goes first, so that a kill leaves no dataset without shards; the
    journal still knows what to remove.
    """
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in folder.glob(f"*{INCOMPLETE}"):
        path.unlink()
    for name in replaced:
        (folder / name).unlink(missing_ok=True)


def _write_shards(
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    *,
    workers: int,
    show_bar: bool,
) -> None:
    left = [task for task in plan.tasks if task.name not in journal.entries]
    total = sum(plan.records.values())
    with tqdm(
        total=total,
        initial=total - sum(len(task.windows) for task in left),
        unit=" windows",
        disable=None if show_bar else True,
    ) as bar:
        for shard in run_tasks(
            left,
            journal.path.parent,
            prepared.source,
            level=recipe.output.level,
            workers=workers,
        ):
            journal.append(
                {
                    "name": shard.task.name,
                    **asdict(shard.file),
                    "statistics": shard.statistics,
                }
            )
            bar.update(len(shard.task.windows))


def _manifest(
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    inputs: list[dict[str, Any]],
    files: dict[str, bytes],
) -> dict[str, Any]:
    splits = {split: _split_entry(plan, split, journal.entries) for split in SPLITS}
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": recipe.name,
        "kind": recipe.kind,
        "created_by": f"seqexp-tf {__version__}",
        "fingerprint": journal.fingerprint,
        "windows": {
            "wanted": prepared.wanted,
            "written": sum(split["records"] for split in splits.values()),
            "dropped": prepared.dropped,
        },
        "contigs": prepared.sizes,
        "splits": splits,
        "files": {
            name: hashlib.sha256(content).hexdigest() for name, content in files.items()
        },
        "inputs": inputs,
        "notes": list(prepared.notes),
        "recipe": to_dict(recipe),
    }


def _split_entry(plan: Plan, split: str, done: dict[str, Entry]) -> dict[str, Any]:
    tasks = plan.of_split(split)
    entries = [done[task.name] for task in tasks]
    statistics: dict[str, np.ndarray] = {}
    for entry in entries:
        for name, counts in entry["statistics"].items():
            statistics[name] = statistics.get(name, 0) + np.asarray(counts)
    contigs = [contig for task in tasks for contig in task.windows.contig.unique()]
    return {
        "records": sum(entry["records"] for entry in entries),
        "contigs": list(dict.fromkeys(contigs)),
        "statistics": {name: counts.tolist() for name, counts in statistics.items()},
        "shards": [
            {key: entry[key] for key in ("name", "records", "bytes", "sha256")}
            for entry in entries
        ],
    }
