#!/usr/bin/env python
"""Measures conversion: windows a second, bytes and memory, beside a peer's way.

The same windows, from the same files, are written by one process, by --workers
processes, by Apache Beam's DirectRunner (where Beam is installed, or SEQEXP_BEAM_PYTHON
names a Python that has it), and as baskerville writes: one-hot sequence and tracks as
float16, ZLIB, 256 windows a file, one process. Each in a process of its own, one after
the other. The time holds everything but imports: hashing and reading the inputs, and
writing. "CPU" counts the seconds that all processes computed, which other programs on
the machine disturb less. Memory is the largest sum over the processes.

Of kind joint: the archive of the study, and the raw genome (FASTA and bigWig). Of
kind expression: windows of 200,000 bases with three signals around the genes of a
synthetic genome. "fold" are fold changes over a control, which change about every ten
bases, as in real bigWigs; "noise" is another random number at every base, the worst
case, of which no compression makes anything. --growth converts synthetic genomes
instead, tenfold from 10,000 windows of 2,048 bases.

\b
Example:
  python tools/bench_convert.py
  python tools/bench_convert.py --data /data/yeast --compression none
  python tools/bench_convert.py --kind expression --repeats 1
  python tools/bench_convert.py --growth 1000000
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from _expression_inputs import SIGNALS, WINDOW, expression_recipe, write_inputs
from _growing_genome import growing_recipe
from _joint_inputs import recipes_by_route

from seqexp_tf.config import dump
from seqexp_tf.records.recipe import Recipe

_ONCE = Path(__file__).with_name("_convert_once.py")
_GENES, _BASES, _STRIDE = 18_377, 3_088_286_401, 1024
"""Genes of the Seq2Exp study; bases of GRCh38's chromosomes; stride of the recipes."""


@dataclass(frozen=True)
class Measurement:
    """What one conversion took.

    Attributes:
        windows: records written.
        bytes: size of all shards.
        wall: seconds that passed.
        cpu: seconds of computing, of all processes.
        peak: largest sum of resident sets, in megabytes; libraries included.
    """

    windows: int
    bytes: int
    wall: float
    cpu: float
    peak: float


def measure(python: str, job: dict[str, object]) -> Measurement:
    """Does a job of ``_convert_once.py`` in a fresh process."""
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        command = [python, str(_ONCE), json.dumps(job)]
        process = subprocess.Popen(command, stdout=said, stderr=errors, text=True)
        peak = 0
        while process.poll() is None:
            peak = max(peak, _resident(process.pid))
            time.sleep(0.02)
        for file in (said, errors):
            file.seek(0)
        if process.returncode:
            raise click.ClickException(f"{job['method']}: {errors.read()}")
        found = json.loads(said.read().splitlines()[-1])
    return Measurement(**found, peak=peak / 1e6)


def _resident(pid: int) -> int:
    total = 0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            total += each.memory_info().rss
    except psutil.Error:
        pass
    return total


def beam_python() -> str | None:
    """Returns a Python that has Beam: this one, or ``$SEQEXP_BEAM_PYTHON``."""
    if importlib.util.find_spec("apache_beam") is not None:
        return sys.executable
    return os.environ.get("SEQEXP_BEAM_PYTHON")


def compare(
    recipe: Recipe, scratch: Path, *, name: str, workers: int, repeats: int, alone: bool
) -> Iterator[tuple[str, Measurement]]:
    """Yields each way of writing the windows of ``recipe``, and the best of its runs;
    only that of one process if ``alone``."""
    file = scratch / f"{name}.toml"
    file.write_text(dump(recipe))
    dataset = scratch / f"{name}.dataset"
    ways = {"local, 1 process": (sys.executable, "local", 1)}
    if not alone:
        ways[f"local, {workers} processes"] = (sys.executable, "local", workers)
        if (python := beam_python()) is not None:
            ways["Beam, DirectRunner"] = (python, "beam", 1)
        ways["as baskerville"] = (sys.executable, "peer", 1)
    for way, (python, method, processes) in ways.items():
        runs = []
        for _ in range(repeats):
            out = scratch / "out"
            job = {
                "method": method,
                "recipe": str(file),
                "out": str(out),
                "workers": processes,
                "dataset": str(dataset),
            }
            runs.append(measure(python, job))
            if dataset.exists():
                shutil.rmtree(out)
            else:
                out.rename(dataset)
        yield way, min(runs, key=lambda run: run.wall)
    shutil.rmtree(dataset)


