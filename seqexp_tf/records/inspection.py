"""A dataset in readable form, and its sequences against a genome."""

import tempfile
from pathlib import Path

import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.genome.alphabet import UNKNOWN, decode, reverse_complement
from seqexp_tf.genome.contigs import ContigInput, preflight
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta
from seqexp_tf.records.expression_inspection import describe_expression
from seqexp_tf.records.schema import Feature
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard

_SHOWN, _NUMBERS = 60, 8
"""Symbols, and fractional numbers, shown of an array."""


def describe(store: RecordStore, *, split: str, index: int) -> str:
    """Returns the schema, splits and one record of a dataset as text."""
    manifest, schema = store.manifest, store.schema
    windows = manifest["windows"]
    lines = [
        f"{manifest['name']} ({schema.kind}), made by {manifest['created_by']}",
        f"fingerprint {store.fingerprint[:16]}, {schema.window:,}-bp windows, "
        f"compression {schema.compression}",
        f"wanted {windows['wanted']:,}, written {windows['written']:,}"
        + "".join(f", {n:,} {reason}" for reason, n in windows["dropped"].items()),
        "",
    ]
    for name in store.splits:
        contigs = manifest["splits"][name]["contigs"]
        stored = sum(shard.bytes for shard in store.shards(name))
        lines.append(
            f"{name:<11}{store.count(name):>9,} records  "
            f"{len(store.shards(name)):>4} shards  {stored / 1e6:>8.1f} MB  "
            f"{', '.join(contigs)}"
        )
    if schema.kind == "expression":
        lines += ["", *describe_expression(store)]
    lines += ["", "arrays"]
    for feature in schema.features:
        shape = "x".join(str(size) for size in feature.shape) or "-"
        detail = "; ".join(
            part
            for part in (
                feature.description,
                feature.encoding,
                "tracks: " + ", ".join(feature.tracks) if feature.tracks else "",
                "only in " + ", ".join(feature.splits) if feature.splits else "",
            )
            if part
        )
        lines.append(f"  {feature.name:<16} {feature.dtype} {shape:<7} {detail}")
    record = store.read(split, index)
    lines += [
        "",
        f"{split} record {index}: {record['contig']}:{record['start']:,}-"
        f"{record['end']:,} ({record['strand']}), 0-based, in the strand's direction"
        + "".join(f", {name} {record[name]}" for name in schema.identifiers),
    ]
    lines += [
        f"  {feature.name:<16} {line}"
        for feature in schema.of_split(split)
        for line in _show(feature, record[feature.name])
    ]
    return "\n".join(lines)


def check_sequences(store: RecordStore, fasta: Path) -> int:
    """Compares every stored sequence with a genome; returns how many.

    Raises:
        DatasetError: names the first record that differs, and where.
        InputError: the FASTA cannot be read or is of another assembly.
    """
    checked = 0
    source = store.manifest["recipe"]["source"]
    source = source.get("genome", source)
    with tempfile.TemporaryDirectory() as folder:
        genome = pack_fasta(
            fasta, Path(folder), soft_masked=source.get("soft_masked", "keep")
        )
        sizes = store.manifest["contigs"]
        # The recipe's aliases lead to the names of the FASTA.
        names = preflight(
            ContigInput("fasta", fasta, genome.sizes),
            [ContigInput("dataset", store.folder, sizes)],
            contigs=None,
            aliases=source.get("aliases"),
            on_missing="drop",
        ).names["dataset"]
        names = {own: contig for contig, own in names.items()}
        for contig in sizes:
            if contig not in names:
                raise DatasetError(
                    f"{fasta}: has no contig {contig} of {store.folder}; give the "
                    "genome the dataset was made from"
                )
        for split in store.splits:
            for path in store.paths(split):
                for row, record in enumerate(
                    read_shard(path, compression=store.schema.compression)
                ):
                    origin = f"{path}: record {row}"
                    values = store.decode(record, split=split, origin=origin)
                    expected = _fetch(genome, names[values["contig"]], values)
                    if values["strand"] == "-":
                        expected = reverse_complement(expected)
                    _compare(values, expected, origin, fasta)
                    checked += 1
    return checked


def _fetch(genome: PackedGenome, contig: str, place: dict) -> np.ndarray:
    """The bases of a window on the forward strand; N where it leaves the contig."""
    start, end = place["start"], place["end"]
    first, last = max(start, 0), min(end, genome.sizes[contig])
    bases = np.full(end - start, UNKNOWN, dtype=np.uint8)
    bases[first - start : last - start] = genome.fetch(contig, first, last)
    return bases


def _compare(values: dict, expected: np.ndarray, origin: str, fasta: Path) -> None:
    differs = np.flatnonzero(values["sequence"] != expected)
    if differs.size:
        first = differs[0]
        raise DatasetError(
            f"{origin} ({values['contig']}:{values['start']}-{values['end']}"
            f"({values['strand']})): base {first} is "
            f"{decode(values['sequence'][first : first + 1])}, {fasta} has "
            f"{decode(expected[first : first + 1])}; {differs.size} bases differ"
        )


def _show(feature: Feature, values: np.ndarray) -> list[str]:
    if np.issubdtype(values.dtype, np.floating):
        return _show_numbers(feature, values)
    rows = values if feature.axes[:1] == ("track",) else values.reshape(1, -1)
    shown = []
    for index, row in enumerate(rows):
        head = row[:_SHOWN]
        if feature.encoding.startswith("A C G T N"):
            text = decode(head)
        else:
            gap = "" if values.dtype == np.uint8 else " "
            text = gap.join(str(value) for value in head)
        more = "..." if row.size > _SHOWN else ""
        counted = values.dtype == np.uint8 and "A C G T" not in feature.encoding
        total = f"  sum {row.sum():,}" if counted else ""
        track = f"  [{feature.tracks[index]}]" if feature.tracks else ""
        shown.append(f"{text}{more}{total}{track}")
    return shown


def _show_numbers(feature: Feature, values: np.ndarray) -> list[str]:
    rows = values if feature.axes[:1] == ("track",) else values.reshape(1, -1)
    shown = []
    for index, row in enumerate(rows):
        text = " ".join(f"{value:.4g}" for value in row[:_NUMBERS])
        if row.size > _NUMBERS:
            text += f" ...  mean {row.mean():.4g}, max {row.max():.4g}"
        track = f"  [{feature.tracks[index]}]" if feature.tracks else ""
        shown.append(f"{text}{track}")
    return shown
