"""Loss and other figures by epoch or step, several runs overlaid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.files import write_file
from seqexp_tf.training.run import FIXED_MASKS, HISTORY, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D


@dataclass(frozen=True)
class _Panel:
    column: str
    title: str
    unit: str
    log: bool = False


@dataclass(frozen=True)
class _Layout:
    """What the history of one task is drawn as.

    Attributes:
        position: column that says how far the training was.
        label: of the horizontal axis.
        pairs: an upper and a lower panel by column of the figure.
    """

    position: str
    label: str
    pairs: tuple[tuple[_Panel, _Panel | None], ...]

    @property
    def panels(self) -> tuple[_Panel, ...]:
        return tuple(panel for pair in self.pairs for panel in pair if panel)


_LAYOUTS = (
    _Layout(
        position="epoch",
        label="Epoch",
        # A column of the figure is one output, its loss above its accuracy.
        pairs=(
            (
                _Panel("loss", "Total loss", "Cross-entropy (nats)"),
                _Panel("accuracy", "Total accuracy", "% of scored positions"),
            ),
            (
                _Panel("expression_loss", "RNA loss", "Cross-entropy (nats)"),
                _Panel("expression_accuracy", "RNA accuracy", "% of scored positions"),
            ),
            (
                _Panel("sequence_loss", "DNA loss", "Cross-entropy (nats)"),
                _Panel("sequence_accuracy", "DNA accuracy", "% of scored positions"),
            ),
        ),
    ),
    _Layout(
        position="step",
        label="Step",
        pairs=(
            (
                _Panel("loss", "Total loss", "With weighted divergence"),
                _Panel("divergence", "Divergence from prior", "Nats a base"),
            ),
            (
                _Panel("mse", "Squared error", "Mean over genes"),
                _Panel("mae", "Absolute error", "Mean over genes"),
            ),
            (
                _Panel("pearson", "Pearson's r", "Over genes"),
                _Panel("mask_ratio", "Mask ratio", "% of bases"),
            ),
            (
                _Panel(
                    "gradient_ratio",
                    "Gradient on mask head",
                    "Prediction over divergence",
                    log=True,
                ),
                None,
            ),
        ),
    ),
)
"""Of joint models, and of models of genes, told apart by the first column."""

_TRAIN = {"linewidth": 0.8, "alpha": 0.65}
_VALIDATION = {"linewidth": 1.7}
_DOT = {"marker": "o", "markersize": 5}


def read_history(run: Run) -> pd.DataFrame:
    """Returns the finished epochs of a run, whether or not the fit has ended.

    Columns of an output that the run never hid, and so never learnt, are left out.
    Where both are learnt, ``accuracy`` is that of hidden labels and selected bases
    together, weighted by the shares that training hides, ``val_accuracy`` by those of
    the dataset's masks; it is left out where the run did not write them down.

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
        position = "step" if run.task == "expression" else "epoch"
        table = table.astype(float).astype({position: int})
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path}: not a training history: {reason}") from None
    if table.empty or "loss" not in table:
        raise RunError(f"{path}: not a training history: no epoch with a loss in it")
    if run.task == "expression":
        return table
    unlearnt = {"expression", "sequence"} - set(run.config.hidden)
    table = table.drop(
        columns=[
            name
            for name in table.columns
            if name.removeprefix("val_").partition("_")[0] in unlearnt
        ]
    )
    masking = run.config.masking
    least, most = masking.expression_fraction, masking.expression_fraction_max
    drawn = least if most is None else (least + most) / 2
    shares = {"": (drawn, masking.sequence_fraction)}
    # Validation windows carry the masks of their dataset, whatever training drew.
    fixed = run.dataset.get(FIXED_MASKS)
    if fixed is not None:  # Runs of before did not write them down.
        shares["val_"] = (fixed["expression_fraction"], fixed["sequence_fraction"])
    for prefix, hidden in shares.items():
        both = [f"{prefix}expression_accuracy", f"{prefix}sequence_accuracy"]
        if set(both) <= set(table.columns):
            table[f"{prefix}accuracy"] = table[both] @ hidden / sum(hidden)
    return table


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
    """Returns what ``plot_curves`` draws, a row a run, epoch or step, and metric.

    Args:
        histories: as for ``plot_curves``.

    Returns:
        ``run``, ``epoch`` (or ``step``), ``metric``, ``training``, ``validation``; a
        metric that a run did not record has no row.
    """
    layout = _find_layout(histories)
    parts = []
    for run, history in histories.items():
        for panel in layout.panels:
            metric = panel.column
            columns = {"training": metric, "validation": f"val_{metric}"}
            found = {new: history.get(old, np.nan) for new, old in columns.items()}
            if any(old in history for old in columns.values()):
                at = _positions(history, layout)
                part = {"run": run, layout.position: at, "metric": metric}
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
            each of them with the prefix ``val_``. Any may be missing. Of models of
            genes: ``step``, ``loss``, ``mse``, ``mae``, ``pearson``, ...

    Returns:
        A new figure; write it with ``save_figure``.

    Raises:
        InputError: there is no run, a run has none of these columns, or runs of
            different tasks are given.
    """
    _require_columns(histories)
    recorded = [
        [p if p and _recorded(histories, p) else None for p in pair]
        for pair in _find_layout(histories).pairs
    ]
    columns = [pair for pair in recorded if any(pair)]
    rows = 2 if any(lower for _, lower in columns) else 1
    columns = [pair[:rows] for pair in columns]
    full = all(all(pair) for pair in columns)
    with style.context():
        room = 1.1 if full else 0  # for the legend
        figure = style.new_figure(width=2.6 * len(columns) + room, height=2.2 * rows)
        axes = figure.subplots(rows, len(columns), squeeze=False)
        for panels, column in zip(columns, axes.T, strict=True):
            for panel, ax in zip(panels, column, strict=True):
                if panel is None:
                    ax.set_axis_off()
                else:
                    plot_curve(histories, panel.column, ax=ax)
        dots = all(len(history) == 1 for history in histories.values())
        handles = _legend(list(histories), dots=dots)
        if full:
            figure.legend(handles=handles, loc="outside right upper")
        else:
            empty = [ax for ax in axes.flat if not ax.axison]
            empty[-1].legend(handles=handles, loc="upper left", borderaxespad=0)
    return figure


def plot_curve(
    histories: Mapping[str, pd.DataFrame], column: str, *, ax: "Axes"
) -> "Axes":
    """Draws one recorded value of every run on ``ax`` and returns it.

    Args:
        histories: as for ``plot_curves``.
        column: name of the training value; ``val_`` before it is the validation.
        ax: axes to draw on.
    """
    from matplotlib.ticker import MaxNLocator

    layout = _find_layout(histories)
    panel = next(
        (panel for panel in layout.panels if panel.column == column),
        _Panel(column, column.replace("_", " "), ""),
    )
    scale = 100 if panel.unit.startswith("%") else 1
    with style.context():
        for index, history in enumerate(histories.values()):
            for name, look in ((column, _TRAIN), (f"val_{column}", _VALIDATION)):
                if name not in history:
                    continue
                (line,) = ax.plot(
                    _positions(history, layout),
                    scale * history[name].to_numpy(dtype=float),
                    color=style.colour(index),
                    linestyle=_dashes(index),
                    **look,
                )
                if len(history) == 1:
                    _mark(line, ax, hollow=look is _TRAIN)
        ax.set_title(panel.title)
        ax.set_ylabel(panel.unit)
        ax.set_xlabel(layout.label)
        ax.set_yscale("log" if panel.log else "linear")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        if all(len(history) == 1 for history in histories.values()):
            ax.set_xticks(
                np.concatenate([_positions(h, layout) for h in histories.values()])
            )
    return ax


def _mark(line: "Line2D", ax: "Axes", *, hollow: bool) -> None:
    """Draws a single epoch, which makes no line, as a dot with its value."""
    line.set(**_DOT, markerfacecolor="none" if hollow else line.get_color())
    # Training to the left and validation to the right, lest they cover each other.
    ax.annotate(
        f"{line.get_ydata()[0]:.4g}",
        (line.get_xdata()[0], line.get_ydata()[0]),
        (-6 if hollow else 6, 0),
        textcoords="offset points",
        horizontalalignment="right" if hollow else "left",
        verticalalignment="center",
        fontsize=7,
        color=line.get_color(),
    )


def _legend(runs: list[str], *, dots: bool) -> list["Line2D"]:
    """Returns lines that name the colours and the two widths, or the two dots."""
    from matplotlib.lines import Line2D

    grey = {"color": "#444444", **(_DOT if dots else {})}
    hollow = {"markerfacecolor": "none", **_TRAIN}
    handles = [Line2D([], [], **grey, **hollow, label="training")]
    handles += [Line2D([], [], **grey, **_VALIDATION, label="validation")]
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
    return handles


def _require_columns(histories: Mapping[str, pd.DataFrame]) -> None:
    if not histories:
        raise InputError("no training history to plot; give at least one run")
    layout = _find_layout(histories)
    columns = [panel.column for panel in layout.panels]
    known = [*columns, *(f"val_{column}" for column in columns)]
    for run, history in histories.items():
        if (layout.position == "step") != ("step" in history):
            raise InputError(
                f"{run!r} and {next(iter(histories))!r} are runs of different tasks; "
                "draw them apart"
            )
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


def _find_layout(histories: Mapping[str, pd.DataFrame]) -> _Layout:
    joint, expression = _LAYOUTS
    return expression if "step" in next(iter(histories.values())) else joint


def _positions(history: pd.DataFrame, layout: _Layout) -> np.ndarray:
    return history.get(layout.position, pd.Series(range(len(history)))).to_numpy()


def _dashes(index: int) -> str:
    """Tells runs of one colour apart."""
    return ("-", "--", ":")[index // len(style.PALETTE) % 3]
