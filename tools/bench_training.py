#!/usr/bin/env python
"""Times training steps of a preset against the same network in PyTorch.

Both train the network of the preset on one fixed batch of masked windows: the same
weights to begin with, losses, AdamW and gradient clipping. Every timing is its own
process with all cores to itself, and the two take turns. Before timing, the number
of weights and the float32 outputs of both are compared. seqexp-tf also keeps the
accuracies of training, as a fit does; PyTorch keeps none. The Transformer is
nn.TransformerEncoder there.

\b
Example:
  pip install torch
  python tools/bench_training.py --batch-size 16 --steps 20 --repeats 3
  python tools/bench_training.py --preset transformer --batch-size 4 --steps 5
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

CONTENDERS = ("seqexp-tf", "PyTorch")
PRESETS = ("cnn", "transformer")
PRECISIONS = ("float32", "bfloat16")
TOLERANCE = 1e-4
WARMUP_STEPS = 3
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 1e-3, 0.01, 1.0


def write_batch(folder: Path, *, batch_size: int, window: int) -> None:
    """Writes ``batch.npz``: the inputs, targets and weights of one batch.

    Half of the labels and 15 % of the bases are hidden and scored; the weights are
    those of the training pipeline, see ``seqexp_tf.pipeline.joint``.
    """
    rng = np.random.default_rng(1)
    shape = (batch_size, window)
    bases, labels = rng.integers(0, 4, shape), rng.integers(0, 2, shape)
    hidden = (np.arange(window) < window // 2) & np.ones(shape, bool)
    selected = rng.random(shape) < 0.15
    selected[:, 0] = True
    one_hot = np.eye(5, dtype=np.float32)[bases] * ~selected[..., None]
    np.savez(
        folder / "batch.npz",
        sequence=one_hot,
        expression=np.where(hidden, 0.5, labels).astype(np.float32),
        labels=labels.astype(np.float32),
        bases=bases.astype(np.int32),
        hidden=(hidden / hidden.mean(1, keepdims=True)).astype(np.float32),
        selected=(selected / selected.mean(1, keepdims=True)).astype(np.float32),
    )


def run_keras(preset: str, folder: Path, precision: str, steps: int) -> dict:
    """Trains with this package; ``steps`` = 0 writes weights and outputs instead."""
    from seqexp_tf.quiet import load_tensorflow

    load_tensorflow()
    import keras
    import tensorflow as tf

    from seqexp_tf.pipeline.reader import ready
    from seqexp_tf.training import hardware, trainer
    from seqexp_tf.training.config import read_preset, read_run_config

    held = dict(np.load(folder / "batch.npz"))
    config = read_run_config(
        read_preset(preset),
        [
            f"training.learning_rate={LEARNING_RATE}",
            f"training.weight_decay={WEIGHT_DECAY}",
            f"training.clip_norm={CLIP_NORM}",
            "training.warmup_epochs=0",
            "training.final_fraction=1.0",
        ],
    )
    keras.utils.set_random_seed(1)
    model = trainer.build_model(config, hardware.compute_policy(precision))
    inputs = {name: held[name] for name in ("sequence", "expression")}
    if steps == 0:
        outputs = model(inputs, training=False)
        np.savez(folder / "weights.npz", **{w.path: w.numpy() for w in model.weights})
        np.savez(folder / "outputs.npz", **{k: v.numpy() for k, v in outputs.items()})
        return {"weights": model.count_params()}
    saved = np.load(folder / "weights.npz")
    for weight in model.weights:
        weight.assign(saved[weight.path])
    trainer.compile_model(model, config.training, steps)
    targets = {
        "expression_logits": held["labels"],
        "sequence_logits": held["bases"],
    }
    weights = {
        "expression_logits": held["hidden"],
        "sequence_logits": held["selected"],
    }
    batch = tf.data.Dataset.from_tensors((inputs, targets, weights))
    example = ready(batch.repeat())

    def train(steps: int) -> float:
        began = time.perf_counter()
        model.fit(example, steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
        return time.perf_counter() - began

    train(WARMUP_STEPS)
    return {"seconds": train(steps)}


def run_torch(preset: str, folder: Path, precision: str, steps: int) -> dict:
    """Trains the same network in PyTorch; ``steps`` = 0 compares it instead."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    batch = {
        name: torch.from_numpy(values).to(device)
        for name, values in np.load(folder / "batch.npz").items()
    }
    channels = torch.cat((batch["sequence"], batch["expression"][..., None]), -1)
    build = {"cnn": _torch_cnn, "transformer": _torch_transformer}[preset]
    model = build(np.load(folder / "weights.npz")).to(device)
    if steps == 0:
        with torch.no_grad():
            expression, sequence = model(channels)
        wanted = np.load(folder / "outputs.npz")
        found = {
            "expression_logits": expression.cpu().numpy(),
            "sequence_logits": sequence.transpose(1, 2).cpu().numpy(),
        }
        return {
            "weights": sum(p.numel() for p in model.parameters()),
            "difference": max(
                float(np.abs(found[name] - wanted[name]).max()) for name in wanted
            ),
        }

    decayed = [p for p in model.parameters() if p.ndim > 1]
    spared = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, eps=1e-7, fused=True
    )
    bases = batch["bases"].long()

    def train(steps: int) -> float:
        functional = torch.nn.functional
        total = torch.zeros((), device=device)
        began = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(
                device, torch.bfloat16, enabled=precision == "bfloat16"
            ):
                expression, sequence = model(channels)
            loss = functional.binary_cross_entropy_with_logits(
                expression.float(), batch["labels"], batch["hidden"]
            )
            by_base = functional.cross_entropy(
                sequence.float(), bases, reduction="none"
            )
            loss = loss + (by_base * batch["selected"]).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            optimizer.step()
            total += loss.detach()
        if not torch.isfinite(total):  # Waits for a GPU to finish.
            raise ArithmeticError(f"PyTorch: the loss is {total.item()}")
        return time.perf_counter() - began

    train(WARMUP_STEPS)
    return {"seconds": train(steps)}


