#!/usr/bin/env python
"""Measures for every preset which share of a training step is waiting for input.

Each preset trains on simulated data as `seqexp-tf fit` would: joint models on windows
of 2,048 bases, models of genes on records of 200,000 bases or, where the preset cuts
out a window, on records little longer. Presets that read the mask of a finished run get
one that was trained for a step. The exit code is 1 where a share is above --at-most.

\b
Example:
  python tools/bench_input_wait.py --preset cnn --preset seq2exp_soft_small
  python tools/bench_input_wait.py --preset seq2exp_soft --set model.remat=true
"""

import tempfile
from pathlib import Path

import click

from seqexp_tf.cli.options import load_tensorflow
from seqexp_tf.errors import SeqExpError

RECIPES = Path(__file__).resolve().parents[1] / "tfrecords"
GENES = 24
MARGIN = 256
"""Bases by which a record is longer than the window that a preset cuts out."""

GENERIC = ("model.mask.weights={}", "model.mask.constants=1.0")
"""Presets of the study weight its own signals; these treat all alike."""


def joint_store(scratch: Path):
    """Returns the windows of a simulated genome."""
    from bench_pipeline import simulated_dataset

    return simulated_dataset(scratch / "joint", contig_length=500_000)


def short_store(scratch: Path, size: int):
    """Returns records of ``size`` bases around genes of the genome of joint windows."""
    from seqexp_tf.config import read_toml

    tables = read_toml(RECIPES / "simulated_expression.toml")
    del tables["contact"]
    tables["source"]["root"] = str(scratch / "joint" / "genome")
    tables["windows"]["size"] = size
    return _converted(tables, scratch / f"genes_{size}")


def long_store(scratch: Path):
    """Returns records of 200,000 bases with three signals."""
    from _expression_inputs import expression_recipe, write_inputs

    from seqexp_tf.config import to_dict

    folder = scratch / "long"
    folder.mkdir()
    write_inputs(folder, signal="fold", genes=GENES)
    return _converted(to_dict(expression_recipe(folder)), folder / "dataset")


def _converted(tables: dict, folder: Path):
    """Converts a recipe of genes, with a peak before each TSS."""
    import pandas as pd

    from seqexp_tf.config import build
    from seqexp_tf.records.convert import convert
    from seqexp_tf.records.expression_recipe import ExpressionRecipe
    from seqexp_tf.records.store import RecordStore

    root = Path(tables["source"]["root"])
    genes = pd.read_csv(root / "genes.tsv", sep="\t")
    around = zip(genes.contig, genes.tss, strict=True)
    lines = [f"{c}\t{max(tss - 200, 0)}\t{tss + 1}\n" for c, tss in around]
    (root / "peaks.bed").write_text("".join(lines))
    tables["channels"] = {"peaks": "peaks.bed"}
    convert(build(ExpressionRecipe, tables, origin="simulated"), folder)
    return RecordStore.open(folder)


