"""Trains and evaluates the runs of a benchmark, going on where it stopped."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
from tqdm import tqdm

from seqexp_tf.benchmark.jobs import Job
from seqexp_tf.errors import SeqExpError
from seqexp_tf.evaluation.expression_run import evaluate_run
from seqexp_tf.report.stored_results import StoredResults
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import fit, require_same

PREDICTIONS = "metrics/{split}_predictions.tsv"


def execute(
    jobs: Sequence[Job],
    split: str,
    *,
    say: Callable[[str], None],
    show_bar: bool = False,
) -> dict[Path, str]:
    """Brings every run to its end: finished ones are kept, begun ones resumed.

    A run that fails is spoken of and left; those that need it are left as well.

    Args:
        jobs: in an order in which they can be trained.
        split: to evaluate.
        say: called with lines for the user.
        show_bar: show progress bars.

    Returns:
        What went wrong, by run folder; empty if nothing did.
    """
    failed: dict[Path, str] = {}
    for index, job in enumerate(jobs, start=1):
        say(f"[{index}/{len(jobs)}] {job.dataset} {job.model.name} seed {job.seed}")
        lost = next((path for path in job.needs if path in failed), None)
        try:
            if lost is not None:
                raise SeqExpError(f"{job.folder}: needs {lost}, which failed")
            _bring_to_end(job, split, say=say, show_bar=show_bar)
        except SeqExpError as error:
            failed[job.folder] = str(error)
            say(f"Failed: {error}")
    return failed


def _bring_to_end(
    job: Job, split: str, *, say: Callable[[str], None], show_bar: bool
) -> None:
    # Layers would go on counting their names from one model to the next.
    keras.utils.clear_session()
    if job.state == "finished":
        run = Run.open(job.folder)
        require_same(run, job.config, job.store)
    else:
        run = fit(
            job.config,
            job.store,
            job.folder,
            resume=job.state == "begun",
            show_bar=show_bar,
            say=say,
        )
    known = StoredResults(run=run, store=job.store, split=split).metrics()
    predictions = job.folder / PREDICTIONS.format(split=split)
    if known is None or not predictions.is_file():
        evaluate_run(
            run,
            job.store,
            split,
            job.folder / "metrics",
            batch_size=None,
            count=lambda genes, name: tqdm(
                total=genes, desc=name, leave=False, disable=not show_bar
            ),
        )
