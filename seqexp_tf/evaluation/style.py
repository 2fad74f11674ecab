"""One look for every figure, without touching matplotlib's global settings."""

import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp_tf.evaluation.files import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PALETTE = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
)
"""Okabe and Ito's palette, told apart with every common colour blindness
(yellow left out: too faint for lines on white)."""

BASE_COLOURS = {"A": "#009E73", "C": "#0072B2", "G": "#E69F00", "T": "#D55E00"}
"""The customary green, blue, orange and red of sequence logos, from ``PALETTE``."""

GREY = "#8A8A8A"

_SETTINGS = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.frameon": False,
    "legend.fontsize": 7,
    "lines.linewidth": 1.4,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "svg.hashsalt": "seqexp_tf",
}


def context() -> AbstractContextManager[None]:
    """Returns a context within which matplotlib draws in the house style."""
    from matplotlib import rc_context

    return rc_context(_SETTINGS)


def colour(index: int) -> str:
    """Returns the colour of the ``index``-th line; seven, then again."""
    return PALETTE[index % len(PALETTE)]


def new_figure(*, width: float, height: float) -> "Figure":
    """Returns an empty figure in inches; needs no display and no pyplot state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: "Figure", stem: str | Path) -> list[Path]:
    """Writes ``stem.png`` (200 dpi) and ``stem.svg`` (text kept as text).

    The same figure gives the same bytes; a file is either old or whole.

    Returns:
        The two paths.

    Raises:
        RunError, DatasetError: the folder or a file cannot be written.
    """
    stem = Path(stem)
    undated = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}
    paths = []
    with context():
        for kind, metadata in undated.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=metadata)
            path = stem.with_name(f"{stem.name}.{kind}")
            paths.append(write_file(path, buffer.getvalue()))
    return paths
