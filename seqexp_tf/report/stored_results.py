"""Results that `evaluate` and `borders` left in a run, where they still hold.

A file holds for one model file and one dataset, whose hashes it names. Of any
other, or one that cannot be read, nothing is taken: the caller computes anew.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from seqexp_tf.evaluation.borders import BorderAgreement, BorderCounts
from seqexp_tf.evaluation.joint_calibration import Calibration
from seqexp_tf.evaluation.profile_scores import ProfileEvaluation, ProfileScore
from seqexp_tf.evaluation.thresholds import ThresholdCurve
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import Run


@dataclass(frozen=True, kw_only=True)
class StoredResults:
    """The results of one run on one split of one dataset.

    Attributes:
        run: where they lie.
        store: the dataset they have to be of.
        split: the split they have to be of.
    """

    run: Run
    store: RecordStore
    split: str

    def metrics(self) -> dict[str, Any] | None:
        """Returns the content of ``metrics/SPLIT.json``."""
        return self.read(self.run.folder / "metrics" / f"{self.split}.json")

    def scaling(self) -> tuple[Calibration, Calibration, dict[str, float]] | None:
        """Returns calibration before and after, and the temperatures between."""
        path = self.run.folder / "metrics" / f"{self.split}_calibration.json"
        document = self.read(path)
        if document is None:
            return None
        before, after = (_calibration(document[key]) for key in ("before", "after"))
        return before, after, document["temperatures"]

    def profiles(self) -> ProfileEvaluation | None:
        """Returns the scores and curves of ``borders/SPLIT.json`` and its curves.

        Windows and regions, which are long, stay where they are.
        """
        path = self.run.folder / "borders" / f"{self.split}.json"
        curves = path.with_name(f"{self.split}_curves.tsv")
        document = self.read(path)
        if document is None or not curves.is_file():
            return None
        return ProfileEvaluation(
            scores=tuple(map(_score, document["scores"])),
            windows=(),
            regions={},
            curves=_curves(curves),
            dataset=document["dataset"],
        )

    def read(self, path: Path) -> dict[str, Any] | None:
        """Returns the content of a file; None unless it is of this model and split."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            dataset = document["dataset"]
            found = (
                document["model_sha256"],
                dataset["fingerprint"],
                dataset["split"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        wanted = (self.run.model_sha256, self.store.fingerprint, self.split)
        return document if found == wanted else None


def _calibration(values: dict[str, Any]) -> Calibration:
    curves = {
        key: {name: _numbers(curve) for name, curve in values[key].items()}
        for key in ("expression", "nucleotides", "top_label")
    }
    loss = {output: scores["loss"] for output, scores in values["scores"].items()}
    return Calibration(**curves, loss=_numbers(loss))


def _score(values: dict[str, Any]) -> ProfileScore:
    return ProfileScore(
        predictor=values["predictor"],
        contig=values["contig"],
        strand=values["strand"],
        metrics=_numbers(values["metrics"]),
        borders=tuple(
            BorderAgreement(
                agreement["tolerance"],
                *(
                    BorderCounts(*(agreement[kind][name] for name in _COUNTS))
                    for kind in ("starts", "ends")
                ),
            )
            for agreement in values["borders"]
        ),
    )


_COUNTS = ("true", "predicted", "matched")


def _curves(path: Path) -> dict[str, ThresholdCurve]:
    table = pd.read_csv(path, sep="\t")
    names = ("threshold", "true_positive_rate", "false_positive_rate", "precision")
    return {
        predictor: ThresholdCurve(*(rows[name].to_numpy() for name in names))
        for predictor, rows in table.groupby("predictor", sort=False)
    }


def _numbers(value: Any) -> Any:
    """Returns a document with NaN where JSON has null, lists as they are."""
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return math.nan if value is None else value