class Bench:
    """Measures presets, each on the data it is for.

    Args:
        scratch: an empty folder.
        steps: timed steps.
        long_batch: genes in a batch of long records; 0 for that of the preset.
        overrides: of every configuration, as for `seqexp-tf fit`.
    """

    def __init__(
        self,
        scratch: Path,
        *,
        steps: int,
        long_batch: int,
        overrides: tuple[str, ...] = (),
    ):
        self.scratch = scratch
        self.steps = steps
        self.long_batch = long_batch
        self.overrides = overrides
        self._stores = {}
        self._runs = {}

    def measure(self, preset: str) -> tuple[int, int, float, float]:
        """Returns bases, examples a batch, seconds a step, and the share of waiting."""
        import keras

        from seqexp_tf.training import hardware
        from seqexp_tf.training.loops import KerasLoop
        from seqexp_tf.training.task import task_of
        from seqexp_tf.training.throughput import InputWait, Throughput

        config, store = self.config(preset)
        task, wait = task_of(config), InputWait()
        plan = task.plan(store)
        keras.utils.set_random_seed(config.training.seed)
        policy = hardware.compute_policy(config.training.precision)
        model = task.build(store.schema, policy)
        task.compile(model, plan)
        throughput, logs = Throughput(wait, config.training.batch_size), {}
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, found: logs.update(found)
        )
        KerasLoop(model, wait).fit(
            task.training_batches(model, store, plan, first_step=0),
            epochs=1,
            steps_per_epoch=self.steps + 1,
            callbacks=[throughput, keep],
        )
        size = config.training.batch_size
        window = getattr(config.pipeline, "window", 0) or store.schema.window
        seconds = size / logs[Throughput.SPEED]
        return window, size, seconds, logs[Throughput.WAIT]

    def config(self, preset: str):
        """Returns the configuration of a preset, and its dataset."""
        from seqexp_tf.training.config import read_preset, read_run_config

        tables = read_preset(preset)
        mask = tables["model"].get("mask", {})
        overrides = list(GENERIC) if "weights" in mask else []
        if mask.get("kind") == "run":
            run = self.run(preset.replace("retrain", "soft"))
            overrides += [f"model.mask.run={run}", "model.mask.fraction=0.1"]
        kind, size = self._kind(tables)
        if kind == "long" and self.long_batch:
            overrides.append(f"training.batch_size={self.long_batch}")
        overrides += self.overrides
        config = read_run_config(tables, overrides, origin=f"preset {preset}")
        return config, self.store(kind, size)

    def store(self, kind: str, size: int = 0):
        """Returns the dataset ``joint``, ``long``, or ``short`` with such records."""
        if (kind, size) not in self._stores:
            if kind == "joint":
                store = joint_store(self.scratch)
            elif kind == "long":
                store = long_store(self.scratch)
            else:
                self.store("joint")
                store = short_store(self.scratch, size)
            self._stores[kind, size] = store
        return self._stores[kind, size]

    def run(self, preset: str) -> Path:
        """Returns a run of a preset, trained for one step."""
        from dataclasses import replace

        from seqexp_tf.training.trainer import fit

        if preset not in self._runs:
            config, store = self.config(preset)
            short = replace(
                config.training, max_steps=1, epochs=0, validate_every=1, patience=0
            )
            folder = self.scratch / f"run_{preset}"
            fit(replace(config, training=short), store, folder)
            self._runs[preset] = folder
        return self._runs[preset]

    def _kind(self, tables: dict) -> tuple[str, int]:
        from seqexp_tf.models import registry

        if registry.task(tables["model"]["architecture"]) == "joint":
            return "joint", 0
        window = tables.get("pipeline", {}).get("window")
        return ("short", window + MARGIN) if window else ("long", 0)


@click.command(help=__doc__)
@click.option("--preset", "presets", multiple=True, help="All of them if not given.")
@click.option("--steps", default=10, show_default=True, help="Timed steps.")
@click.option(
    "--long-batch",
    default=1,
    show_default=True,
    help="Genes in a batch of records of 200,000 bases; 0 for that of the preset.",
)
@click.option("--set", "overrides", multiple=True, help="As for `seqexp-tf fit`.")
@click.option(
    "--at-most", default=0.02, show_default=True, help="Largest share that passes."
)
def command(
    presets: tuple[str, ...],
    steps: int,
    long_batch: int,
    overrides: tuple[str, ...],
    at_most: float,
) -> None:
    load_tensorflow()
    from seqexp_tf.training import config as configs
    from seqexp_tf.training import hardware

    click.echo(hardware.describe())
    click.echo(f"{'preset':<24}{'bases':>9}{'batch':>7}{'s/step':>9}{'input wait':>12}")
    slow = []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(
            Path(scratch), steps=steps, long_batch=long_batch, overrides=overrides
        )
        for preset in presets or configs.presets():
            try:
                window, size, seconds, share = bench.measure(preset)
            except SeqExpError as error:
                raise click.ClickException(str(error)) from None
            click.echo(
                f"{preset:<24}{window:>9,}{size:>7}{seconds:>9.3f}{share:>12.2%}"
            )
            if share > at_most:
                slow.append(preset)
    if slow:
        raise click.ClickException(
            f"input wait above {at_most:.0%} of the time: {', '.join(slow)}"
        )


if __name__ == "__main__":
    command()
