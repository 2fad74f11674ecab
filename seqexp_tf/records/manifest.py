"""The manifest: what a dataset is, and what it was made from."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seqexp_tf import __version__
from seqexp_tf.config import to_dict
from seqexp_tf.errors import InputError
from seqexp_tf.records.journal import Entry, Journal
from seqexp_tf.records.plan import Plan
from seqexp_tf.records.prepared import Prepared
from seqexp_tf.records.recipe import Recipe
from seqexp_tf.records.remote import is_remote, known_copy
from seqexp_tf.records.store import MANIFEST_VERSION, SPLITS
from seqexp_tf.records.tfrecord import hash_file

RECORDS_VERSION = 1
"""Raised when the same inputs and recipe come to give other records."""


def describe_inputs(
    recipe: Recipe, files: Mapping[str, Path], progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Hashes every input; returns its entry of the manifest.

    Raises:
        InputError: one cannot be read.
    """
    entries = []
    for label, path in files.items():
        progress(f"hashing {path}")
        try:
            size, digest = path.stat().st_size, hash_file(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        name = input_name(recipe, label, path)
        entries.append({"label": label, "path": name, "bytes": size, "sha256": digest})
    return entries


def input_name(recipe: Recipe, label: str, path: Path) -> str:
    """Returns an input's path from ``source.root``, or its address elsewhere."""
    if known_copy(path) is not None:
        return recipe.inputs()[label]
    root = recipe.source.root
    return (
        str(path) if is_remote(root) else os.path.relpath(path, Path(root).expanduser())
    )


def recipe_content(recipe: Recipe) -> dict[str, Any]:
    """Returns what of a recipe says what the dataset is, not where its files are."""
    content = to_dict(recipe)
    # The same files in another folder, or from elsewhere, are the same dataset.
    del content["source"]["root"]
    content.pop("download", None)
    return content


def fingerprint(recipe: Recipe, inputs: list[dict[str, Any]]) -> str:
    """Returns the sha256 over a recipe and the content of every input."""
    content = recipe_content(recipe)
    content["records_version"] = RECORDS_VERSION
    content["inputs"] = [(entry["label"], entry["sha256"]) for entry in inputs]
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def build_manifest(
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    inputs: list[dict[str, Any]],
    files: Mapping[str, bytes],
) -> dict[str, Any]:
    """Returns the content of ``manifest.json``.

    Args:
        recipe: that was converted.
        prepared: its inputs, read.
        plan: all of whose shards are in ``journal``.
        journal: of the conversion.
        inputs: as ``describe_inputs`` returned them.
        files: the content of the other files of the dataset, by name.
    """
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
