"""Inputs of the ``joint`` kind: read, checked and packed before any record is.

Either route, the study's archive or raw genome files, ends in the same packed
arrays, the same windows and so the same records.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.annotation import (
    read_annotation,
    sequence_regions,
    transcripts,
)
from seqexp_tf.genome.archive import read_archive
from seqexp_tf.genome.contigs import ContigInput, ContigNames, Preflight, preflight
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta
from seqexp_tf.genome.intervals import interval_mask, parse_region
from seqexp_tf.genome.tracks import BigWigTrack, check_coverage
from seqexp_tf.genome.windows import overlaps, tile
from seqexp_tf.records.contig_inputs import check_ends, dataset_names, read_channel
from seqexp_tf.records.joint import JointSource, joint_schema
from seqexp_tf.records.packed import PackedArrays, write_array
from seqexp_tf.records.prepared import Prepared, assign_splits
from seqexp_tf.records.recipe import GenomeConfig, JointRecipe

_BLOCK = 1 << 22
"""Bases of a contig held at a time."""

_WINDOWS = 1 << 12
"""Windows looked at together."""


def prepare_joint(
    recipe: JointRecipe, scratch: Path, *, progress: Callable[[str], None]
) -> Prepared:
    """Reads and checks every input, and packs it for the shard tasks.

    Args:
        recipe: a checked recipe.
        scratch: existing folder for the packed arrays.
        progress: called with what is being read.
    """
    if recipe.source.archive is not None:
        return _from_archive(recipe, scratch, progress)
    return _from_genome(recipe, scratch, progress)


def _from_archive(
    recipe: JointRecipe, scratch: Path, progress: Callable[[str], None]
) -> Prepared:
    config, path = recipe.source.archive, recipe.source.path
    progress(f"reading {path(config.data)}")
    archive = read_archive(
        path(config.data),
        path(config.regions),
        meta=path(config.meta) if config.meta else None,
        window_size=recipe.windows.size,
    )
    for name, array in (
        ("sequence", archive.sequence),
        ("plus", archive.expressed_plus),
        ("minus", archive.expressed_minus),
        ("valid", archive.valid),
    ):
        write_array(scratch, name, [array])
    names = ContigNames({name: size for name, (_, size) in archive.contigs.items()})
    notes = _pack_channels(recipe, scratch, names, archive.contigs)
    windows = archive.regions[["contig", "start", "end", "strand"]]
    return _prepared(
        recipe,
        PackedArrays(scratch, archive.contigs),
        windows,
        names=names,
        notes=notes,
        expressed="1 where expressed",
    )


def _from_genome(
    recipe: JointRecipe, scratch: Path, progress: Callable[[str], None]
) -> Prepared:
    config, path = recipe.source.genome, recipe.source.path
    progress(f"reading {path(config.fasta)}")
    genome = pack_fasta(path(config.fasta), scratch, soft_masked=config.soft_masked)
    notes = [
        f"{path(config.fasta)}: {genome.lower_case:,} lower-case bases "
        f"({'kept' if config.soft_masked == 'keep' else 'read as N'}), "
        f"{genome.unknown:,} N, {genome.ambiguous:,} other IUPAC codes read as N"
    ]
    annotation = None
    if config.transcripts is not None:
        annotation = transcripts(read_annotation(path(config.transcripts)))
        stranded = annotation.strand.isin(["+", "-"])
        if not stranded.all():
            notes.append(
                f"{path(config.transcripts)}: {int((~stranded).sum()):,} transcripts "
                "without a strand left out"
            )
    check = preflight(
        ContigInput("fasta", path(config.fasta), genome.sizes),
        _label_inputs(config, path, annotation),
        contigs=config.contigs or None,
        aliases=config.aliases,
        on_missing=config.on_missing,
    )
    notes.append(check.table())
    notes += [f"contig {name} left out: {why}" for name, why in check.dropped.items()]
    kept = "coverage_plus" if config.naming == "coverage" else None
    names = dataset_names(check, aliases=config.aliases, kept=kept)
    sizes, contigs, total = names.sizes, {}, 0
    for contig, size in sizes.items():
        contigs[contig] = (total, size)
        total += size
    excluded = _excluded(config, names)

    write_array(scratch, "sequence", _sequence(genome, check.sizes))
    for strand, name in (("+", "plus"), ("-", "minus")):
        progress(f"reading the labels of the {name} strand")
        labels = (
            _coverage_labels(config, path, strand, check)
            if annotation is None
            else _transcript_labels(config, path, strand, check, annotation)
        )
        write_array(scratch, name, labels)
    write_array(scratch, "valid", _valid(genome, check.sizes, sizes, excluded))
    genome.directory.joinpath("genome.bin").unlink()
    notes += _pack_channels(recipe, scratch, names, contigs)

    windows = tile(
        sizes,
        window=recipe.windows.size,
        stride=recipe.windows.stride,
        strands=recipe.windows.strands,
    )
    labelled = "inside a transcript"
    if annotation is None:
        labelled = f"where {config.unit or 'coverage'} > {config.threshold:g}"
    packed = PackedArrays(scratch, contigs)
    return _prepared(
        recipe,
        packed,
        windows,
        drop={
            "touches an excluded region": overlaps(windows, excluded),
            "has no measured base": ~_measured(packed, windows, recipe.windows.size),
        },
        names=names,
        notes=notes,
        expressed=f"1 {labelled}",
    )


def _prepared(
    recipe: JointRecipe,
    packed: PackedArrays,
    windows: pd.DataFrame,
    *,
    drop: Mapping[str, np.ndarray] | None = None,
    names: ContigNames,
    notes: list[str],
    expressed: str,
) -> Prepared:
    wanted, dropped = len(windows), {}
    keep = np.ones(wanted, dtype=bool)
    for reason, hit in (drop or {}).items():
        if count := int((keep & hit).sum()):
            dropped[reason] = count
        keep &= ~hit
    windows = windows[keep]
    if windows.empty:
        raise InputError(
            f"{recipe.name}: no window of {recipe.windows.size} bases is left of "
            f"{wanted}; the longest contig has {max(names.sizes.values()):,} bases"
        )
    schema = joint_schema(
        recipe.windows.size,
        channels=tuple(sorted(recipe.channels)),
        compression=recipe.output.compression,
        expressed=expressed,
    )
    splits, reasons = assign_splits(recipe, windows, names)
    kept = np.array([split is not None for split in splits])
    return Prepared(
        source=JointSource(packed, schema, recipe.masks, recipe.seed),
        windows=windows[kept].reset_index(drop=True),
        splits=splits[kept],
        columns=(),
        wanted=wanted,
        dropped=dropped | reasons,
        sizes=names.sizes,
        notes=tuple(notes),
    )


def _measured(packed: PackedArrays, windows: pd.DataFrame, size: int) -> np.ndarray:
    """Whether each window has a base with a label that counts."""
    measured = []
    for contig, group in windows.groupby("contig", sort=False):
        starts = group.start.to_numpy()
        for first in range(0, starts.size, _WINDOWS):
            rows = starts[first : first + _WINDOWS]
            measured.append(packed.windows("valid", contig, rows, size).any(axis=1))
    return np.concatenate(measured) if measured else np.zeros(0, dtype=bool)


def _label_inputs(
    config: GenomeConfig, path: Callable[[str], Path], annotation: pd.DataFrame | None
) -> list[ContigInput]:
    if annotation is not None:
        file = path(config.transcripts)
        sizes: dict[str, int | None] = dict.fromkeys(annotation.contig.unique())
        return [ContigInput("transcripts", file, sizes | sequence_regions(file))]
    inputs = []
    for label in ("coverage_plus", "coverage_minus"):
        with BigWigTrack(path(getattr(config, label))) as track:
            inputs.append(ContigInput(label, track.path, track.sizes))
    return inputs


def _blocks(sizes: dict[str, int]) -> Iterator[tuple[str, int, int]]:
    for contig, size in sizes.items():
        for start in range(0, size, _BLOCK):
            yield contig, start, min(start + _BLOCK, size)


def _sequence(genome: PackedGenome, sizes: dict[str, int]) -> Iterator[np.ndarray]:
    for contig, start, end in _blocks(sizes):
        yield genome.fetch(contig, start, end)


def _valid(
    genome: PackedGenome,
    fasta_sizes: dict[str, int],
    sizes: dict[str, int],
    excluded: pd.DataFrame,
) -> Iterator[np.ndarray]:
    shown = dict(zip(fasta_sizes, sizes, strict=True))
    for contig, start, end in _blocks(fasta_sizes):
        rows = excluded[excluded.contig == shown[contig]]
        hidden = interval_mask(rows.start.to_numpy(), rows.end.to_numpy(), start, end)
        # No read maps to an N: "not expressed" would be a guess.
        hidden[genome.fetch(contig, start, end) == UNKNOWN] = 1
        yield 1 - hidden


def _coverage_labels(
    config: GenomeConfig, path: Callable[[str], Path], strand: str, check: Preflight
) -> Iterator[np.ndarray]:
    label = "coverage_plus" if strand == "+" else "coverage_minus"
    with BigWigTrack(path(getattr(config, label))) as track:
        for contig, start, end in _blocks(check.sizes):
            own_name = check.names[label][contig]
            values = track.values(own_name, start, end)
            check_coverage(values, path=track.path, contig=own_name, start=start)
            # NaN is no read: not greater than any threshold.
            yield values > config.threshold


def _transcript_labels(
    config: GenomeConfig,
    path: Callable[[str], Path],
    strand: str,
    check: Preflight,
    annotation: pd.DataFrame,
) -> Iterator[np.ndarray]:
    of_strand = annotation[annotation.strand == strand]
    by_contig = dict(iter(of_strand.groupby("contig")))
    for contig, start, end in _blocks(check.sizes):
        own_name = check.names["transcripts"][contig]
        rows = by_contig.get(own_name, of_strand[:0])
        check_ends(path(config.transcripts), rows, own_name, check.sizes[contig])
        yield interval_mask(rows.start.to_numpy(), rows.end.to_numpy(), start, end)


def _excluded(config: GenomeConfig, names: ContigNames) -> pd.DataFrame:
    rows = []
    for text in config.exclude:
        try:
            contig, start, end = parse_region(text)
        except InputError as error:
            raise ConfigError(f"source.genome.exclude: {error}") from None
        resolved = names.resolve(contig)
        if resolved is None:
            raise ConfigError(
                f"source.genome.exclude: {text}: no contig {contig!r}"
                f"{nearest(contig, list(names.sizes))}"
            )
        if end > names.sizes[resolved]:
            raise ConfigError(
                f"source.genome.exclude: {text} ends past {resolved}, which has "
                f"{names.sizes[resolved]:,} bases"
            )
        rows.append((resolved, start, end))
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


def _pack_channels(
    recipe: JointRecipe,
    scratch: Path,
    names: ContigNames,
    contigs: dict[str, tuple[int, int]],
) -> list[str]:
    notes = []
    for channel, file in sorted(recipe.channels.items()):
        path = recipe.source.path(file)
        table, outside = read_channel(path, names)
        covered = 0
        with (scratch / f"channel.{channel}.u8").open("wb") as painted:
            painted.truncate((scratch / "sequence.u8").stat().st_size)
            for contig, rows in table.groupby("contig"):
                offset, size = contigs[contig]
                starts, ends = rows.start.to_numpy(), rows.end.to_numpy()
                painted.seek(offset)
                for _, start, end in _blocks({contig: size}):
                    block = interval_mask(starts, ends, start, end)
                    covered += int(block.sum())
                    painted.write(block.data)
        notes.append(
            f"channel {channel}: {len(table):,} intervals over "
            f"{covered:,} bases, {outside:,} on other contigs"
        )
    return notes
