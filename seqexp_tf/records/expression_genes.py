"""Genes of an expression dataset: their places, targets and features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.config import nearest
from seqexp_tf.errors import InputError
from seqexp_tf.genome.annotation import read_annotation
from seqexp_tf.genome.fasta import PackedGenome
from seqexp_tf.genome.gene_sites import (
    annotated_gene_sites,
    read_gene_sites,
    target_values,
)
from seqexp_tf.genome.half_life import half_life_features
from seqexp_tf.genome.tracks import BigWigTrack, check_coverage
from seqexp_tf.records.expression_details import CEILING, FeatureDetails
from seqexp_tf.records.expression_recipe import ACTIVITY, ExpressionRecipe
from seqexp_tf.records.signals import Signal

COVERAGE = "coverage"
"""Name of a target that comes from bigWigs."""


def read_genes(recipe: ExpressionRecipe, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Reads the genes of a recipe, in genome order.

    Args:
        recipe: its table ``source`` is read.
        sizes: contig -> length of the FASTA.

    Returns:
        What ``read_gene_sites`` or ``annotated_gene_sites`` returns, ordered by
        contig (as in ``sizes``), tss and gene.

    Raises:
        InputError: as these, or ``source.keep`` names a column or value that is not
            there.
    """
    source = recipe.source
    options = {"aliases": source.aliases, "on_missing": source.on_missing}
    if source.annotated:
        genes = annotated_gene_sites(source.path(source.genes), sizes, **options)
    else:
        genes = read_gene_sites(
            source.path(source.genes),
            sizes,
            columns=source.columns,
            tss_base=source.tss_base,
            **options,
        )
    genes = kept_genes(recipe, genes)
    rank = genes.contig.map({name: rank for rank, name in enumerate(sizes)})
    order = np.lexsort((genes.gene, genes.tss, rank))
    ordered = genes.iloc[order].reset_index(drop=True)
    ordered.attrs = dict(genes.attrs)
    return ordered


def kept_genes(recipe: ExpressionRecipe, genes: pd.DataFrame) -> pd.DataFrame:
    """Returns the genes that ``source.keep`` asks for; ``attrs`` counts the others."""
    path = recipe.source.path(recipe.source.genes)
    for column, values in recipe.source.keep.items():
        genes = _kept(genes, column, values, path=path)
    return genes


def _kept(
    genes: pd.DataFrame, column: str, values: tuple[str, ...], *, path: Path
) -> pd.DataFrame:
    if column not in genes:
        raise InputError(
            f"{path}: source.keep names {column!r}, which is no column"
            f"{nearest(column, list(genes.columns))}"
        )
    found = genes[column].astype(str)
    for value in values:
        if value not in set(found):
            raise InputError(
                f"{path}: source.keep.{column} has {value!r}, but no gene does"
                f"{nearest(value, sorted(set(found))[:100])}"
            )
    kept = genes[found.isin(values)].copy()
    left_out = len(genes) - len(kept)
    if left_out:
        reason = f"{column} is not {' or '.join(values)}"
        kept.attrs = {
            **genes.attrs,
            "dropped": {**genes.attrs.get("dropped", {}), reason: left_out},
        }
    return kept


def coverage_target(
    recipe: ExpressionRecipe,
    genes: pd.DataFrame,
    *,
    sizes: Mapping[str, int],
    names: Mapping[str, Mapping[str, str]],
) -> pd.DataFrame:
    """Adds the column ``coverage``: the sum around the TSS on the gene's strand.

    Args:
        recipe: its table ``target`` is read.
        genes: columns contig, tss and strand.
        sizes: contig -> length.
        names: ``target.coverage_plus`` and ``target.coverage_minus`` -> contig -> own
            name in that file.

    Raises:
        InputError: a negative or infinite value, named with its place.
    """
    config, path = recipe.target, recipe.source.path
    sums = np.zeros(len(genes))
    for strand, label in (("+", "coverage_plus"), ("-", "coverage_minus")):
        mine = (genes.strand == strand).to_numpy()
        with BigWigTrack(path(getattr(config, label))) as track:
            sums[mine] = around(
                genes[mine],
                _coverage_reader(track, names[f"target.{label}"]),
                sizes=sizes,
                width=config.width,
                reduce=np.sum,
            )
    return genes.assign(**{COVERAGE: sums})


