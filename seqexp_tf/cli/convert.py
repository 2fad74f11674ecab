"""``seqexp-tf convert``"""

import os
import shlex
from pathlib import Path

import click

from seqexp_tf.cli.options import DATASET, FILE, overrides, say


@click.command()
@click.argument("recipe", type=FILE)
@click.option(
    "--out",
    type=DATASET,
    help="Dataset folder, or an address such as s3://BUCKET/NAME; tfrecords/NAME "
    "beside the recipe if not given.",
)
@overrides
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    show_default="all cores",
    help="Processes that write shards; the bytes do not depend on it.",
)
@click.option(
    "--runner",
    type=click.Choice(["local", "beam"]),
    default="local",
    show_default=True,
    help="What writes the shards: processes here, or Apache Beam. Same bytes.",
)
@click.option(
    "--beam-args",
    metavar="OPTIONS",
    help="Options of Beam in one text; its DirectRunner without them.",
)
@click.option(
    "--overwrite", is_flag=True, help="Replace another dataset in the folder."
)
@click.option("--dry-run", is_flag=True, help="Check the recipe and print it.")
def command(
    recipe: Path,
    out: Path | str | None,
    overrides: tuple[str, ...],
    workers: int | None,
    runner: str,
    beam_args: str | None,
    overwrite: bool,
    dry_run: bool,
) -> None:
    """Turn genome files into a dataset of TFRecords.

    RECIPE is a TOML that names the inputs, the windows, the splits and how shards
    are stored. Its files, and --out, may be remote. A conversion that was killed goes
    on when the same command is run again.

    \b
    Example:
      seqexp-tf convert tfrecords/yeast_joint.toml \\
          --set source.root=/data/yeast --out /tmp/yeast
      seqexp-tf convert genes.toml --out s3://bucket/genes --runner beam \\
          --beam-args "--runner=FlinkRunner --flink_master=host:8081"
    """
    if runner == "local" and beam_args is not None:
        raise click.UsageError("--beam-args goes with --runner beam")
    if runner == "beam" and workers is not None:
        raise click.UsageError(
            "--workers is for --runner local; Beam takes its own, such as "
            '--beam-args "--direct_num_workers=4 '
            '--direct_running_mode=multi_processing"'
        )
    from seqexp_tf.config import dump
    from seqexp_tf.records.convert import convert
    from seqexp_tf.records.recipe import read_recipe

    config = read_recipe(recipe, overrides)
    if dry_run:
        click.echo(dump(config), nl=False)
        return
    folder = out or recipe.parent / config.name
    summary = convert(
        config,
        folder,
        workers=workers or os.cpu_count() or 1,
        beam_args=shlex.split(beam_args or "") if runner == "beam" else None,
        overwrite=overwrite,
        progress=say,
        show_bar=True,
    )
    for note in summary.notes:
        click.echo(note)
    written = sum(summary.written.values())
    by_split = ", ".join(f"{name} {n:,}" for name, n in summary.written.items())
    click.echo(
        f"wanted {summary.wanted:,} windows, wrote {written:,} ({by_split}), "
        f"dropped {summary.wanted - written:,}"
    )
    for reason, count in summary.dropped.items():
        click.echo(f"  {count:,} {reason}")
    for line in summary.results:
        click.echo(line)
    for warning in summary.warnings:
        click.echo(f"Warning: {warning}", err=True)
    reused = f", {summary.reused} kept from before" if summary.reused else ""
    click.echo(
        f"{summary.shards} shards, {summary.bytes / 1e6:,.1f} MB{reused}: {folder}"
    )
