"""``seqexp-tf download``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import FILE, FOLDER, overrides, say
from seqexp_tf.errors import ConfigError


@click.command()
@click.argument("recipe", type=FILE)
@click.option("--into", type=FOLDER, help="Folder of the data; source.root by default.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="Download only this table's file; may be repeated.",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="A copy of the folder, tried first: URL/PATH for each file; may be repeated.",
)
@overrides
@click.option("--dry-run", is_flag=True, help="List the files; download nothing.")
def command(
    recipe: Path,
    into: Path | None,
    only: tuple[str, ...],
    mirrors: tuple[str, ...],
    overrides: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Download the input files of a recipe.

    RECIPE is a TOML with a [download.NAME] table for each file: `url`, and
    optionally `path`, `mirrors` and `sha256`. A download that broke off, or was
    stopped, goes on where it was when the same command is run again. The first
    download writes size and sha256 of each file to download.lock.json beside the
    data; later ones have to give the same bytes. A file that is there is verified,
    not downloaded again.

    \b
    Example:
      seqexp-tf download tfrecords/k562_cage.toml --into /data/k562
      seqexp-tf convert tfrecords/k562_cage.toml --set source.root=/data/k562
    """
    from seqexp_tf.config import nearest
    from seqexp_tf.download.config import read_downloads, require_address

    asked = read_downloads(recipe, overrides)
    for name in only:
        if name not in asked.files:
            hint = nearest(name, list(asked.files))
            raise ConfigError(f"{recipe}: no table [download.{name}]{hint}")
    for mirror in mirrors:
        require_address("--mirror", mirror)
    files = {n: f for n, f in asked.files.items() if not only or n in only}
    folder = into or asked.root
    if dry_run:
        for name, file in files.items():
            click.echo(f"{name}: {folder / file.place} from {file.url}")
        return
    from seqexp_tf.download.fetch import fetch
    from seqexp_tf.download.lock import LOCK

    found = fetch(files, folder, mirrors=mirrors, say=say, show_bar=True)
    total = sum(file.bytes for file in found)
    new = sum(file.how == "downloaded" for file in found)
    noun = "file" if len(found) == 1 else "files"
    click.echo(
        f"{len(found)} {noun}, {total / 1e9:,.2f} GB, {new} of them downloaded now; "
        f"sizes and hashes: {folder / LOCK}"
    )
