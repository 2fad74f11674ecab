"""May a conversion write to a place, and what does it remove there?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.journal import Journal
from seqexp_tf.records.manifest import recipe_content
from seqexp_tf.records.output import Output
from seqexp_tf.records.recipe import Recipe
from seqexp_tf.records.remote import known_copy
from seqexp_tf.records.store import (
    JOURNAL,
    MANIFEST,
    SCHEMA,
    WINDOWS,
    parse_manifest,
)
from seqexp_tf.records.tfrecord import INCOMPLETE


def read_existing(output: Output) -> dict[str, Any] | None:
    """Returns the manifest of the dataset that is there, None where there is none.

    Raises:
        DatasetError: a manifest that cannot be read.
    """
    content = output.read(MANIFEST)
    return None if content is None else parse_manifest(content, output.place(MANIFEST))


def refuse_other(
    output: Output,
    existing: Mapping[str, Any],
    recipe: Recipe,
    files: Mapping[str, Path],
) -> None:
    """Refuses, without a look into the inputs, a dataset that is plainly another.

    Raises:
        DatasetError: ``existing`` is of another recipe, or of inputs of other sizes.
    """
    stored = json.loads(json.dumps(existing["recipe"]))
    stored["source"].pop("root", None)
    stored.pop("download", None)
    sizes = {entry["label"]: entry["bytes"] for entry in existing["inputs"]}
    found = {label: _size(path) for label, path in files.items()}
    if stored != json.loads(json.dumps(recipe_content(recipe))) or sizes != found:
        raise _holds(output, existing, same=False)


def _size(path: Path) -> int | None:
    copy = known_copy(path)
    return path.stat().st_size if copy is None else copy.size


def replaced_shards(
    output: Output,
    journal: Journal,
    existing: Mapping[str, Any] | None,
    fingerprint: str,
    *,
    overwrite: bool,
) -> set[str]:
    """Returns the shards that are to be removed; refuses unless allowed to.

    Raises:
        DatasetError: the place holds something that may not be replaced.
    """
    if existing is not None:
        # A kill between the manifest and the end of the journal leaves both.
        journal.remove()
        if not overwrite:
            raise _holds(output, existing, same=existing["fingerprint"] == fingerprint)
        return {
            shard["name"]
            for split in existing["splits"].values()
            for shard in split["shards"]
        }
    if journal.fingerprint not in (None, fingerprint) and not overwrite:
        raise DatasetError(
            f"{output}: holds an unfinished conversion of other inputs or another "
            "recipe; choose another --out, or use --overwrite"
        )
    return journal.removable


def _holds(output: Output, existing: Mapping[str, Any], *, same: bool) -> DatasetError:
    which, advice = "another", "choose another --out"
    if same:
        which, advice = "this", "check it with `seqexp-tf verify`"
    return DatasetError(
        f"{output}: already holds {which} dataset ({existing['name']}, "
        f"{existing['windows']['written']:,} records); {advice}, or use --overwrite"
    )


def refuse_foreign(output: Output) -> None:
    """Refuses a place without a dataset, begun or whole, that holds something else.

    Raises:
        DatasetError: names the first file.
    """
    if output.read(JOURNAL) is not None:
        return
    for name in output.sizes():
        # A conversion that was killed early leaves hidden and unfinished files, an
        # object store may list the folder itself, and who lost a manifest has the rest.
        left = not name or name.startswith(".") or name.endswith(INCOMPLETE)
        if not (left or name in (SCHEMA, WINDOWS) or ".tfrecord" in name):
            raise DatasetError(
                f"{output}: not empty and no dataset ({name} is there); choose "
                "another --out"
            )


def refuse_unknown(
    output: Output, replaced: set[str], planned: Mapping[str, int]
) -> None:
    """Refuses a place with shards of which nothing is known.

    Raises:
        DatasetError: names the first.
    """
    for name in output.sizes():
        known = name in planned or name in replaced or name.endswith(INCOMPLETE)
        if ".tfrecord" in name and not known:
            raise DatasetError(
                f"{output.place(name)}: a shard that is not part of this dataset; "
                "remove it or choose another --out"
            )


def clear(output: Output, replaced: set[str]) -> None:
    """Removes what a kill left half-written, and the dataset to be replaced.

    The manifest goes first, so that a kill leaves no dataset without shards; the
    journal still knows what to remove.
    """
    output.remove(MANIFEST)
    for name in output.sizes():
        if name.endswith(INCOMPLETE):
            output.remove(name)
    for name in replaced:
        output.remove(name)
