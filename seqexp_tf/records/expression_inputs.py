"""Inputs of the ``expression`` kind: read and checked before any record is written.

Signals are read twice: here, a contig's merged windows once from each bigWig, for
checks and statistics; and again by the shard tasks. So no copy of them is kept.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.contacts import ContactMap
from seqexp_tf.genome.contigs import ContigInput, ContigNames, Preflight, preflight
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.contig_inputs import dataset_names, read_channel
from seqexp_tf.records.expression import (
    GENE_COLUMNS,
    ExpressionSource,
    centred_windows,
    contact_bins,
    expression_schema,
)
from seqexp_tf.records.expression_details import (
    CEILING,
    ExpressionDetails,
    SignalDetails,
    TargetDetails,
)
from seqexp_tf.records.expression_genes import (
    COVERAGE,
    add_target,
    coverage_target,
    gene_features,
    read_genes,
)
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.prepared import Prepared, assign_splits
from seqexp_tf.records.signals import Signal, Span, merged

_COLUMNS = ("contig", "start", "end", "strand", "gene", "row")
"""What the source needs of a window, besides those of the window table."""


def prepare_expression(
    recipe: ExpressionRecipe, scratch: Path, *, progress: Callable[[str], None]
) -> Prepared:
    """Reads and checks every input of a recipe.

    Args:
        recipe: a checked recipe.
        scratch: existing folder for the packed genome, contacts and features.
        progress: called with what is being read.
    """
    path = recipe.source.path
    progress(f"reading {path(recipe.source.fasta)}")
    genome = pack_fasta(
        path(recipe.source.fasta), scratch, soft_masked=recipe.source.soft_masked
    )
    progress(f"reading {path(recipe.source.genes)}")
    genes = read_genes(recipe, genome.sizes)
    dropped = dict(genes.attrs.get("dropped", {}))
    wanted = len(genes) + sum(dropped.values())
    with ExitStack() as stack:
        contacts = _open_contacts(recipe, genome.sizes)
        if contacts is not None:
            stack.callback(contacts.close)
        check = _check_contigs(recipe, genome, genes, contacts)
        genes = _on_contigs(genes, check, dropped)
        kept = f"signals.{next(iter(recipe.signals))}" if recipe.signals else None
        names = dataset_names(
            check,
            aliases=recipe.source.aliases,
            kept=kept if recipe.source.naming == "signals" else None,
        )
        # From here on contigs are called as the dataset calls them.
        shown = dict(zip(check.sizes, names.sizes, strict=True))
        genes["contig"] = genes.contig.map(shown)
        own = {
            label: {shown[contig]: name for contig, name in of_input.items()}
            for label, of_input in check.names.items()
        }
        if recipe.target.coverage_plus is not None:
            progress("summing up coverage at each TSS")
            genes = coverage_target(recipe, genes, sizes=names.sizes, names=own)
        genes, without = add_target(recipe, genes)
        windows, splits, reasons = _windows(recipe, genes, names)
        dropped |= without | reasons
        windows["row"] = np.arange(len(windows))
        training = splits == "train"
        signals, signal_details = _signals(
            recipe, windows, training, names=own, sizes=names.sizes, progress=progress
        )
        progress("gathering the features of genes")
        features = gene_features(
            recipe,
            windows,
            training,
            genome=genome,
            signals=signals,
            sizes=names.sizes,
        )
        rows = {}
        if features.details:
            rows["features"] = scratch / "features.npy"
            np.save(rows["features"], features.values)
        if contacts is not None:
            progress(f"reading {contacts.path}")
            bins, offsets = _contact_rows(recipe, contacts, windows, own["fasta"])
            rows |= {
                name: scratch / f"{name}.npy" for name in ("contact", "contact_offset")
            }
            np.save(rows["contact"], bins)
            np.save(rows["contact_offset"], offsets)
    channels, channel_notes = _channels(recipe, names, windows, training)
    details = ExpressionDetails(
        oriented=recipe.windows.oriented,
        target=_target(recipe, windows.target[training]),
        signals=signal_details,
        features=features.details,
        standardised=recipe.features.standardise,
        resolution=0 if contacts is None else contacts.resolution,
        contact="" if contacts is None else _contact_unit(recipe),
    )
    schema = expression_schema(
        recipe.windows.size,
        channels=tuple(channels),
        compression=recipe.output.compression,
        details=details,
    )
    columns = GENE_COLUMNS
    if recipe.target.ceiling is not None:
        columns = (*columns, CEILING)
    return Prepared(
        source=ExpressionSource(
            genome=genome,
            contigs=own["fasta"],
            sizes=names.sizes,
            signals=tuple(signals.values()),
            channels=channels,
            rows=rows,
            schema=schema,
        ),
        windows=windows[[*_COLUMNS, *columns]],
        splits=splits,
        columns=columns,
        wanted=wanted,
        dropped=dropped,
        sizes=names.sizes,
        notes=(
            check.table(),
            *(f"contig {name} left out: {why}" for name, why in check.dropped.items()),
            *features.notes,
            *channel_notes,
        ),
    )


def _open_contacts(
    recipe: ExpressionRecipe, sizes: Mapping[str, int]
) -> ContactMap | None:
    config = recipe.contact
    if config is None:
        return None
    return ContactMap.open(
        recipe.source.path(config.path),
        resolution=config.resolution,
        balance=config.balance,
        genome=sizes,
        aliases=recipe.source.aliases,
        length_tolerance=config.length_tolerance,
        values=config.values,
    )


def _check_contigs(
    recipe: ExpressionRecipe,
    genome: PackedGenome,
    genes: pd.DataFrame,
    contacts: ContactMap | None,
) -> Preflight:
    """Every input has to have the contigs on which there are genes."""
    path = recipe.source.path
    files = {f"signals.{name}": config.path for name, config in recipe.signals.items()}
    if recipe.target.coverage_plus is not None:
        files["target.coverage_plus"] = recipe.target.coverage_plus
        files["target.coverage_minus"] = recipe.target.coverage_minus
    inputs = []
    for label, file in files.items():
        with BigWigTrack(path(file)) as track:
            inputs.append(ContigInput(label, track.path, track.sizes))
    if contacts is not None and recipe.contact.missing == "zero":
        inputs.append(ContigInput("contact.path", contacts.path, contacts.sizes))
    present = set(genes.contig)
    return preflight(
        ContigInput("fasta", path(recipe.source.fasta), genome.sizes),
        inputs,
        contigs=recipe.source.contigs or [c for c in genome.sizes if c in present],
        aliases=recipe.source.aliases,
        on_missing=recipe.source.on_missing,
    )


def _on_contigs(
    genes: pd.DataFrame, check: Preflight, dropped: dict[str, int]
) -> pd.DataFrame:
    """The genes on usable contigs; the others are counted in ``dropped``."""
    usable, lacking = genes.contig.isin(check.sizes), genes.contig.isin(check.dropped)
    for reason, left_out in (
        ("on a contig that an input lacks", lacking),
        ("on a contig that is not wanted", ~usable & ~lacking),
    ):
        if count := int(left_out.sum()):
            dropped[reason] = count
    if not usable.any():
        raise InputError(
            f"{check.paths['fasta']}: no gene lies on {', '.join(check.sizes)}; list "
            "contigs that have genes in source.contigs"
        )
    return genes[usable].reset_index(drop=True)


def _windows(
    recipe: ExpressionRecipe, genes: pd.DataFrame, names: ContigNames
) -> tuple[pd.DataFrame, np.ndarray, dict[str, int]]:
    """Windows and splits of the genes that lie in a split, and why others do not."""
    windows = centred_windows(
        genes, size=recipe.windows.size, oriented=recipe.windows.oriented
    )
    others = genes.drop(columns=["start", "end", "strand"], errors="ignore")
    table = pd.concat([windows, others], axis=1).assign(gene_strand=genes.strand)
    ends = table.contig.map(names.sizes)
    # What hangs over an end of the contig is in no split: it is not looked at.
    parts = table[["contig"]].assign(
        start=table.start.clip(lower=0), end=np.minimum(table.end, ends)
    )
    splits, reasons = assign_splits(recipe, parts, names)
    kept = np.array([split is not None for split in splits])
    return table[kept].reset_index(drop=True), splits[kept], reasons


def _signals(
    recipe: ExpressionRecipe,
    windows: pd.DataFrame,
    training: np.ndarray,
    *,
    names: Mapping[str, Mapping[str, str]],
    sizes: Mapping[str, int],
    progress: Callable[[str], None],
) -> tuple[dict[str, Signal], tuple[SignalDetails, ...]]:
    spans = [_spans(windows[rows], sizes) for rows in (training, ~training)]
    signals, details = {}, []
    for name, config in recipe.signals.items():
        path = recipe.source.path(config.path)
        progress(f"reading {path}")
        with BigWigTrack(path) as track:
            signal = Signal(name, config, track, dict(names[f"signals.{name}"]))
            signals[name], found = signal.fitted(*spans)
        details.append(found)
    return signals, tuple(details)


def _spans(windows: pd.DataFrame, sizes: Mapping[str, int]) -> list[Span]:
    spans = []
    for contig, rows in windows.groupby("contig", sort=False):
        starts = rows.start.clip(lower=0).to_numpy()
        ends = rows.end.clip(upper=sizes[contig]).to_numpy()
        spans += [
            (contig, int(start), int(end))
            for start, end in zip(*merged(starts, ends), strict=True)
        ]
    return spans


def _contact_rows(
    recipe: ExpressionRecipe,
    contacts: ContactMap,
    windows: pd.DataFrame,
    own: Mapping[str, str],
) -> tuple[np.ndarray, np.ndarray]:
    """Contacts ``(genes, bins)`` and offsets ``(genes,)`` in the windows' direction."""
    size, step = recipe.windows.size, contacts.resolution
    bins = np.zeros((len(windows), contact_bins(size, step)), dtype=np.float32)
    offsets = np.zeros(len(windows), dtype=np.int64)
    for row, gene in enumerate(windows.itertuples(index=False)):
        values, offset = contacts.to_tss(
            own[gene.contig], gene.tss, gene.start, gene.end
        )
        if gene.strand == "-":
            values, offset = values[::-1], values.size * step - offset - size
        bins[row, : values.size] = values
        offsets[row] = offset
    return bins, offsets


