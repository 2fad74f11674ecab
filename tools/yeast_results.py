"""Trains and scores models on real yeast, beside the study's figures.

Converts the archive, fits each run (going on where an earlier call stopped),
evaluates on chrIV and chrIX, and prints the table of docs/results.md. The run
``dna_alone`` is ``cnn_large`` trained on with more labels hidden; it and ``cnn_wide``
are scored by ``borders``, with every label hidden, beside the annotated ORFs. With
``--loci`` it also draws the study's two examples. On a GPU through JAX:
KERAS_BACKEND=jax.

    python tools/yeast_results.py --data DATA/yeast --out runs/yeast
    python tools/yeast_results.py --data DATA/yeast --out runs/yeast --run dna_alone
    python tools/yeast_results.py --data DATA/yeast --out runs/yeast --run cnn --loci
"""

import json
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from seqexp_tf.cli import (
    borders,
    convert,
    curves,
    evaluate,
    export,
    fit,
    logo,
    mutagenesis,
    report,
)
from seqexp_tf.records.store import MANIFEST
from seqexp_tf.training.run import CONFIG, MODEL

RECIPE = Path(__file__).parent.parent / "tfrecords" / "yeast_joint.toml"

REPORTED = {
    "rna_dna": {
        ("dna", "loss"): (1.2680, 1.2863),
        ("dna", "accuracy"): (0.4233, 0.3910),
        ("dna", "f1_weighted"): (0.3810, 0.3483),
        ("dna", "roc_auc"): (0.6555, None),
        ("rna", "loss"): (0.2899, 0.4465),
        ("rna", "accuracy"): (0.8805, 0.7987),
        ("rna", "f1_weighted"): (0.8806, 0.7956),
        ("rna", "roc_auc"): (0.9475, 0.8735),
    },
    "rna": {
        ("rna", "loss"): (None, None),
        ("rna", "accuracy"): (0.74, 0.786),
        ("rna", "f1_weighted"): (None, None),
        ("rna", "roc_auc"): (None, None),
    },
}
"""What the study reports of its CNN and its Transformer, by masking regime.

Joint Modelling of DNA and RNA, supplement figures 1 and 2; with RNA masked alone,
sections 6.1.1 (accuracy in training, a subset) and 6.2.1 (20,000 windows).
"""

LOCI = (("chrIV", 1_468_900), ("chrIX", 47_250))
"""Where the study's two examples begin: a window, and a thousand bases to mutate."""

RUNS = {
    "cnn": ("cnn", "rna_dna", ()),
    "cnn_rna": ("cnn", "rna", ()),
    "cnn_large": ("cnn_large", "rna_dna", ()),
    "cnn_wide": ("cnn_wide", "dna_alone", ()),
    "transformer": ("transformer", "rna_dna", ()),
    # 70 minutes of two CPU cores with bfloat16; the preset's 24 epochs need a GPU.
    "transformer_rna": (
        "transformer",
        "rna",
        (
            "training.epochs=1",
            "training.batch_size=8",
            "training.learning_rate=0.0005",
            "training.warmup_epochs=0.15",
        ),
    ),
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
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    help="Of each run that begins; by default those of its preset or setting.",
)
@click.option(
    "--loci",
    is_flag=True,
    help="Also the study's two examples by each run: borders, logos, maps, report.",
)
@click.pass_context
def main(
    context: click.Context,
    data: Path,
    out: Path,
    names: tuple[str, ...],
    epochs: int | None,
    loci: bool,
) -> None:
    annotation = data / "genome" / "ensembl_annotation.gff3.gz"
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
        if epochs is not None:
            settings = (*settings, f"training.epochs={epochs}")
        run = out / name
        if not (run / MODEL).exists():
            resume = (run / CONFIG).exists()
            context.invoke(
                fit.command,
                preset=None if resume else preset,
                masking=None if resume else masking,
                data=dataset,
                out=run,
                overrides=() if resume else tuple(s.format(out=out) for s in settings),
                resume=resume,
            )
        context.invoke(evaluate.command, run=run, data=dataset, calibrate=True)
        if masking == "dna_alone":
            context.invoke(
                borders.command, run=run, data=dataset, annotation=annotation
            )
        if loci:
            draw_loci(context, run, dataset, annotation, logos=masking != "rna")
        context.invoke(export.command, run=run)
    for regime in REPORTED:
        chosen = [
            name for name in names if (RUNS[name][1] == "rna") == (regime == "rna")
        ]
        if chosen:
            click.echo(table(out, chosen, regime))


def draw_loci(
    context: click.Context, run: Path, dataset: Path, genes: Path, *, logos: bool
) -> None:
    """Draws everything the study shows of its two examples, and the report of a run.

    Args:
        context: by which verbs are called.
        run: trained.
        dataset: it was trained on.
        genes: annotation.
        logos: whether the run ever hid a base, without which there are none.
    """
    windows = tuple(f"{contig}:{start}-{start + 2_047}" for contig, start in LOCI)
    for options in ({}, {"top": 3}) if logos else ():
        context.invoke(logo.command, run=run, data=dataset, regions=windows, **options)
    context.invoke(
        borders.command, run=run, data=dataset, regions=windows, annotation=genes
    )
    for contig, start in LOCI:
        for strand in "+-":
            context.invoke(
                mutagenesis.command,
                run=run,
                data=dataset,
                region=f"{contig}:{start}-{start + 1_000}",
                strand=strand,
                annotation=genes,
            )
    context.invoke(curves.command, runs=(run,))
    context.invoke(report.command, run=run, data=dataset, annotation=genes)


def table(out: Path, names: Sequence[str], regime: str) -> str:
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
    for (modality, metric), reported in REPORTED[regime].items():
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
    histories = [pd.read_csv(out / name / "history.csv") for name in names]
    for title, values in (
        ("epochs", [len(history) for history in histories]),
        ("minutes of training", [history.seconds.sum() / 60 for history in histories]),
    ):
        cells = " | ".join(f"{value:.0f}" for value in values)
        lines.append(f"| {title} | | | {cells} | | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
