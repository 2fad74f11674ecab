"""The recipe of kind ``expression``: one window a gene, centred on its TSS."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seqexp_tf.config import nearest, require
from seqexp_tf.download.config import DownloadFile
from seqexp_tf.genome.contacts import ContactValues
from seqexp_tf.genome.gene_sites import GeneColumns
from seqexp_tf.genome.half_life import FEATURES
from seqexp_tf.records.expression_details import CONTACT
from seqexp_tf.records.recipe_tables import (
    OutputConfig,
    SplitsConfig,
    input_path,
    require_names,
)

ACTIVITY = "promoter_activity"
"""Name of the feature that ``[features.activity]`` computes."""


@dataclass(frozen=True)
class GeneSourceConfig:
    """The genome and its genes.

    Attributes:
        root: folder the other paths start from; relative to where the command
            is run.
        fasta: plain, gzip or bgzip FASTA.
        genes: table with a line a gene (TSV, CSV, parquet), or GFF3 or GTF, of which
            protein-coding genes are taken.
        columns: the table's names of its columns, see `GeneColumns`; not for GFF3
            and GTF.
        tss_base: 0 where the table counts the first base of a contig as 0, 1 where
            as 1.
        contigs: contigs whose genes are used; empty means all.
        keep: by column of the table, the values of the genes that are used, as
            ``keep.tss_source = ["cage"]``; the other genes are dropped.
        aliases: other contig names and the FASTA's name for each.
        naming: ``fasta`` or ``signals`` (the first one): whose contig names the
            dataset keeps.
        on_missing: refuse, or drop, the genes of a contig that an input lacks.
        soft_masked: keep lower-case bases, or read them as N.
    """

    fasta: str
    genes: str
    root: str = "."
    columns: GeneColumns = GeneColumns()
    tss_base: Literal[0, 1] = 0
    contigs: tuple[str, ...] = ()
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    naming: Literal["fasta", "signals"] = "fasta"
    on_missing: Literal["error", "drop"] = "error"
    soft_masked: Literal["keep", "N"] = "keep"

    def __post_init__(self) -> None:
        require(
            not self.annotated or self.columns == GeneColumns(),
            f"columns is for a table, but genes is the annotation {self.genes!r}",
        )

    @property
    def annotated(self) -> bool:
        """Whether ``genes`` is a GFF3 or GTF file."""
        suffixes = {suffix.lower() for suffix in Path(self.genes).suffixes}
        return not suffixes.isdisjoint({".gff", ".gff3", ".gtf"})

    def path(self, name: str) -> Path:
        """Returns the path of an input file."""
        return input_path(self.root, name)


@dataclass(frozen=True)
class SignalConfig:
    """One bigWig, a value a base; no data is 0.

    Attributes:
        path: the bigWig.
        transform: steps in the order they are taken: ``clip`` (values above
            ``clip`` become ``clip``), ``log1p`` (ln(1 + x)) and, last, ``zscore``
            ((x - mean) / sd over the training windows). Empty keeps the values.
        clip: the largest value.
        allow_negative: take values below zero. A model whose mask reads the signals
            as parameters of a Beta distribution needs them zero or more, and refuses
            a dataset with others.
    """

    path: str
    transform: tuple[Literal["clip", "log1p", "zscore"], ...] = ()
    clip: float | None = None
    allow_negative: bool = False

    def __post_init__(self) -> None:
        steps = list(self.transform)
        require(
            len(set(steps)) == len(steps), f"transform is {steps}; give each step once"
        )
        require(
            "zscore" not in steps[:-1], f"transform is {steps}; zscore must be last"
        )
        require(
            (self.clip is not None) == ("clip" in steps),
            'clip, the largest value, goes with the step "clip" of transform',
        )
        require(
            self.clip is None or (math.isfinite(self.clip) and self.clip > 0),
            f"clip is {self.clip}; it must be a positive number",
        )
        require(
            not (self.allow_negative and "log1p" in steps),
            "allow_negative does not go with the step log1p of transform",
        )


@dataclass(frozen=True)
class ContactConfig:
    """Contact with the TSS, from a Hi-C matrix; see ``ContactValues``.

    Attributes:
        path: ``.cool``, ``.mcool`` or ``.hic``.
        resolution: bases a bin; 0 where the file has one resolution only.
        balance: a column of weights (cooler), a normalisation (.hic), or ``none``.
        length_tolerance: bases by which its contigs may differ from the genome's.
        transform: of the contact: none, or log10(x + 1).
        missing: what stands for contacts that were not measured: zero,
            ``power_law`` of the distance, or one ``fitted`` to the matrix.
        gamma: exponent of the power law.
        scale: its scale; by ABC's line from gamma if not given.
        pseudocount_distance: adds the law's value, at most that at this distance,
            to measured contacts; 0 adds nothing, ABC takes 1,000,000.
        factor: multiplies contacts before the transform: rows of a balanced cooler
            sum to one, and most of its values are far below one.
    """

    path: str
    resolution: int = 0
    balance: str = "weight"
    length_tolerance: int = 0
    transform: Literal["log10p1", "none"] = "log10p1"
    missing: Literal["zero", "power_law", "fitted"] = "zero"
    gamma: float = 0.87
    scale: float | None = None
    pseudocount_distance: int = 0
    factor: float = 1.0

    def __post_init__(self) -> None:
        for name in ("resolution", "length_tolerance"):
            require(
                getattr(self, name) >= 0,
                f"{name} is {getattr(self, name)}; it must be 0 or more",
            )
        self.values  # noqa: B018  checks the rest

    @property
    def values(self) -> ContactValues:
        """What becomes of measured and of missing contacts."""
        return ContactValues(
            transform=self.transform,
            missing=self.missing,
            gamma=self.gamma,
            scale=self.scale,
            pseudocount_distance=self.pseudocount_distance,
            factor=self.factor,
        )


@dataclass(frozen=True)
class TargetConfig:
    """What is to be predicted: a column, or coverage around the TSS.

    Attributes:
        column: column of the gene table.
        coverage_plus: bigWig of the plus strand (CAGE tags), instead of a column.
        coverage_minus: bigWig of the minus strand.
        width: bases summed up, ``[tss - width // 2, tss + width - width // 2)`` on
            the gene's strand.
        transform: none, log10(x + 1) or ln(x + 1).
        unit: of the values before the transform.
        on_missing: refuse, or drop, a gene without a finite target.
        ceiling: column of the gene table with what no model can predict better: the
            target before its noise, or another measurement of it. It is kept beside
            the target, transformed like it, and scored by ``evaluate``.
    """

    column: str | None = None
    coverage_plus: str | None = None
    coverage_minus: str | None = None
    width: int = 384
    transform: Literal["none", "log10p1", "log1p"] = "none"
    unit: str = ""
    on_missing: Literal["error", "drop"] = "error"
    ceiling: str | None = None

    def __post_init__(self) -> None:
        paired = (self.coverage_plus is None) == (self.coverage_minus is None)
        require(paired, "coverage_plus and coverage_minus go together")
        require(
            (self.column is None) != (self.coverage_plus is None),
            "give either column, or coverage_plus and coverage_minus",
        )
        require(
            self.coverage_plus is None or self.coverage_plus != self.coverage_minus,
            f"coverage_plus and coverage_minus are both {self.coverage_plus!r}; give "
            "the track of each strand",
        )
        require(self.width > 0, f"width is {self.width}; it must be positive")


@dataclass(frozen=True)
class ActivityConfig:
    """Promoter activity: sqrt(accessibility x acetylation) around the TSS.

    Attributes:
        accessibility: name of a signal.
        acetylation: name of another.
        width: bases around the TSS over which each bigWig is averaged, before any
            transform.
    """

    accessibility: str
    acetylation: str
    width: int = 1000

    def __post_init__(self) -> None:
        require(self.width > 0, f"width is {self.width}; it must be positive")


@dataclass(frozen=True)
class HalfLifeConfig:
    """mRNA half-life features, computed from gene structure and DNA.

    Attributes:
        annotation: GFF3 or GTF with CDS features; its genes are called as those of
            the dataset.
        features: which of the eight, and in which order.
    """

    annotation: str
    features: tuple[str, ...] = FEATURES

    def __post_init__(self) -> None:
        for name in self.features:
            require(
                name in FEATURES,
                f"features: {name!r} is no half-life feature{nearest(name, FEATURES)}",
            )


@dataclass(frozen=True)
class FeaturesConfig:
    """Numbers a gene, besides its window.

    Attributes:
        columns: columns of the gene table.
        half_life: mRNA half-life features that are to be computed.
        activity: promoter activity.
        log1p: features (by name) of which ln(1 + x) is taken first.
        standardise: store (x - mean) / sd over the training genes.
    """

    columns: tuple[str, ...] = ()
    half_life: HalfLifeConfig | None = None
    activity: ActivityConfig | None = None
    log1p: tuple[str, ...] = ()
    standardise: bool = True


@dataclass(frozen=True)
class GeneWindowsConfig:
    """The window of a gene.

    Attributes:
        size: bases, an even number; the TSS is at index ``size // 2``.
        oriented: read windows along the strand of their gene; else always the
            forward strand.
    """

    size: int = 200_000
    oriented: bool = False

    def __post_init__(self) -> None:
        require(
            self.size > 0 and self.size % 2 == 0,
            f"size is {self.size}; it must be a positive even number, so that the TSS "
            "is in the centre",
        )


@dataclass(frozen=True)
class ExpressionRecipe:
    """A dataset of genes: DNA, signals and contacts around the TSS, and a target.

    Attributes:
        kind: ``expression``.
        name: name of the dataset.
        source: genome and genes.
        target: what is to be predicted.
        signals: bigWigs by name.
        contact: contacts of every bin of the window with the TSS.
        channels: per-base masks, a BED or narrowPeak by name (blacklist, peaks).
        features: numbers a gene.
        windows: the window of a gene.
        splits: which contigs are held out.
        output: how shards are stored.
        download: where the input files can be had, see ``seqexp-tf download``.
    """

    kind: Literal["expression"]
    name: str
    source: GeneSourceConfig
    target: TargetConfig
    signals: dict[str, SignalConfig] = field(default_factory=dict)
    contact: ContactConfig | None = None
    channels: dict[str, str] = field(default_factory=dict)
    features: FeaturesConfig = FeaturesConfig()
    windows: GeneWindowsConfig = GeneWindowsConfig()
    splits: SplitsConfig = SplitsConfig()
    output: OutputConfig = OutputConfig()
    download: dict[str, DownloadFile] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_names("name", [self.name])
        require_names("channels", self.channels)
        require_names("signals", self.signals)
        require(
            CONTACT not in self.signals,
            f"signals: the name {CONTACT!r} is that of the Hi-C contact; give the "
            "signal another",
        )
        require(
            self.source.naming == "fasta" or bool(self.signals),
            'source.naming = "signals" needs a signal',
        )
        self._check_features()

    def _check_features(self) -> None:
        features = self.features
        names = [
            *features.columns,
            *(features.half_life.features if features.half_life else ()),
            *([ACTIVITY] if features.activity is not None else ()),
        ]
        for name in names:
            require(
                names.count(name) == 1, f"features: {name!r} comes twice; leave one out"
            )
        for name in features.log1p:
            require(
                name in names,
                f"features.log1p: {name!r} is no feature{nearest(name, names)}",
            )
        if features.activity is not None:
            for key in ("accessibility", "acetylation"):
                name = getattr(features.activity, key)
                require(
                    name in self.signals,
                    f"features.activity.{key}: {name!r} is no signal"
                    f"{nearest(name, list(self.signals))}",
                )

    def inputs(self) -> dict[str, str | None]:
        """Returns the name of every input file, by label; None where not given."""
        half_life = self.features.half_life
        return {
            "source.fasta": self.source.fasta,
            "source.genes": self.source.genes,
            "contact.path": None if self.contact is None else self.contact.path,
            "target.coverage_plus": self.target.coverage_plus,
            "target.coverage_minus": self.target.coverage_minus,
            "features.half_life": half_life.annotation if half_life else None,
            "splits.file": self.splits.file,
            **{f"signals.{name}": signal.path for name, signal in self.signals.items()},
            **{f"channels.{name}": path for name, path in self.channels.items()},
        }
