"""What conversion needs of a kind of dataset, whichever it is."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.contigs import ContigNames
from seqexp_tf.genome.splits import Splits, folds, split_by_contig, split_from_file
from seqexp_tf.records.recipe import Recipe
from seqexp_tf.records.remote import is_remote, join, remote_file
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import SPLITS


class Source(Protocol):
    """Makes records in any process; cheap to send to one.

    Attributes:
        schema: of the dataset.
        files: what ``records`` reads.
    """

    schema: Schema

    @property
    def files(self) -> tuple[Path, ...]: ...

    def records(self, windows: pd.DataFrame, split: str) -> dict[str, np.ndarray]:
        """Returns the arrays of ``windows`` (one split), records first."""

    def statistics(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns counts over records, int64, to be summed up by split."""

    def results(
        self, statistics: Mapping[str, Mapping[str, np.ndarray]]
    ) -> tuple[list[str], list[str]]:
        """Returns lines, and warnings, about the summed counts of each split."""


@dataclass(frozen=True)
class Prepared:
    """Inputs read and checked: what is to be written, before any is.

    Attributes:
        source: makes the records.
        windows: contig, start, end, strand, the columns that the schema stores
            with a record, those of ``columns``, and what ``source`` needs.
        splits: split of each window, object ``(len(windows),)``.
        columns: further columns of ``windows`` that go to the window table.
        wanted: windows before any was dropped.
        dropped: count by reason.
        sizes: length of every contig.
        notes: lines a user should read (preflight table, counts).
    """

    source: Source
    windows: pd.DataFrame
    splits: np.ndarray
    columns: tuple[str, ...]
    wanted: int
    dropped: dict[str, int]
    sizes: dict[str, int]
    notes: tuple[str, ...]


def input_files(recipe: Recipe) -> dict[str, Path]:
    """Returns every file a recipe reads, by label; of a remote one, its copy's place.

    Raises:
        InputError: one of them is not there.
    """
    files, root = {}, recipe.source.root
    for label, name in recipe.inputs().items():
        if name is None:
            continue
        if is_remote(root) or is_remote(name):
            files[label] = remote_file(join(root, name), refresh=True).path
            continue
        path = files[label] = recipe.source.path(name)
        if path.is_dir():
            raise InputError(f"{path}: a folder, not a file ({label})")
        if not path.is_file():
            beside = sorted(p.name for p in path.parent.glob("*"))
            close = difflib.get_close_matches(path.name, beside, n=1)
            hint = (
                f"did you mean {close[0]}?"
                if close
                else ("source.root must be the folder the paths start from")
            )
            raise InputError(f"{path}: no such file ({label}); {hint}")
    return files


def assign_splits(
    recipe: Recipe, windows: pd.DataFrame, names: ContigNames
) -> tuple[np.ndarray, dict[str, int]]:
    """Gives each window the split it lies wholly inside.

    Args:
        recipe: its table ``splits`` is read.
        windows: contig, start, end.
        names: the contigs, found under any of their spellings.

    Returns:
        Split names, object (len(windows),), None where in none; and the count of
        these by reason.

    Raises:
        ConfigError: the splits cannot be made, or one has no window.
    """
    splits, dropped = _genome_splits(recipe, names).assign(windows)
    for split in SPLITS:
        if not (splits == split).any():
            raise ConfigError(
                f"{recipe.name}: split {split} has no window of "
                f"{recipe.windows.size:,} bases; give it contigs that have some: "
                f"{', '.join(windows.contig.unique()[:8])}"
            )
    return splits, dropped


def _genome_splits(recipe: Recipe, names: ContigNames) -> Splits:
    config = recipe.splits
    if config.file is not None:
        return split_from_file(recipe.source.path(config.file), resolve=names.resolve)
    if config.folds is not None:
        return folds(names.sizes, k=config.folds, fold=config.fold)
    return split_by_contig(
        names.sizes,
        train=config.train,
        validation=config.validation,
        test=config.test,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        resolve=names.resolve,
    )
