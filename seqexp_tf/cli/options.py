"""Options that several verbs share."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import click

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


def load_tensorflow() -> None:
    """Imports TensorFlow without the notices its libraries print as they load."""
    with _silenced_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    # The notices come from C++ before any Python setting is read.
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def say(message: str) -> None:
    """Prints one line of progress."""
    click.echo(message, err=True)
