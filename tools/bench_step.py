#!/usr/bin/env python
"""Times the training steps of presets on this machine's device, GPU or CPU.

Each preset trains on batches of its dataset as `seqexp-tf fit` would, first on one
batch held in memory, then out of the input pipeline: the difference is what the device
waits for input. Beside the times stand the peak of memory, the utilisation that
nvidia-smi reports, and the share of the device's peak rate that the network's own
operations make up (three times those of a forward pass). KERAS_BACKEND chooses the
backend.

\b
Example:
  export KERAS_BACKEND=jax
  python tools/bench_step.py data/yeast --preset cnn --preset transformer
  python tools/bench_step.py data/k562 --preset seq2exp_soft \\
      --set training.batch_size=4 --peak 989
"""

import json
import resource
import subprocess
import threading
import time
from pathlib import Path

import click

WARMUP = 3


@click.command(help=__doc__)
@click.argument("dataset", type=click.Path(path_type=Path, exists=True))
@click.option("--preset", "presets", multiple=True, required=True)
@click.option("--set", "overrides", multiple=True, help="As for `seqexp-tf fit`.")
@click.option("--steps", default=30, show_default=True, help="Timed steps.")
@click.option(
    "--peak", type=float, help="Peak rate of the device in TFLOP/s, for the share."
)
@click.option("--json", "path", type=click.Path(path_type=Path), help="Also as JSON.")
def main(
    dataset: Path,
    presets: tuple[str, ...],
    overrides: tuple[str, ...],
    steps: int,
    peak: float | None,
    path: Path | None,
) -> None:
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    from seqexp_tf.training import hardware

    click.echo(hardware.describe())
    rows = []
    for preset in presets:
        rows.append(measure(dataset, preset, overrides, steps))
        click.echo(json.dumps(rows[-1]))
        if path is not None:
            path.write_text(json.dumps(rows, indent=1))
    click.echo(table(rows, peak))


def measure(
    dataset: Path, preset: str, overrides: tuple[str, ...], steps: int
) -> dict[str, float | str]:
    """Returns what was measured of one preset; times are seconds a step."""
    import keras

    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training import hardware
    from seqexp_tf.training.config import read_preset, read_run_config
    from seqexp_tf.training.task import task_of

    store = RecordStore.open(dataset)
    config = read_run_config(read_preset(preset), overrides, origin=preset)
    task = task_of(config)
    plan = task.plan(store)
    keras.utils.set_random_seed(config.training.seed)
    policy = hardware.compute_policy(config.training.precision)
    model = task.build(store.schema, policy)
    task.compile(model, plan)
    batches = task.training_batches(model, store, plan, first_step=0)

    def seconds(source) -> float:
        clock = _Clock()
        model.fit(
            source,
            steps_per_epoch=WARMUP + steps,
            epochs=1,
            shuffle=False,
            verbose=0,
            callbacks=[clock],
        )
        return (clock.ended - clock.began) / steps

    held = seconds(batches.take(1).cache().repeat())
    with _Utilisation() as utilisation:
        streamed = seconds(batches)
    size = config.training.batch_size
    return {
        "preset": preset,
        "batch": size,
        "policy": policy,
        "step": held,
        "step_streamed": streamed,
        "windows_per_second": size / streamed,
        "memory_gb": peak_memory() / 1e9,
        "utilisation": utilisation.mean,
        "tflop": 3 * forward_flops(task, store, model, batches) / 1e12,
    }


class _Clock:
    """Times the steps after the first ``WARMUP``, on a device that works ahead."""

    def __new__(cls):
        import keras

        class Clock(keras.callbacks.Callback):
            began = ended = 0.0

            def on_train_batch_end(self, batch, logs=None):
                float(logs["loss"])  # Waits for the device.
                self.ended = time.perf_counter()
                if batch == WARMUP - 1:
                    self.began = self.ended

        return Clock()


class _Utilisation:
    """Mean share of time in which the GPU was busy, by nvidia-smi; NaN without one."""

    def __enter__(self):
        self._found, self._done = [], threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
        # The first samples lie in the tracing of the step.
        late = self._found[len(self._found) // 2 :]
        self.mean = sum(late) / len(late) if late else float("nan")

    def _sample(self):
        query = "--query-gpu=utilization.gpu"
        while not self._done.wait(0.2):
            try:
                answer = subprocess.run(
                    ["nvidia-smi", query, "--format=csv,noheader,nounits"],
                    capture_output=True,
                    text=True,
                    check=True,
                )
            except (OSError, subprocess.CalledProcessError):
                return
            self._found.append(float(answer.stdout.split()[0]) / 100)


def peak_memory() -> float:
    """Returns the most bytes that lived on the device; of the process on a CPU."""
    import keras

    from seqexp_tf.training import hardware

    if not hardware.gpus():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"]
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"]


def forward_flops(task, store, model, batches) -> float:
    """Returns the operations of a forward pass of a batch, as XLA counts them.

    Counted in float32, where no part of the network is a kernel that XLA cannot look
    into; NaN under TensorFlow.
    """
    import keras

    if keras.backend.backend() != "jax":
        return float("nan")
    import jax

    plain = task.build(store.schema, "float32")
    inputs = next(batches.take(1).as_numpy_iterator())[0]
    variables = [
        [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in group]
        for group in (plain.trainable_variables, plain.non_trainable_variables)
    ]
    traced = jax.jit(plain.stateless_call).trace(*variables, inputs)
    # Lowered for a GPU, nothing is counted before it is compiled.
    return traced.lower(lowering_platforms=("cpu",)).cost_analysis()["flops"]


def table(rows: list[dict], peak: float | None) -> str:
    """Returns Markdown, a line a preset."""
    lines = [
        "| preset | batch | step, ms | windows/s | input wait | memory, GB "
        "| GPU busy | TFLOP/s | of peak |",
        "|---" * 9 + "|",
    ]
    for row in rows:
        wait = max(row["step_streamed"] - row["step"], 0) / row["step_streamed"]
        rate = row["tflop"] / row["step"]
        share = f"{rate / peak:.1%}" if peak else ""
        lines.append(
            f"| `{row['preset']}` | {row['batch']} | {1000 * row['step']:.1f} "
            f"| {row['windows_per_second']:.4g} | {wait:.1%} | {row['memory_gb']:.2f} "
            f"| {row['utilisation']:.0%} | {rate:.3g} | {share} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
