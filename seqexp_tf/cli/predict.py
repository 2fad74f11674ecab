"""``seqexp-tf predict``"""

from contextlib import ExitStack
from pathlib import Path

import click
from tqdm import tqdm

from seqexp_tf.cli.options import FILE, FOLDER, data, load_tensorflow, say


@click.command()
@click.argument("model", type=FOLDER, metavar="RUN_OR_EXPORT")
@click.option("--fasta", type=FILE, help="Sequences, each at most a window long.")
@click.option("--bed", type=FILE, help="Regions of --genome.")
@click.option("--vcf", type=FILE, help="Variants of --genome: what each changes.")
@click.option("--split", help="Regions or genes of this split of the dataset.")
@click.option("--genome", type=FILE, metavar="FASTA", help="With --bed or --vcf.")
@data
@click.option(
    "--out",
    type=FILE,
    required=True,
    help="File: .parquet, .tsv, or .bw for values of bases.",
)
@click.option(
    "--server",
    metavar="URL",
    help="Ask TF Serving: grpc://HOST:8500/NAME or http://HOST:8501/NAME[/VERSION].",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="With --server: seconds for one answer.",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="With --server: tries again while it is unavailable.",
)
@click.option(
    "--average-strands",
    is_flag=True,
    help="Models of genes: average over both strands of the window.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Windows at once.  [default: 32; of genes as many as have 131,072 bases]",
)
def command(
    model: Path,
    fasta: Path | None,
    bed: Path | None,
    vcf: Path | None,
    split: str | None,
    genome: Path | None,
    data: Path | None,
    out: Path,
    server: str | None,
    timeout: float,
    retries: int,
    average_strands: bool,
    batch_size: int | None,
) -> None:
    """Predict sequences, regions, variants or a split, here or by a server.

    Joint models predict from DNA alone, every label hidden: p(expressed) of each base
    on both strands (--fasta, --bed, --split), or what a variant changes in the window
    around it (--vcf). Models of genes predict the expression of each gene, and its
    mask (--split), or what a variant changes for the genes in whose windows it lies
    (--vcf; signals stay as the dataset has them).

    REF of every variant is compared with the genome first. With --server, RUN_OR_EXPORT
    only says what the model is; the numbers are the same.

    \b
    Example:
      seqexp-tf predict runs/cnn --bed regions.bed --genome genome.fa --out p.bw
      seqexp-tf predict runs/cnn --vcf variants.vcf.gz --genome genome.fa \\
          --out effects.tsv
      seqexp-tf predict models/yeast --fasta promoters.fa --out p.parquet \\
          --server grpc://localhost:8500/yeast
    """
    if sum(source is not None for source in (fasta, bed, vcf, split)) != 1:
        raise click.UsageError("give one of --fasta, --bed, --vcf and --split")
    regional = "--bed" if bed is not None else "--vcf" if vcf is not None else None
    if regional is not None and genome is None:
        raise click.UsageError(f"{regional} needs --genome FASTA")
    if regional is None and genome is not None:
        raise click.UsageError("--genome goes with --bed or --vcf alone")
    from seqexp_tf.prediction.outputs import output_format, refuse_bigwig

    output_format(out)
    if vcf is not None:
        refuse_bigwig(out, what="effects of variants")
    load_tensorflow()
    from seqexp_tf.prediction.model import open_model
    from seqexp_tf.prediction.run import Prediction
    from seqexp_tf.serving.client import Patience, connect

    with ExitStack() as stack:
        client = None
        if server is not None:
            patience = Patience(timeout=timeout, retries=retries)
            client = stack.enter_context(connect(server, patience=patience))
            client.pin()
            say(f"Asking {client.address}")
        prediction = Prediction(
            model=open_model(model, server=client),
            out=out,
            count=_bar,
            say=say,
            data=data,
            batch_size=batch_size,
            average_strands=average_strands,
        )
        if fasta is not None:
            written = prediction.fasta(fasta)
        elif bed is not None:
            written = prediction.bed(bed, genome=genome)
        elif vcf is not None:
            written = prediction.vcf(vcf, genome=genome)
        else:
            written = prediction.split(split)
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def _bar(total: int | None, unit: str) -> tqdm:
    return tqdm(total=total, unit=f" {unit}", leave=False, disable=None)
