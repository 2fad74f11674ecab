#!/usr/bin/env python
"""Makes the two inputs of the CAGE recipes that are not downloaded as they are.

`seqexp-tf download` of k562_cage.toml or gm12878_cage.toml brings tags of CAGE as a
BED of single bases and the gene table without strands. This writes, in the same
folder, cage/NAME.plus.bw and .minus.bw of each cage/NAME.ctss.bed.gz, and
genes/genes_18377.tsv.gz.

\b
Example:
  python tools/prepare_cage.py /data/k562
"""

import gzip
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError, SeqExpError
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack, bigwig_writer
from seqexp_tf.records.tfrecord import write_atomically

_SUFFIX = ".ctss.bed.gz"
_STRANDS = {"plus": "+", "minus": "-"}
_PIECE = 1 << 22


def write_tags(bed: Path, sizes: Mapping[str, int]) -> tuple[list[Path], int]:
    """Writes the tags of each strand as a bigWig beside ``bed``.

    Args:
        bed: a line a base with tags: contig, start, end, name, tags, strand.
        sizes: contig -> length; tags of other contigs are left out.

    Returns:
        The two bigWigs, and the number of lines left out.

    Raises:
        InputError: an interval of more than one base, without strand or number, or
            past the end of its contig.
    """
    table = read_bed(bed)
    known = table[table.contig.isin(sizes)]
    past = known.end > known.contig.map(dict(sizes))
    bad = known[
        (known.end - known.start != 1) | known.strand.isna() | known.score.isna() | past
    ]
    if len(bad):
        row = bad.iloc[0]
        raise InputError(
            f"{bed}: {row.contig}:{row.start}-{row.end}: expected one base inside the "
            "contig, its number of tags and its strand"
        )
    paths = []
    for name, strand in _STRANDS.items():
        own = known[known.strand == strand]
        path = bed.with_name(f"{bed.name.removesuffix(_SUFFIX)}.{name}.bw")
        with bigwig_writer(path, sizes) as writer:
            for contig, rows in own.groupby("contig", sort=True):
                tags = rows.groupby("start").score.sum()
                for first, piece in tags.groupby(tags.index // _PIECE * _PIECE):
                    values = np.full(min(_PIECE, sizes[contig] - first), np.nan)
                    values[piece.index - first] = piece
                    writer.add(contig, first, values)
        paths.append(path)
    return paths, len(table) - len(known)


def write_genes(features: Path, promoters: Path, out: Path) -> int:
    """Writes the gene table with the strand of each gene; returns the genes.

    Args:
        features: CSV of half-life features, a gene a line, with ``gene_id``.
        promoters: BED whose name is a gene's identifier, with its strand.
        out: TSV to write, gzip.

    Raises:
        InputError: a gene without a strand.
    """
    try:
        genes = pd.read_csv(features, dtype={"chrom": str})
        identifiers = genes.gene_id
    except (OSError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{features}: not a table with gene_id: {reason}") from None
    strands = read_bed(promoters).set_index("name").strand
    genes["strand"] = identifiers.map(strands[~strands.index.duplicated()])
    missing = genes[genes.strand.isna()]
    if len(missing):
        raise InputError(
            f"{promoters}: no strand of {len(missing):,} genes of {features.name}, the "
            f"first {missing.gene_id.iloc[0]}; download both files again"
        )
    kept = genes.drop(columns="Gene description", errors="ignore")
    text = kept.to_csv(sep="\t", index=False, lineterminator="\n")
    write_atomically(out, gzip.compress(text.encode(), mtime=0))
    return len(genes)


def prepare(folder: Path) -> list[str]:
    """Makes what is missing in a folder of downloads; returns a line for each."""
    beds = sorted((folder / "cage").glob(f"*{_SUFFIX}"))
    signals = sorted((folder / "signals").glob("*.bigWig"))
    if not beds or not signals:
        raise InputError(
            f"{folder}: no cage/*{_SUFFIX} or no signals/*.bigWig; run `seqexp-tf "
            "download` of the recipe first"
        )
    with BigWigTrack(signals[0]) as track:
        sizes = track.sizes
    lines = []
    for bed in beds:
        paths, left_out = write_tags(bed, sizes)
        note = f"; {left_out:,} lines on other contigs left out" if left_out else ""
        lines.append(f"{', '.join(map(str, paths))}{note}")
    genes = folder / "genes"
    out = genes / "genes_18377.tsv.gz"
    count = write_genes(
        genes / "mRNA_halflife_features.csv", genes / "GeneList.TSS1kb.bed", out
    )
    return [*lines, f"{out}: {count:,} genes"]


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(folder: Path) -> None:
    try:
        for line in prepare(folder):
            click.echo(line)
    except SeqExpError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    command()
