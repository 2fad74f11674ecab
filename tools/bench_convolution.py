#!/usr/bin/env python
"""Times convolutions of the CNN on a CPU, as Keras computes them and as this package.

One step is a convolution and its gradients by weights and inputs. Both take turns in
one process. Off is how far the gradients of each are from those of Keras in float32,
at most, as a share of the largest. On TensorFlow alone, and without a GPU: elsewhere
both are the same.

\b
Example:
  python tools/bench_convolution.py
  python tools/bench_convolution.py --precision bfloat16 --features 128
"""

import statistics
import time
from collections.abc import Callable

import click

CASES = (
    ("block, dilation 4", 3, 4),
    ("block, dilation 64", 3, 64),
    ("block, dilation 512", 3, 512),
    ("head of 30 taps", 30, 1),
)
"""Name, taps and dilation. A block has a ReLU and gives out as many features as it was
given; a head, one."""


def steps(taps: int, dilation: int, shape: tuple[int, int, int], precision: str):
    """Returns one step of Keras' and one of this package's, and how far each is off."""
    import keras
    import numpy as np

    from seqexp_tf.layers.cpu import for_cpu

    block = dilation > 1
    half = precision if precision == "float32" else f"mixed_{precision}"
    exact, theirs, ours = layers = [
        keras.layers.Conv1D(
            shape[-1] if block else 1,
            taps,
            padding="same",
            dilation_rate=dilation,
            activation="relu" if block else None,
            dtype=dtype,
        )
        for dtype in ("float32", half, half)
    ]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(exact.get_weights())
    inputs = np.random.default_rng(1).normal(size=shape).astype("float32")
    expected = _step(exact, inputs)()
    both = [_step(theirs, inputs), _step(for_cpu(ours), inputs)]
    off = [
        max(
            float(np.abs(one - other).max() / np.abs(other).max())
            for one, other in zip(step(), expected, strict=True)
        )
        for step in both
    ]
    return both, off


def _step(layer, inputs) -> Callable[[], list]:
    import tensorflow as tf

    given = tf.cast(inputs, layer.compute_dtype)

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_mean(tf.cast(layer(given), tf.float32) ** 2)
        return tape.gradient(loss, [*layer.trainable_weights, given])

    return lambda: [tf.cast(value, tf.float32).numpy() for value in gradients()]


@click.command(help=__doc__)
@click.option("--batch-size", default=16, show_default=True, help="Windows.")
@click.option("--window", default=2048, show_default=True, help="In bp.")
@click.option("--features", default=64, show_default=True, help="Of a base.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
)
@click.option("--repeats", default=9, show_default=True, help="Turns of each.")
def main(
    batch_size: int, window: int, features: int, precision: str, repeats: int
) -> None:
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    click.echo(
        "| convolution | Keras, ms | here, ms | ratio | Keras, off | here, off |"
    )
    click.echo("|---|---:|---:|---:|---:|---:|")
    for name, *case in CASES:
        both, off = steps(*case, (batch_size, window, features), precision)
        spent = ([], [])
        for _ in range(repeats):
            for step, times in zip(both, spent, strict=True):
                began = time.perf_counter()
                step()
                times.append(time.perf_counter() - began)
        theirs, ours = (1e3 * statistics.median(times) for times in spent)
        click.echo(
            f"| {name} | {theirs:.1f} | {ours:.1f} | {theirs / ours:.1f} "
            f"| {off[0]:.0e} | {off[1]:.0e} |"
        )


if __name__ == "__main__":
    main()
