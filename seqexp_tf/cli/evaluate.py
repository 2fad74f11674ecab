"""``seqexp-tf evaluate``"""

import json
from pathlib import Path

import click
from tqdm import tqdm

from seqexp_tf.cli.options import FOLDER, batch_size, data, load_tensorflow, say


@click.command()
@click.argument("run", type=FOLDER)
@data
@click.option("--split", default="test", show_default=True, help="Split to score.")
@click.option("--out", type=FOLDER, help="Folder for results; RUN/metrics by default.")
@batch_size
def command(
    run: Path, data: Path | None, split: str, out: Path | None, batch_size: int
) -> None:
    """Score a run beside random baselines.

    Every window is seen under the fixed mask stored with it. Loss, accuracy,
    weighted F1, ROC AUC and average precision are given for the hidden labels and
    selected bases (masked), for the bases behind a mask token (mask_token), and
    for all valid positions (all), as JSON, CSV and Markdown, with learning
    curves, reliability diagrams and four example windows as PNG and SVG.

    \b
    Example:
      seqexp-tf evaluate runs/cnn --split test
    """
    from seqexp_tf.evaluation.files import require_writable, write_file
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.records.stored_masks import require_masks
    from seqexp_tf.training.run import HISTORY, Run

    trained = Run.open(run)
    store = RecordStore.open(data or Path(trained.dataset["folder"]))
    trained.check_dataset(store)
    require_masks(store, split, trained.config.masking)
    folder = out or run / "metrics"
    require_writable(folder)
    load_tensorflow()
    import pandas as pd

    from seqexp_tf.evaluation.calibration import (
        plot_base_distribution,
        plot_reliability,
    )
    from seqexp_tf.evaluation.curves import plot_curves
    from seqexp_tf.evaluation.joint import evaluate_joint
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.evaluation.tables import finite
    from seqexp_tf.evaluation.windows import choose_windows, plot_windows

    model = trained.load_model()
    if store.fingerprint != trained.dataset["fingerprint"]:
        say(
            f"Note: {run} was trained on {trained.dataset['name']}; {store.folder} is "
            f"{store.manifest['name']}, another dataset"
        )
    with tqdm(
        total=store.count(split), unit=" windows", leave=False, disable=None
    ) as bar:
        evaluation = evaluate_joint(
            model,
            store,
            split,
            masking=trained.config.masking,
            train_statistics=trained.dataset["train_statistics"],
            batch_size=batch_size,
            progress=bar.update,
        )
    written = evaluation.table.write(folder, split)
    reliability = {
        "expression": evaluation.expression,
        "nucleotides": evaluation.nucleotides,
    }
    written.append(
        write_file(
            folder / f"{split}_reliability.json",
            (json.dumps(finite(reliability), indent=1) + "\n").encode(),
        )
    )
    for name, curves in reliability.items():
        written += save_figure(
            plot_reliability(curves), folder / f"{split}_reliability_{name}"
        )
    written += save_figure(
        plot_curves({run.name: pd.read_csv(run / HISTORY)}), folder / "curves"
    )
    masked = evaluation.table.model.get("masked", {})
    if "dna" in masked:
        written += save_figure(
            plot_base_distribution(masked["dna"]), folder / f"{split}_bases"
        )
    if trained.config.masking.hides_expression:
        windows = choose_windows(
            model, store, split, masking=trained.config.masking, batch_size=batch_size
        )
        if windows:
            written += save_figure(plot_windows(windows), folder / f"{split}_windows")
    click.echo(evaluation.table.to_text())
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")
