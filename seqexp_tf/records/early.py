"""What can be refused in a second, before gigabytes are hashed and read.

Nothing is looked at only here: the same faults are found again when the inputs are
read. So what heads of files and small tables do not tell is left to that.
"""

import zipfile
from collections.abc import Mapping

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.contact_files import open_contact_file
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.fasta import check_fasta
from seqexp_tf.genome.files import text_lines
from seqexp_tf.genome.gene_sites import ANNOTATED, check_target, gene_columns
from seqexp_tf.genome.intervals import bed_lines
from seqexp_tf.genome.splits import split_from_file
from seqexp_tf.genome.tables import read_table, typed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.expression_genes import check_feature, kept_genes
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.recipe import JointRecipe, Recipe

Contigs = Mapping[str, int]
"""Names and lengths, or 0 where a file has no lengths."""


def check_early(recipe: Recipe) -> None:
    """Looks at the head of every input, at the gene table and at the splits.

    Raises:
        InputError: a file of another format, or without a column that is needed.
        ConfigError: the splits name a contig that there is not.
    """
    if isinstance(recipe, ExpressionRecipe):
        contigs = _expression_heads(recipe)
        aliases = recipe.source.aliases
    else:
        contigs = _joint_heads(recipe)
        genome = recipe.source.genome
        aliases = {} if genome is None else genome.aliases
    for file in recipe.channels.values():
        next(bed_lines(recipe.source.path(file)), None)
    _check_splits(recipe, contigs, {*aliases, *aliases.values()})


def _joint_heads(recipe: JointRecipe) -> list[Contigs]:
    """Checks the heads; returns the contigs of each track."""
    path = recipe.source.path
    if (archive := recipe.source.archive) is not None:
        if not zipfile.is_zipfile(path(archive.data)):
            raise InputError(
                f"{path(archive.data)}: not a whole npz of plain arrays (no directory "
                "at its end); write it again with numpy.savez_compressed"
            )
        try:
            pq.read_schema(path(archive.regions))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InputError(
                f"{path(archive.regions)}: not a whole parquet file "
                f"({str(error).splitlines()[0]})"
            ) from None
        return []
    genome = recipe.source.genome
    check_fasta(path(genome.fasta))
    if genome.transcripts is not None:
        next(text_lines(path(genome.transcripts)), None)
        return []
    return _track_contigs(recipe, genome.coverage_plus, genome.coverage_minus)


def _expression_heads(recipe: ExpressionRecipe) -> list[Contigs]:
    path = recipe.source.path
    check_fasta(path(recipe.source.fasta))
    contigs = _check_gene_table(recipe)
    if (contact := recipe.contact) is not None:
        open_contact_file(
            path(contact.path), contact.resolution, contact.balance
        ).close()
    if recipe.features.half_life is not None:
        next(text_lines(path(recipe.features.half_life.annotation)), None)
    tracks = _track_contigs(
        recipe,
        *(signal.path for signal in recipe.signals.values()),
        recipe.target.coverage_plus,
        recipe.target.coverage_minus,
    )
    return [contigs, *tracks] if tracks else []


def _track_contigs(recipe: Recipe, *files: str | None) -> list[Contigs]:
    contigs = []
    for file in files:
        if file is not None:
            with BigWigTrack(recipe.source.path(file)) as track:
                contigs.append(track.sizes)
    return contigs


def _check_gene_table(recipe: ExpressionRecipe) -> Contigs:
    """Checks the columns of the gene table; returns its contigs, if it is one."""
    source, contigs = recipe.source, {}
    path, columns = source.path(source.genes), list(ANNOTATED)
    if source.annotated:
        next(text_lines(path), None)
    else:
        frame, _ = read_table(path)
        roles, others = gene_columns(path, frame, source.columns)
        genes = pd.DataFrame(
            {role: frame[column] for role, column in roles.items()}
            | {name: typed(frame[name]) for name in others}
        )
        kept_genes(recipe, genes)
        columns, contigs = list(genes.columns), dict.fromkeys(genes.contig, 0)
    if recipe.target.column is not None:
        check_target(recipe.target.column, columns, path=path)
    for name in recipe.features.columns:
        check_feature(name, columns, path)
    return contigs


def _check_splits(recipe: Recipe, inputs: list[Contigs], aliases: set[str]) -> None:
    """Refuses a split's contig of which no track and no gene table has heard."""
    config = recipe.splits
    if config.file is not None:
        split_from_file(recipe.source.path(config.file))
    # One by one: together they may spell a contig in two ways.
    names = [ContigNames(contigs) for contigs in inputs]
    for split in ("train", "validation", "test"):
        for contig in getattr(config, split) or ():
            known = contig in aliases or any(n.resolve(contig) for n in names)
            if names and not known:
                raise ConfigError(
                    f"split {split!r}: no contig {contig!r}; "
                    f"{nearest(contig, inputs[-1])}"
                )
