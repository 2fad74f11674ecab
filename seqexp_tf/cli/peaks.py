"""``seqexp-tf peaks``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import FILE


@click.command()
@click.argument("source", type=FILE)
@click.argument("macs3", nargs=-1, type=click.UNPROCESSED)
@click.option("--out", type=FILE, required=True, help="The narrowPeak file to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["BEDPE", "BAMPE", "BED", "BAM"]),
    default="BEDPE",
    show_default=True,
    help="Format of fragments or reads.",
)
@click.option(
    "--genome",
    type=FILE,
    help="FASTA whose known bases are counted, or its .fai or .sizes file.",
)
@click.option("--genome-size", type=click.IntRange(min=1), help="Or this many bases.")
@click.option(
    "--q-value",
    type=float,
    default=0.05,
    show_default=True,
    help="False discovery rate of fragments.",
)
@click.option(
    "--cutoff",
    type=float,
    help="Least value in a peak of a bigWig.  [default: what 2 % of the bases reach]",
)
@click.option(
    "--min-length",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Shortest peak of a bigWig in bases.",
)
@click.option(
    "--max-gap",
    type=click.IntRange(min=0),
    default=30,
    show_default=True,
    help="Bases below the cutoff that a peak of a bigWig may span.",
)
def command(
    source: Path,
    macs3: tuple[str, ...],
    out: Path,
    format_: str,
    genome: Path | None,
    genome_size: int | None,
    q_value: float,
    cutoff: float | None,
    min_length: int,
    max_gap: int,
) -> None:
    """Call peaks with MACS3, as masks for training and for comparison.

    From fragments or reads (macs3 callpeak), which need the size of the genome, or
    from a bigWig (macs3 bdgpeakcall), told by its content. The command that was run
    is kept in OUT.json. Arguments after -- go to macs3 callpeak as they are.

    \b
    Example:
      seqexp-tf peaks atac.bedpe.gz --genome genome.fa.gz --out atac.narrowPeak
      seqexp-tf peaks dnase.bw --out dnase.narrowPeak
      seqexp-tf peaks dnase.bam --format BAM --genome-size 2913022398 \\
        --out dnase.narrowPeak -- --nomodel --shift -75 --extsize 150
    """
    from seqexp_tf.genome.peaks import call_peaks, call_signal_peaks
    from seqexp_tf.genome.peaks import genome_size as known_bases
    from seqexp_tf.genome.tracks import is_bigwig

    if is_bigwig(source):
        if macs3:
            raise click.UsageError("a bigWig takes no arguments after --")
        call = call_signal_peaks(
            source, out, cutoff=cutoff, min_length=min_length, max_gap=max_gap
        )
    else:
        if (genome is None) == (genome_size is None):
            raise click.UsageError("give either --genome or --genome-size")
        call = call_peaks(
            source,
            out,
            genome_size=genome_size or known_bases(genome),
            format=format_,
            q_value=q_value,
            extra=macs3,
        )
    click.echo(f"{call.peaks:,} peaks over {call.bases:,} bases.")
    click.echo("Written:")
    for path in (call.path, call.log):
        click.echo(f"  {path}")
