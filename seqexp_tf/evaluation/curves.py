"""Loss and accuracy by epoch, several runs overlaid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.training.run import HISTORY, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class _Panel:
    column: str
    title: str
    unit: str


# A column of the figure is one output, its loss above its accuracy.
_LAYOUT = (
    (_Panel("loss", "Total loss", "Cross-entropy (nats)"), None),
    (
        _Panel("expression_loss", "RNA loss", "Cross-entropy (nats)"),
        _Panel("expression_accuracy", "RNA accuracy", "% of scored positions"),
    ),
    (
        _Panel("sequence_loss", "DNA loss", "Cross-entropy (nats)"),
        _Panel("sequence_accuracy", "DNA accuracy", "% of scored positions"),
    ),
)

_METRICS = tuple(panel.column for pair in _LAYOUT for panel in pair if panel)

_TRAIN = {"linewidth": 0.8, "alpha": 0.65}
_VALIDATION = {"linewidth": 1.7}


def read_history(run: Run) -> pd.DataFrame:
    """Returns the finished epochs of a run, whether or not the fit has ended.

    Columns of an output that the run never hid, and so never learnt, are left out.

    Raises:
        RunError: there is no history yet, or it is damaged.
    """
    path = run.folder / HISTORY
    if not path.is_file():
        raise RunError(
            f"{run.folder}: {HISTORY} is missing, no epoch has finished; go on with "
            f"`seqexp-tf fit --resume --out {run.folder}`"
        )
    try:
        table = pd.read_csv(path)
        table = table.astype(float).astype({"epoch": int})
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: not a training history: {reason}") from None
    if table.empty or "loss" not in table:
        raise RunError(f"{path}: not a training history: no epoch with a loss in it")
    unlearnt = {"expression", "sequence"} - set(run.config.hidden)
    return table.drop(
        columns=[
            name
            for name in table.columns
            if name.removeprefix("val_").partition("_")[0] in unlearnt
        ]
    )


def read_histories(runs: Sequence[Run]) -> dict[str, pd.DataFrame]:
    """Returns ``read_history`` of each run by name, in order.

    A run goes by the name of its folder, with as many of the folders above it as
    tell it from the others.

    Raises:
        InputError: a run is given twice.
        RunError: see ``read_history``.
    """
    paths = [run.folder.resolve() for run in runs]
    for index, path in enumerate(paths):
        if path in paths[:index]:
            raise InputError(f"{runs[index].folder}: this run is given twice")
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    return {
        "/".join(path.parts[-length:]): read_history(run)
        for path, run in zip(paths, runs, strict=True)
    }


def curves_table(histories: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns what ``plot_curves`` draws, a row a run, epoch and metric.

    Args:
        histories: as for ``plot_curves``.

    Returns:
        ``run``, ``epoch``, ``metric``, ``training``, ``validation``; a metric that a
        run did not record has no row.
    """
    parts = []
    for run, history in histories.items():
        for metric in _METRICS:
            columns = {"training": metric, "validation": f"val_{metric}"}
            found = {new: history.get(old, np.nan) for new, old in columns.items()}
            if any(old in history for old in columns.values()):
                part = {"run": run, "epoch": _epochs(history), "metric": metric}
                parts.append(pd.DataFrame({**part, **found}))
    return pd.concat(parts, ignore_index=True)


def write_curves(histories: Mapping[str, pd.DataFrame], folder: Path) -> list[Path]:
    """Writes ``curves.tsv``, ``curves.png`` and ``curves.svg``; returns their paths.

    Raises:
        InputError: as ``plot_curves``.
        RunError, DatasetError: the folder or a file cannot be written.
    """
    figure = plot_curves(histories)
    text = curves_table(histories).to_csv(sep="\t", index=False, lineterminator="\n")
    table = write_file(folder / "curves.tsv", text.encode())
    return [table, *style.save_figure(figure, folder / "curves")]


