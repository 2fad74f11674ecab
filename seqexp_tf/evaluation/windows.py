"""Single windows: what was hidden, what is true, what the model says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
import numpy as np
import pandas as pd

from seqexp_tf.evaluation.metrics import sigmoid
from seqexp_tf.evaluation.style import colour, context, new_figure
from seqexp_tf.pipeline.joint import scored_batches
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class PredictedWindow:
    """Expression of one window under its fixed mask.

    Attributes:
        title: coordinates, 1-based inclusive as genome browsers write them.
        start: 0-based start on the contig.
        strand: ``+`` or ``-``.
        labels: 0 or 1, ``(window,)``, in the direction of the plus strand.
        probability: predicted p(expressed), likewise.
        hidden: True where the label was hidden, likewise.
    """

    title: str
    start: int
    strand: str
    labels: np.ndarray
    probability: np.ndarray
    hidden: np.ndarray


def choose_windows(
    model: keras.Model,
    store: RecordStore,
    split: str,
    *,
    masking: MaskingConfig,
    count: int = 4,
    batch_size: int = 32,
) -> list[PredictedWindow]:
    """Predicts windows drawn among those with a border in the hidden span.

    The draw has a fixed seed and knows the labels alone, never how well the model
    does. Fewer are returned where fewer qualify.
    """
    batches = scored_batches(store, split, batch_size=batch_size, masking=masking)
    table = store.windows(split)
    borders = np.concatenate(
        [
            _hidden_borders(labels["rna"], positions["rna_masked"])
            for _, labels, positions in batches.as_numpy_iterator()
        ]
    )
    eligible = np.flatnonzero(borders)
    if eligible.size == 0:
        return []
    draw = np.random.default_rng(0)
    chosen = set(
        draw.choice(eligible, min(count, eligible.size), replace=False).tolist()
    )
    windows = []
    first = 0
    for inputs, labels, positions in batches.as_numpy_iterator():
        rows = [row for row in range(len(labels["rna"])) if first + row in chosen]
        if rows:
            part = {name: values[rows] for name, values in inputs.items()}
            logits = np.asarray(model.predict_on_batch(part)["expression_logits"])
            windows += [
                _predicted(
                    table.iloc[first + row],
                    labels["rna"][row],
                    sigmoid(logits[index].astype(float)),
                    positions["rna_masked"][row],
                )
                for index, row in enumerate(rows)
            ]
        first += len(labels["rna"])
    return windows


def windows_table(windows: list[PredictedWindow]) -> pd.DataFrame:
    """Returns what ``plot_windows`` draws, a row a base.

    Returns:
        ``window`` (its title), ``position`` (1-based), ``expressed`` and ``hidden`` (0
        or 1), ``probability`` of being expressed.
    """
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "window": window.title,
                    "position": window.start + 1 + np.arange(window.labels.size),
                    "expressed": window.labels.astype(int),
                    "hidden": window.hidden.astype(int),
                    "probability": window.probability,
                }
            )
            for window in windows
        ],
        ignore_index=True,
    )


def plot_windows(windows: list[PredictedWindow]) -> "Figure":
    """Draws truth, prediction and the hidden span, a window a row."""
    with context():
        figure = new_figure(width=8, height=0.5 + 1.35 * len(windows))
        axes = figure.subplots(len(windows), 1, squeeze=False)[:, 0]
        for ax, window in zip(axes, windows, strict=True):
            plot_window(window, ax=ax)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=3, frameon=False)
        figure.supylabel("p(expressed)", fontsize="medium")
    return figure


def plot_window(window: PredictedWindow, *, ax: "Axes") -> "Axes":
    """Draws one window on ``ax`` and returns it."""
    position = window.start + np.arange(window.labels.size)
    ax.fill_between(
        position, window.labels, step="mid", color="0.82", label="expressed (truth)"
    )
    edges = np.flatnonzero(np.diff(np.pad(window.hidden.astype(int), 1)))
    for index in range(0, edges.size, 2):
        ax.axvspan(
            window.start + edges[index],
            window.start + edges[index + 1],
            color=colour(1),
            alpha=0.15,
            linewidth=0,
            label="hidden from the model" if index == 0 else None,
        )
    ax.plot(position, window.probability, color=colour(0), label="predicted")
    ax.axhline(0.5, color="0.5", linewidth=0.6, linestyle=":")
    ax.set(ylim=(-0.04, 1.04), xlim=(position[0], position[-1]), yticks=(0, 0.5, 1))
    ax.locator_params(axis="x", nbins=8, prune="both")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_title(window.title, loc="left", fontsize="medium")
    return ax


def _hidden_borders(labels: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    changes = labels[:, 1:] != labels[:, :-1]
    return (changes & hidden[:, 1:] & hidden[:, :-1]).sum(axis=1)


def _predicted(
    row: pd.Series, labels: np.ndarray, probability: np.ndarray, hidden: np.ndarray
) -> PredictedWindow:
    # A browser shows both strands left to right.
    step = 1 if row.strand == "+" else -1
    return PredictedWindow(
        title=f"{row.contig}:{row.start + 1:,}-{row.end:,} ({row.strand})",
        start=int(row.start),
        strand=row.strand,
        labels=labels[::step],
        probability=probability[::step],
        hidden=hidden[::step],
    )