def row(cells: Sequence[object]) -> str:
    """Returns a line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def print_comparison(
    inputs: dict[str, Recipe], scratch: Path, *, whole: str, workers: int, repeats: int
) -> Measurement:
    """Prints all ways for input ``whole``, one process for the others.

    Returns:
        The fastest of ours for ``whole``.
    """
    heads = ["input", "written by", "windows", "wall s", "CPU s", "windows/s"]
    heads += ["windows/CPU s", "peak MB", "kB/window"]
    click.echo(row(heads) + "\n" + row(["---"] * 2 + ["---:"] * 7))
    found: dict[str, Measurement] = {}
    for name, recipe in inputs.items():
        ways = compare(
            recipe,
            scratch,
            name=name,
            workers=workers,
            repeats=repeats,
            alone=name != whole,
        )
        for way, run in ways:
            if name == whole:
                found[way] = run
            cells = [name, way, f"{run.windows:,}", f"{run.wall:.2f}", f"{run.cpu:.2f}"]
            cells += [f"{run.windows / run.wall:,.0f}", f"{run.windows / run.cpu:,.0f}"]
            cells += [f"{run.peak:.0f}", f"{run.bytes / run.windows / 1e3:.1f}"]
            click.echo(row(cells))
    if beam_python() is None:
        click.echo("\nBeam is not installed, and SEQEXP_BEAM_PYTHON not set.")
    peer = found.pop("as baskerville")
    click.echo("\nBeside baskerville's way, " + "; ".join(_ratios(found, peer)) + ".")
    return min(found.values(), key=lambda run: run.wall)


def _ratios(found: dict[str, Measurement], peer: Measurement) -> Iterator[str]:
    for way, run in found.items():
        yield (
            f"{way}: {peer.wall / run.wall:.2g} times the speed "
            f"({peer.cpu / run.cpu:.2g} by CPU), {run.bytes / peer.bytes:.2g} times "
            f"the bytes, {run.peak / peer.peak:.2g} times the memory"
        )


def print_estimate(what: str, windows: int, run: Measurement) -> None:
    """Prints what ``windows`` would take at the rate of ``run``."""
    hours = windows / run.windows * run.wall / 3600
    size = windows / run.windows * run.bytes / 1e9
    click.echo(
        f"At {run.windows / run.wall:,.1f} windows/s, {what} ({windows:,} windows) "
        f"would take {hours:.2g} hours and {size:,.3g} GB."
    )


def print_growth(
    largest: int, scratch: Path, *, compression: str, workers: int
) -> Measurement:
    """Prints the time a window for genomes from 10,000 windows; returns the last."""
    heads = ["windows", "wall s", "CPU s", "ms/window", "CPU ms/window", "peak MB"]
    click.echo(row(heads) + "\n" + row(["---:"] * len(heads)))
    runs: list[Measurement] = []
    wanted = 10_000
    while wanted <= largest:
        folder, out = scratch / "genome", scratch / "out"
        file = scratch / "growing.toml"
        file.write_text(dump(growing_recipe(folder, wanted, compression=compression)))
        job = {"method": "local", "recipe": str(file), "out": str(out)}
        run = measure(sys.executable, {**job, "workers": workers})
        runs.append(run)
        cells = [f"{run.windows:,}", f"{run.wall:.1f}", f"{run.cpu:.1f}"]
        cells += [f"{1e3 * value / run.windows:.3f}" for value in (run.wall, run.cpu)]
        click.echo(row([*cells, f"{run.peak:.0f}"]))
        shutil.rmtree(folder)
        shutil.rmtree(out)
        wanted *= 10
    first, last = runs[0], runs[-1]
    more = last.cpu / last.windows / (first.cpu / first.windows)
    click.echo(
        f"\nTimes the windows: {last.windows / first.windows:.0f}; times the CPU a "
        f"window: {more:.2f}; times the memory: {last.peak / first.peak:.2f}."
    )
    return last


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
@click.option("--workers", default=2, show_default=True, help="Of the pool.")
@click.option("--repeats", default=3, show_default=True, help="The best one counts.")
@click.option(
    "--growth",
    type=click.IntRange(min=10_000),
    help="Most windows of a synthetic genome.",
)
def command(
    kind: str,
    genes: int,
    data: Path | None,
    compression: str,
    workers: int,
    repeats: int,
    growth: int | None,
) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        human = "the human genome, stride 1,024, both strands"
        if growth is not None:
            click.echo(f"Synthetic genomes; {compression}, {workers} processes.\n")
            last = print_growth(
                growth, scratch, compression=compression, workers=workers
            )
            print_estimate(human, 2 * _BASES // _STRIDE, last)
            return
        if kind == "joint":
            source, inputs = recipes_by_route(data, scratch, compression=compression)
            whole, what, windows = "raw", human, 2 * _BASES // _STRIDE
        else:
            inputs: dict[str, Recipe] = {}
            for signal in SIGNALS:
                (scratch / signal).mkdir()
                write_inputs(scratch / signal, signal=signal, genes=genes)
                inputs[signal] = expression_recipe(
                    scratch / signal, compression=compression
                )
            source = f"{genes} synthetic genes, {WINDOW:,} bases, 3 signals"
            whole, what, windows = SIGNALS[0], "the study's genes", _GENES
        click.echo(f"{source}; {compression}, best of {repeats}.\n")
        best = print_comparison(
            inputs, scratch, whole=whole, workers=workers, repeats=repeats
        )
        print_estimate(what, windows, best)


if __name__ == "__main__":
    command()
