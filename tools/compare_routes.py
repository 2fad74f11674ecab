#!/usr/bin/env python
"""Converts a genome by both routes and compares every base and label.

The archive of the study and the raw files (FASTA and bigWig) are converted, and the
records of each window are compared: sequence, expression and measured bases.

\b
Example:
  python tools/compare_routes.py
  python tools/compare_routes.py --data /data/yeast
"""

import tempfile
from collections import Counter
from pathlib import Path

import click
import numpy as np
from _joint_inputs import recipes_by_route

from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard

ARRAYS = ("sequence", "expression", "valid")

Window = tuple[str, str, int, str]


def windows_of(store: RecordStore) -> dict[Window, dict[str, np.ndarray]]:
    """Returns the arrays of every record by split, contig, start and strand."""
    found = {}
    for split in store.splits:
        for path in store.paths(split):
            for raw in read_shard(path, compression=store.schema.compression):
                record = store.decode(raw, split=split, origin=path)
                key = (split, record["contig"], record["start"], record["strand"])
                found[key] = {name: record[name] for name in ARRAYS}
    return found


@click.command(help=__doc__)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the yeast data; else a simulated genome.",
)
def command(data: Path | None) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        source, recipes = recipes_by_route(data, Path(scratch))
        windows = {}
        for route, recipe in recipes.items():
            convert(recipe, Path(scratch) / route)
            windows[route] = windows_of(RecordStore.open(Path(scratch) / route))
    archive, raw = windows["archive"], windows["raw"]
    shared = archive.keys() & raw.keys()
    click.echo(
        f"{source}: {len(archive):,} windows from the archive, {len(raw):,} from raw "
        f"files, {len(shared):,} in both"
    )
    equal, total = Counter(), Counter()
    for key in shared:
        for name in ARRAYS:
            equal[name] += int((archive[key][name] == raw[key][name]).sum())
            total[name] += archive[key][name].size
    for name in ARRAYS:
        different = total[name] - equal[name]
        click.echo(f"{name:<11}{total[name]:>14,} values, {different:,} differ")
    if equal != total or archive.keys() - raw.keys():
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    command()
