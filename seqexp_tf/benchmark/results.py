"""The scores of finished runs, and tables of them over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.benchmark.execute import PREDICTIONS
from seqexp_tf.benchmark.jobs import Job
from seqexp_tf.benchmark.suite import Suite, SuiteTable
from seqexp_tf.evaluation.expression_tables import HEADINGS
from seqexp_tf.evaluation.files import write_file

_LOWER_IS_BETTER = ("mse", "mae")
_NOT_RANKED = ("mask_ratio",)


@dataclass(frozen=True)
class Results:
    """What the finished runs of a benchmark reached.

    Attributes:
        scores: a row a run: ``dataset``, ``model``, ``seed`` and the metrics over all
            genes of the split.
        predictions: by dataset, model and seed, the prediction table of the run.
    """

    scores: pd.DataFrame
    predictions: dict[tuple[str, str, int], pd.DataFrame]


def read_results(jobs: Sequence[Job], split: str) -> Results:
    """Reads what ``evaluate_run`` left; a run without it is left out."""
    rows, predictions = [], {}
    for job in jobs:
        scores = job.folder / "metrics" / f"{split}.json"
        table = job.folder / PREDICTIONS.format(split=split)
        if not (scores.is_file() and table.is_file()):
            continue
        metrics = json.loads(scores.read_text())["scores"][0]["metrics"]
        names = {"dataset": job.dataset, "model": job.model.name, "seed": job.seed}
        rows.append({**names, **metrics})
        predictions[tuple(names.values())] = pd.read_csv(table, sep="\t")
    return Results(pd.DataFrame(rows), predictions)


def write_results(suite: Suite, results: Results, out: Path) -> list[Path]:
    """Writes ``runs.tsv`` and every table of the suite as TSV and Markdown.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    written = [write_file(out / "runs.tsv", _tsv(results.scores))]
    everything = SuiteTable("all", metrics=tuple(HEADINGS))
    datasets = list(dict.fromkeys(results.scores.dataset))
    for table in suite.tables or (everything,):
        groups = [[name] for name in datasets] if table.apart else [datasets]
        for group in groups:
            name = f"{table.name}_{group[0]}" if table.apart else table.name
            values = summarise(suite, table, results.scores, group)
            text = to_markdown(suite, table, values)
            written.append(write_file(out / f"{name}.tsv", _tsv(values)))
            written.append(write_file(out / f"{name}.md", text.encode()))
    return written


def summarise(
    suite: Suite, table: SuiteTable, scores: pd.DataFrame, datasets: Sequence[str]
) -> pd.DataFrame:
    """Returns a row a model, dataset and metric: ``mean``, ``sd`` and ``seeds``.

    The standard deviation is that of a sample (n - 1); NaN of a single seed. A metric
    that a model does not have, such as the mask ratio, has no row.
    """
    rows = []
    names = table.models or tuple(model.name for model in suite.models)
    for name in names:
        for dataset in datasets:
            of_model = scores[(scores.model == name) & (scores.dataset == dataset)]
            for metric in table.metrics:
                values = of_model.get(metric, pd.Series(dtype=float)).dropna()
                if len(values):
                    rows.append(
                        {
                            "model": name,
                            "dataset": dataset,
                            "metric": metric,
                            "mean": values.mean(),
                            "sd": values.std(ddof=1),
                            "seeds": len(values),
                        }
                    )
    columns = ["model", "dataset", "metric", "mean", "sd", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def to_markdown(suite: Suite, table: SuiteTable, values: pd.DataFrame) -> str:
    """Returns a table in the shape of the study's, the best of each column bold."""
    datasets = list(dict.fromkeys(values.dataset))
    cells = {
        (row.model, row.dataset, row.metric): row
        for row in values.itertuples(index=False)
    }
    columns = [
        (dataset, metric)
        for dataset in datasets
        for metric in table.metrics
        if any((row.model, dataset, metric) in cells for row in cells.values())
    ]
    many = len(datasets) > 1
    heading = ["Model"] + [
        f"{dataset} {_heading(metric)}" if many else _heading(metric)
        for dataset, metric in columns
    ]
    baselines = {model.name for model in suite.models if model.baseline}
    rows = []
    for name in dict.fromkeys(values.model):
        row = [suite.find(name).label or name]
        for dataset, metric in columns:
            cell = cells.get((name, dataset, metric))
            text = "-" if cell is None else _cell(cell, table.spread)
            rivals = [
                other
                for (model, *key), other in cells.items()
                if key == [dataset, metric]
            ]
            if cell is not None and metric not in _NOT_RANKED:
                own = [r for r in rivals if r.model in baselines]
                if cell is _best(rivals, metric):
                    text = f"**{text}**"
                elif name in baselines and cell is _best(own, metric):
                    text = f"*{text}*"
            row.append(text)
        rows.append(row)
    lines = [heading, ["---", *["---:"] * len(columns)], *rows]
    grid = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"### {table.title or table.name}\n\n{_caption(table, values)}\n\n{grid}\n"


def _heading(metric: str) -> str:
    arrow = (
        "" if metric in _NOT_RANKED else " ↓" if metric in _LOWER_IS_BETTER else " ↑"
    )
    return f"{HEADINGS[metric]}{arrow}"


def _cell(cell, spread: bool) -> str:
    percent = cell.metric == "mask_ratio"
    mean, sd = (f"{v:.2%}" if percent else f"{v:.4f}" for v in (cell.mean, cell.sd))
    return f"{mean} ± {sd}" if spread and not np.isnan(cell.sd) else mean


def _best(rows: list, metric: str):
    choose = min if metric in _LOWER_IS_BETTER else max
    return choose(rows, key=lambda row: row.mean, default=None)


def _caption(table: SuiteTable, values: pd.DataFrame) -> str:
    seeds = sorted(set(values.seeds))
    number = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    what = "Mean ± standard deviation" if table.spread else "Mean"
    plural = "" if seeds[-1:] == [1] else "s"
    return (
        f"{what} over {number} seed{plural}; best bold, best baseline italic where "
        "another is best."
    )


def _tsv(table: pd.DataFrame) -> bytes:
    return table.to_csv(sep="\t", index=False, lineterminator="\n").encode()