def _channels(
    recipe: ExpressionRecipe,
    names: ContigNames,
    windows: pd.DataFrame,
    training: np.ndarray,
) -> tuple[dict[str, dict[str, tuple[np.ndarray, np.ndarray]]], list[str]]:
    """Disjoint intervals by channel and contig, and notes about them."""
    channels, notes = {}, []
    trained = list(windows.contig[training].unique())
    for channel, file in sorted(recipe.channels.items()):
        path = recipe.source.path(file)
        table, outside = read_channel(path, names)
        if table.empty:
            raise InputError(
                f"{path}: no interval in it, so channel {channel} would be zero "
                "everywhere; give a file with intervals, or leave the channel out"
            )
        intervals = {
            contig: merged(rows.start.to_numpy(), rows.end.to_numpy())
            for contig, rows in table.groupby("contig", sort=False)
        }
        covered = sum(int((ends - starts).sum()) for starts, ends in intervals.values())
        notes.append(
            f"channel {channel}: {len(table):,} intervals over {covered:,} bases, "
            f"{outside:,} on other contigs"
        )
        if lacking := [contig for contig in trained if contig not in intervals]:
            notes.append(
                f"channel {channel}: none on {', '.join(lacking)} of split train"
            )
        channels[channel] = intervals
    return channels, notes


def _target(recipe: ExpressionRecipe, training: pd.Series) -> TargetDetails:
    values = training.to_numpy(np.float64)
    return TargetDetails(
        name=recipe.target.column or COVERAGE,
        transform=recipe.target.transform,
        unit=recipe.target.unit,
        mean=float(values.mean()),
        sd=float(values.std()),
    )


def _contact_unit(recipe: ExpressionRecipe) -> str:
    config = recipe.contact
    unit = f"contact balanced by {config.balance}"
    if config.balance == "none":
        unit = "contacts counted"
    if config.factor != 1:
        unit = f"{config.factor:g} x {unit}"
    return f"log10(x + 1) of {unit}" if config.transform == "log10p1" else unit
