#!/usr/bin/env python
"""Kills a training (kill -9) at random moments, resumes it, compares every number.

A training that nobody disturbs comes first. Each attempt trains again into an empty
folder and is killed at a random moment after its first step: early, late, while it
saves, while it validates. `fit --resume` brings it to its end, and
everything is compared with the undisturbed run: weights, average of weights, optimizer,
seeds and step of the last checkpoint, the best model, and the history but for its
seconds. Sizes are tiny, and what is hard to resume is on: dropout, sampled masks,
accumulated gradients, an average of weights, checkpoints within an epoch.

\b
Example:
  python tools/kill_fit.py --task joint --times 20
  python tools/kill_fit.py --task expression --times 10
  python tools/kill_fit.py --task joint --times 5 --signal SIGTERM
  KERAS_BACKEND=jax python tools/kill_fit.py --task expression --times 3
"""

import csv
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
import h5py
import numpy as np

from seqexp_tf.config import build
from seqexp_tf.records.convert import convert
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.recipe import JointRecipe
from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

_SPLITS = {"test": ["chr5"], "validation": ["chr6"]}
_HARD = (
    "training.precision=float32", "training.strategy=single",
    "training.checkpoint_every=5", "training.ema_decay=0.9",
    "training.accumulate_steps=2",
)  # fmt: skip
_OPTIONS = {
    "joint": (
        "--preset", "cnn", *_HARD, "model.filters=16", "model.dilations=[2, 4, 8]",
        "model.dropout=0.1", "training.epochs=3", "training.batch_size=4",
    ),
    "expression": (
        "--preset", "seq2exp_soft_small", *_HARD, "model.width=8", "model.center=64",
        "model.generator.dilations=[1, 4]", "model.predictor.encoder=cnn",
        "model.predictor.dilations=[1, 4, 16]", "model.predictor.dropout=0.1",
        "model.mask.kl_warmup_steps=50", "model.mask.promoter=32",
        "pipeline.window=256", "pipeline.shift=16",
        "training.epochs=0", "training.max_steps=100", "training.validate_every=34",
        "training.batch_size=4", "training.warmup_steps=20",
    ),
}  # fmt: skip


def make_dataset(task: str, folder: Path) -> Path:
    """Simulates a genome and converts it; returns the dataset's folder."""
    genome = folder / "genome"
    config = SimulationConfig(contig_length=20_000)
    write_simulation(simulate(config), genome, contacts=False)
    tables: dict[str, Any] = {"kind": task, "name": f"tiny_{task}", "splits": _SPLITS}
    source = {"root": str(genome)}
    if task == "joint":
        files = {
            "fasta": "genome.fa.gz",
            "coverage_plus": "rna.plus.bw",
            "coverage_minus": "rna.minus.bw",
            "threshold": 2.0,
        }
        tables |= {"source": {**source, "genome": files}}
        tables |= {"windows": {"size": 256, "stride": 1024}}
        recipe = build(JointRecipe, tables, origin="simulation")
    else:
        files = {"fasta": "genome.fa.gz", "genes": "genes.tsv"}
        accessibility = {"path": "accessibility.bw", "transform": ["log1p"]}
        tables |= {
            "source": {**source, **files},
            "signals": {"accessibility": accessibility},
            "target": {"column": "expression", "transform": "log1p"},
            "windows": {"size": 512},
        }
        recipe = build(ExpressionRecipe, tables, origin="simulation")
    convert(recipe, folder / "dataset")
    return folder / "dataset"


