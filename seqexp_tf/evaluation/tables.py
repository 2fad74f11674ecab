"""The metrics of a model beside its random baselines: JSON, CSV, Markdown, text."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.evaluation.metrics import FORMULAS

SCHEMA_VERSION = 1

POPULATIONS: dict[str, str] = {
    "masked": (
        "RNA: hidden expression labels; DNA: bases selected for prediction, whether "
        "replaced by the mask token, replaced by a random base or left as they were"
    ),
    "mask_token": "DNA: only the selected bases replaced by the mask token",
    "all": "every valid position: a known label (RNA), a base other than N (DNA)",
}
"""Which positions a row of metrics covers; the first is the headline."""

PREDICTORS = ("uniform_random", "stratified_random", "model")

HEADINGS = {
    "uniform_random": "Uniform random",
    "stratified_random": "Stratified random",
    "model": "Model",
}
ROWS = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "f1_weighted": "F1-score (weighted)",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
}
_MODALITIES = ("dna", "rna")

Metrics = Mapping[str, float]
Results = Mapping[str, Mapping[str, Metrics]]
Intervals = Mapping[str, Mapping[str, Mapping[str, tuple[float, float]]]]


@dataclass(frozen=True, kw_only=True)
class MetricsTable:
    """Metrics by population (``POPULATIONS``), modality (``dna``, ``rna``) and name.

    Args:
        model: ``{population: {modality: {metric: value}}}``; a population or a
            modality that does not apply is left out.
        uniform_random: the same for ``UniformBaseline``.
        stratified_random: the same for ``StratifiedBaseline``.
        dataset: what identifies the data scored (fingerprint, split, contigs...),
            written into the JSON as it is.
        intervals: low and high of the model's metrics, where there are any, laid out
            like ``model``.
        resampling: where the intervals come from, see ``Blocks.describe``.
        model_sha256: hash of the model's file, by which the JSON names it.

    Raises:
        RunError: an unknown population or modality, or predictors that were not
            scored over the same populations and number of positions.
    """

    model: Results
    uniform_random: Results
    stratified_random: Results
    dataset: Mapping[str, Any] = field(default_factory=dict)
    intervals: Intervals = field(default_factory=dict)
    resampling: Mapping[str, Any] = field(default_factory=dict)
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        for population, modalities in self.model.items():
            _require_known(population, tuple(POPULATIONS), "population")
            for modality in modalities:
                _require_known(modality, _MODALITIES, "modality")
        wanted = _positions(self.model)
        for name in PREDICTORS[:2]:
            found = _positions(getattr(self, name))
            if found != wanted:
                raise RunError(
                    f"{name} was scored over {found}; the model over {wanted}: "
                    "both must see the same positions"
                )

    def to_json(self) -> str:
        """Returns everything, with definitions and formulas; NaN becomes null."""
        populations = {}
        for population, modalities in _ordered(self.model, POPULATIONS):
            populations[population] = {"definition": POPULATIONS[population]}
            for modality, metrics in _ordered(modalities, _MODALITIES):
                populations[population][modality] = {
                    name: {
                        key: getattr(self, name)[population][modality].get(key)
                        for key in metrics
                    }
                    for name in PREDICTORS
                }
                found = self.intervals.get(population, {}).get(modality)
                if found:
                    populations[population][modality]["model_interval"] = {
                        key: {"low": low, "high": high}
                        for key, (low, high) in found.items()
                    }
        used = {metric for *_, metric, _ in self._cells()}
        document = {
            "schema_version": SCHEMA_VERSION,
            "model_sha256": self.model_sha256,
            "dataset": self.dataset,
            "resampling": self.resampling,
            "populations": populations,
            "formulas": {key: text for key, text in FORMULAS.items() if key in used},
        }
        return json.dumps(finite(document), indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Returns one line a population, modality and metric; NaN becomes empty.

        ``model_low`` and ``model_high`` are the model's confidence interval.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        columns = ("model", "uniform_random", "stratified_random")
        bounds = ("model_low", "model_high")
        writer.writerow(["population", "modality", "metric", *columns, *bounds])
        for population, modality, metric, values in self._cells():
            interval = self._interval(population, modality, metric)
            cells = [*(values[name] for name in columns), *(interval or (None, None))]
            writer.writerow([population, modality, metric, *finite(cells)])
        return buffer.getvalue()

    def to_markdown(self) -> str:
        """Returns a section a population, in the shape of a results table."""
        sections = []
        for population, modalities in _ordered(self.model, POPULATIONS):
            heading, *body = self._grid(population)
            lines = [_markdown_row(heading), _markdown_row(["---", *["---:"] * 3])]
            lines += [_markdown_row(row) for row in body]
            about = [POPULATIONS[population], _describe_positions(modalities)]
            about += self._describe_intervals(population)
            sections.append(
                f"### {population}\n\n"
                + "".join(f"{sentence}.\n" for sentence in about)
                + "\n"
                + "\n".join(lines)
                + "\n"
            )
        return "\n".join(sections)

    def to_text(self) -> str:
        """Returns aligned columns for a terminal."""
        sections = []
        for population, modalities in _ordered(self.model, POPULATIONS):
            grid = self._grid(population)
            widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
            lines = [
                "  ".join(
                    cell.rjust(width) if column else cell.ljust(width)
                    for column, (cell, width) in enumerate(
                        zip(row, widths, strict=True)
                    )
                )
                for row in grid
            ]
            lines.insert(1, "-" * len(lines[0]))
            title = f"{population} ({_describe_positions(modalities)})"
            lines += self._describe_intervals(population)
            sections.append("\n".join([title, *lines]) + "\n")
        return "\n".join(sections)

    def write(self, folder: str | Path, name: str) -> list[Path]:
        """Writes ``NAME.json``, ``NAME.csv`` and ``NAME.md``, each old or whole.

        Args:
            folder: made if it does not exist.
            name: usually the split.

        Returns:
            The three paths.

        Raises:
            RunError, DatasetError: the folder or a file cannot be written.
        """
        documents = {
            "json": self.to_json(),
            "csv": self.to_csv(),
            "md": self.to_markdown(),
        }
        return [
            write_file(Path(folder) / f"{name}.{suffix}", text.encode())
            for suffix, text in documents.items()
        ]

    def _cells(self) -> Iterator[tuple[str, str, str, dict[str, float]]]:
        for population, modalities in _ordered(self.model, POPULATIONS):
            for modality, metrics in _ordered(modalities, _MODALITIES):
                for metric in metrics:
                    yield (
                        population,
                        modality,
                        metric,
                        {
                            name: getattr(self, name)[population][modality].get(
                                metric, math.nan
                            )
                            for name in PREDICTORS
                        },
                    )

    def _grid(self, population: str) -> list[list[str]]:
        """Returns the cells of the headline rows, the heading first."""
        grid = [["Metric", *(HEADINGS[name] for name in PREDICTORS)]]
        for cell_population, modality, metric, values in self._cells():
            if cell_population == population and metric in ROWS:
                label = f"{modality.upper()} {ROWS[metric]}"
                cells = [_round(values[name]) for name in PREDICTORS]
                interval = self._interval(population, modality, metric)
                if interval:
                    low, high = map(_round, interval)
                    cells[-1] += f" [{low}, {high}]"
                grid.append([label, *cells])
        return grid

    def _interval(
        self, population: str, modality: str, metric: str
    ) -> tuple[float, float] | None:
        return self.intervals.get(population, {}).get(modality, {}).get(metric)

    def _describe_intervals(self, population: str) -> list[str]:
        """Returns a sentence; none where a population has no intervals."""
        if not self.intervals.get(population):
            return []
        level, blocks = self.resampling["level"], self.resampling["blocks"]
        bases = self.resampling["block_bases"]
        return [f"In brackets: {level:.0%} interval, {blocks:,} blocks of {bases:,} bp"]


def _require_known(name: str, known: tuple[str, ...], what: str) -> None:
    if name not in known:
        raise RunError(f"metrics name the {what} {name!r}; known: {', '.join(known)}")


def _positions(results: Results) -> dict[str, float]:
    return {
        f"{population}/{modality}": metrics["positions"]
        for population, modalities in sorted(results.items())
        for modality, metrics in sorted(modalities.items())
    }


def _ordered(mapping: Mapping[str, Any], order: Any) -> Iterator[tuple[str, Any]]:
    return ((key, mapping[key]) for key in order if key in mapping)


def _describe_positions(modalities: Mapping[str, Metrics]) -> str:
    return "Positions: " + ", ".join(
        f"{metrics['positions']:,} {modality.upper()}"
        for modality, metrics in _ordered(modalities, _MODALITIES)
    )


def _markdown_row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _round(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "-"


def finite(value: Any) -> Any:
    """Returns ``value`` with every NaN and infinity, at any depth, turned to None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
