"""Rankings of known elements as JSON, TSV and text."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from seqexp_tf.evaluation.element_scores import ElementScores, Estimate
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.profile_tables import tsv
from seqexp_tf.evaluation.rankings import MASK
from seqexp_tf.evaluation.tables import finite

SCHEMA_VERSION = 1

DEFINITIONS = {
    "average_precision": (
        "sum over score thresholds of (recall gained) x precision; equal scores are "
        "one threshold"
    ),
    "pooled": "over the bases or pairs of all genes together",
    "mean": "mean over the genes that have a positive",
    "difference": "average precision of the mask less that of the method",
    "ratio": "average precision of the mask over that of the method",
    "random": "all scores equal: the average precision is the prevalence",
}


def to_dict(scores: ElementScores) -> dict[str, Any]:
    """Returns everything but the curves and single genes."""
    return {
        "unit": scores.unit,
        "ranked": scores.ranked,
        "positives": scores.positives,
        "genes": scores.genes,
        "genes_with_positives": scores.genes_with_positives,
        "pooled_over_every": scores.every,
        "resampling": scores.resampling,
        "methods": {
            score.method: {
                over: {
                    what: _estimate(estimates[over])
                    for what, estimates in (
                        ("average_precision", score.average_precision),
                        ("difference", score.difference),
                        ("ratio", score.ratio),
                    )
                    if over in estimates
                }
                for over in ("pooled", "mean")
            }
            for score in scores.methods
        },
    }


def to_tsv(units: Sequence[ElementScores]) -> str:
    """Returns a row a unit, method and way of averaging; NaN becomes empty."""
    return tsv(_rows(units))


def curves_tsv(units: Sequence[ElementScores]) -> str:
    """Returns a row a unit, method and threshold of the pooled curves."""
    return tsv(
        {
            "unit": scores.unit,
            "method": score.method,
            "threshold": threshold,
            "precision": precision,
            "recall": recall,
        }
        for scores in units
        for score in scores.methods
        for threshold, precision, recall in zip(
            score.curve.threshold.tolist(),
            score.curve.precision.tolist(),
            score.curve.recall.tolist(),
            strict=True,
        )
    )


def to_text(scores: ElementScores) -> str:
    """Returns aligned columns for a terminal, the best method first."""
    grid = [["Ranked by", "AP pooled", "AP mean", "Mask - this", "Mask / this"]]
    for score in sorted(scores.methods, key=_pooled, reverse=True):
        difference, ratio = score.difference.get("pooled"), score.ratio.get("pooled")
        grid.append(
            [
                score.method,
                f"{score.average_precision['pooled'].value:.4f}",
                f"{score.average_precision['mean'].value:.4f}",
                _text(difference, "+.4f"),
                _text(ratio, ".2f"),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([summary(scores), *lines]) + "\n"


def summary(scores: ElementScores) -> str:
    """Returns one sentence: what was ranked and how many of it are positive."""
    what = {"bases": "bases", "pairs": "candidate element-gene pairs"}[scores.unit]
    thinned = f"; pooled over one base in {scores.every}" if scores.every > 1 else ""
    return (
        f"{scores.positives:,} of {scores.ranked:,} {what} are positive "
        f"({scores.genes_with_positives:,} of {scores.genes:,} genes have one{thinned})"
    )


def write_scores(
    units: Sequence[ElementScores], stem: Path, *, about: dict[str, Any]
) -> list[Path]:
    """Writes ``STEM.json``, ``.tsv``, ``_curves.tsv`` and ``_genes.tsv``.

    Args:
        units: bases, and pairs if there are any.
        stem: path of the files without their endings.
        about: model, dataset and links, written into the JSON.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    document = {
        "schema_version": SCHEMA_VERSION,
        **about,
        "units": {scores.unit: to_dict(scores) for scores in units},
        "definitions": DEFINITIONS,
    }
    genes = "".join(
        scores.by_gene.assign(unit=scores.unit).to_csv(
            sep="\t",
            index=False,
            header=index == 0,
            float_format="%.6g",
            lineterminator="\n",
        )
        for index, scores in enumerate(units)
    )
    documents = {
        ".json": json.dumps(finite(document), indent=1, allow_nan=False) + "\n",
        ".tsv": to_tsv(units),
        "_curves.tsv": curves_tsv(units),
        "_genes.tsv": genes,
    }
    return [
        write_file(stem.with_name(stem.name + suffix), text.encode())
        for suffix, text in documents.items()
    ]


def _rows(units: Sequence[ElementScores]) -> Iterator[dict[str, Any]]:
    for scores in units:
        for score in scores.methods:
            for over in ("pooled", "mean"):
                row: dict[str, Any] = {
                    "unit": scores.unit,
                    "method": score.method,
                    "over": over,
                }
                for what, estimates in (
                    ("average_precision", score.average_precision),
                    ("difference", score.difference),
                    ("ratio", score.ratio),
                ):
                    found = estimates.get(over, Estimate(math.nan))
                    row |= {
                        what: found.value,
                        f"{what}_low": found.low,
                        f"{what}_high": found.high,
                    }
                yield row


def _estimate(found: Estimate) -> dict[str, float]:
    return {"value": found.value, "low": found.low, "high": found.high}


def _pooled(score: Any) -> tuple[float, bool]:
    return score.average_precision["pooled"].value, score.method == MASK


def _text(found: Estimate | None, form: str) -> str:
    if found is None or math.isnan(found.value):
        return ""
    if math.isnan(found.low):
        return f"{found.value:{form}}"
    return f"{found.value:{form}} [{found.low:{form}}, {found.high:{form}}]"
