"""Contig names of a dataset, and interval files that have to fit them."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.contigs import ContigNames, Preflight
from seqexp_tf.genome.intervals import read_bed


def dataset_names(
    check: Preflight, *, aliases: Mapping[str, str], kept: str | None
) -> ContigNames:
    """Returns the dataset's contig names; FASTA names and aliases lead to them.

    Args:
        check: contigs on which all inputs agree.
        aliases: other contig names and the FASTA's name for each.
        kept: label of the input whose names the dataset takes; the FASTA's if None.
    """
    shown = {contig: contig for contig in check.sizes}
    if kept is not None:
        shown = check.names[kept]
    sizes = {shown[contig]: size for contig, size in check.sizes.items()}
    others = {contig: name for contig, name in shown.items() if contig not in sizes}
    others |= {
        alias: shown[contig] for alias, contig in aliases.items() if contig in shown
    }
    return ContigNames(sizes, others)


def read_channel(path: Path, names: ContigNames) -> tuple[pd.DataFrame, int]:
    """Reads a BED or narrowPeak, its contigs named as in the dataset.

    Returns:
        The intervals of ``read_bed`` on contigs of the dataset, and the number of
        those on others.

    Raises:
        InputError: no contig of the dataset, or an interval that leaves its contig.
    """
    table = read_bed(path)
    own_names = table.contig.unique()
    resolved = {name: names.resolve(name, among=own_names) for name in own_names}
    table["contig"] = table.contig.map(resolved)
    outside = int(table.contig.isna().sum())
    if outside and outside == len(table):
        raise InputError(
            f"{path}: none of its contigs ({', '.join(own_names[:5])}) is in the "
            f"genome ({', '.join(list(names.sizes)[:5])}); give an alias"
        )
    for contig, rows in table.groupby("contig"):
        check_ends(path, rows, contig, names.sizes[contig])
    return table.dropna(subset="contig"), outside


def check_ends(file: Path, rows: pd.DataFrame, contig: str, size: int) -> None:
    """Raises InputError if an interval (column end) leaves its contig."""
    if len(rows) and rows.end.max() > size:
        raise InputError(
            f"{file}: interval ends at {rows.end.max():,} but {contig} has {size:,} "
            "bases; is it of another assembly?"
        )
