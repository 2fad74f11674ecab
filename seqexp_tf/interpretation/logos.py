"""Sequence logos of predicted nucleotides, the true bases underneath.

A logo reads 5' to 3' from left to right on either strand, so that motifs look as
they are written; on the minus strand its coordinates therefore descend.

The letters are logomaker's. ``logomaker.Logo`` lays out and draws letter by letter
(about 20 s for a page of 2,048 bases); here each letter shape is taken from
``logomaker.Glyph`` once and all of a kind in a row are drawn as one path.
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from seqexp_tf.evaluation import style
from seqexp_tf.genome.alphabet import ALPHABET, BASES
from seqexp_tf.interpretation.nucleotides import NucleotidePrediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

PAGE = 2048
"""Bases on a page."""
ROW = 128
"""Bases in a row of a page."""

_SMALLEST = 0.01
# True bases lie in this part of the axis, in units of its ceiling.
_TRUTH = (-0.24, -0.06)
_CEILINGS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
_HIDDEN = {
    "blockwise": "each base hidden with a random part of its window",
    "leave_one_out": "each base hidden alone",
    "none": "no base hidden: the model reads what it predicts",
}
_SHOWN = {"visible": "expression shown", "hidden": "expression hidden"}
_CAPTION = (
    "Letter height: predicted probability × information in bits ({hidden}; {shown}). "
    "Below: the true base, pale where the tallest letter is another."
)


def pages(prediction: NucleotidePrediction) -> list[NucleotidePrediction]:
    """Returns the parts of a prediction that a page each can show, 5' to 3'."""
    return [
        prediction.crop(first, min(first + PAGE, len(prediction)))
        for first in range(0, len(prediction), PAGE)
    ]


def common_ceiling(predictions: Sequence[NucleotidePrediction]) -> float:
    """Returns a round number of bits that no position of any exceeds."""
    highest = max(item.information.max() for item in predictions)
    return next(c for c in _CEILINGS if highest <= c + 1e-9)


def plot_page(
    prediction: NucleotidePrediction, *, ceiling: float | None = None
) -> "Figure":
    """Draws up to ``PAGE`` bases as rows of ``ROW``.

    Args:
        prediction: what to show.
        ceiling: top of every row in bits; a round number by default.
    """
    n = len(prediction)
    rows = [prediction.crop(first, min(first + ROW, n)) for first in range(0, n, ROW)]
    columns = min(ROW, max(n, 50))
    ceiling = ceiling or common_ceiling([prediction])
    with style.context():
        figure, axes = _figure(len(rows), columns=columns, row_height=0.78)
        for ax, row in zip(axes, rows, strict=True):
            plot_logo(row, ax=ax, ceiling=ceiling, columns=columns)
        place = f"{prediction.region}, {_direction(prediction.strand)}"
        _frame(figure, prediction, place)
    return figure


def plot_stretches(stretches: Sequence[NucleotidePrediction]) -> "Figure":
    """Draws separate stretches of one strand, a row each, in the order given."""
    columns = max(len(item) for item in stretches)
    ceiling = common_ceiling(stretches)
    with style.context():
        figure, axes = _figure(len(stretches), columns=columns, row_height=1.35)
        for ax, item in zip(axes, stretches, strict=True):
            plot_logo(item, ax=ax, ceiling=ceiling, columns=columns)
            ax.set_title(
                f"{item.region}: {item.information.mean():.2f} bits a base, "
                f"{item.correct.sum()} of {item.known.sum()} right",
                fontweight="normal",
                fontsize=8,
            )
        first = stretches[0]
        _frame(
            figure,
            first,
            f"{first.region.contig}, {_direction(first.strand)}: most certain "
            f"stretches of {len(first)} bases",
        )
    return figure


def plot_logo(
    prediction: NucleotidePrediction,
    *,
    ax: "Axes",
    ceiling: float | None = None,
    columns: int | None = None,
) -> "Axes":
    """Draws the logo of a prediction on ``ax`` and returns it.

    Letters are stacked as ``logomaker.Logo`` stacks them, the largest on top, the
    i-th base centred on x = i; ticks name positions of the contig (1-based). A
    letter below 1 % of the axis is left out.

    Args:
        prediction: best no more than ``ROW`` bases.
        ax: axes to draw on.
        ceiling: top of the axis in bits; a round number by default.
        columns: bases the axis has room for, ``len(prediction)`` by default.
    """
    n = len(prediction)
    columns = columns or n
    ceiling = ceiling or common_ceiling([prediction])
    with style.context():
        _add_stacks(ax, prediction.heights, smallest=_SMALLEST * ceiling)
        _add_truth(ax, prediction, ceiling=ceiling)
        ax.plot([-0.5, n - 0.5], [0, 0], color="#444444", linewidth=0.5)
        ax.set(
            xlim=(-0.5, columns - 0.5),
            ylim=(1.08 * _TRUTH[0] * ceiling, ceiling),
            yticks=(0, ceiling / 2, ceiling),
        )
        ax.yaxis.set_major_formatter("{x:g}")
        ax.grid(False)
        ax.spines["left"].set_bounds(0, ceiling)
        ax.spines["bottom"].set_visible(False)
        step = 10 if columns <= 64 else 20
        position = prediction.positions + 1
        at = np.flatnonzero(position % step == 0)
        ax.set_xticks(at, [f"{position[i]:,}" for i in at])
        ax.tick_params(axis="both", length=2, width=0.5, pad=1.5, labelsize=6)
    return ax


def _add_stacks(ax: "Axes", heights: np.ndarray, *, smallest: float) -> None:
    order = np.argsort(heights, axis=1, kind="stable")
    ceilings = np.cumsum(np.take_along_axis(heights, order, axis=1), axis=1)
    top = np.empty_like(heights)
    np.put_along_axis(top, order, ceilings, axis=1)
    paths = {}
    for index, base in enumerate(BASES):
        at = np.flatnonzero(heights[:, index] >= smallest)
        height = heights[at, index]
        paths[base] = _repeat(base, at, top[at, index] - height, height)
    _add_paths(ax, paths, [style.BASE_COLOURS[base] for base in paths], "logo")


def _add_truth(ax: "Axes", prediction: NucleotidePrediction, *, ceiling: float) -> None:
    floor, height = _TRUTH[0] * ceiling, (_TRUTH[1] - _TRUTH[0]) * ceiling
    for right, name in ((True, "true, predicted"), (False, "true, not predicted")):
        paths, colours = {}, []
        for index, base in enumerate(ALPHABET):
            at = np.flatnonzero(
                (prediction.bases == index) & (prediction.correct == right)
            )
            paths[base] = _repeat(
                base, at, np.full(at.size, floor), np.full(at.size, height)
            )
            colour = style.BASE_COLOURS.get(base, style.GREY)
            colours.append(colour if right else _pale(colour))
        _add_paths(ax, paths, colours, name)


def _add_paths(ax: "Axes", paths: dict[str, "Path"], colours: list, label: str) -> None:
    from matplotlib.collections import PathCollection

    ax.add_collection(
        PathCollection(
            list(paths.values()), facecolors=colours, linewidths=0, label=label
        ),
        autolim=False,
    )


def _repeat(base: str, x: np.ndarray, floor: np.ndarray, height: np.ndarray) -> "Path":
    """Returns one path of a letter drawn at each of ``x``, ``(n,)`` like the rest."""
    from matplotlib.path import Path

    letter = _letter(base)
    scale = np.stack([np.ones(x.size), height], axis=-1)[:, None]
    shift = np.stack([x, floor], axis=-1)[:, None]
    vertices = letter.vertices * scale + shift
    return Path(vertices.reshape(-1, 2), np.tile(letter.codes, x.size))


@functools.cache
def _letter(base: str) -> "Path":
    """Returns logomaker's shape of a letter, centred on x = 0, from y = 0 to 1."""
    import logomaker

    with style.context():
        ax = style.new_figure(width=1, height=1).subplots()
        return logomaker.Glyph(0, base, floor=0, ceiling=1, ax=ax).patch.get_path()


def _pale(colour: str) -> tuple[float, ...]:
    from matplotlib.colors import to_rgb

    return tuple(1 - 0.42 * (1 - part) for part in to_rgb(colour))


def _figure(
    rows: int, *, columns: int, row_height: float
) -> tuple["Figure", np.ndarray]:
    width = max(10, 0.7 + 0.0725 * columns)
    figure = style.new_figure(width=width, height=0.7 + row_height * rows)
    figure.get_layout_engine().set(h_pad=0.02, hspace=0.0)
    axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    return figure, axes


def _frame(figure: "Figure", prediction: NucleotidePrediction, title: str) -> None:
    caption = _CAPTION.format(
        hidden=_HIDDEN[prediction.masks], shown=_SHOWN[prediction.labels]
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    figure.supxlabel(caption, x=0.01, ha="left", fontsize=7, color="#444444")
    figure.supylabel("Information (bits)", fontsize=8)


def _direction(strand: str) -> str:
    if strand == "+":
        return "plus strand 5′→3′"
    return "minus strand 5′→3′ (coordinates descend)"