def contents(run: Path) -> dict[str, Any]:
    """Returns every number that a finished run ends with."""
    from seqexp_tf.training.callbacks import TIMES

    (checkpoint,) = (run / "checkpoints").iterdir()
    with np.load(checkpoint / "variables.npz") as file:
        found: dict[str, Any] = dict(file)
    with zipfile.ZipFile(run / "model.keras") as file:
        weights = h5py.File(io.BytesIO(file.read("model.weights.h5")))
    weights.visititems(
        lambda name, item: (
            found.update({f"best/{name}": item[()]})
            if isinstance(item, h5py.Dataset)
            else None
        )
    )
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    return found | {"history": [{**row, **dict.fromkeys(TIMES)} for row in rows]}


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether two runs are equal in every bit."""
    if first.keys() != second.keys() or first["history"] != second["history"]:
        return False
    arrays = first.keys() - {"history"}
    return all(first[n].tobytes() == second[n].tobytes() for n in arrays)


def begun(run: Path) -> bool:
    """Whether a training has written its first checkpoint."""
    return any((run / "checkpoints").glob("step-*"))


def moment_of(run: Path) -> str:
    """Returns what a killed training had come to, judged by its folder."""
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    if any(name.endswith(".incomplete") for name in names):
        return "while saving"
    if (run / "model.keras").exists():
        return "after the end"
    return "after a validation" if "validated" in names[-1] else "within an epoch"


def start(command: list[str], *, said: Path) -> subprocess.Popen:
    """Starts a training that speaks into a file."""
    with said.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)


def check_ended(process: subprocess.Popen, *, said: Path) -> None:
    """Raises with what a training said last, unless it ended well."""
    if process.returncode != 0:
        last = said.read_text(errors="replace").strip().splitlines()[-1:]
        raise click.ClickException(
            f"the training ended with {process.returncode}: {''.join(last)}"
        )


def kill_at_random(
    command: list[str], run: Path, duration: float, kind: int, rng: np.random.Generator
) -> float:
    """Stops one training; returns after how many seconds from its first checkpoint.

    One that had already finished does not count: another moment is drawn.
    """
    while True:
        shutil.rmtree(run, ignore_errors=True)
        process = start(command, said=run.with_name("said"))
        while not begun(run) and process.poll() is None:
            time.sleep(0.002)
        delay = rng.uniform(0, duration)
        time.sleep(delay)
        process.send_signal(kind)
        # Asked to stop before the end it answers with a code, after it as any process.
        if process.wait() in (-kind, 128 + kind):
            return delay
        check_ended(process, said=run.with_name("said"))


@click.command(help=__doc__)
@click.option(
    "--task",
    type=click.Choice(["joint", "expression"]),
    default="joint",
    show_default=True,
    help="A joint CNN, or Seq2Exp with sampled masks.",
)
@click.option("--times", default=20, show_default=True, help="Number of kills.")
@click.option(
    "--signal",
    "name",
    type=click.Choice(["SIGKILL", "SIGTERM"]),
    default="SIGKILL",
    show_default=True,
    help="What the training is sent.",
)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
def command(task: str, times: int, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = signal.Signals[name]
    with tempfile.TemporaryDirectory() as scratch:
        dataset = make_dataset(task, Path(scratch))
        verb = [sys.executable, "-m", "seqexp_tf.cli.main", "fit"]
        first, second, *overrides = _OPTIONS[task]
        options = [first, second, "--data", str(dataset)]
        options += [part for o in overrides for part in ("--set", o)]
        undisturbed, run = Path(scratch) / "undisturbed", Path(scratch) / "run"

        began = None
        said = Path(scratch) / "said"
        process = start([*verb, *options, "--out", str(undisturbed)], said=said)
        while process.poll() is None:
            if began is None and begun(undisturbed):
                began = time.perf_counter()
            time.sleep(0.002)
        check_ended(process, said=said)
        duration = time.perf_counter() - began
        wanted = contents(undisturbed)
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        click.echo(
            f"{task}, {backend}: {len(wanted['history'])} validations, "
            f"{len(wanted) - 1} arrays; {duration:.1f} s after the first checkpoint"
        )
        moments, equal = Counter(), 0
        for attempt in range(1, times + 1):
            delay = kill_at_random(
                [*verb, *options, "--out", str(run)], run, duration, kind, rng
            )
            moment = moment_of(run)
            moments[moment] += 1
            subprocess.run(
                [*verb, "--resume", "--out", str(run)], check=True, capture_output=True
            )
            alike = same(contents(run), wanted)
            equal += alike
            click.echo(
                f"{attempt:>3}  {name} after {delay:5.2f} s, {moment}: "
                f"{'equal' if alike else 'DIFFERENT'}"
            )
        listed = ", ".join(f"{count} {moment}" for moment, count in moments.items())
        click.echo(f"{equal} of {times} equal in every bit ({listed})")
        if equal < times:
            raise click.exceptions.Exit(1)


if __name__ == "__main__":
    command()
