"""Options that several verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seqexp_tf.errors import RunError
from seqexp_tf.quiet import load_tensorflow as load_tensorflow
from seqexp_tf.records.remote import is_remote

if TYPE_CHECKING:
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.run import Run


class _Dataset(click.Path):
    """A folder, or an address with ``://``, which stays text."""

    def convert(self, value, param, ctx):
        if is_remote(str(value)):
            return str(value)
        return super().convert(value, param, ctx)


class _Local(click.Path):
    """A path of this machine: an address is no folder named ``s3:``."""

    def convert(self, value, param, ctx):
        if is_remote(str(value)):
            self.fail(
                f"{value} is a remote address, and this takes a path of this machine; "
                "copy from there before, or to there afterwards",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


FOLDER = _Local(path_type=Path, file_okay=False)
DATASET = _Dataset(path_type=Path, file_okay=False)
FILE = _Local(path_type=Path, dir_okay=False)

overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Override one value of the configuration; may be repeated.",
)


def run_tables(command: Callable) -> Callable:
    """Adds what names a run configuration; ``read_tables`` reads it."""
    for decorate in (
        overrides,
        click.option(
            "--masking",
            metavar="REGIME",
            help="Hide what a built-in regime hides: rna, rna_dna or dna_alone.",
        ),
        click.option("--preset", help="A built-in configuration instead of CONFIG."),
        click.argument("config", type=FILE, required=False),
    ):
        command = decorate(command)
    return command


def read_tables(
    config: Path | None, preset: str | None, masking: str | None
) -> tuple[str, dict[str, Any]]:
    """Returns where a run configuration is from, and its tables.

    Raises:
        click.UsageError: neither, or both of a file and a preset.
        ConfigError: no such file, preset or regime.
    """
    from seqexp_tf.config import read_toml
    from seqexp_tf.training import config as configs

    if (config is None) == (preset is None):
        raise click.UsageError("give either a configuration file or --preset")
    if config is not None:
        origin, tables = str(config), read_toml(config)
    else:
        origin, tables = f"preset {preset}", configs.read_preset(preset)
    if masking is not None:
        tables = configs.with_regime(tables, masking)
    return origin, tables


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
data = click.option(
    "--data",
    type=DATASET,
    help="Dataset; the run's own if not given. Another needs --out.",
)


def open_store(
    run: "Run", data: str | Path | None, out: str | Path | None
) -> "RecordStore":
    """Opens the dataset that a run is asked about; says so where it is not its own.

    Args:
        run: trained.
        data: the dataset; None for the run's own.
        out: where results go; None for a place in the run.

    Raises:
        RunError: the model cannot read it, or it is not the run's own and results
            would be written over those of the run's own.
        DatasetError: no dataset there, or a shard is missing or cut.
    """
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.records.verify import require_shards

    store = RecordStore.open(data or Path(run.dataset["folder"]))
    run.check_dataset(store)
    require_shards(store)
    if not run.trained_on(store):
        theirs, ours = run.dataset, store.manifest["name"]
        differs = (
            f"{run.folder} was trained on {theirs['name']} "
            f"({theirs['fingerprint'][:12]}); {store.folder} is {ours} "
            f"({store.fingerprint[:12]}), another dataset"
        )
        if out is None:
            raise RunError(
                f"{differs}; give --out, so that its results do not replace those in "
                "the run"
            )
        say(f"Note: {differs}")
    return store


def say(message: str) -> None:
    """Prints one line of progress."""
    click.echo(message, err=True)