def plot_curves(histories: Mapping[str, pd.DataFrame]) -> "Figure":
    """Draws small multiples of the training history of one or more runs.

    Training values are thin, validation values thick; each run has a colour, and
    from the eighth on dashes. An output that no run recorded is left out. Losses
    are mean natural-log cross-entropies over the scored positions; the total is the
    weighted sum over the outputs a run learns, so compare it only between runs of
    one masking regime.

    Args:
        histories: by run name, the table ``history.csv`` of the run: ``epoch``
            (else the row number), ``loss``, ``expression_loss``,
            ``sequence_loss``, ``expression_accuracy``, ``sequence_accuracy`` and
            each of them with the prefix ``val_``. Any may be missing.

    Returns:
        A new figure; write it with ``save_figure``.

    Raises:
        InputError: there is no run, or a run has none of these columns.
    """
    _require_columns(histories)
    recorded = [
        [p if p and _recorded(histories, p) else None for p in pair] for pair in _LAYOUT
    ]
    columns = [pair for pair in recorded if any(pair)]
    rows = 2 if any(lower for _, lower in columns) else 1
    columns = [pair[:rows] for pair in columns]
    if all(all(pair) for pair in columns):
        columns.append([None] * rows)  # room for the legend
    with style.context():
        figure = style.new_figure(width=2.6 * len(columns), height=2.2 * rows)
        axes = figure.subplots(rows, len(columns), squeeze=False)
        for panels, column in zip(columns, axes.T, strict=True):
            for panel, ax in zip(panels, column, strict=True):
                if panel is None:
                    ax.set_axis_off()
                else:
                    plot_curve(histories, panel.column, ax=ax)
        empty = [ax for ax in axes.flat if not ax.axison]
        _draw_legend(empty[-1], list(histories))
    return figure


def plot_curve(
    histories: Mapping[str, pd.DataFrame], column: str, *, ax: "Axes"
) -> "Axes":
    """Draws one recorded value of every run by epoch on ``ax`` and returns it.

    Args:
        histories: as for ``plot_curves``.
        column: name of the training value; ``val_`` before it is the validation.
        ax: axes to draw on.
    """
    from matplotlib.ticker import MaxNLocator

    panel = next(
        (p for pair in _LAYOUT for p in pair if p and p.column == column),
        _Panel(column, column.replace("_", " "), ""),
    )
    scale = 100 if panel.unit.startswith("%") else 1
    with style.context():
        for index, history in enumerate(histories.values()):
            for name, look in ((column, _TRAIN), (f"val_{column}", _VALIDATION)):
                if name not in history:
                    continue
                ax.plot(
                    _epochs(history),
                    scale * history[name].to_numpy(dtype=float),
                    color=style.colour(index),
                    linestyle=_dashes(index),
                    # One epoch makes no line: show it as a dot.
                    marker="o" if len(history) == 1 else None,
                    markersize=3,
                    **look,
                )
        ax.set_title(panel.title)
        ax.set_ylabel(panel.unit)
        ax.set_xlabel("Epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return ax


def _draw_legend(ax: "Axes", runs: list[str]) -> None:
    """Names the colours and the two widths in an empty cell."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color="#444444", **_TRAIN, label="training")]
    handles += [Line2D([], [], color="#444444", **_VALIDATION, label="validation")]
    handles += [
        Line2D(
            [],
            [],
            color=style.colour(index),
            linestyle=_dashes(index),
            linewidth=1.7,
            label=run,
        )
        for index, run in enumerate(runs)
    ]
    ax.legend(handles=handles, loc="upper left", borderaxespad=0)


def _require_columns(histories: Mapping[str, pd.DataFrame]) -> None:
    if not histories:
        raise InputError("no training history to plot; give at least one run")
    known = [*_METRICS, *(f"val_{column}" for column in _METRICS)]
    for run, history in histories.items():
        if not set(known) & set(history.columns):
            raise InputError(
                f"history of {run!r} has columns {list(history.columns)}; "
                f"expected some of {', '.join(known[:5])} (and val_...)"
            )


def _recorded(histories: Mapping[str, pd.DataFrame], panel: _Panel) -> bool:
    return any(
        name in history and history[name].notna().any()
        for history in histories.values()
        for name in (panel.column, f"val_{panel.column}")
    )


def _epochs(history: pd.DataFrame) -> np.ndarray:
    return history.get("epoch", pd.Series(range(len(history)))).to_numpy()


def _dashes(index: int) -> str:
    """Tells runs of one colour apart."""
    return ("-", "--", ":")[index // len(style.PALETTE) % 3]
