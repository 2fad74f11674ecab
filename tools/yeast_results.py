"""Trains and scores the presets on real yeast, beside the study's figures.

Converts the archive, fits each preset (going on where an earlier call stopped),
evaluates on chrIV and chrIX, and prints the table of docs/results.md:

    python tools/yeast_results.py --data DATA/yeast --out runs/yeast
"""

import json
from pathlib import Path

import click
import pandas as pd

from seqexp_tf.cli import convert, evaluate, export, fit
from seqexp_tf.records.store import MANIFEST

RECIPE = Path(__file__).parent.parent / "tfrecords" / "yeast_joint.toml"

REPORTED = {
    ("dna", "loss"): (1.2680, 1.2863),
    ("dna", "accuracy"): (0.4233, 0.3910),
    ("dna", "f1_weighted"): (0.3810, 0.3483),
    ("dna", "roc_auc"): (0.6555, None),
    ("rna", "loss"): (0.2899, 0.4465),
    ("rna", "accuracy"): (0.8805, 0.7987),
    ("rna", "f1_weighted"): (0.8806, 0.7956),
    ("rna", "roc_auc"): (0.9475, 0.8735),
}
"""Joint Modelling of DNA and RNA, supplement figures 1 (CNN) and 2 (Transformer)."""

NAMES = {
    "loss": "loss",
    "accuracy": "accuracy",
    "f1_weighted": "F1 (weighted)",
    "roc_auc": "ROC AUC",
}


@click.command(help=__doc__)
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Folder that holds archive/data.npz and archive/regions.parquet.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/yeast"),
    show_default=True,
    help="Folder for the dataset and the runs.",
)
@click.option(
    "--preset",
    "presets",
    multiple=True,
    default=("cnn", "cnn_large"),
    show_default=True,
    help="Preset to train; may be repeated.",
)
@click.pass_context
def main(
    context: click.Context, data: Path, out: Path, presets: tuple[str, ...]
) -> None:
    dataset = out / "dataset"
    if not (dataset / MANIFEST).exists():
        context.invoke(
            convert.command,
            recipe=RECIPE,
            out=dataset,
            overrides=(f"source.root={data}",),
        )
    for preset in presets:
        run = out / preset
        context.invoke(
            fit.command, preset=preset, data=dataset, out=run, resume=run.exists()
        )
        context.invoke(evaluate.command, run=run, data=dataset)
        context.invoke(export.command, run=run)
    click.echo(table(out, presets))


def table(out: Path, presets: tuple[str, ...]) -> str:
    """Returns Markdown: each preset at masked positions beside the study."""
    masked = {
        preset: json.loads((out / preset / "metrics" / "test.json").read_text())[
            "populations"
        ]["masked"]
        for preset in presets
    }
    lines = [
        "| masked positions | uniform random | stratified random | "
        + " | ".join(f"`{preset}`" for preset in presets)
        + " | study's CNN | study's Transformer |",
        "|---" * (5 + len(presets)) + "|",
    ]
    first = masked[presets[0]]
    for (modality, metric), reported in REPORTED.items():
        cells = [
            first[modality]["uniform_random"][metric],
            first[modality]["stratified_random"][metric],
            *(masked[preset][modality]["model"][metric] for preset in presets),
            *reported,
        ]
        lines.append(
            f"| {modality.upper()} {NAMES[metric]} | "
            + " | ".join("" if value is None else f"{value:.4f}" for value in cells)
            + " |"
        )
    minutes = []
    for preset in presets:
        seconds = pd.read_csv(out / preset / "history.csv").seconds.sum()
        minutes.append(f"{seconds / 60:.0f}")
    lines.append(f"| minutes of training | | | {' | '.join(minutes)} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
