#!/usr/bin/env python
"""Times in-silico mutagenesis against the same mutants through ``model.predict``.

All three mutations of each base of a region in the middle of one window of random
DNA. Ours computes what each mutation can reach; ``predict`` is given the expression
output alone and its mutants ready made. Both compute in float32, in one process and
in turns, and their logits are compared. A run trained in bfloat16 is also timed as
it was trained. Seconds of all cores together (CPU s) suffer less from other programs
than those of the clock. Without --run an untrained network of the preset is used, whose
weights change nothing but the logits.

\b
Example:
  python tools/bench_mutagenesis.py --preset cnn
  python tools/bench_mutagenesis.py --run runs/cnn_large --repeats 5
"""

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

TOLERANCE = 1e-4


def load_model(preset: str, run: Path | None):
    """Returns the model of a run, or an untrained one of a preset."""
    import keras

    from seqexp_tf.training import hardware, trainer
    from seqexp_tf.training.config import read_preset, read_run_config
    from seqexp_tf.training.run import Run

    if run is not None:
        return Run.open(run).load_model()
    keras.utils.set_random_seed(1)
    model = trainer.build_model(read_run_config(read_preset(preset)), "float32")
    model.jit_compile = hardware.compiles()
    return model


def make_window(window: int) -> dict[str, np.ndarray]:
    """Returns a window of random DNA, half of its random labels hidden."""
    rng = np.random.default_rng(1)
    labels = np.repeat(rng.integers(0, 2, window // 64 + 1), 64)[:window]
    hidden = np.abs(np.arange(window) - window / 2) < window / 4
    return {
        "sequence": np.eye(5, dtype=np.float32)[rng.integers(0, 4, (1, window))],
        "expression": np.where(hidden, 0.5, labels).astype(np.float32)[None],
    }


def list_mutants(
    inputs: dict[str, np.ndarray], region: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns positions and new bases of every mutation of the middle ``region``."""
    bases = inputs["sequence"][0].argmax(-1)
    first = (bases.size - region) // 2
    positions = np.repeat(np.arange(first, first + region), 3)
    return positions, (bases[positions] + np.tile([1, 2, 3], region)) % 4


def propagate(model, inputs, positions, bases, batch_size) -> np.ndarray:
    """Returns the region's logits of every mutant, as the package computes them."""
    from seqexp_tf.interpretation.mutants import Mutants

    mutants = Mutants(
        model,
        inputs,
        first=int(positions[0]),
        last=int(positions[-1]) + 1,
        batch_size=batch_size,
    )
    group = 3 * batch_size
    return np.concatenate(
        [
            mutants.logits(positions[at : at + group], bases[at : at + group])
            for at in range(0, len(positions), group)
        ]
    )


def predicting(model, inputs, positions, bases, batch_size) -> Callable[[], np.ndarray]:
    """Returns a function that puts every mutant through ``model.predict``."""
    import keras

    name = "expression_logits"
    alone = keras.Model(model.input, model.output[name])
    alone.jit_compile = model.jit_compile
    batch = {
        key: np.repeat(rows, len(positions), axis=0) for key, rows in inputs.items()
    }
    batch["sequence"][np.arange(len(positions)), positions] = np.eye(5)[bases]
    recorded = slice(int(positions[0]), int(positions[-1]) + 1)

    def predict() -> np.ndarray:
        return alone.predict(batch, batch_size=batch_size, verbose=0)[:, recorded]

    return predict


def peak_memory() -> float:
    """Returns the most memory this process has held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


@click.command(help=__doc__)
@click.option("--preset", default="cnn", show_default=True, help="Untrained network.")
@click.option(
    "--run", type=click.Path(path_type=Path, file_okay=False), help="A trained one."
)
@click.option("--region", default=1000, show_default=True, help="Bases mutated.")
@click.option("--window", default=2048, show_default=True, help="In bp.")
@click.option("--batch-size", default=32, show_default=True, help="Windows at once.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each.")
def command(
    preset: str,
    run: Path | None,
    region: int,
    window: int,
    batch_size: int,
    repeats: int,
) -> None:
    if not 1 <= region <= window:
        raise click.UsageError(f"--region {region}: expected 1 to {window}, a window")
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    from seqexp_tf.interpretation.mutants import in_float32

    model = load_model(preset, run)
    plain = in_float32(model)
    inputs = make_window(window)
    positions, bases = list_mutants(inputs, region)
    case = (inputs, positions, bases, batch_size)
    found = propagate(model, *case)
    own_peak = peak_memory()
    contenders = {
        "propagated": lambda: propagate(model, *case),
        "predict, float32": predicting(plain, *case),
    }
    if plain is not model:
        contenders["predict, as trained"] = predicting(model, *case)
    difference = float(np.abs(contenders["predict, float32"]() - found).max())
    if not difference <= TOLERANCE:
        raise click.ClickException(
            f"logits differ by {difference:.2g}, more than {TOLERANCE}"
        )
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    busy: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            began, spent = time.perf_counter(), time.process_time()
            contender()
            seconds[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - spent)
    click.echo(
        f"{run or preset}: {len(positions):,} mutants of {region:,} bp in {window:,} "
        f"bp, batch {batch_size}, {repeats} repeats"
    )
    click.echo(f"largest difference of logits {difference:.1g}")
    click.echo(f"peak memory {own_peak:.2f} GB, with predict {peak_memory():.2f} GB")
    click.echo(
        f"{'':<21}{'seconds':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}  each repeat"
    )
    own = [statistics.median(one["propagated"]) for one in (seconds, busy)]
    for name, each in seconds.items():
        medians = [statistics.median(one[name]) for one in (seconds, busy)]
        columns = "".join(
            f"{median:>8.2f}{median / ours:>7.2f}"
            for median, ours in zip(medians, own, strict=True)
        )
        listed = " ".join(f"{one:.1f}" for one in each)
        click.echo(f"{name:<21}{columns}  {listed}")


if __name__ == "__main__":
    command()
