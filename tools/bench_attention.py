#!/usr/bin/env python
"""Memory and time of a training step of the Transformer over lengths of the window.

Beside it stands the same network with `keras.ops.dot_product_attention`, which keeps a
length x length matrix a head and block. Every row is a process of its own; memory is
the most that it held, less what it held once the network was built. KERAS_BACKEND
chooses the backend.

\b
Example:
  python tools/bench_attention.py --length 2048 --length 4096 --length 8192
"""

import json
import resource
import time

import click
from _worker import in_a_process

OURS, KERAS = "seqexp-tf", "keras"


def measure(contender: str, length: int, compiled: bool) -> dict[str, float]:
    """Takes two training steps of one window in this process and times the second."""
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    import keras
    import numpy as np

    from seqexp_tf.layers import attention
    from seqexp_tf.models.config import TransformerConfig
    from seqexp_tf.models.transformer import build_transformer

    if contender == KERAS:

        def plain(query, key, value):
            return keras.ops.swapaxes(
                keras.ops.dot_product_attention(
                    *(keras.ops.swapaxes(x, 1, 2) for x in (query, key, value)),
                    scale=1.0,
                ),
                1,
                2,
            )

        attention.attend = plain
    keras.utils.set_random_seed(1)
    model = build_transformer(TransformerConfig())
    model.compile("adam", "mse", jit_compile=compiled)
    rng = np.random.default_rng(1)
    bases, labels = rng.random((1, length, 5)), rng.random((1, length))
    inputs = {"sequence": bases, "expression": labels}
    targets = {"sequence_logits": bases, "expression_logits": labels}
    before = _peak()
    model.train_on_batch(inputs, targets)
    began = time.perf_counter()
    model.train_on_batch(inputs, targets)
    return {
        "seconds": time.perf_counter() - began,
        "memory": (_peak() - before) / 1e9,
    }


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@click.command(help=__doc__)
@click.option("--length", "lengths", multiple=True, type=int, default=(2048, 8192))
@click.option("--compiled", is_flag=True, help="By XLA, as on a GPU.")
@click.option("--worker", hidden=True)
def main(lengths: tuple[int, ...], compiled: bool, worker: str | None) -> None:
    if worker:
        click.echo(json.dumps(measure(*json.loads(worker))))
        return
    click.echo("| bases | attention | s | memory, GB | µs/base | kB/base |")
    click.echo("|---:|---|---:|---:|---:|---:|")
    for length in lengths:
        for contender in (OURS, KERAS):
            found = in_a_process(__file__, (contender, length, compiled))
            seconds, memory = found["seconds"], found["memory"]
            click.echo(
                f"| {length:,} | {contender} | {seconds:.2f} | {memory:.2f} "
                f"| {seconds / length * 1e6:.0f} | {memory / length * 1e6:.0f} |"
            )


if __name__ == "__main__":
    main()
