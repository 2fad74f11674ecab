#!/usr/bin/env python
"""Measures conversion: windows a second on one core, memory and bytes.

Each input runs in a process of its own, with one worker. The time holds everything:
hashing and reading the inputs, and writing. "CPU" counts the seconds that the process
computed, which other programs on the machine do not disturb.

Of kind joint: the archive of the study, and the raw genome (FASTA and bigWig). Of
kind expression: windows of 200,000 bases with three signals around the genes of a
synthetic genome. "fold" are fold changes over a control, which change about every ten
bases, as in real bigWigs; "noise" is another random number at every base, the worst
case, of which no compression makes anything.

\b
Example:
  python tools/bench_convert.py
  python tools/bench_convert.py --data /data/yeast --compression none
  python tools/bench_convert.py --kind expression --repeats 1
"""

import multiprocessing
import re
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import click
from _expression_inputs import SIGNALS, WINDOW, expression_recipe, write_inputs
from _joint_inputs import recipes_by_route

from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import Recipe


@dataclass(frozen=True)
class Measurement:
    """What one conversion took.

    Attributes:
        windows: records written.
        cpu: seconds of computing.
        wall: seconds that passed.
        megabytes: size of all shards.
        peak: largest resident set in megabytes, interpreter and libraries included.
    """

    windows: int
    cpu: float
    wall: float
    megabytes: float
    peak: float


def measure(recipe: Recipe, folder: Path) -> Measurement:
    """Converts once; meant for a fresh process, whose peak memory it reads."""
    cpu, wall = time.process_time(), time.perf_counter()
    summary = convert(recipe, folder, workers=1)
    return Measurement(
        windows=sum(summary.written.values()),
        cpu=time.process_time() - cpu,
        wall=time.perf_counter() - wall,
        megabytes=summary.bytes / 1e6,
        peak=peak_megabytes(),
    )


def peak_megabytes() -> float:
    """Returns the largest resident set of this process.

    Not by getrusage: there a process begins with the peak of the one it came from.
    """
    status = Path("/proc/self/status").read_text()
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kilobytes) / 1e3


def expression_recipes(
    scratch: Path, *, genes: int, compression: str
) -> tuple[str, dict[str, Recipe]]:
    """Returns what is converted, in words, and the recipe of each sort of signals."""
    recipes: dict[str, Recipe] = {}
    for signal in SIGNALS:
        folder = scratch / signal
        folder.mkdir()
        write_inputs(folder, signal=signal, genes=genes)
        recipes[signal] = expression_recipe(folder, compression=compression)
    return f"{genes} synthetic genes, {WINDOW:,} bases, 3 signals", recipes


@click.command(help=__doc__)
@click.option(
    "--kind",
    type=click.Choice(["joint", "expression"]),
    default="joint",
    show_default=True,
    help="Of the dataset.",
)
@click.option(
    "--genes", default=240, show_default=True, help="Of the synthetic genome."
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the yeast data; else a simulated genome.",
)
@click.option(
    "--compression",
    type=click.Choice(["gzip", "none"]),
    default="gzip",
    show_default=True,
    help="Of the shards.",
)
@click.option("--repeats", default=3, show_default=True, help="The best one counts.")
def command(
    kind: str, genes: int, data: Path | None, compression: str, repeats: int
) -> None:
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as scratch:
        if kind == "joint":
            source, recipes = recipes_by_route(
                data, Path(scratch), compression=compression
            )
        else:
            source, recipes = expression_recipes(
                Path(scratch), genes=genes, compression=compression
            )
        click.echo(f"{source}; {compression}, 1 worker, best of {repeats}\n")
        click.echo(
            f"{'input':<9}{'windows':>9}{'CPU s':>8}{'wall s':>8}{'windows/CPU s':>15}"
            f"{'windows/s':>11}{'peak MB':>9}{'shards MB':>11}{'kB/window':>11}"
        )
        for route, recipe in recipes.items():
            runs = []
            for repeat in range(repeats):
                folder = Path(scratch) / f"{route}.{repeat}"
                with ProcessPoolExecutor(1, context) as pool:
                    runs.append(pool.submit(measure, recipe, folder).result())
            best = min(runs, key=lambda run: run.cpu)
            wall = min(run.wall for run in runs)
            click.echo(
                f"{route:<9}{best.windows:>9,}{best.cpu:>8.2f}{wall:>8.2f}"
                f"{best.windows / best.cpu:>15,.0f}{best.windows / wall:>11,.0f}"
                f"{max(run.peak for run in runs):>9.0f}{best.megabytes:>11.1f}"
                f"{1e3 * best.megabytes / best.windows:>11.1f}"
            )


if __name__ == "__main__":
    command()
