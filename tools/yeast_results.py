"""Trains and scores models on real yeast, beside the study's figures.

Converts the archive, fits each run (going on where an earlier call stopped),
evaluates on chrIV and chrIX, and prints the table of docs/results.md. The run
``dna_alone`` is ``cnn_large`` trained on with more labels hidden; it and ``cnn_wide``
are scored by ``borders``, with every label hidden, beside the annotated ORFs. On a GPU
through JAX: KERAS_BACKEND=jax.

    python tools/yeast_results.py --data DATA/yeast --out runs/yeast
    python tools/yeast_results.py --data DATA/yeast --out runs/yeast --run dna_alone
"""

import json
from pathlib import Path

import click
import pandas as pd

from seqexp_tf.cli import borders, convert, evaluate, export, fit
from seqexp_tf.records.store import MANIFEST
from seqexp_tf.training.run import CONFIG, MODEL

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

RUNS = {
    "cnn": ("cnn", "rna_dna", ()),
    "cnn_rna": ("cnn", "rna", ()),
    "cnn_large": ("cnn_large", "rna_dna", ()),
    "cnn_wide": ("cnn_wide", "dna_alone", ()),
    "transformer": ("transformer", "rna_dna", ()),
    "transformer_rna": ("transformer", "rna", ()),
    "transformer_rotary": ("transformer_rotary", "rna_dna", ()),
    "hybrid": ("hybrid", "rna_dna", ()),
    "dna_alone": (
        "cnn_large",
        "dna_alone",
        (
            "training.initial_run={out}/cnn_large",
            "training.epochs=6",
            "training.learning_rate=0.001",
        ),
    ),
}
"""Preset, masking regime and settings of each run."""

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
    "--run",
    "names",
    multiple=True,
    type=click.Choice(list(RUNS)),
    default=("cnn", "cnn_large"),
    show_default=True,
    help="Run to train; may be repeated.",
)
@click.pass_context
def main(context: click.Context, data: Path, out: Path, names: tuple[str, ...]) -> None:
    dataset = out / "dataset"
    if not (dataset / MANIFEST).exists():
        context.invoke(
            convert.command,
            recipe=RECIPE,
            out=dataset,
            overrides=(f"source.root={data}",),
        )
    for name in names:
        preset, masking, settings = RUNS[name]
        run = out / name
        if not (run / MODEL).exists():
            resume = (run / CONFIG).exists()
            context.invoke(
                fit.command,
                preset=preset,
                masking=None if resume else masking,
                data=dataset,
                out=run,
                overrides=() if resume else tuple(s.format(out=out) for s in settings),
                resume=resume,
            )
        context.invoke(evaluate.command, run=run, data=dataset, calibrate=True)
        if masking == "dna_alone":
            annotation = data / "genome" / "ensembl_annotation.gff3.gz"
            context.invoke(
                borders.command, run=run, data=dataset, annotation=annotation
            )
        context.invoke(export.command, run=run)
    click.echo(table(out, names))


def table(out: Path, names: tuple[str, ...]) -> str:
    """Returns Markdown: each run at masked positions beside the study."""
    masked = {
        name: json.loads((out / name / "metrics" / "test.json").read_text())[
            "populations"
        ]["masked"]
        for name in names
    }
    lines = [
        "| masked positions | uniform random | stratified random | "
        + " | ".join(f"`{name}`" for name in names)
        + " | study's CNN | study's Transformer |",
        "|---" * (5 + len(names)) + "|",
    ]
    for (modality, metric), reported in REPORTED.items():
        scored = [masked[name].get(modality, {}) for name in names]
        random = next(scores for scores in scored if scores)
        cells = [
            random["uniform_random"][metric],
            random["stratified_random"][metric],
            *(scores["model"][metric] if scores else None for scores in scored),
            *reported,
        ]
        lines.append(
            f"| {modality.upper()} {NAMES[metric]} | "
            + " | ".join("" if value is None else f"{value:.4f}" for value in cells)
            + " |"
        )
    minutes = []
    for name in names:
        seconds = pd.read_csv(out / name / "history.csv").seconds.sum()
        minutes.append(f"{seconds / 60:.0f}")
    lines.append(f"| minutes of training | | | {' | '.join(minutes)} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