def add_target(
    recipe: ExpressionRecipe, genes: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Adds the transformed ``target``, and ``ceiling``, to genes that have one.

    Returns:
        The genes, and the count of those left out for want of a target.

    Raises:
        InputError: a missing or non-finite target, unless dropped, or ceiling; no
            such column.
    """
    config = recipe.target
    column = COVERAGE if config.column is None else config.column
    path = recipe.source.path(recipe.source.genes)
    dropped = {}
    if config.on_missing == "drop" and column in genes:
        values = pd.to_numeric(genes[column], errors="coerce")
        finite = np.isfinite(values.to_numpy(np.float64))
        if not finite.all():
            dropped[f"without a finite target {column}"] = int((~finite).sum())
        genes = genes[finite].reset_index(drop=True)
        if genes.empty:
            raise InputError(f"{path}: no gene has a finite target {column!r}")
    try:
        values = target_values(genes, column, transform=config.transform, path=path)
    except InputError as error:
        if config.on_missing == "drop" or column not in genes:
            raise
        raise InputError(
            f'{error}, or set target.on_missing = "drop" where they have none'
        ) from None
    genes = genes.assign(target=values)
    if config.ceiling is not None:
        ceiling = target_values(
            genes,
            config.ceiling,
            transform=config.transform,
            path=path,
            role=CEILING,
        )
        genes = genes.assign(**{CEILING: ceiling})
    return genes, dropped


@dataclass(frozen=True)
class GeneFeatures:
    """The array ``features`` of every gene.

    Attributes:
        values: float32 ``(genes, features)``, standardised if wanted.
        details: names and statistics.
        notes: lines a user should read.
    """

    values: np.ndarray
    details: tuple[FeatureDetails, ...]
    notes: tuple[str, ...]


def gene_features(
    recipe: ExpressionRecipe,
    genes: pd.DataFrame,
    training: np.ndarray,
    *,
    genome: PackedGenome,
    signals: Mapping[str, Signal],
    sizes: Mapping[str, int],
) -> GeneFeatures:
    """Gathers the features of genes, and standardises them over training genes.

    Args:
        recipe: its table ``features`` is read.
        genes: contig, tss, gene, and the columns of the gene table.
        training: bool ``(len(genes),)``, True for genes of the training split.
        genome: the DNA, for half-life features.
        signals: for promoter activity.
        sizes: contig -> length.

    Raises:
        InputError: no such column, or a value that is missing or not finite.
    """
    config, path = recipe.features, recipe.source.path
    found: dict[str, np.ndarray] = {}
    for name in config.columns:
        found[name] = _column(genes, name, path(recipe.source.genes))
    if config.half_life is not None:
        file = path(config.half_life.annotation)
        annotation = read_annotation(file)
        table = half_life_features(
            annotation, genome, genes=list(genes.gene), path=file
        )
        found |= {
            name: table[name].to_numpy(np.float64) for name in config.half_life.features
        }
    if config.activity is not None:
        found[ACTIVITY] = _activity(recipe, genes, signals, sizes)
    values, details, notes = [], [], []
    for name, column in found.items():
        logged = name in config.log1p
        if logged:
            if (column < 0).any():
                first = int(np.flatnonzero(column < 0)[0])
                raise InputError(
                    f"{path(recipe.source.genes)}: gene {genes.gene[first]!r}: feature "
                    f"{name!r} is {column[first]:g}, below zero; take it out of "
                    "features.log1p"
                )
            column = np.log1p(column)
        mean, sd = float(column[training].mean()), float(column[training].std())
        if sd == 0:
            notes.append(f"feature {name}: {mean:g} for every training gene")
            sd = 1.0
        details.append(FeatureDetails(name, logged, mean, sd))
        values.append((column - mean) / sd if config.standardise else column)
    table = np.stack(values, axis=1) if values else np.zeros((len(genes), 0))
    return GeneFeatures(table.astype(np.float32), tuple(details), tuple(notes))


def around(
    genes: pd.DataFrame,
    read: Callable[[str, int, int], np.ndarray],
    *,
    sizes: Mapping[str, int],
    width: int,
    reduce: Callable[[np.ndarray], float],
) -> np.ndarray:
    """Reduces the values around each TSS to one number, float64 ``(len(genes),)``.

    The bases are ``[tss - width // 2, tss + width - width // 2)``, as far as they lie
    inside the contig, whatever the strand.
    """
    found = np.zeros(len(genes))
    for row, (contig, tss) in enumerate(zip(genes.contig, genes.tss, strict=True)):
        start, end = tss - width // 2, tss + width - width // 2
        values = read(contig, max(start, 0), min(end, sizes[contig]))
        found[row] = reduce(values.astype(np.float64))
    return found


def _coverage_reader(
    track: BigWigTrack, own: Mapping[str, str]
) -> Callable[[str, int, int], np.ndarray]:
    def read(contig: str, start: int, end: int) -> np.ndarray:
        values = track.values(own[contig], start, end)
        check_coverage(values, path=track.path, contig=own[contig], start=start)
        return np.nan_to_num(values, nan=0.0)

    return read


def _activity(
    recipe: ExpressionRecipe,
    genes: pd.DataFrame,
    signals: Mapping[str, Signal],
    sizes: Mapping[str, int],
) -> np.ndarray:
    config = recipe.features.activity
    product = np.ones(len(genes))
    for name in (config.accessibility, config.acetylation):
        product *= around(
            genes, signals[name].raw, sizes=sizes, width=config.width, reduce=np.mean
        )
    if (product < 0).any():
        gene = genes.gene.iloc[int(np.flatnonzero(product < 0)[0])]
        raise InputError(
            f"{recipe.name}: promoter activity of gene {gene!r} is the root of a "
            "negative product; use signals of zero or more"
        )
    return np.sqrt(product)


def _column(genes: pd.DataFrame, name: str, path: Path) -> np.ndarray:
    check_feature(name, list(genes.columns), path)
    values = pd.to_numeric(genes[name], errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if wrong.size:
        raise InputError(
            f"{path}: gene {genes.gene[wrong[0]]!r}: feature {name!r} is "
            f"{genes[name][wrong[0]]!r} ({wrong.size} such genes); expected a finite "
            "number: fill it in, or leave out the gene or the feature"
        )
    return values


def check_feature(name: str, columns: list[str], path: Path) -> None:
    """Raises `InputError` unless a table of genes has the column of a feature."""
    if name not in columns:
        raise InputError(
            f"{path}: has no column {name!r} for a feature{nearest(name, columns)}"
        )
