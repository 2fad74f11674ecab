"""Everything a report of a run shows: read where it was kept, else computed."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.curves import read_history
from seqexp_tf.evaluation.joint import evaluate_joint
from seqexp_tf.evaluation.joint_calibration import Calibration
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.evaluation.profile_prediction import count_windows
from seqexp_tf.evaluation.profile_scores import ProfileEvaluation
from seqexp_tf.evaluation.profiles import evaluate_profiles, hash_frames
from seqexp_tf.evaluation.temperature import SPLIT, fit_temperatures
from seqexp_tf.genome.genes import annotation_of, gene_table, open_reading_frames
from seqexp_tf.records.spans import stored_spans
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.stored_masks import require_masks
from seqexp_tf.report.loci import Locus, choose_loci
from seqexp_tf.report.stored_results import StoredResults
from seqexp_tf.training.run import Run

Step = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with what is done and how much of it there is; gives what counts it."""

Scaling = tuple[Calibration, Calibration, dict[str, float]]
"""Calibration before and after temperature scaling, and the temperatures."""


@contextlib.contextmanager
def quiet(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A ``Step`` that tells nobody."""
    yield lambda done: None


@dataclass(frozen=True, kw_only=True)
class ReportInputs:
    """What a report is made from, checked.

    Attributes:
        run: the run.
        store: the dataset it is scored on.
        split: the split it is scored on.
        predictor: its model on that dataset.
        history: a row an epoch.
        loci: the regions shown.
        genes: of ``gene_table``; None without an annotation.
        frames: of ``open_reading_frames``; None where there are none.
        maps: whether mutagenesis maps are made.
    """

    run: Run
    store: RecordStore
    split: str
    predictor: JointPredictor
    history: pd.DataFrame
    loci: tuple[Locus, ...]
    genes: pd.DataFrame | None
    frames: pd.DataFrame | None
    maps: bool = True


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report says of a run as a whole.

    Attributes:
        inputs: what it was made from.
        metrics: content of the metrics file of ``evaluate``; None if unscored.
        unscored: why the split could not be scored; empty if it was.
        scaling: None if unscored, or without a validation split.
        profiles: expression from DNA alone; None for a run that never hid expression.
    """

    inputs: ReportInputs
    metrics: dict[str, Any] | None
    unscored: str
    scaling: Scaling | None
    profiles: ProfileEvaluation | None


def prepare_report(
    run: Run,
    store: RecordStore,
    *,
    regions: Sequence[str] = (),
    annotation: Path | None = None,
    maps: bool = True,
    batch_size: int = 32,
) -> ReportInputs:
    """Opens and checks everything, before anything is computed.

    Args:
        run: a finished run.
        store: the dataset to score it on.
        regions: shown after the example loci; see ``choose_loci``.
        annotation: GFF3 or GTF of the genome: names genes, and scores reading frames
            as a baseline.
        maps: whether to make mutagenesis maps, which take a prediction a mutant on
            models with attention.
        batch_size: windows predicted at once; nothing depends on it.

    Raises:
        RunError: the fit has not finished, or the dataset is of another kind.
        InputError: a region or an annotation does not fit the dataset.
        DatasetError: the dataset is damaged, or has no split to score.
    """
    run.check_dataset(store)
    history = read_history(run)
    split = "test" if "test" in store.splits else SPLIT
    loci = choose_loci(store, regions, split=split)
    genes = frames = None
    if annotation is not None:
        scored = store.manifest["splits"][split]["contigs"]
        contigs = dict.fromkeys([*scored, *(locus.region.contig for locus in loci)])
        sizes = store.manifest["contigs"]
        table = annotation_of(annotation, sizes, contigs=contigs)
        genes, frames = gene_table(table), open_reading_frames(table)
        frames = None if frames.empty else frames
    return ReportInputs(
        run=run,
        store=store,
        split=split,
        predictor=JointPredictor.open(run, store, batch_size=batch_size),
        history=history,
        loci=tuple(loci),
        genes=genes,
        frames=frames,
        maps=maps,
    )


def _same_frames(inputs: ReportInputs, profiles: ProfileEvaluation) -> bool:
    """Whether stored scores are beside the reading frames asked for, if any were."""
    if inputs.frames is None:
        return True
    wanted = hash_frames(inputs.store, inputs.split, inputs.frames)
    return profiles.dataset.get("reading_frames") == wanted


def collect_report(inputs: ReportInputs, *, step: Step = quiet) -> Report:
    """Scores a run, or takes its scores where an earlier verb left them.

    Args:
        inputs: of ``prepare_report``.
        step: told of what is computed.

    Raises:
        RunError: the model predicts values that are not finite.
        DatasetError: the dataset is damaged or has nothing to score.
    """
    stored = StoredResults(run=inputs.run, store=inputs.store, split=inputs.split)
    unscored = _obstacle(inputs)
    metrics, scaling = None, None
    if not unscored:
        metrics, scaling = stored.metrics(), stored.scaling()
        if metrics is None or scaling is None:
            metrics, scaling = _evaluate(inputs, step)
    profiles = None
    if "expression" in inputs.run.config.hidden:
        profiles = stored.profiles()
        if profiles is None or not _same_frames(inputs, profiles):
            profiles = _evaluate_profiles(inputs, step)
    return Report(
        inputs=inputs,
        metrics=metrics,
        unscored=unscored,
        scaling=scaling,
        profiles=profiles,
    )


def _obstacle(inputs: ReportInputs) -> str:
    """Says why a split cannot be scored under its masks; empty if it can."""
    try:
        require_masks(inputs.store, inputs.split, inputs.run.config.masking)
    except DatasetError as error:
        return str(error)
    return ""


def _evaluate(
    inputs: ReportInputs, step: Step
) -> tuple[dict[str, Any], Scaling | None]:
    run, store, split = inputs.run, inputs.store, inputs.split
    model = inputs.predictor.model
    settings = {
        "masking": run.config.masking,
        "batch_size": inputs.predictor.batch_size,
    }
    temperatures = None
    if SPLIT in store.splits:
        with step("Fitting temperatures", store.count(SPLIT)) as progress:
            fits = fit_temperatures(model, store, **settings, progress=progress)
        temperatures = {output: fit.temperature for output, fit in fits.items()}
    with step(f"Scoring {split}", store.count(split)) as progress:
        evaluation = evaluate_joint(
            model,
            store,
            split,
            **settings,
            train_statistics=run.dataset["train_statistics"],
            temperatures=temperatures,
            progress=progress,
        )
    metrics = json.loads(evaluation.table.to_json())
    if evaluation.scaled is None:
        return metrics, None
    return metrics, (evaluation.calibration, evaluation.scaled, temperatures)


def _evaluate_profiles(inputs: ReportInputs, step: Step) -> ProfileEvaluation:
    spans = stored_spans(inputs.store, inputs.split)
    total = count_windows(inputs.predictor, spans)
    with step("Expression from DNA alone", total) as progress:
        return evaluate_profiles(
            inputs.predictor, inputs.split, frames=inputs.frames, progress=progress
        )
