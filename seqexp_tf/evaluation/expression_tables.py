"""An evaluation of a model of genes as JSON, TSV, Markdown and text."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from seqexp_tf.evaluation.expression import ALL, ExpressionEvaluation, ExpressionScore
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.regression import FORMULAS
from seqexp_tf.evaluation.tables import finite

SCHEMA_VERSION = 1

HEADINGS = {
    "mse": "MSE",
    "mae": "MAE",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "r2_pearson": "R² (Pearson²)",
    "r2_determination": "R² (determination)",
    "pearson_share": "Pearson / ceiling",
    "mask_ratio": "Mask ratio",
}
_PREDICTORS = {
    "model": "Model",
    "ridge": "Ridge on features",
    "training_mean": "Mean of training genes",
    "ceiling": "Ceiling",
}
_FORMULAS = {
    **FORMULAS,
    "mask_ratio": "mean over genes of the share of bases whose mask is at least 0.5",
    "pearson_share": "pearson of the model / pearson of the ceiling",
}


def to_json(evaluation: ExpressionEvaluation, *, model_sha256: str) -> str:
    """Returns everything but the predictions, with formulas; NaN becomes null."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "model_sha256": model_sha256,
        "dataset": evaluation.dataset,
        "target": evaluation.target,
        "resampling": evaluation.resampling,
        "scores": [_entry(score) for score in evaluation.scores],
        "formulas": _FORMULAS,
    }
    return json.dumps(finite(document), indent=2, allow_nan=False) + "\n"


def to_tsv(evaluation: ExpressionEvaluation) -> str:
    """Returns a line a predictor, contig and metric; NaN becomes empty."""
    rows = []
    for score in evaluation.scores:
        for metric, value in score.metrics.items():
            low, high = score.intervals.get(metric, (math.nan, math.nan))
            rows.append(
                {
                    "predictor": score.predictor,
                    "contig": score.contig,
                    "genes": score.genes,
                    "metric": metric,
                    "value": value,
                    "low": low,
                    "high": high,
                }
            )
    return _tsv(pd.DataFrame(rows))


def to_markdown(evaluation: ExpressionEvaluation) -> str:
    """Returns the table over all genes, and the model's by contig."""
    heading, *body = _grid(evaluation)
    lines = [heading, ["---", *["---:"] * (len(heading) - 1)], *body]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    sentences = "".join(f"{sentence}.\n" for sentence in _sentences(evaluation))
    return f"### {evaluation.dataset['split']}\n\n{sentences}\n{table}\n"


def to_text(evaluation: ExpressionEvaluation) -> str:
    """Returns aligned columns for a terminal."""
    grid = list(_grid(evaluation))
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in grid
    ]
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([evaluation.dataset["split"], *lines, *_sentences(evaluation)])


def write_tables(
    evaluation: ExpressionEvaluation, folder: Path, name: str, *, model_sha256: str
) -> list[Path]:
    """Writes ``NAME.json``, ``.tsv``, ``.md`` and ``NAME_predictions.tsv``.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    documents = {
        f"{name}.json": to_json(evaluation, model_sha256=model_sha256),
        f"{name}.tsv": to_tsv(evaluation),
        f"{name}.md": to_markdown(evaluation),
        f"{name}_predictions.tsv": _tsv(evaluation.predictions),
    }
    return [
        write_file(folder / path, text.encode()) for path, text in documents.items()
    ]


def _entry(score: ExpressionScore) -> dict:
    return {
        "predictor": score.predictor,
        "contig": score.contig,
        "genes": score.genes,
        "metrics": score.metrics,
        "intervals": {
            metric: {"low": low, "high": high}
            for metric, (low, high) in score.intervals.items()
        },
    }


def _grid(evaluation: ExpressionEvaluation) -> Iterator[list[str]]:
    """Yields the rows shown: every predictor over all genes, the model by contig."""
    names = list(evaluation.model.metrics)
    yield ["Predictor", "Contig", "Genes", *(HEADINGS[name] for name in names)]
    for score in evaluation.scores:
        if score.contig == ALL or score.predictor == "model":
            yield [
                _PREDICTORS[score.predictor],
                score.contig,
                f"{score.genes:,}",
                *(_cell(score, name) for name in names),
            ]


def _cell(score: ExpressionScore, metric: str) -> str:
    value = score.metrics.get(metric, math.nan)
    if not math.isfinite(value):
        return "-"
    if metric == "mask_ratio":
        return f"{value:.2%}"
    text = f"{value:.4f}"
    if score.predictor == "model" and score.contig == ALL:
        low, high = score.intervals.get(metric, (math.nan, math.nan))
        if math.isfinite(low):
            text += f" [{low:.4f}, {high:.4f}]"
    return text


def _sentences(evaluation: ExpressionEvaluation) -> list[str]:
    target = evaluation.target
    about = [target["name"], target["unit"]]
    about += [] if target["transform"] == "none" else [target["transform"]]
    sentences = [f"Target: {', '.join(filter(None, about))}"]
    if evaluation.model.intervals:
        level, draws = (evaluation.resampling[k] for k in ("level", "replicates"))
        sentences.append(f"In brackets: {level:.0%} interval, {draws:,} draws of genes")
    return sentences


def _tsv(table: pd.DataFrame) -> str:
    return table.to_csv(sep="\t", index=False, lineterminator="\n")
