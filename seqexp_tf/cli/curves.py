"""``seqexp-tf curves``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import FOLDER


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True, metavar="RUN [RUN ...]")
@click.option(
    "--out", type=FOLDER, help="Folder for results; RUN/metrics for a single run."
)
def command(runs: tuple[Path, ...], out: Path | None) -> None:
    """Draw the learning curves of runs over each other.

    Total loss, and loss and accuracy of RNA and of DNA by epoch, in training (thin)
    and validation (thick), as TSV, PNG and SVG. A run may still be training; an
    output that its masking never hides is left out.

    \b
    Example:
      seqexp-tf curves runs/cnn runs/transformer --out figures
    """
    from seqexp_tf.errors import ConfigError
    from seqexp_tf.evaluation.curves import read_histories, write_curves
    from seqexp_tf.training.run import Run

    opened = [Run.open(folder) for folder in runs]
    if out is None:
        if len(opened) > 1:
            raise ConfigError("curves of several runs need --out DIR")
        out = opened[0].folder / "metrics"
    written = write_curves(read_histories(opened), out)
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")
