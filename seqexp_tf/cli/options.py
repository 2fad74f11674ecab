"""Options that several verbs share."""

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


def say(message: str) -> None:
    """Prints one line of progress."""
    click.echo(message, err=True)