def _torch_cnn(weights):
    """Returns the CNN as a torch module, with the weights Keras saved."""
    import torch
    from torch import nn

    def convolution(name: str, dilation: int = 1) -> nn.Conv1d:
        kernel = torch.from_numpy(weights[f"{name}/kernel"]).permute(2, 1, 0)
        out, into, width = kernel.shape
        layer = nn.Conv1d(into, out, width, padding="same", dilation=dilation)
        layer.weight.data.copy_(kernel)
        layer.bias.data.copy_(torch.from_numpy(weights[f"{name}/bias"]))
        return layer

    class CNN(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = convolution("stem")
            self.blocks = nn.ModuleList(
                convolution(f"block_{index}", 2 ** (index + 1)) for index in range(6)
            )
            self.expression_head = convolution("expression_head")
            self.sequence_logits = convolution("sequence_logits")

        def forward(self, x):
            x = torch.relu(self.stem(x.transpose(1, 2)))
            for block in self.blocks:
                x = x + torch.relu(block(x))
            return self.expression_head(x)[:, 0], self.sequence_logits(x)

    return CNN()


def _torch_transformer(weights):
    """Returns the Transformer as a torch module, with the weights Keras saved."""
    import torch
    from torch import nn

    from seqexp_tf.models.config import TransformerConfig
    from seqexp_tf.training.config import model_config, read_preset, read_run_config

    config = model_config(read_run_config(read_preset("transformer")))
    assert config == TransformerConfig(), "the preset has left the study's network"

    def copy(parameter, name: str) -> None:
        values = torch.from_numpy(weights[name])
        if parameter.ndim > 1:
            values = values.squeeze(0).T if values.ndim == 3 else values.T
        parameter.data.copy_(values)

    def dense(layer, name: str) -> None:
        copy(layer.weight, f"{name}/kernel")
        copy(layer.bias, f"{name}/bias")

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            self.projection = nn.Linear(6, config.width)
            dense(self.projection, "projection")
            layer = nn.TransformerEncoderLayer(
                config.width,
                config.heads,
                config.feed_forward,
                dropout=0.0,
                batch_first=True,
            )
            self.encoder = nn.TransformerEncoder(layer, config.blocks)
            for index, block in enumerate(self.encoder.layers):
                name = f"block_{index}"
                attention = block.self_attn
                copy(attention.in_proj_weight, f"{name}/attention/project/kernel")
                copy(attention.in_proj_bias, f"{name}/attention/project/bias")
                dense(attention.out_proj, f"{name}/attention/combine")
                dense(block.linear1, f"{name}/hidden")
                dense(block.linear2, f"{name}/output_map")
                for norm, of in (
                    (block.norm1, "attention_norm"),
                    (block.norm2, "feed_forward_norm"),
                ):
                    copy(norm.weight, f"{name}/{of}/gamma")
                    copy(norm.bias, f"{name}/{of}/beta")
            self.expression_head = nn.Linear(config.width, 1)
            dense(self.expression_head, "expression_head")
            self.sequence_logits = nn.Linear(config.width, 5)
            dense(self.sequence_logits, "sequence_logits")

        def forward(self, x):
            step = torch.arange(0, config.width, 2) / config.width
            angles = torch.arange(x.shape[1])[:, None] * 10_000.0 ** -step[None]
            waves = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
            x = self.encoder(self.projection(x) + waves.to(x.device))
            # As (batch, 5, length), like the convolutions of the CNN.
            sequence = self.sequence_logits(x).transpose(1, 2)
            return self.expression_head(x)[..., 0], sequence

    return Transformer()


def work(preset: str, contender: str, folder: Path, precision: str, steps: int) -> dict:
    """Runs one contender in a process of its own and returns its answer."""
    answer = folder / "answer.json"
    arguments = ["--preset", preset, "--worker", contender, "--folder", folder]
    arguments += ["--precision", precision, "--steps", steps]
    run = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if run.returncode:
        last = (run.stderr.strip().splitlines() or [f"exit {run.returncode}"])[-1]
        raise click.ClickException(f"{contender}, {precision}: {last}")
    return json.loads(answer.read_text())


def compare(preset: str, folder: Path) -> str:
    """Stops unless both contenders are the same network."""
    ours = work(preset, "seqexp-tf", folder, "float32", 0)
    theirs = work(preset, "PyTorch", folder, "float32", 0)
    if ours["weights"] != theirs["weights"]:
        raise click.ClickException(
            f"{ours['weights']} weights here, {theirs['weights']} in PyTorch"
        )
    if not theirs["difference"] < TOLERANCE:
        raise click.ClickException(
            f"outputs differ by {theirs['difference']:.2g}, more than {TOLERANCE}"
        )
    return (
        f"same network: {ours['weights']:,} weights, float32 outputs agree to "
        f"{theirs['difference']:.1g}"
    )


@click.command(help=__doc__)
@click.option("--preset", type=click.Choice(PRESETS), default="cnn", show_default=True)
@click.option("--batch-size", default=16, show_default=True, help="Windows a step.")
@click.option("--window", default=2048, show_default=True, help="In bp.")
@click.option("--steps", default=20, show_default=True, help="Timed steps a repeat.")
@click.option("--repeats", default=3, show_default=True, help="Turns of each.")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    multiple=True,
    default=PRECISIONS,
    help="May be repeated; both by default.",
)
@click.option("--worker", type=click.Choice(CONTENDERS), hidden=True)
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def command(
    preset: str,
    batch_size: int,
    window: int,
    steps: int,
    repeats: int,
    precisions: tuple[str, ...],
    worker: str | None,
    folder: Path | None,
) -> None:
    if worker is not None:
        run = run_keras if worker == "seqexp-tf" else run_torch
        (folder / "answer.json").write_text(
            json.dumps(run(preset, folder, precisions[0], steps))
        )
        return
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("PyTorch is missing; pip install torch")
    if os.getloadavg()[0] > 0.3 * len(os.sched_getaffinity(0)):
        # OpenMP threads, PyTorch's, lose far more to a busy core than TensorFlow's.
        click.echo("Other programs are busy: these timings will mislead.", err=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_batch(folder, batch_size=batch_size, window=window)
        click.echo(compare(preset, folder))
        speeds = {(p, c): [] for p in precisions for c in CONTENDERS}
        for _ in range(repeats):
            for precision, contender in speeds:
                seconds = work(preset, contender, folder, precision, steps)["seconds"]
                speeds[precision, contender].append(batch_size * steps / seconds)
    click.echo(
        f"{preset}: batch {batch_size}, {window:,} bp, {steps} steps, {repeats} repeats"
    )
    click.echo(f"{'precision':<11}{'':<12}{'windows/s':>10}  each repeat")
    for precision in precisions:
        medians = []
        for contender in CONTENDERS:
            each = speeds[precision, contender]
            medians.append(statistics.median(each))
            listed = " ".join(f"{speed:.1f}" for speed in each)
            click.echo(f"{precision:<11}{contender:<12}{medians[-1]:>10.1f}  {listed}")
        ours, theirs = medians
        click.echo(f"{precision:<11}{'ratio':<12}{ours / theirs:>10.2f}")


if __name__ == "__main__":
    command()
