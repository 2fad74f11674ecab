"""Files of a learning-rate range test."""

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.training.lr_finder import Sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_sweep(sweep: Sweep, folder: Path) -> list[Path]:
    """Writes ``lr.tsv``, ``lr.png`` and ``lr.svg``; returns their paths.

    The table has a row a step: ``step``, ``learning_rate``, ``loss``, ``smoothed``.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    table = pd.DataFrame(
        {
            "step": range(1, len(sweep.rates) + 1),
            "learning_rate": sweep.rates,
            "loss": sweep.losses,
            "smoothed": sweep.smoothed,
        }
    )
    text = table.to_csv(sep="\t", index=False, lineterminator="\n")
    path = write_file(folder / "lr.tsv", text.encode())
    return [path, *style.save_figure(plot_sweep(sweep), folder / "lr")]


def plot_sweep(sweep: Sweep) -> "Figure":
    """Draws the loss over the learning rate, with the suggested rate marked."""
    with style.context():
        figure = style.new_figure(width=4.2, height=2.8)
        ax = figure.subplots()
        ax.plot(
            sweep.rates, sweep.losses, color=style.GREY, linewidth=0.7, label="batches"
        )
        ax.plot(sweep.rates, sweep.smoothed, color=style.colour(0), label="smoothed")
        if sweep.suggestion is not None:
            ax.axvline(
                sweep.suggestion,
                color=style.colour(1),
                linestyle="--",
                label=f"suggested: {sweep.suggestion:.1e}",
            )
        ax.set_xscale("log")
        ax.set_title("Learning-rate range test")
        ax.set_xlabel("Learning rate")
        ax.set_ylabel("Training loss of a batch")
        low = sweep.smoothed.min()
        high = sweep.smoothed[0]
        # The explosion at the end would flatten everything before it.
        ax.set_ylim(low - 0.2 * (high - low), high + 0.5 * (high - low) or None)
        ax.legend()
    return figure
