"""The ``joint`` kind: windows of DNA with the expression of every base.

Either route, the study's archive or raw genome files, ends in the same packed
arrays, the same windows and so the same records.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from seqexp_tf.genome.contigs import ContigInput, ContigNames, preflight
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.intervals import interval_mask, parse_region, read_bed
from seqexp_tf.genome.tracks import BigWigTrack, check_coverage
from seqexp_tf.genome.windows import overlaps, tile
from seqexp_tf.records.masks import MaskingConfig, draw_masks
from seqexp_tf.records.packed import PackedArrays, write_array
from seqexp_tf.records.recipe import GenomeConfig, JointRecipe
from seqexp_tf.records.schema import NUCLEOTIDES, Feature, Schema

EVALUATION_SPLITS = ("validation", "test")

_BLOCK = 1 << 24
"""Bases of coverage read at a time."""

_SPAN = 1 << 26
"""Widest stretch of a contig mapped for one gather of windows."""


@dataclass(frozen=True)
class JointSource:
    """Everything a shard task needs to make records; cheap to send to a worker.

    Attributes:
        arrays: packed ``sequence``, ``plus``, ``minus``, ``valid`` and channels.
        window: bases in a window.
        channels: names of the extra per-base masks.
        masks: fixed evaluation masks.
        seed: seed of the masks.
    """

    arrays: PackedArrays
    window: int
    channels: tuple[str, ...]
    masks: MaskingConfig
    seed: int

    def schema(self, compression: str, *, unit: str, threshold: float) -> Schema:
        """Returns the schema of the dataset."""
        size, along = self.window, ("position",)
        labels = (
            f"1 where expressed ({unit} > {threshold:g})"
            if unit
            else ("1 where expressed")
        )
        features = [
            Feature(
                "sequence",
                "uint8",
                (size,),
                along,
                "nucleotides of the window's strand",
                encoding=NUCLEOTIDES,
            ),
            Feature(
                "expression",
                "uint8",
                (2, size),
                ("track", "position"),
                labels,
                encoding="0 = not expressed, 1 = expressed",
                tracks=("window strand", "opposite strand"),
                strand_permutation=(1, 0),
            ),
            Feature(
                "valid",
                "uint8",
                (size,),
                along,
                "1 where the labels are measured; 0 never counts",
            ),
        ]
        if self.channels:
            features.append(
                Feature(
                    "channels",
                    "uint8",
                    (len(self.channels), size),
                    ("track", "position"),
                    "1 inside an interval of the track's BED",
                    tracks=self.channels,
                )
            )
        features += [
            Feature(
                "expression_mask", "uint8", (size,), along,
                "fixed evaluation mask: 1 where the label is hidden",
                splits=EVALUATION_SPLITS,
            ),
            Feature(
                "sequence_mask", "uint8", (size,), along,
                "fixed evaluation mask: 1 where the base is selected",
                splits=EVALUATION_SPLITS,
            ),
            Feature(
                "sequence_masked", "uint8", (size,), along,
                "nucleotides as the model sees them",
                encoding="A C G T N = 0 1 2 3 4, mask token = 5",
                splits=EVALUATION_SPLITS,
            ),
        ]  # fmt: skip
        return Schema("joint", size, tuple(features), compression)

    def records(self, windows: pd.DataFrame, split: str) -> dict[str, np.ndarray]:
        """Returns the arrays of ``windows`` (one split), records first."""
        parts = [
            self._gather(contig, group.start.to_numpy(), group.strand.to_numpy())
            for contig, group in _runs(windows)
        ]
        merged = {
            name: np.concatenate([part[name] for part in parts]) for name in parts[0]
        }
        if split in EVALUATION_SPLITS:
            merged.update(self._draw(merged["sequence"], windows))
        return merged

    def statistics(self, records: dict[str, np.ndarray]) -> dict[str, list[int]]:
        """Returns counts that baselines and reports need, to be summed up."""
        valid = records["valid"].astype(bool)
        expressed = records["expression"][:, 0]
        return {
            "bases_ACGTN": np.bincount(
                records["sequence"][valid], minlength=UNKNOWN + 1
            ).tolist(),
            "labels_01": np.bincount(expressed[valid], minlength=2).tolist(),
        }

    def _gather(
        self, contig: str, starts: np.ndarray, strands: np.ndarray
    ) -> dict[str, np.ndarray]:
        def cut(name: str) -> np.ndarray:
            return self.arrays.windows(name, contig, starts, self.window)

        schema = self.schema("none", unit="", threshold=0.0).by_name
        values = {
            "sequence": cut("sequence"),
            "expression": np.stack([cut("plus"), cut("minus")], axis=1),
            "valid": cut("valid"),
        }
        if self.channels:
            values["channels"] = np.stack(
                [cut(f"channel.{name}") for name in self.channels], axis=1
            )
        minus = strands == "-"
        for name, array in values.items():
            array[minus] = schema[name].reverse(array[minus])
        return values

    def _draw(
        self, sequence: np.ndarray, windows: pd.DataFrame
    ) -> dict[str, np.ndarray]:
        drawn = [
            draw_masks(
                row, self.masks, seed=self.seed, contig=contig, start=start,
                strand=strand,
            )
            for row, contig, start, strand in zip(
                sequence, windows.contig, windows.start, windows.strand, strict=True
            )
        ]  # fmt: skip
        return {
            name: np.stack([getattr(masks, name) for masks in drawn])
            for name in ("expression_mask", "sequence_mask", "sequence_masked")
        }


@dataclass(frozen=True)
class PreparedJoint:
    """Inputs read and checked: what is to be written, before any is.

    Attributes:
        source: makes records in any process.
        schema: of the dataset.
        windows: contig, start, end, strand of every window.
        wanted: windows before any was dropped.
        dropped: count by reason.
        sizes: length of every contig.
        notes: lines a user should read (preflight table, counts).
    """

    source: JointSource
    schema: Schema
    windows: pd.DataFrame
    wanted: int
    dropped: dict[str, int]
    sizes: dict[str, int]
    notes: tuple[str, ...]


def input_files(recipe: JointRecipe) -> dict[str, Path]:
    """Returns every file a recipe reads, by label."""
    source = recipe.source
    if source.archive is not None:
        named = {
            "archive.data": source.archive.data,
            "archive.regions": source.archive.regions,
            "archive.meta": source.archive.meta,
        }
    else:
        named = {
            "genome.fasta": source.genome.fasta,
            "genome.coverage_plus": source.genome.coverage_plus,
            "genome.coverage_minus": source.genome.coverage_minus,
            "genome.transcripts": source.genome.transcripts,
        }
    named |= {f"channels.{name}": path for name, path in recipe.channels.items()}
    named["splits.file"] = recipe.splits.file
    files = {
        label: source.path(name) for label, name in named.items() if name is not None
    }
    for label, path in files.items():
        if not path.is_file():
            raise InputError(
                f"{path}: no such file ({label}); set source.root to the folder "
                "that holds the inputs"
            )
    return files


def prepare_joint(
    recipe: JointRecipe, scratch: Path, *, progress: Callable[[str], None]
) -> PreparedJoint:
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
) -> PreparedJoint:
    config, path = recipe.source.archive, recipe.source.path
    progress(f"reading {path(config.data)}")
    archive = read_archive(
        path(config.data),
        path(config.regions),
        meta=path(config.meta) if config.meta else None,
        window_size=recipe.windows.size,
    )
    contigs = archive.contigs
    arrays = {
        "sequence": archive.sequence,
        "plus": archive.expressed_plus,
        "minus": archive.expressed_minus,
        "valid": archive.valid,
    }
    for name, array in arrays.items():
        write_array(scratch, name, [array])
    sizes = {name: length for name, (_, length) in contigs.items()}
    names, notes = _pack_channels(recipe, scratch, sizes, contigs, archive.valid.size)
    packed = PackedArrays(scratch, (*arrays, *names), contigs)
    windows = archive.regions[["contig", "start", "end", "strand"]]
    return _prepared(recipe, packed, windows, len(windows), {}, sizes, notes, "", 0.0)


def _from_genome(
    recipe: JointRecipe, scratch: Path, progress: Callable[[str], None]
) -> PreparedJoint:
    config, path = recipe.source.genome, recipe.source.path
    progress(f"reading {path(config.fasta)}")
    genome = pack_fasta(path(config.fasta), scratch, soft_masked=config.soft_masked)
    notes = [
        f"{path(config.fasta)}: {genome.lower_case:,} lower-case bases "
        f"({'kept' if config.soft_masked == 'keep' else 'read as N'}), "
        f"{genome.unknown:,} N, {genome.ambiguous:,} other IUPAC codes read as N"
    ]
    reference = ContigInput("fasta", path(config.fasta), genome.sizes)
    others = _label_inputs(config, path)
    check = preflight(
        reference,
        others,
        contigs=config.contigs or None,
        aliases=config.aliases,
        on_missing=config.on_missing,
    )
    notes.append(check.table())
    shown = {
        contig: check.names["coverage_plus"][contig]
        if config.naming == "coverage"
        else contig
        for contig in check.sizes
    }
    sizes = {shown[contig]: length for contig, length in check.sizes.items()}
    contigs, total = {}, 0
    for contig, length in sizes.items():
        contigs[contig] = (total, length)
        total += length

    write_array(
        scratch,
        "sequence",
        (genome.fetch(contig, 0, size) for contig, size in check.sizes.items()),
    )
    (scratch / "genome.bin").unlink()
    for strand, name in (("+", "plus"), ("-", "minus")):
        progress(f"reading the labels of the {name} strand")
        blocks = _labels(config, path, strand, check)
        write_array(scratch, name, blocks)

    excluded = _excluded(config, sizes, check.sizes)
    write_array(
        scratch,
        "valid",
        (
            1 - interval_mask(rows.start.to_numpy(), rows.end.to_numpy(), 0, size)
            for contig, size in sizes.items()
            for rows in [excluded[excluded.contig == contig]]
        ),
    )
    names, channel_notes = _pack_channels(recipe, scratch, sizes, contigs, total)
    packed = PackedArrays(
        scratch, ("sequence", "plus", "minus", "valid", *names), contigs
    )
    windows = tile(
        sizes,
        window=recipe.windows.size,
        stride=recipe.windows.stride,
        strands=recipe.windows.strands,
    )
    hit = overlaps(windows, excluded)
    dropped = {"touches an excluded region": int(hit.sum())} if hit.any() else {}
    for contig, reason in check.dropped.items():
        notes.append(f"contig {contig} left out: {reason}")
    return _prepared(
        recipe, packed, windows[~hit], len(windows), dropped, sizes,
        [*notes, *channel_notes], config.unit, config.threshold,
    )  # fmt: skip


def _prepared(
    recipe: JointRecipe, packed: PackedArrays, windows: pd.DataFrame, wanted: int,
    dropped: dict[str, int], sizes: dict[str, int], notes: list[str], unit: str,
    threshold: float,
) -> PreparedJoint:  # fmt: skip
    if windows.empty:
        raise InputError(
            f"{recipe.name}: no window of {recipe.windows.size} bases is left of "
            f"{wanted}; lower windows.size or check source.genome.exclude"
        )
    packed.save()
    source = JointSource(
        packed,
        recipe.windows.size,
        tuple(sorted(recipe.channels)),
        recipe.masks,
        recipe.seed,
    )
    return PreparedJoint(
        source=source,
        schema=source.schema(recipe.output.compression, unit=unit, threshold=threshold),
        windows=windows.reset_index(drop=True),
        wanted=wanted,
        dropped=dropped,
        sizes=sizes,
        notes=tuple(notes),
    )


def _label_inputs(
    config: GenomeConfig, path: Callable[[str], Path]
) -> list[ContigInput]:
    if config.transcripts is not None:
        file = path(config.transcripts)
        table = read_annotation(file)
        sizes: dict[str, int | None] = dict.fromkeys(table.contig.unique())
        return [ContigInput("transcripts", file, sizes | sequence_regions(file))]
    inputs = []
    for label in ("coverage_plus", "coverage_minus"):
        with BigWigTrack(path(getattr(config, label))) as track:
            inputs.append(ContigInput(label, track.path, track.sizes))
    return inputs


def _labels(
    config: GenomeConfig, path: Callable[[str], Path], strand: str, check
) -> Iterator[np.ndarray]:
    if config.transcripts is not None:
        table = transcripts(read_annotation(path(config.transcripts)))
        table = table[table.strand == strand]
        for contig, size in check.sizes.items():
            rows = table[table.contig == check.names["transcripts"][contig]]
            yield interval_mask(rows.start.to_numpy(), rows.end.to_numpy(), 0, size)
        return
    label = "coverage_plus" if strand == "+" else "coverage_minus"
    with BigWigTrack(path(getattr(config, label))) as track:
        for contig, size in check.sizes.items():
            own_name = check.names[label][contig]
            for start in range(0, size, _BLOCK):
                values = track.values(own_name, start, min(start + _BLOCK, size))
                check_coverage(values, path=track.path, contig=own_name, start=start)
                # NaN is no read: not greater than any threshold.
                yield (values > config.threshold).astype(np.uint8)


def _excluded(
    config: GenomeConfig, sizes: dict[str, int], genome_sizes: dict[str, int]
) -> pd.DataFrame:
    by_fasta_name = dict(zip(genome_sizes, sizes, strict=True))
    names = ContigNames(sizes, config.aliases)
    rows = []
    for text in config.exclude:
        contig, start, end = parse_region(text)
        resolved = by_fasta_name.get(contig) or names.resolve(contig)
        if resolved is None:
            raise ConfigError(
                f"source.genome.exclude: {text}: no contig {contig!r}"
                f"{nearest(contig, list(sizes))}"
            )
        if end > sizes[resolved]:
            raise ConfigError(
                f"source.genome.exclude: {text} ends past {resolved}, which has "
                f"{sizes[resolved]:,} bases"
            )
        rows.append((resolved, start, end))
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


def _pack_channels(
    recipe: JointRecipe,
    scratch: Path,
    sizes: dict[str, int],
    contigs: dict[str, tuple[int, int]],
    total: int,
) -> tuple[list[str], list[str]]:
    packed, notes = [], []
    aliases = recipe.source.genome.aliases if recipe.source.genome else {}
    names = ContigNames(sizes, aliases)
    for channel, file in sorted(recipe.channels.items()):
        table = read_bed(recipe.source.path(file))
        table["contig"] = table.contig.map(names.resolve)
        outside = int(table.contig.isna().sum())
        painted = np.zeros(total, dtype=np.uint8)
        for contig, rows in table.groupby("contig"):
            offset, length = contigs[contig]
            if rows.end.max() > length:
                raise InputError(
                    f"{recipe.source.path(file)}: interval ends at "
                    f"{rows.end.max():,} but {contig} has {length:,} bases; "
                    "is it of another assembly?"
                )
            painted[offset : offset + length] = interval_mask(
                rows.start.to_numpy(), rows.end.to_numpy(), 0, length
            )
        write_array(scratch, f"channel.{channel}", [painted])
        packed.append(f"channel.{channel}")
        notes.append(
            f"channel {channel}: {len(table) - outside:,} intervals over "
            f"{int(painted.sum()):,} bases, {outside:,} on other contigs"
        )
    return packed, notes


def _runs(windows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yields neighbouring windows of one contig, never spanning too far."""
    stretch = windows.start.to_numpy() // _SPAN
    contig = windows.contig.to_numpy()
    changed = np.ones(len(windows), dtype=bool)
    changed[1:] = (contig[1:] != contig[:-1]) | (stretch[1:] != stretch[:-1])
    for _, group in windows.groupby(np.cumsum(changed), sort=False):
        yield group.contig.iloc[0], group
