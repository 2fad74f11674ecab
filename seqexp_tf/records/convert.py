"""Conversion: a recipe becomes a dataset, by independent shard tasks.

The plan is fixed before anything is written, each shard appears only when whole,
and the manifest, written last, is what makes the folder a dataset.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from seqexp_tf.errors import DatasetError, SeqExpError
from seqexp_tf.records.beam import pipeline_options, run_on_beam
from seqexp_tf.records.claim import (
    clear,
    read_existing,
    refuse_foreign,
    refuse_other,
    refuse_unknown,
    replaced_shards,
)
from seqexp_tf.records.early import check_early
from seqexp_tf.records.expression_inputs import prepare_expression
from seqexp_tf.records.jobs import stage_tasks
from seqexp_tf.records.joint_inputs import prepare_joint
from seqexp_tf.records.journal import Journal, entry_of
from seqexp_tf.records.manifest import build_manifest, describe_inputs, fingerprint
from seqexp_tf.records.output import Output, open_output
from seqexp_tf.records.plan import Plan, plan_shards, window_table
from seqexp_tf.records.prepared import Prepared, input_files
from seqexp_tf.records.recipe import JointRecipe, Recipe
from seqexp_tf.records.remote import known_copy, with_urls
from seqexp_tf.records.store import MANIFEST, SCHEMA, SPLITS, WINDOWS
from seqexp_tf.records.tasks import run_tasks


@dataclass(frozen=True)
class ConversionSummary:
    """What a conversion did.

    Attributes:
        folder: the dataset; text if remote.
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

    folder: Path | str
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
    beam_args: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda message: None,
    show_bar: bool = False,
) -> ConversionSummary:
    """Writes the dataset of ``recipe``, or finishes one that was interrupted.

    Args:
        recipe: what to convert; its files may be remote.
        folder: the dataset folder, made if absent; or a remote address.
        workers: processes that write shards; with more than one, a script needs
            the guard ``if __name__ == "__main__":``.
        beam_args: write the shards on Apache Beam, with these options of it; None
            on this machine.
        overwrite: remove another dataset that is in the folder, once the inputs
            of the new one have been read and checked.
        progress: called with each step.
        show_bar: show a progress bar, where standard error is a terminal.

    Raises:
        ConfigError: the recipe cannot be followed, or Beam refuses its options.
        InputError: an input file cannot be used.
        DatasetError: the folder cannot be written, or holds something else.
    """
    if beam_args is not None:
        pipeline_options(beam_args)
    output = open_output(folder)

    def say(message: str) -> None:
        progress(with_urls(message))

    with _naming_addresses():
        files = input_files(recipe)
        with output.locked(), _cleaned(output):
            existing = read_existing(output)
            if existing is None:
                refuse_foreign(output)
            elif not overwrite:
                refuse_other(output, existing, recipe, files)
            for path in files.values():
                if (copy := known_copy(path)) is not None:
                    say(f"fetching {path}")
                    copy.bring()
            check_early(recipe)
            inputs = describe_inputs(recipe, files, say)
            mark = fingerprint(recipe, inputs)
            journal = Journal(output)
            replaced = replaced_shards(
                output, journal, existing, mark, overwrite=overwrite
            )
            prepared = _prepare(recipe, output.scratch(mark), say)
            plan = plan_shards(recipe, prepared)
            refuse_unknown(output, replaced, plan.records)
            journal.restart(mark, plan.records, replaced)
            clear(output, replaced - set(journal.entries))
            reused = len(journal.entries)
            _write_shards(
                recipe,
                prepared,
                plan,
                journal,
                workers=workers,
                beam_args=beam_args,
                progress=say,
                show_bar=show_bar,
            )
            manifest = _commit(output, recipe, prepared, plan, journal, inputs)
    return _summary(folder, prepared, plan, journal, manifest, reused)


@contextmanager
def _naming_addresses() -> Iterator[None]:
    """Errors about the copy of a remote file name its address."""
    try:
        yield
    except SeqExpError as error:
        if (text := with_urls(str(error))) == str(error):
            raise
        raise type(error)(text) from None


@contextmanager
def _cleaned(output: Output) -> Iterator[None]:
    """Removes the scratch folder at the end, and names what could not be written."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{error.filename or output}: cannot write: {error.strerror}; free "
            "space or choose another --out, then run the same command to go on"
        ) from None
    finally:
        output.remove_scratch()


def _prepare(
    recipe: Recipe, scratch: Path, progress: Callable[[str], None]
) -> Prepared:
    kind = prepare_joint if isinstance(recipe, JointRecipe) else prepare_expression
    prepared = kind(recipe, scratch, progress=progress)
    return replace(prepared, notes=tuple(map(with_urls, prepared.notes)))


def _write_shards(
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    *,
    workers: int,
    beam_args: Sequence[str] | None,
    progress: Callable[[str], None],
    show_bar: bool,
) -> None:
    """Does the tasks whose shards the journal lacks, and enters them."""
    output, source, level = journal.output, prepared.source, recipe.output.level
    left = [task for task in plan.tasks if task.name not in journal.entries]
    if beam_args is not None and left:
        staged = stage_tasks(
            left,
            output,
            source,
            level=level,
            fingerprint=journal.fingerprint or "",
            progress=progress,
        )
        progress(f"running {len(left):,} tasks on Apache Beam")
        run_on_beam(staged, beam_args)
        journal.gather()
        if missing := [t.name for t in left if t.name not in journal.entries]:
            raise DatasetError(
                f"{output}: the Beam pipeline ended without {missing[0]} "
                f"({len(missing)} shards); run the same command to go on"
            )
        return
    total = sum(plan.records.values())
    with tqdm(
        total=total,
        initial=total - sum(len(task.windows) for task in left),
        unit=" windows",
        disable=None if show_bar else True,
    ) as bar:
        for shard in run_tasks(left, output, source, level=level, workers=workers):
            journal.append(entry_of(shard.task.name, shard.file, shard.statistics))
            bar.update(len(shard.task.windows))


def _commit(
    output: Output,
    recipe: Recipe,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    inputs: list[dict[str, Any]],
) -> dict[str, Any]:
    """Writes what lies beside the shards, the manifest last; returns that."""
    files = {
        SCHEMA: prepared.source.schema.to_json().encode(),
        WINDOWS: window_table(plan),
    }
    for name, content in files.items():
        output.write(name, content)
    manifest = build_manifest(recipe, prepared, plan, journal, inputs, files)
    output.write(MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    journal.remove()
    return manifest


def _summary(
    folder: str | os.PathLike,
    prepared: Prepared,
    plan: Plan,
    journal: Journal,
    manifest: Mapping[str, Any],
    reused: int,
) -> ConversionSummary:
    results, warnings = prepared.source.results(
        {
            split: {name: np.asarray(n) for name, n in entry["statistics"].items()}
            for split, entry in manifest["splits"].items()
        }
    )
    return ConversionSummary(
        folder=folder if isinstance(folder, str) else Path(folder),
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
