"""An evaluation of expression profiles as JSON, TSV, Markdown and text."""

import csv
import io
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seqexp_tf.evaluation.borders import (
    TOLERANCES,
    BorderAgreement,
    ExpressedTotal,
)
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.metrics import FORMULAS
from seqexp_tf.evaluation.profile_scores import (
    BOTH,
    PREDICTORS,
    ProfileEvaluation,
    ProfileScore,
    WindowScore,
)
from seqexp_tf.evaluation.tables import finite

SCHEMA_VERSION = 1

_DEFINITIONS = {
    "ece": (
        "expected calibration error of p(expressed): sum over ten equal bins of p of "
        "(share of positions) x |share expressed - mean p|"
    ),
    "borders": (
        "a border lies between two measured neighbours of which one is expressed; "
        "start and end are in the direction of transcription; predicted and true "
        "borders of one kind and strand match one to one, at most `tolerance` bases "
        "apart, as many as possible"
    ),
    "f1": "2 matched / (true + predicted)",
}
_METRICS = {
    "accuracy": "Accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "AP",
    "loss": "Loss",
    "ece": "ECE",
}

_LEGEND = (
    "AP: average precision. Loss: cross-entropy in nats. F1: of the borders of "
    "expressed regions, within so many bases."
)


def to_json(evaluation: ProfileEvaluation, *, model_sha256: str | None = None) -> str:
    """Returns every score, with definitions; NaN becomes null.

    Args:
        evaluation: what to tell.
        model_sha256: hash of the model's file, by which the JSON names it.
    """
    used = {name for score in evaluation.scores for name in score.metrics}
    document = {
        "schema_version": SCHEMA_VERSION,
        "model_sha256": model_sha256,
        "dataset": evaluation.dataset,
        "labels": "hidden",
        "predictors": {
            name: text for name, text in PREDICTORS.items() if name in evaluation.curves
        },
        "scores": [
            {
                "predictor": score.predictor,
                "contig": score.contig,
                "strand": score.strand,
                "metrics": score.metrics,
                "borders": [agreement.to_dict() for agreement in score.borders],
            }
            for score in evaluation.scores
        ],
        "formulas": {name: text for name, text in FORMULAS.items() if name in used}
        | _DEFINITIONS,
    }
    return json.dumps(finite(document), indent=1, allow_nan=False) + "\n"


def to_tsv(evaluation: ProfileEvaluation) -> str:
    """Returns a row a predictor, contig and strand; NaN becomes empty."""
    rows = []
    for score in evaluation.scores:
        row = {
            "predictor": score.predictor,
            "contig": score.contig,
            "strand": score.strand,
            **score.metrics,
            **_border_columns(score.borders),
        }
        rows.append(row)
    return tsv(rows)


def windows_tsv(windows: Iterable[WindowScore]) -> str:
    """Returns a row a predictor and window (0-based half-open), as above."""
    return tsv(
        {
            "predictor": window.predictor,
            "contig": window.region.contig,
            "start": window.region.start,
            "end": window.region.end,
            "strand": window.strand,
            "positions": window.positions,
            "accuracy": window.accuracy,
            **_total_columns("true", window.true),
            **_total_columns("predicted", window.predicted),
            **_border_columns(window.borders),
        }
        for window in windows
    )


def curves_tsv(evaluation: ProfileEvaluation) -> str:
    """Returns a row a predictor and threshold of its ROC and precision-recall."""
    return tsv(
        {
            "predictor": name,
            "threshold": threshold,
            "true_positive_rate": recall,
            "false_positive_rate": fallout,
            "precision": precision,
        }
        for name, curve in evaluation.curves.items()
        for threshold, recall, fallout, precision in zip(
            curve.threshold.tolist(),
            curve.true_positive_rate.tolist(),
            curve.false_positive_rate.tolist(),
            curve.precision.tolist(),
            strict=True,
        )
    )


def to_markdown(evaluation: ProfileEvaluation) -> str:
    """Returns the scores of every contig and strand as one Markdown table."""
    heading, *body = _grid(evaluation.scores)
    lines = [_markdown_row(heading)]
    lines.append(_markdown_row(["---"] * 3 + ["---:"] * (len(heading) - 3)))
    lines += [_markdown_row(row) for row in body]
    notes = [
        f"- {name}: {text}."
        for name, text in PREDICTORS.items()
        if name in evaluation.curves
    ]
    return "\n".join([*lines, "", _LEGEND, "", *notes]) + "\n"


def to_text(evaluation: ProfileEvaluation) -> str:
    """Returns aligned columns for a terminal, both strands pooled."""
    grid = _grid(score for score in evaluation.scores if score.strand == BOTH)
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines) + "\n"


def write_tables(
    evaluation: ProfileEvaluation, stem: Path, *, model_sha256: str | None = None
) -> list[Path]:
    """Writes ``STEM.json``, ``.tsv``, ``.md``, ``_windows.tsv``, ``_curves.tsv``.

    Args:
        evaluation: what to tell.
        stem: path of the files without their endings.
        model_sha256: see ``to_json``.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    documents = {
        ".json": to_json(evaluation, model_sha256=model_sha256),
        ".tsv": to_tsv(evaluation),
        ".md": to_markdown(evaluation),
        "_windows.tsv": windows_tsv(evaluation.windows),
        "_curves.tsv": curves_tsv(evaluation),
    }
    return [
        write_file(stem.with_name(stem.name + suffix), text.encode())
        for suffix, text in documents.items()
    ]


def tsv(rows: Iterable[dict[str, Any]]) -> str:
    """Returns rows of the same keys under a heading; NaN becomes empty."""
    buffer = io.StringIO()
    writer = None
    for row in rows:
        if writer is None:
            writer = csv.writer(buffer, delimiter="\t", lineterminator="\n")
            writer.writerow(row)
        writer.writerow(finite(list(row.values())))
    return buffer.getvalue()


def _total_columns(kind: str, total: ExpressedTotal) -> dict[str, int]:
    return {f"{kind}_expressed": total.bases, f"{kind}_regions": total.regions}


def _border_columns(borders: Iterable[BorderAgreement]) -> dict[str, float]:
    columns: dict[str, float] = {}
    for agreement in borders:
        both = agreement.both
        columns.setdefault("true_borders", both.true)
        columns.setdefault("predicted_borders", both.predicted)
        name = f"within_{agreement.tolerance}"
        columns |= {
            f"{name}_matched": both.matched,
            f"{name}_precision": both.precision,
            f"{name}_recall": both.recall,
            f"{name}_f1": both.f1,
            f"{name}_f1_starts": agreement.starts.f1,
            f"{name}_f1_ends": agreement.ends.f1,
        }
    return columns


def _grid(scores: Iterable[ProfileScore]) -> list[list[str]]:
    borders = [f"F1 ±{tolerance}" for tolerance in TOLERANCES]
    grid = [["Predictor", "Contig", "Strand", *_METRICS.values(), *borders]]
    for score in scores:
        values = [score.metrics[name] for name in _METRICS]
        values += [agreement.both.f1 for agreement in score.borders]
        grid.append([score.predictor, score.contig, score.strand, *map(_round, values)])
    return grid


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _round(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"
