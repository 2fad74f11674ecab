"""Options that several verbs share."""

from pathlib import Path

import click

from seqexp_tf.quiet import load_tensorflow as load_tensorflow

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)

overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Override one value of the configuration; may be repeated.",
)


batch_size = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="Windows at once.",
)
regions = click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="CONTIG:START-END",
    help="Region, 1-based inclusive, or a whole contig; may be repeated.",
)
data = click.option("--data", type=FOLDER, help="Dataset; the run's own if not given.")


def say(message: str) -> None:
    """Prints one line of progress."""
    click.echo(message, err=True)
