#!/usr/bin/env python
"""Times the selective scan, forward and backward, against other ways to compute it.

pscan is the parallel scan of mambapy in PyTorch, sequential its loop over positions
(the reference of Mamba; minutes at 4,096, because PyTorch's gradient of each slice is
as long as the sequence). "plain graph" is what an exported model runs. Every timing is
its own process, and the contenders take turns. Before timing, outputs and gradients of
all are compared at 512 positions or fewer. Peak memory is that of the whole process,
inputs and results with it, less what it held before it had inputs.

\b
Example:
  pip install 'seqexp-tf[oracle]'
  python tools/bench_scan.py --length 4096 --length 32768 --length 200000
  python tools/bench_scan.py --length 4096 --repeats 1 --contender seqexp-tf
"""

import importlib.util
import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
from _worker import in_a_process

OURS, PLAIN, PSCAN, SEQUENTIAL = "seqexp-tf", "plain graph", "pscan", "sequential"
CONTENDERS = (OURS, PLAIN, PSCAN, SEQUENTIAL)
LONGEST = {PSCAN: 40_000, SEQUENTIAL: 4_096}
"""Lengths beyond which a contender takes too much memory or time."""
TOLERANCE = 1e-4
SECONDS, STEPS = 2.0, 20


def make_inputs(length: int, channels: int, state: int) -> list[np.ndarray]:
    """Returns x, delta, A, B, C, D and a gradient of y, float32."""
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    delta = np.exp(np.float32(np.log(0.01)) + draw(1, length, channels))
    A = -np.tile(np.arange(1, state + 1, dtype=np.float32), (channels, 1))
    B, C = draw(1, length, state), draw(1, length, state)
    x, upstream = draw(1, length, channels), draw(1, length, channels)
    return [x, delta, A, B, C, draw(channels), upstream]


def tensorflow_step(arrays: list[np.ndarray], *, compiled: bool) -> Callable:
    """Returns a function that computes y and all gradients with this package."""
    import tensorflow as tf

    from seqexp_tf.layers import selective_scan

    *inputs, upstream = (tf.constant(array) for array in arrays)
    arrays.clear()

    @tf.function(autograph=False)
    def step(*inputs: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = selective_scan(*inputs, compiled=compiled)
        return [y, *tape.gradient(y, inputs, output_gradients=upstream)]

    return lambda: step(*inputs)


def torch_step(arrays: list[np.ndarray], *, parallel: bool) -> Callable:
    """Returns the same of mambapy."""
    import torch
    from mambapy.mamba import MambaBlock

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    *inputs, upstream = (torch.from_numpy(array) for array in arrays)
    arrays.clear()
    inputs = [values.requires_grad_() for values in inputs]
    scan = MambaBlock.selective_scan if parallel else MambaBlock.selective_scan_seq
    channels, state = inputs[2].shape
    block = SimpleNamespace(config=SimpleNamespace(d_inner=channels, d_state=state))

    def step() -> list[torch.Tensor]:
        for values in inputs:
            values.grad = None
        x, delta, A, B, C, D = inputs
        y = scan(block, x, delta, A, B, C, D)
        y.backward(upstream)
        return [y.detach(), *(values.grad for values in inputs)]

    return step


def measure(contender: str, sizes: tuple[int, int, int], repeats: int) -> dict:
    """Times one contender in this process; ``repeats`` = 0 returns its results."""
    if contender in (OURS, PLAIN):
        import seqexp_tf.layers  # noqa: F401
    else:
        import mambapy.mamba  # noqa: F401
    before = _resident()
    arrays = make_inputs(*sizes)
    if contender in (OURS, PLAIN):
        step = tensorflow_step(arrays, compiled=contender == OURS)
    else:
        step = torch_step(arrays, parallel=contender == PSCAN)
    if repeats == 0:
        return {"results": [np.asarray(values) for values in step()]}
    with _Peak() as peak:
        if contender != SEQUENTIAL:  # Takes minutes, and has nothing to compile.
            step()
        seconds, processor = [], []
        until = time.perf_counter() + SECONDS
        for _ in range(STEPS):
            began, used = time.perf_counter(), time.process_time()
            step()
            seconds.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
            if len(seconds) >= repeats and time.perf_counter() > until:
                break
    return {
        "seconds": statistics.median(seconds),
        "processor": statistics.median(processor),
        "memory": peak.found - before,
    }


class _Peak:
    """The most memory the process holds while it is entered."""

    def __enter__(self) -> "_Peak":
        self.found, self._done = 0, threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(0.005):
            self.found = max(self.found, _resident())

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._watcher.join()
        self.found = max(self.found, _resident())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _in_a_process(contender: str, sizes: tuple[int, int, int], repeats: int) -> dict:
    return in_a_process(__file__, [contender, *map(str, sizes), str(repeats)])


def _compare(contenders: list[str], sizes: tuple[int, int, int]) -> float:
    """Returns the largest difference from the first, relative to the largest value."""
    results = [measure(contender, sizes, 0)["results"] for contender in contenders]
    return max(
        float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        for other in results[1:]
        for ours, theirs in zip(results[0], other, strict=True)
    )


@click.command(help=__doc__)
@click.option("--length", "lengths", multiple=True, type=int, default=(4096,))
@click.option("--channels", default=256, show_default=True)
@click.option("--state", default=16, show_default=True)
@click.option("--repeats", default=2, show_default=True, help="Processes a contender.")
@click.option("--contender", "contenders", multiple=True, type=click.Choice(CONTENDERS))
@click.option("--worker", hidden=True)
def main(
    lengths: tuple[int, ...],
    channels: int,
    state: int,
    repeats: int,
    contenders: tuple[str, ...],
    worker: str | None,
) -> None:
    if worker:
        contender, *numbers = json.loads(worker)
        *sizes, steps = map(int, numbers)
        click.echo(json.dumps(measure(contender, tuple(sizes), steps)))
        return
    present = [
        name
        for name in contenders or CONTENDERS
        if name in (OURS, PLAIN) or importlib.util.find_spec("mambapy")
    ]
    if len(present) > 1:
        difference = _compare(present, (min(*lengths, 512), channels, state))
        click.echo(
            f"outputs and gradients agree within {difference:.0e} of the largest"
        )
        if difference > TOLERANCE:
            raise click.ClickException(f"they differ by more than {TOLERANCE:.0e}")
    click.echo(f"{'length':>8} {'':12} {'s':>8} {'CPU s':>8} {'us/base':>8} "
               f"{'GB':>6} {'slower':>7}")  # fmt: skip
    for length in lengths:
        entered = [name for name in present if length <= LONGEST.get(name, length)]
        found: dict[str, list[dict]] = {name: [] for name in entered}
        for _ in range(repeats):
            for name in entered:
                sizes = (length, channels, state)
                found[name].append(_in_a_process(name, sizes, 1))
        first = None
        for name, runs in found.items():
            seconds, processor = (
                min(run[key] for run in runs) for key in ("seconds", "processor")
            )
            memory = max(run["memory"] for run in runs) / 1e9
            first = first or seconds
            click.echo(
                f"{length:8,} {name:12} {seconds:8.3f} {processor:8.3f} "
                f"{seconds / length * 1e6:8.1f} {memory:6.2f} {seconds / first:6.1f}x"
            )


if __name__ == "__main__":
    main()
