"""Dataset recipes: the TOML that ``seqexp-tf convert`` turns into records."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqexp_tf.config import apply_overrides, build, nearest, read_toml, require
from seqexp_tf.download.config import DownloadFile
from seqexp_tf.errors import ConfigError
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.recipe_tables import (
    OutputConfig,
    SplitsConfig,
    input_path,
    require_names,
)


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
        return input_path(self.root, name)


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
        download: where the input files can be had, see ``seqexp-tf download``.
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
    download: dict[str, DownloadFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_names("name", [self.name])
        require_names("channels", self.channels)
        for key in ("stride", "strands"):
            require(
                self.source.archive is None
                or getattr(self.windows, key) == getattr(WindowsConfig(), key),
                f"windows.{key} is for raw files, and the windows of an archive are "
                f"given; leave windows.{key} out, or convert from [source.genome]",
            )
        for key in ("expression_fraction_max", "expression_value"):
            require(
                getattr(self.masks, key) == getattr(MaskingConfig(), key),
                f"masks.{key} is for training, where masks are drawn anew; set "
                f"masking.{key} in the run's configuration",
            )

    def inputs(self) -> dict[str, str | None]:
        """Returns the name of every input file, by label; None where not given."""
        archive, genome = self.source.archive, self.source.genome
        if archive is not None:
            named = {
                "archive.data": archive.data,
                "archive.regions": archive.regions,
                "archive.meta": archive.meta,
            }
        else:
            named = {
                "genome.fasta": genome.fasta,
                "genome.coverage_plus": genome.coverage_plus,
                "genome.coverage_minus": genome.coverage_minus,
                "genome.transcripts": genome.transcripts,
            }
        named |= {f"channels.{name}": path for name, path in self.channels.items()}
        return named | {"splits.file": self.splits.file}


Recipe = JointRecipe | ExpressionRecipe

_KINDS: dict[str, type[Recipe]] = {
    "joint": JointRecipe,
    "expression": ExpressionRecipe,
}


def read_recipe(path: str | os.PathLike, overrides: Sequence[str] = ()) -> Recipe:
    """Reads and checks a recipe of the kind it names.

    Raises:
        ConfigError: names the file and the key that is wrong.
    """
    tables = apply_overrides(read_toml(path), overrides)
    kind = tables.get("kind")
    if kind is None:
        raise ConfigError(f'{path}: "kind" is missing{nearest("", list(_KINDS))}')
    if not isinstance(kind, str) or kind not in _KINDS:
        listed = ", ".join(map(repr, _KINDS))
        raise ConfigError(f"{path}: kind is {kind!r}; choose one of {listed}")
    return build(_KINDS[kind], tables, origin=str(path))
