"""The picture of the metrics: every value and interval where the table has it."""

import numpy as np
import pytest

from seqexp_tf.evaluation.metric_plots import plot_metrics
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.evaluation.tables import MetricsTable


def _metrics(*values):
    names = ("loss", "accuracy", "f1_weighted", "roc_auc", "average_precision")
    return {"positions": 9, **dict(zip(names, values, strict=True))}


def _table(modalities, intervals=None):
    def of(*values):
        return {"masked": {modality: _metrics(*values) for modality in modalities}}

    return MetricsTable(
        model=of(0.29, 0.88, 0.87, 0.95, 0.94),
        uniform_random=of(1.0, 0.5, 0.51, 0.49, 0.45),
        stratified_random=of(0.68, 0.52, 0.53, 0.5, 0.46),
        intervals=intervals or {},
    )


def _marks(ax):
    lines = [line for line in ax.lines if line.get_linestyle() == "None"]
    return {line.get_label(): line.get_xdata().tolist() for line in lines}


def test_values_and_intervals_are_those_of_the_table(tmp_path):
    intervals = {"masked": {"rna": {"accuracy": (0.86, 0.9), "loss": (0.27, 0.31)}}}
    figure = plot_metrics(_table(("rna", "dna"), intervals))
    scores, loss, dna_scores, dna_loss = figure.axes
    assert _marks(scores) == {
        "Uniform random": [0.5, 0.51, 0.49, 0.45],
        "Stratified random": [0.52, 0.53, 0.5, 0.46],
        "Model": [0.88, 0.87, 0.95, 0.94],
    }
    assert _marks(loss)["Model"] == [0.29]
    assert [tick.get_text() for tick in scores.get_yticklabels()] == [
        *("Accuracy", "F1-score (weighted)", "ROC AUC", "Average precision"),
    ]
    bars = [line.get_xdata() for line in scores.lines if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(bars, [(0.86, 0.9)])
    assert len(dna_scores.lines) == len(dna_loss.lines) == 3
    assert all(
        path.stat().st_size > 1000 for path in save_figure(figure, tmp_path / "a")
    )


@pytest.mark.parametrize("modality", ["rna", "dna"])
def test_a_modality_that_was_not_scored_has_no_row(modality):
    figure = plot_metrics(_table((modality,)))
    assert len(figure.axes) == 2
    assert figure.axes[0].get_title(loc="left").startswith(modality.upper())
