"""``seqexp-tf evaluate``"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource
from tqdm import tqdm

from seqexp_tf.cli.options import (
    FOLDER,
    batch_size,
    data,
    load_tensorflow,
    open_store,
    say,
)
from seqexp_tf.errors import ConfigError

if TYPE_CHECKING:
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.run import Run


@click.command()
@click.argument("run", type=FOLDER)
@data
@click.option("--split", default="test", show_default=True, help="Split to score.")
@click.option("--out", type=FOLDER, help="Folder for results; RUN/metrics by default.")
@click.option(
    "--calibrate",
    is_flag=True,
    help="Fit temperatures on validation; show reliability before and after.",
)
@click.option(
    "--bins",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Bins of the reliability diagrams.",
)
@click.option(
    "--block",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Bases in a block of the bootstrap.",
)
@batch_size
@click.pass_context
def command(
    context: click.Context,
    run: Path,
    data: Path | None,
    split: str,
    out: Path | None,
    calibrate: bool,
    bins: int,
    block: int,
    batch_size: int,
) -> None:
    """Score a run beside simple baselines.

    Of a joint model, every window is seen under the fixed mask stored with it. Loss,
    accuracy, weighted F1, ROC AUC and average precision are given for the hidden
    labels and selected bases (masked), for the bases behind a mask token
    (mask_token), and for all valid positions (all), as JSON, CSV and Markdown, with
    figures of them, of learning curves, reliability and four example windows (PNG and
    SVG), each beside its data.

    Figures at hidden positions, but for average precision, carry a 95 % confidence
    interval from 1,000 bootstrap draws of whole blocks of the genome, both strands
    together: neighbouring windows are too alike to be drawn singly.

    --calibrate divides the logits of each output by a temperature fitted on the
    validation split, keeps it in RUN/temperatures.json (in --out for a dataset that
    is not the run's own), and writes the reliability of the split before and after.
    Other verbs show what the model says unscaled;
    from Python, JointPredictor takes temperatures.

    Of a model of genes: MSE, MAE, Pearson, Spearman and both R2 over all genes and
    by contig, beside the mean of the training genes and a ridge regression on the
    features (and the ceiling that a recipe named, of which Pearson is given as a
    share), with intervals from 1,000 bootstrap draws of genes; the predictions as
    TSV, a scatter plot and learning curves. It takes --batch-size from the run if
    not given.

    \b
    Example:
      seqexp-tf evaluate runs/cnn --split test --calibrate
      seqexp-tf evaluate runs/seq2exp_soft
    """
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    store = open_store(trained, data, out)
    trained.require_finished()
    folder = out or run / "metrics"
    given = {
        name
        for name in context.params
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    }
    if trained.task == "expression":
        for name in sorted(given & {"calibrate", "bins", "block"}):
            raise ConfigError(
                f"--{name} is for joint models; {run} predicts the expression of genes"
            )
        store.count(split)
        require_writable(folder)
        load_tensorflow()
        written = _evaluate_genes(
            trained,
            store,
            split,
            folder,
            batch_size=batch_size if "batch_size" in given else None,
        )
    else:
        written = _evaluate_joint(
            trained,
            store,
            split,
            folder,
            calibrate=calibrate,
            bins=bins,
            block=block,
            batch_size=batch_size,
        )
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def _evaluate_genes(
    trained: "Run",
    store: "RecordStore",
    split: str,
    folder: Path,
    *,
    batch_size: int | None,
) -> list[Path]:
    from seqexp_tf.evaluation.bootstrap import MINIMUM_BLOCKS
    from seqexp_tf.evaluation.expression_run import evaluate_run
    from seqexp_tf.evaluation.expression_tables import to_text

    evaluation, written = evaluate_run(
        trained, store, split, folder, batch_size=batch_size, count=_bar
    )
    click.echo(to_text(evaluation))
    if not evaluation.model.intervals:
        say(
            f"Note: no confidence intervals; {split} has {evaluation.model.genes} "
            f"genes, fewer than the {MINIMUM_BLOCKS} they need"
        )
    return written


def _evaluate_joint(
    trained: "Run",
    store: "RecordStore",
    split: str,
    folder: Path,
    *,
    calibrate: bool,
    bins: int,
    block: int,
    batch_size: int,
) -> list[Path]:
    from seqexp_tf.evaluation.files import require_writable, write_file
    from seqexp_tf.records.stored_masks import require_masks

    require_masks(store, split, trained.config.masking)
    require_writable(folder)
    load_tensorflow()
    from seqexp_tf.evaluation.bootstrap import MINIMUM_BLOCKS
    from seqexp_tf.evaluation.calibration import (
        plot_base_distribution,
        plot_reliability,
    )
    from seqexp_tf.evaluation.curves import read_histories, write_curves
    from seqexp_tf.evaluation.joint import evaluate_joint
    from seqexp_tf.evaluation.joint_calibration import (
        describe_scaling,
        plot_calibration,
    )
    from seqexp_tf.evaluation.metric_plots import plot_metrics
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.evaluation.tables import finite
    from seqexp_tf.evaluation.temperature import (
        SPLIT,
        fit_temperatures,
        write_temperatures,
    )
    from seqexp_tf.evaluation.windows import (
        choose_windows,
        plot_windows,
        windows_table,
    )

    def write_json(name: str, content: dict) -> Path:
        text = json.dumps(finite(content), indent=1) + "\n"
        return write_file(folder / name, text.encode())

    masking = trained.config.masking
    model = trained.load_model()
    written = []
    temperatures = None
    if calibrate:
        with _bar(store.count(SPLIT), SPLIT) as bar:
            fits = fit_temperatures(
                model,
                store,
                masking=masking,
                batch_size=batch_size,
                progress=bar.update,
            )
        kept = trained.folder if trained.trained_on(store) else folder
        written.append(write_temperatures(kept, trained, store, fits))
        temperatures = {output: fit.temperature for output, fit in fits.items()}
    with _bar(store.count(split), split) as bar:
        evaluation = evaluate_joint(
            model,
            store,
            split,
            masking=masking,
            train_statistics=trained.dataset["train_statistics"],
            batch_size=batch_size,
            temperatures=temperatures,
            bins=bins,
            block=block,
            progress=bar.update,
        )
    table = dataclasses.replace(evaluation.table, model_sha256=trained.model_sha256)
    written += table.write(folder, split)
    written += save_figure(plot_metrics(table), folder / f"{split}_scores")
    before, after = evaluation.calibration, evaluation.scaled
    reliability = {"expression": before.expression, "nucleotides": before.nucleotides}
    written.append(
        write_json(
            f"{split}_reliability.json", {**reliability, "top_label": before.top_label}
        )
    )
    for name, curves in reliability.items():
        if curves:
            written += save_figure(
                plot_reliability(curves), folder / f"{split}_reliability_{name}"
            )
    if after is not None:
        document = {
            "model_sha256": table.model_sha256,
            "dataset": table.dataset,
            "fitted_on": SPLIT,
            "temperatures": temperatures,
            "before": before.to_dict(),
            "after": after.to_dict(),
        }
        written.append(write_json(f"{split}_calibration.json", document))
        written += save_figure(
            plot_calibration(before, after, temperatures),
            folder / f"{split}_calibration",
        )
    written += write_curves(read_histories([trained]), folder)
    masked = evaluation.table.model.get("masked", {})
    if "dna" in masked:
        written += save_figure(
            plot_base_distribution(masked["dna"]), folder / f"{split}_bases"
        )
    if masking.hides_expression:
        windows = choose_windows(
            model, store, split, masking=masking, batch_size=batch_size
        )
        if windows:
            text = windows_table(windows).to_csv(
                sep="\t", index=False, float_format="%.6g", lineterminator="\n"
            )
            path = folder / f"{split}_windows.tsv"
            written.append(write_file(path, text.encode()))
            written += save_figure(plot_windows(windows), folder / f"{split}_windows")
    click.echo(evaluation.table.to_text())
    if not evaluation.table.intervals:
        say(
            f"Note: no confidence intervals; of blocks of "
            f"{evaluation.table.resampling['block_bases']:,} bases {split} has "
            f"{evaluation.table.resampling['blocks']}, fewer than the "
            f"{MINIMUM_BLOCKS} they need (--block sets the length)"
        )
    if after is not None:
        click.echo(describe_scaling(before, after, temperatures))
    return written


def _bar(windows: int, split: str) -> tqdm:
    return tqdm(total=windows, desc=split, unit=" windows", leave=False, disable=None)
