#!/usr/bin/env python
"""Kills a conversion (kill -9) at random moments, resumes it, compares every byte.

A conversion that nobody disturbs is made first; its duration is the range of the
random moments. Each attempt starts a conversion into an empty folder, kills it,
checks that the folder does not pass for a dataset, runs the same command again and
compares all files with the undisturbed folder.

\b
Example:
  python tools/kill_resume.py --times 20
  python tools/kill_resume.py --times 5 --workers 2 --data /data/yeast
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import click
import numpy as np
from _joint_inputs import recipes_by_route

from seqexp_tf.config import dump


def contents(folder: Path) -> dict[str, bytes]:
    """Returns every file of a dataset folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def moment_of(folder: Path) -> str:
    """Returns what a killed conversion had come to, judged by its folder."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return "before the folder"
    if (folder / "manifest.json").exists():
        return "after the manifest"
    if (folder / "conversion.jsonl").exists():
        return "while writing shards"
    return "while reading inputs"


def kill_at_random(
    command: list[str], target: Path, duration: float, rng: np.random.Generator
) -> float:
    """Kills one conversion into an empty folder; returns after how many seconds.

    One that had already finished does not count: another moment is drawn.
    """
    while True:
        shutil.rmtree(target, ignore_errors=True)
        delay = rng.uniform(0, duration)
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            return delay


@click.command(help=__doc__)
@click.option("--times", default=20, show_default=True, help="Number of kills.")
@click.option("--workers", default=1, show_default=True, help="Of the conversion.")
@click.option(
    "--route",
    type=click.Choice(["archive", "raw"]),
    default="archive",
    show_default=True,
    help="Which inputs to convert.",
)
@click.option("--seed", default=0, show_default=True, help="Of the moments.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the yeast data; else a simulated genome.",
)
def command(times: int, workers: int, route: str, seed: int, data: Path | None) -> None:
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as scratch:
        source, recipes = recipes_by_route(data, Path(scratch))
        recipe = Path(scratch) / "recipe.toml"
        recipe.write_text(dump(recipes[route]))
        target = Path(scratch) / "dataset"
        verb = [sys.executable, "-m", "seqexp_tf.cli.main", "convert", str(recipe)]
        verb += ["--workers", str(workers), "--out", str(target)]

        began = time.perf_counter()
        subprocess.run(verb, check=True, capture_output=True)
        duration = time.perf_counter() - began
        undisturbed = contents(target)
        size = sum(map(len, undisturbed.values())) / 1e6
        click.echo(
            f"{source}, {route} route: {len(undisturbed)} files, {size:.1f} MB in "
            f"{duration:.1f} s, {workers} worker{'s' * (workers > 1)}"
        )
        moments, equal = Counter(), 0
        for attempt in range(1, times + 1):
            delay = kill_at_random(verb, target, duration, rng)
            moment = moment_of(target)
            moments[moment] += 1
            # After the manifest nothing is left to do: the command says so, tidies
            # up and exits with 1.
            subprocess.run(
                verb, check=moment != "after the manifest", capture_output=True
            )
            same = contents(target) == undisturbed
            equal += same
            click.echo(
                f"{attempt:>3}  killed after {delay:5.2f} s, {moment}: "
                f"{'equal' if same else 'DIFFERENT'}"
            )
        listed = ", ".join(f"{count} {moment}" for moment, count in moments.items())
        click.echo(f"{equal} of {times} equal in every byte ({listed})")
        if equal < times:
            raise click.exceptions.Exit(1)


if __name__ == "__main__":
    command()
