"""Dataset recipes: the TOML that ``seqexp-tf convert`` turns into records."""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqexp_tf.config import apply_overrides, build, read_toml, require
from seqexp_tf.records.masks import MaskingConfig

_FILE_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


@dataclass(frozen=True)
class ArchiveConfig:
    """The archive of the joint-modelling study.

    Attributes:
        data: npz with ``sequence``, ``expressed_plus``, ``expressed_minus`` and
            optionally ``valid``.
        regions: parquet with ``offset``, ``contig``, ``window_size``, ``strand``.
        meta: JSON with ``contigs``, ``lengths`` and ``offsets``; without it a
            contig is taken to begin at its smallest region offset.
    """

    data: str
    regions: str
    meta: str | None = None


@dataclass(frozen=True)
class GenomeConfig:
    """Raw files: a FASTA, and labels from coverage or from annotation.

    Attributes:
        fasta: plain, gzip or bgzip FASTA.
        coverage_plus: bigWig of the plus strand.
        coverage_minus: bigWig of the minus strand.
        threshold: a base is expressed where coverage is greater.
        unit: unit of the coverage, kept in the schema.
        transcripts: GFF3 or GTF whose transcripts are the expressed bases,
            instead of coverage.
        soft_masked: keep lower-case bases, or read them as N.
        exclude: regions such as ``chrIX:355,629-439,888`` (1-based, inclusive)
            without data; a window that touches one is dropped.
        contigs: contigs to use; empty means all.
        aliases: other contig names and the FASTA's name for each.
        naming: ``fasta`` or ``coverage``: whose contig names the dataset keeps.
        on_missing: refuse, or drop, a contig that an input lacks.
    """

    fasta: str
    coverage_plus: str | None = None
    coverage_minus: str | None = None
    threshold: float = 0.0
    unit: str = ""
    transcripts: str | None = None
    soft_masked: Literal["keep", "N"] = "keep"
    exclude: tuple[str, ...] = ()
    contigs: tuple[str, ...] = ()
    aliases: dict[str, str] = field(default_factory=dict)
    naming: Literal["fasta", "coverage"] = "fasta"
    on_missing: Literal["error", "drop"] = "error"

    def __post_init__(self) -> None:
        paired = (self.coverage_plus is None) == (self.coverage_minus is None)
        require(paired, "coverage_plus and coverage_minus go together")
        require(
            self.coverage_plus is None or self.coverage_plus != self.coverage_minus,
            f"coverage_plus and coverage_minus are both {self.coverage_plus!r}; give "
            "the track of each strand",
        )
        require(
            math.isfinite(self.threshold),
            f"threshold is {self.threshold}; it must be a finite number",
        )
        require(
            (self.coverage_plus is None) != (self.transcripts is None),
            "give either coverage_plus and coverage_minus, or transcripts",
        )
        require(
            self.naming == "fasta" or self.coverage_plus is not None,
            'naming = "coverage" needs coverage_plus',
        )


@dataclass(frozen=True)
class SourceConfig:
    """Where the input lies: exactly one of ``archive`` and ``genome``.

    Attributes:
        root: folder the other paths start from; relative to where the command
            is run.
    """

    root: str = "."
    archive: ArchiveConfig | None = None
    genome: GenomeConfig | None = None

    def __post_init__(self) -> None:
        require(
            (self.archive is None) != (self.genome is None),
            "give exactly one of the tables [source.archive] and [source.genome]",
        )

    def path(self, name: str) -> Path:
        """Returns the path of an input file."""
        return Path(self.root).expanduser() / name


@dataclass(frozen=True)
class WindowsConfig:
    """How raw contigs are cut; an archive brings its own windows.

    Attributes:
        size: bases in a window; an archive's window size must agree.
        stride: bases between window starts (raw files only).
        strands: strands to write (raw files only).
    """

    size: int = 2048
    stride: int = 1024
    strands: tuple[Literal["+", "-"], ...] = ("+", "-")

    def __post_init__(self) -> None:
        require(self.size > 0, f"size is {self.size}; it must be positive")
        require(self.stride > 0, f"stride is {self.stride}; it must be positive")
        require(
            len(set(self.strands)) == len(self.strands) > 0,
            f'strands is {list(self.strands)}; give "+", "-" or both',
        )


@dataclass(frozen=True)
class SplitsConfig:
    """Which contigs are train, validation and test.

    Either lists of contigs (a missing list is chosen to come nearest its
    fraction of the genome), or ``folds`` and ``fold``, or a ``file`` of
    intervals or contigs with their split.
    """

    train: tuple[str, ...] | None = None
    validation: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    folds: int | None = None
    fold: int = 0
    file: str | None = None

    def __post_init__(self) -> None:
        lists = any(
            names is not None for names in (self.train, self.validation, self.test)
        )
        ways = lists + (self.folds is not None) + (self.file is not None)
        require(
            ways <= 1,
            "give contig lists, or folds and fold, or a file: only one of these",
        )
        require(
            self.fold == 0 or self.folds is not None,
            f"fold is {self.fold}, but folds, their number, is not given",
        )


@dataclass(frozen=True)
class OutputConfig:
    """How shards are stored.

    Attributes:
        compression: ``gzip`` or ``none``.
        level: gzip level, 1 (fast) to 9 (small).
        shard_mb: arrays stored in a shard, before compression, at most.
        min_shards: shards of a split, when it has that many records.
    """

    compression: Literal["none", "gzip"] = "gzip"
    level: int = 1
    shard_mb: float = 128.0
    min_shards: int = 16

    def __post_init__(self) -> None:
        require(1 <= self.level <= 9, f"level is {self.level}; it must be from 1 to 9")
        require(self.shard_mb > 0, f"shard_mb is {self.shard_mb}; it must be positive")
        require(
            1 <= self.min_shards <= 4096,
            f"min_shards is {self.min_shards}; it must be from 1 to 4096",
        )


@dataclass(frozen=True)
class JointRecipe:
    """A dataset of windows with DNA and per-base expression.

    Attributes:
        kind: ``joint``.
        name: name of the dataset.
        source: input files.
        windows: how contigs are cut.
        splits: which contigs are held out.
        masks: fixed masks stored with validation and test windows.
        channels: extra per-base masks, a BED file by name (blacklist, peaks).
        output: how shards are stored.
        seed: seed of the stored masks.
    """

    kind: Literal["joint"]
    name: str
    source: SourceConfig
    windows: WindowsConfig = WindowsConfig()
    splits: SplitsConfig = SplitsConfig()
    masks: MaskingConfig = MaskingConfig()
    channels: dict[str, str] = field(default_factory=dict)
    output: OutputConfig = OutputConfig()
    seed: int = 1

    def __post_init__(self) -> None:
        for key, name in [
            ("name", self.name),
            *(("channels", c) for c in self.channels),
        ]:
            require(
                _FILE_NAME.fullmatch(name) is not None,
                f"{key}: {name!r} must be letters, digits, '_', '-' and '.' "
                "(it names a file)",
            )
        for key in ("expression_fraction_max", "expression_value"):
            require(
                getattr(self.masks, key) == getattr(MaskingConfig(), key),
                f"masks.{key} is for training, where masks are drawn anew; set "
                f"masking.{key} in the run's configuration",
            )


def read_recipe(path: str | os.PathLike, overrides: Sequence[str] = ()) -> JointRecipe:
    """Reads and checks a recipe.

    Raises:
        ConfigError: names the file and the key that is wrong.
    """
    return build(
        JointRecipe, apply_overrides(read_toml(path), overrides), origin=str(path)
    )
