"""Whether models beat the best baseline: paired over genes, and over seeds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.benchmark.results import Results
from seqexp_tf.benchmark.suite import Suite
from seqexp_tf.evaluation.expression_tables import HEADINGS
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.regression import draw_genes, interval, weighted_metrics

REPLICATES = 10_000
METRICS = ("pearson", "mse")

_AT_ONCE = 500

COLUMNS = (
    "dataset", "model", "baseline", "metric", "seeds", "difference", "low", "high",
    "p_genes", "sd_seeds", "p_seeds",
)  # fmt: skip


def paired_tests(
    suite: Suite, results: Results, *, replicates: int = REPLICATES
) -> pd.DataFrame:
    """Holds every other model against the best baseline of each dataset.

    The best baseline is that of the highest Pearson averaged over seeds, on the
    split it is then compared on: a choice in its favour.

    Returns:
        A row a dataset, model and metric. ``difference``: model less baseline,
        averaged over the seeds that both have. ``low``, ``high`` and ``p_genes``
        (two-sided): from a bootstrap of the genes, the same draw for both and for all
        seeds. ``sd_seeds`` and ``p_seeds``: standard deviation of the difference by
        seed and Student's paired t-test; NaN below two seeds. Genes say how the
        figure would move on other genes, seeds how on other trainings.
    """
    rows = []
    for dataset in dict.fromkeys(results.scores.get("dataset", ())):
        best = best_baseline(suite, results.scores, dataset)
        if best is None:
            continue
        for model in suite.models:
            if not model.baseline:
                rows += _compare(results, dataset, model.name, best, replicates)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def write_tests(tests: pd.DataFrame, out: Path) -> list[Path]:
    """Writes ``paired.tsv`` and ``paired.md``; nothing where nothing was tested.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    if tests.empty:
        return []
    text = tests.to_csv(sep="\t", index=False, lineterminator="\n")
    heading = ["Dataset", "Model", "Less", "Of", "Difference", "p, genes", "p, seeds"]
    lines = [heading, ["---"] * 4 + ["---:"] * 3]
    for row in tests.itertuples(index=False):
        difference = f"{row.difference:+.4f} [{row.low:+.4f}, {row.high:+.4f}]"
        p_values = (_p_value(row.p_genes), _p_value(row.p_seeds))
        names = (row.dataset, row.model, row.baseline, HEADINGS[row.metric])
        lines.append([*names, difference, *p_values])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    document = (
        "### Against the best baseline\n\nMean over seeds of model less baseline; in "
        "brackets the 95% interval of a paired bootstrap of genes; p over seeds by "
        f"Student's paired t-test.\n\n{table}\n"
    )
    return [
        write_file(out / "paired.tsv", text.encode()),
        write_file(out / "paired.md", document.encode()),
    ]


def best_baseline(suite: Suite, scores: pd.DataFrame, dataset: str) -> str | None:
    """Returns the baseline of the highest mean Pearson; None without a baseline."""
    names = [model.name for model in suite.models if model.baseline]
    rows = scores[(scores.dataset == dataset) & scores.model.isin(names)]
    means = rows.groupby("model", sort=False).pearson.mean().dropna()
    return None if means.empty else str(means.idxmax())


def paired_t(differences: np.ndarray) -> float:
    """Returns the two-sided p of Student's t-test that the mean is zero.

    NaN below two values, or where they do not vary.
    """
    count = len(differences)
    spread = np.std(differences, ddof=1) if count > 1 else 0.0
    if spread == 0:
        return float("nan")
    import tensorflow as tf

    freedom = count - 1
    t = np.mean(differences) / (spread / np.sqrt(count))
    share = freedom / (freedom + t**2)
    parts = (tf.constant(x, tf.float64) for x in (freedom / 2, 0.5, share))
    return float(tf.math.betainc(*parts))


def _compare(
    results: Results, dataset: str, model: str, baseline: str, replicates: int
) -> Iterator[dict]:
    tables = results.predictions
    seeds = [
        seed
        for (where, name, seed) in tables
        if (where, name) == (dataset, model) and (dataset, baseline, seed) in tables
    ]
    if not seeds:
        return
    ours = [tables[dataset, model, seed] for seed in seeds]
    theirs = [tables[dataset, baseline, seed] for seed in seeds]
    every = np.ones((1, len(ours[0])))
    by_seed = _differences(ours, theirs, every)
    drawn = [
        _differences(ours, theirs, weights)
        for weights in _draws(len(ours[0]), replicates)
    ]
    for metric in METRICS:
        seedwise = by_seed[metric][:, 0]
        values = np.concatenate([part[metric].mean(axis=0) for part in drawn])
        low, high = interval(values)
        yield {
            "dataset": dataset,
            "model": model,
            "baseline": baseline,
            "metric": metric,
            "seeds": len(seeds),
            "difference": seedwise.mean(),
            "low": low,
            "high": high,
            "p_genes": _two_sided(values),
            "sd_seeds": seedwise.std(ddof=1) if len(seeds) > 1 else np.nan,
            "p_seeds": paired_t(seedwise),
        }


def _differences(
    ours: list[pd.DataFrame], theirs: list[pd.DataFrame], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns metric -> model less baseline, ``(seeds, replicates)``."""
    parts: dict[str, list[np.ndarray]] = {metric: [] for metric in METRICS}
    for own, other in zip(ours, theirs, strict=True):
        found, known = (
            weighted_metrics(t.predicted.to_numpy(), t.target.to_numpy(), weights)
            for t in (own, other)
        )
        for metric, values in parts.items():
            values.append(found[metric] - known[metric])
    return {metric: np.stack(values) for metric, values in parts.items()}


def _draws(genes: int, replicates: int) -> Iterator[np.ndarray]:
    for seed, first in enumerate(range(0, replicates, _AT_ONCE)):
        yield draw_genes(genes, min(_AT_ONCE, replicates - first), seed=seed)


def _two_sided(values: np.ndarray) -> float:
    """Returns how rarely draws lie on the other side of zero, never exactly never."""
    values = values[~np.isnan(values)]
    if not values.size:
        return float("nan")
    side = min((values <= 0).sum(), (values >= 0).sum())
    return min(1.0, 2 * (side + 1) / (values.size + 1))


def _p_value(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2g}"
