"""``seqexp-tf demo``"""

import importlib.util
from pathlib import Path

import click

from seqexp_tf.cli import convert, evaluate, export, fit, simulate
from seqexp_tf.cli.options import FOLDER, say
from seqexp_tf.errors import ConfigError

RECIPE = """\
# Written by `seqexp-tf demo`: the simulated genome as a dataset.
kind = "joint"
name = "demo"

[source]
root = "{root}"

[source.archive]
data = "archive/data.npz"
regions = "archive/regions.parquet"
meta = "archive/data_meta.json"

[splits]
validation_fraction = 0.15
test_fraction = 0.15

[output]
min_shards = 4
"""


@click.command()
@click.option(
    "--out", type=FOLDER, default=Path("demo"), show_default=True, help="Folder."
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=14,
    show_default=True,
    help="Passes over the data.",
)
@click.pass_context
def command(context: click.Context, out: Path, epochs: int) -> None:
    """Simulate, convert, fit, evaluate and export in a few minutes.

    Runs the whole path on a simulated genome, with the commands you would type for
    your own, and prints each of them.

    \b
    Example:
      seqexp-tf demo --out demo
    """
    if out.exists() and any(out.iterdir()):
        raise ConfigError(f"{out}: not empty; remove it or choose another --out")
    genome, dataset, run = out / "genome", out / "dataset", out / "run"
    recipe = out / "recipe.toml"

    _show(f"seqexp-tf simulate {genome}")
    contacts = importlib.util.find_spec("cooler") is not None
    context.invoke(simulate.command, out=genome, no_contacts=not contacts)
    recipe.write_text(RECIPE.format(root=genome))

    _show(f"seqexp-tf convert {recipe} --out {dataset}")
    context.invoke(convert.command, recipe=recipe, out=dataset)

    overrides = (f"training.epochs={epochs}", "training.batch_size=8")
    settings = " ".join(f"--set {override}" for override in overrides)
    _show(f"seqexp-tf fit --preset cnn --data {dataset} --out {run} {settings}")
    context.invoke(
        fit.command, preset="cnn", data=dataset, out=run, overrides=overrides
    )

    _show(f"seqexp-tf evaluate {run}")
    context.invoke(evaluate.command, run=run)

    _show(f"seqexp-tf export {run}")
    context.invoke(export.command, run=run)

    click.echo(
        f"\nLook at {run}/metrics/test_windows.png (truth and prediction), "
        f"curves.png and test_reliability_*.png."
        f"\nNext: your own genome, see the README, or `seqexp-tf convert --help`."
    )


def _show(line: str) -> None:
    say(click.style(f"\n$ {line}", bold=True))
