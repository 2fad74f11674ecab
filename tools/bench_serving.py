#!/usr/bin/env python
"""Times every signature of an export against plain ``model.predict``.

The run is exported, and its export is used as a server uses it: the SavedModel alone,
in this process, on every core. The first test record, repeated, makes the batches.
``predict`` is given the arrays ready made, of serve_mutagenesis every mutant of the
ten bases it mutates, and computes in float32 as exports do. Both are called in turns
after one call to warm up; figures are medians. A ratio above 1 says that the signature
is faster.

\b
Example:
  python tools/bench_serving.py runs/cnn
  python tools/bench_serving.py runs/soft --batch 1 --batch 8 --repeats 5
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-3

_Arrays = dict[str, np.ndarray]


def repeat(inputs: _Arrays, rows: int) -> _Arrays:
    """Returns a batch of one as one of many."""
    return {name: np.repeat(values, rows, axis=0) for name, values in inputs.items()}


def predicted(name: str, model: "keras.Model") -> "keras.Model":
    """Returns what ``predict`` is called on in place of a signature."""
    import keras

    from seqexp_tf.evaluation.mask_predictor import with_soft_mask
    from seqexp_tf.evaluation.predictor import EXPRESSION

    if name == "serve_elements":
        return with_soft_mask(model)
    if name == "serve_mutagenesis":
        alone = keras.Model(model.input, {EXPRESSION: model.output[EXPRESSION]})
        alone.jit_compile = model.jit_compile
        return alone
    return model


def arrays_of(name: str, requests: dict[str, _Arrays]) -> _Arrays:
    """Returns the arrays that ``predict`` is given in place of a request."""
    arrays = requests["serving_default"]
    if name != "serve_mutagenesis":
        return arrays
    first, last = (int(requests[name][key][0]) for key in ("first", "last"))
    positions = np.repeat(np.arange(first, last), 3)
    own = arrays["sequence"][0, positions].argmax(-1)
    mutants = repeat(arrays, len(positions))
    others = (own + np.tile([1, 2, 3], last - first)) % 4
    mutants["sequence"][np.arange(len(positions)), positions] = np.eye(5)[others]
    return mutants


def largest_difference(
    name: str, served: _Arrays, plain: _Arrays, arrays: _Arrays, reference: _Arrays
) -> float:
    """Returns how far a signature and ``predict`` are apart.

    Args:
        name: of the signature.
        served: its answer to a batch of one.
        plain: what ``predict`` made of ``arrays``.
        arrays: see ``arrays_of``.
        reference: what ``predict`` made of the record itself.
    """
    key = "expression_logits"
    if name == "serve_mutagenesis":
        change = np.abs(plain[key] - reference[key]).reshape(-1, 3, plain[key].shape[1])
        wanted = change.max(axis=1).mean(axis=1)
        found = served["log_odds_mean"][0, : len(wanted)]
    elif key in plain:
        wanted, found = 1 / (1 + np.exp(-plain[key])), served["expression"]
    else:
        wanted, found = plain["expression"], served["expression"]
    return float(np.abs(found - wanted).max())


def timed(contenders: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Returns the median seconds of each, called in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()
    for _ in range(repeats):
        for name, contender in contenders.items():
            began = time.perf_counter()
            contender()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


@click.command(help=__doc__)
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--batch", "batches", type=int, multiple=True, default=(1, 8, 64), show_default=True
)
@click.option("--repeats", default=10, show_default=True, help="Calls of each.")
def command(run: Path, batches: tuple[int, ...], repeats: int) -> None:
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    import tensorflow as tf

    from seqexp_tf.interpretation.mutants import in_float32
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.serving.card import read_card
    from seqexp_tf.serving.example import example_of
    from seqexp_tf.serving.export import export_run
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    store = RecordStore.open(trained.dataset["folder"])
    model = in_float32(trained.load_model())
    with tempfile.TemporaryDirectory() as folder:
        version = export_run(trained, Path(folder) / "bench")
        card = read_card(version)
        loaded = tf.saved_model.load(version)
        requests = example_of(trained, store, card.signatures).inputs
        reference = model.predict(requests["serving_default"], verbose=0)
        click.echo(
            f"{run}: {card.architecture}, windows of {card.window:,} bases, "
            f"{os.cpu_count()} cores, median of {repeats}\n\n"
            "| signature | batch | ms | rows/s | predict, ms | predict, rows/s | ratio "
            "|\n|---|---|---|---|---|---|---|"
        )
        for name in card.signatures:
            plain, arrays = predicted(name, model), arrays_of(name, requests)
            signature = loaded.signatures[name]

            def ask(inputs: dict, signature=signature) -> _Arrays:
                return {key: x.numpy() for key, x in signature(**inputs).items()}

            one = dict(requests[name])
            if "average_strands" in one:
                one["average_strands"] = np.array([False])
            difference = largest_difference(
                name,
                ask({key: tf.constant(x) for key, x in one.items()}),
                plain.predict(arrays, verbose=0),
                arrays,
                reference,
            )
            if not difference <= TOLERANCE:
                raise click.ClickException(
                    f"{name}: differs from predict by {difference:.2g}, more than "
                    f"{TOLERANCE}"
                )
            for rows in batches:
                inputs = {k: tf.constant(x) for k, x in repeat(one, rows).items()}
                many = repeat(arrays, rows)
                found = timed(
                    {
                        "signature": lambda inputs=inputs, ask=ask: ask(inputs),
                        "predict": lambda many=many, plain=plain: plain.predict(
                            many, batch_size=max(batches), verbose=0
                        ),
                    },
                    repeats,
                )
                own, other = found["signature"], found["predict"]
                click.echo(
                    f"| `{name}` | {rows} | {1000 * own:.1f} | {rows / own:.1f} | "
                    f"{1000 * other:.1f} | {rows / other:.1f} | {other / own:.2f} |"
                )


if __name__ == "__main__":
    command()
