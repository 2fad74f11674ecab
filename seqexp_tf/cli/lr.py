"""``seqexp-tf lr``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import (
    DATASET,
    FOLDER,
    load_tensorflow,
    read_tables,
    run_tables,
    say,
)


@click.command()
@run_tables
@click.option("--data", type=DATASET, required=True, help="Dataset folder.")
@click.option(
    "--out", type=FOLDER, required=True, help="Folder for lr.tsv, lr.png and lr.svg."
)
@click.option("--lowest", default=1e-6, show_default=True, help="First learning rate.")
@click.option("--highest", default=1.0, show_default=True, help="Last learning rate.")
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=100,
    show_default=True,
    help="Batches, each with the next rate.",
)
def command(
    config: Path | None,
    preset: str | None,
    masking: str | None,
    overrides: tuple[str, ...],
    data: Path,
    out: Path,
    lowest: float,
    highest: float,
    steps: int,
) -> None:
    """Find a learning rate before a training.

    The range test (Smith 2017): a few batches are trained on while the learning rate
    rises exponentially, until the loss explodes. Suggested is a tenth of the rate at
    which the smoothed loss is lowest, as the peak of the schedule
    (training.learning_rate). Everything but the schedule is as in `fit`, on one
    device whatever training.strategy says; no run is left behind.

    \b
    Example:
      seqexp-tf lr --preset cnn --data /tmp/yeast --out lr_cnn
      seqexp-tf fit --preset cnn --data /tmp/yeast --out runs/cnn \\
          --set training.learning_rate=0.002
    """
    from seqexp_tf.training.config import read_run_config

    origin, tables = read_tables(config, preset, masking)
    settings = read_run_config(tables, overrides, origin=origin)

    load_tensorflow()
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.evaluation.lr_sweep import write_sweep
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.lr_finder import find_rate, require_range

    require_range(lowest, highest)
    store = RecordStore.open(data)
    require_writable(out)
    sweep = find_rate(settings, store, lowest=lowest, highest=highest, steps=steps)
    configured = f"the configuration has {settings.training.learning_rate:g}"
    if sweep.still_falls:
        say(
            f"no suggestion: the loss is lowest at the highest rate, {highest:g}; "
            f"raise --highest, or --steps; {configured}"
        )
    elif sweep.suggestion is None:
        say(f"no suggestion: the loss never fell; choose another range; {configured}")
    else:
        click.echo(f"suggested: training.learning_rate={sweep.suggestion:.1e}")
        say(f"{configured}; {len(sweep.rates)} of {steps} batches, see the plot")
    click.echo("Written:")
    for path in write_sweep(sweep, out):
        click.echo(f"  {path}")
