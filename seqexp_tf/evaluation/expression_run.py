"""Everything ``evaluate`` leaves of a run of task ``expression``."""

from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from seqexp_tf.evaluation.curves import read_histories, write_curves
from seqexp_tf.evaluation.expression import ExpressionEvaluation, evaluate_expression
from seqexp_tf.evaluation.expression_plots import plot_scatter
from seqexp_tf.evaluation.expression_tables import write_tables
from seqexp_tf.evaluation.feature_baselines import FeatureBaselines
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import model_config
from seqexp_tf.training.run import Run

Counter = Callable[[int, str], tqdm]
"""Called with a number of genes and their split; gives a bar that counts them."""


def evaluate_run(
    run: Run,
    store: RecordStore,
    split: str,
    folder: Path,
    *,
    batch_size: int | None,
    count: Counter,
) -> tuple[ExpressionEvaluation, list[Path]]:
    """Scores a run and writes tables, predictions, scatter plot and curves.

    Args:
        run: a finished run of task ``expression``.
        store: a dataset that fits it.
        split: to score.
        folder: for the results.
        batch_size: genes predicted at once, those of a training batch if None;
            nothing depends on it.
        count: shows how far the scoring is.

    Returns:
        The evaluation, and what was written.

    Raises:
        RunError: the fit has not finished, or predicts what is not finite.
        DatasetError: the dataset is damaged, or has no such split.
    """
    genes = store.count(split)
    model = run.load_model()
    baselines = FeatureBaselines.of(store)
    with count(genes, split) as bar:
        evaluation = evaluate_expression(
            model,
            store,
            split,
            pipeline=run.config.pipeline,
            given=model_config(run.config).mask.channel,
            batch_size=batch_size or run.config.training.batch_size,
            baselines=baselines,
            progress=bar.update,
        )
    sha256 = run.model_sha256
    written = write_tables(evaluation, folder, split, model_sha256=sha256)
    written += save_figure(plot_scatter(evaluation), folder / f"{split}_scatter")
    written += write_curves(read_histories([run]), folder)
    return evaluation, written
