#!/usr/bin/env python
"""Builds the joint archive from a FASTA and stranded coverage.

Writes data.npz, regions.parquet and data_meta.json, the input of the joint dataset:
the sequence, whether each base is expressed on each strand (coverage above a
threshold), which bases were measured, and windows over both strands.

\b
Example:
  python tools/make_archive.py archive/ --fasta genome.fa.gz --plus rna.plus.bw \\
      --minus rna.minus.bw --exclude chrIX:355629-439888
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError, InputError, SeqExpError
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.contigs import ContigInput, ContigNames, nearest, preflight
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.intervals import interval_mask, parse_region
from seqexp_tf.genome.tracks import BigWigTrack, check_coverage
from seqexp_tf.genome.windows import overlaps, tile


def make_archive(
    out: Path,
    *,
    fasta: Path,
    plus: Path,
    minus: Path,
    threshold: float,
    window: int,
    stride: int,
    exclude: Sequence[str] = (),
    contigs: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Writes the archive of one sample into the folder ``out``.

    Contigs are named as in the plus-strand track and ordered as in the FASTA. A base
    without coverage data counts as uncovered. Bases that are N or excluded have
    ``valid`` = 0, and no window touches them.

    Args:
        out: Folder to write; it must be new or empty.
        fasta: Genome, plain, gzip or bgzip.
        plus: bigWig, coverage of the plus strand.
        minus: bigWig, coverage of the minus strand.
        threshold: A base is expressed where its coverage is above this.
        window: Bases a window.
        stride: Bases from one window start to the next.
        exclude: Regions without data, ``CONTIG:START-END``, 1-based inclusive.
        contigs: Contigs to take, in any spelling; all of the FASTA if None.

    Returns:
        The windows: contig, start, end (0-based half-open), strand.

    Raises:
        SeqExpError: An input that cannot be used, or no window left.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: exists and is not an empty folder; name a new one")
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ConfigError(f"threshold = {threshold}: expected a number, 0 or more")
    tracks = {"plus": BigWigTrack(plus), "minus": BigWigTrack(minus)}
    sequence: dict[str, np.ndarray] = {}
    valid: dict[str, np.ndarray] = {}
    expressed: dict[str, dict[str, np.ndarray]] = {"plus": {}, "minus": {}}
    with tempfile.TemporaryDirectory() as scratch, tracks["plus"], tracks["minus"]:
        genome = pack_fasta(fasta, scratch)
        checked = preflight(
            ContigInput("fasta", fasta, genome.sizes),
            [
                ContigInput(strand, track.path, track.sizes)
                for strand, track in tracks.items()
            ],
            contigs=contigs,
        )
        names = checked.names["plus"]
        excluded = _exclusions(
            exclude, {names[contig]: size for contig, size in checked.sizes.items()}
        )
        for contig, size in checked.sizes.items():
            name = names[contig]
            bases = genome.fetch(contig, 0, size)
            holes = excluded[excluded["contig"] == name]
            masked = interval_mask(
                holes["start"].to_numpy(), holes["end"].to_numpy(), 0, size
            )
            sequence[name] = bases
            valid[name] = (bases != UNKNOWN) & (masked == 0)
            for strand, track in tracks.items():
                own = checked.names[strand][contig]
                coverage = track.values(own, 0, size)
                check_coverage(coverage, path=track.path, contig=own, start=0)
                # A comparison with NaN, no data, is false: uncovered.
                expressed[strand][name] = coverage > threshold

    windows = tile(
        {name: bases.size for name, bases in sequence.items()},
        window=window,
        stride=stride,
    )
    regions = windows[~overlaps(windows, _holes(valid))].reset_index(drop=True)
    if regions.empty:
        raise InputError(
            f"{fasta}: none of the {len(windows)} windows of {window} bp is free of N "
            "and excluded bases; choose a smaller window"
        )
    write_archive(
        out,
        sequence=sequence,
        expressed_plus=expressed["plus"],
        expressed_minus=expressed["minus"],
        valid=valid,
        regions=regions,
        meta={
            "encoding": "A0 C1 G2 T3 N4",
            "threshold": threshold,
            "window": window,
            "stride": stride,
            "excluded": list(exclude),
            "inputs": [Path(path).name for path in (fasta, plus, minus)],
        },
    )
    return regions


def _exclusions(texts: Sequence[str], sizes: Mapping[str, int]) -> pd.DataFrame:
    """Parses the excluded regions: contig (as in ``sizes``), start, end."""
    resolver = ContigNames(sizes)
    rows = []
    for text in texts:
        contig, start, end = parse_region(text)
        name = resolver.resolve(contig)
        if name is None:
            raise InputError(
                f"excluded region {text!r}: contig {contig!r} is not in the archive; "
                f"{nearest(contig, sizes)}"
            )
        if end > sizes[name]:
            raise InputError(
                f"excluded region {text!r}: ends beyond {name}, which has "
                f"{sizes[name]} bases"
            )
        rows.append((name, start, end))
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


def _holes(valid: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Returns the runs of bases that are not valid: contig, start, end."""
    rows = []
    for contig, mask in valid.items():
        edges = np.flatnonzero(np.diff(~mask, prepend=False, append=False))
        rows += [(contig, start, end) for start, end in edges.reshape(-1, 2).tolist()]
    return pd.DataFrame(rows, columns=["contig", "start", "end"])


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--fasta",
    type=click.Path(path_type=Path),
    required=True,
    help="Genome: plain, gzip or bgzip.",
)
@click.option(
    "--plus",
    type=click.Path(path_type=Path),
    required=True,
    help="bigWig of the plus strand's coverage.",
)
@click.option(
    "--minus",
    type=click.Path(path_type=Path),
    required=True,
    help="bigWig of the minus strand's coverage.",
)
@click.option(
    "--threshold",
    type=float,
    default=2.0,
    show_default=True,
    help="A base is expressed where its coverage is above this.",
)
@click.option("--window", type=int, default=2048, show_default=True, help="In bp.")
@click.option("--stride", type=int, default=1024, show_default=True, help="In bp.")
@click.option(
    "--exclude",
    multiple=True,
    metavar="CONTIG:START-END",
    help="Region without data, 1-based inclusive; may be repeated.",
)
@click.option(
    "--contigs",
    metavar="NAME[,NAME...]",
    help="Contigs to take, in any spelling; all of the FASTA by default.",
)
def command(out: Path, contigs: str | None, **options) -> None:
    chosen = None if contigs is None else [name.strip() for name in contigs.split(",")]
    try:
        regions = make_archive(out, contigs=chosen, **options)
    except SeqExpError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{out}: {len(regions)} windows on {regions['contig'].nunique()} contigs"
    )


if __name__ == "__main__":
    command()
