#!/usr/bin/env python
"""Times convolutions of the CNN on a CPU, as Keras computes them and as this package.

One step is a convolution and its gradients by inputs and weights. Both take turns in
one process; the last column is how far their gradients differ at most. On TensorFlow
alone, and without a GPU: elsewhere both are the same.

\b
Example:
  python tools/bench_convolution.py
  python tools/bench_convolution.py --batch-size 4
"""

import statistics
import time
from collections.abc import Callable

import click

CASES = (
    ("block, dilation 2", 64, 3, 2),
    ("block, dilation 64", 64, 3, 64),
    ("block, dilation 512", 64, 3, 512),
    ("head of 30 taps", 1, 30, 1),
)
"""Name, filters, taps and dilation, on 64 features."""

FEATURES = 64


def steps(filters: int, taps: int, dilation: int, shape: tuple[int, int, int]):
    """Returns one step of Keras' and of this package's, and how far both differ."""
    import keras
    import numpy as np

    from seqexp_tf.layers.fast_convolution import speed_up

    layers = [
        keras.layers.Conv1D(filters, taps, padding="same", dilation_rate=dilation)
        for _ in range(2)
    ]
    for layer in layers:
        layer.build(shape)
    layers[1].set_weights(layers[0].get_weights())
    speed_up(layers[1])
    inputs = np.random.default_rng(1).normal(size=shape).astype("float32")
    theirs, ours = (_step(layer, inputs) for layer in layers)
    difference = max(
        float(np.abs(one - other).max())
        for one, other in zip(theirs(), ours(), strict=True)
    )
    return theirs, ours, difference


def _step(layer, inputs) -> Callable[[], list]:
    import tensorflow as tf

    given = tf.constant(inputs)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_mean(layer(given) ** 2)
        return tape.gradient(loss, [*layer.trainable_weights, given])

    return lambda: [value.numpy() for value in gradients()]


@click.command(help=__doc__)
@click.option("--batch-size", default=16, show_default=True, help="Windows.")
@click.option("--window", default=2048, show_default=True, help="In bp.")
@click.option("--repeats", default=9, show_default=True, help="Turns of each.")
def main(batch_size: int, window: int, repeats: int) -> None:
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    click.echo("| convolution | Keras, ms | here, ms | ratio | largest difference |")
    click.echo("|---|---:|---:|---:|---:|")
    for name, *case in CASES:
        *both, difference = steps(*case, (batch_size, window, FEATURES))
        spent = ([], [])
        for _ in range(repeats):
            for step, times in zip(both, spent, strict=True):
                began = time.perf_counter()
                step()
                times.append(time.perf_counter() - began)
        theirs, ours = (1e3 * statistics.median(times) for times in spent)
        click.echo(
            f"| {name} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} "
            f"| {difference:.0e} |"
        )


if __name__ == "__main__":
    main()
