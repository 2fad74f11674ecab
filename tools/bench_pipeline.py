#!/usr/bin/env python
"""Times the input pipeline alone, beside what a training step of the CNN consumes.

Whole epochs of masked training batches are read, shuffling included: from the
shards (fresh), from serialised records kept in memory (cached), and, as the peer, by
a pipeline that parses and masks one record at a time in one thread, as many readers
of genomic TFRecords do. The ratio is that of the fresh pipeline to the CNN's
training step; below --at-least it would hold training back, and the exit code is 1.

DATASET is a dataset of kind "joint"; without it, one is simulated.

\b
Example:
  python tools/bench_pipeline.py /tmp/yeast --batch-size 16 --repeats 3
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click

from seqexp_tf.cli.options import load_tensorflow
from seqexp_tf.errors import SeqExpError

SEED = 1
WARMUP_STEPS = 3


def simulated_dataset(folder: Path, *, contig_length: int):
    """Returns the store of a simulated genome, converted into ``folder``."""
    from seqexp_tf.config import build
    from seqexp_tf.records.convert import convert
    from seqexp_tf.records.recipe import JointRecipe
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

    genome = folder / "genome"
    simulation = simulate(SimulationConfig(seed=SEED, contig_length=contig_length))
    write_simulation(simulation, genome, contacts=False)
    archive = {"data": "data.npz", "regions": "regions.parquet"}
    recipe = build(
        JointRecipe,
        {
            "kind": "joint",
            "name": "simulated",
            "source": {
                "root": str(genome / "archive"),
                "archive": archive | {"meta": "data_meta.json"},
            },
            "output": {"min_shards": 8},
        },
        origin="simulated",
    )
    convert(recipe, folder / "dataset")
    return RecordStore.open(folder / "dataset")


def one_record_at_a_time(store, *, batch_size: int, masking, shuffle_mb: float):
    """Returns the batches of ``training_batches`` made by a serial reader."""
    import tensorflow as tf

    from seqexp_tf.pipeline.joint import masked_example
    from seqexp_tf.pipeline.masking import expression_mask, mask_sequence

    schema = store.schema
    stored = schema.of_split("train")
    compression = "GZIP" if schema.compression == "gzip" else ""
    window = schema.window

    def parse(record):
        features = {f.name: tf.io.FixedLenFeature([], tf.string) for f in stored}
        values = tf.io.parse_single_example(record, features)
        return {
            f.name: tf.reshape(tf.io.decode_raw(values[f.name], f.dtype), f.shape)
            for f in stored
        }

    def mask(index, parsed):
        single = {name: values[None] for name, values in parsed.items()}
        seeds = tf.random.split(tf.stack([tf.constant(SEED, tf.int64), index]), 2)
        hidden = expression_mask((1, window), masking, seeds[0])
        visible, selected = mask_sequence(single["sequence"], masking, seeds[1])
        example = masked_example(single, hidden, visible, selected, masking)
        return tf.nest.map_structure(lambda values: values[0], example)

    buffer = int(shuffle_mb * 1e6 / schema.record_bytes("train"))
    paths = [str(path) for path in store.paths("train")]
    return (
        tf.data.TFRecordDataset(paths, compression_type=compression)
        .shuffle(max(1, min(buffer, store.count("train"))), seed=SEED)
        .map(parse)
        .enumerate()
        .map(mask)
        .batch(batch_size, drop_remainder=True)
        .prefetch(1)
    )


def read_speed(batches, steps: int, *, batch_size: int, skip: int = 0) -> float:
    """Returns windows/s of the ``steps`` batches that follow ``skip`` others."""
    began = time.perf_counter()
    for index, _ in enumerate(itertools.islice(batches, skip + steps), start=1):
        if index == skip:
            began = time.perf_counter()
    return batch_size * steps / (time.perf_counter() - began)


def training_step(store, batches, config) -> Callable[[int], float]:
    """Returns a function that trains the CNN for steps and gives windows/s.

    One batch is read beforehand and used for every step.
    """
    from seqexp_tf.training import hardware, trainer

    policy = hardware.compute_policy(config.training.precision)
    model = trainer.build_model(config, policy)
    trainer.compile_model(model, config.training, 1)
    batch = batches.take(1).cache().repeat()

    def train(steps: int) -> float:
        began = time.perf_counter()
        model.fit(batch, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return config.training.batch_size * steps / (time.perf_counter() - began)

    train(WARMUP_STEPS)
    return train


def measure(store, *, batch_size: int, steps: int, repeats: int) -> dict[str, list]:
    """Returns windows/s of each contender, taking turns."""
    from seqexp_tf.pipeline.config import PipelineConfig
    from seqexp_tf.pipeline.joint import training_batches
    from seqexp_tf.training.config import read_preset, read_run_config

    config = read_run_config(
        read_preset("cnn"), [f"training.batch_size={batch_size}"], origin="preset cnn"
    )

    def batches(cache: str):
        return training_batches(
            store,
            batch_size=batch_size,
            masking=config.masking,
            pipeline=PipelineConfig(cache=cache),
            seed=SEED,
        )

    fresh, epoch = batches("none")
    serial = one_record_at_a_time(
        store,
        batch_size=batch_size,
        masking=config.masking,
        shuffle_mb=PipelineConfig().shuffle_mb,
    )
    train = training_step(store, fresh, config)
    contenders = {
        "pipeline, fresh": lambda: read_speed(fresh, epoch, batch_size=batch_size),
        "pipeline, cached": lambda: read_speed(
            batches("memory")[0], epoch, batch_size=batch_size, skip=epoch
        ),
        "one record at a time": lambda: read_speed(
            serial, epoch, batch_size=batch_size
        ),
        "CNN training step": lambda: train(steps),
    }
    speeds: dict[str, list] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            speeds[name].append(run())
    return speeds


@click.command(help=__doc__)
@click.argument(
    "dataset", type=click.Path(path_type=Path, file_okay=False), required=False
)
@click.option("--batch-size", default=16, show_default=True, help="Windows a batch.")
@click.option("--steps", default=20, show_default=True, help="Timed training steps.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each.")
@click.option(
    "--at-least", default=5.0, show_default=True, help="Smallest ratio that passes."
)
@click.option(
    "--contig-length",
    default=500_000,
    show_default=True,
    help="Mean length of the six simulated contigs in bp.",
)
def command(
    dataset: Path | None,
    batch_size: int,
    steps: int,
    repeats: int,
    at_least: float,
    contig_length: int,
) -> None:
    load_tensorflow()
    from seqexp_tf.records.store import RecordStore

    with tempfile.TemporaryDirectory() as scratch:
        try:
            store = (
                simulated_dataset(Path(scratch), contig_length=contig_length)
                if dataset is None
                else RecordStore.open(dataset)
            )
            speeds = measure(store, batch_size=batch_size, steps=steps, repeats=repeats)
        except SeqExpError as error:
            raise click.ClickException(str(error)) from None
    count, window = store.count("train"), store.schema.window
    click.echo(
        f"{store.manifest['name']}: {count:,} training windows of {window:,} bp, "
        f"batch {batch_size}, {repeats} repeats"
    )
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    step = medians["CNN training step"]
    click.echo(f"{'':<22}{'windows/s':>10}{'x CNN step':>12}  each repeat")
    for name, median in medians.items():
        listed = " ".join(f"{speed:,.0f}" for speed in speeds[name])
        click.echo(f"{name:<22}{median:>10,.0f}{median / step:>12.1f}  {listed}")
    fresh, serial = medians["pipeline, fresh"], medians["one record at a time"]
    click.echo(f"pipeline, fresh / one record at a time: {fresh / serial:.1f}")
    ratio = fresh / step
    if ratio < at_least:
        raise click.ClickException(
            f"the pipeline gives {ratio:.1f} times what the CNN consumes, less than "
            f"{at_least:g}"
        )


if __name__ == "__main__":
    command()
