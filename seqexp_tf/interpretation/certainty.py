"""Where a model is most certain of the nucleotide, and whether it is right there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation import style
from seqexp_tf.genome.alphabet import decode
from seqexp_tf.interpretation.nucleotides import NucleotidePrediction
from seqexp_tf.records.regions import Region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def most_certain(
    prediction: NucleotidePrediction, count: int, *, length: int = 50
) -> list[NucleotidePrediction]:
    """Returns the stretches of highest mean information, the highest first.

    Stretches share no base: the best is taken, then the best of those that do not
    touch it, and so on. Of equals the 5'-most goes first. A stretch with an N is
    passed over.

    Args:
        prediction: where to look.
        count: stretches wanted; fewer are returned where no more fit.
        length: bases in a stretch; 1 ranks single positions.

    Raises:
        InputError: ``count`` or ``length`` below 1, more bases asked for than the
            region has, or no stretch without an N.
    """
    require_room(prediction.region, count, length=length)
    n = len(prediction)
    sums = np.concatenate([[0.0], np.cumsum(prediction.information)])
    mean = (sums[length:] - sums[:-length]) / length
    unknown = np.concatenate([[0], np.cumsum(~prediction.known)])
    mean[unknown[length:] > unknown[:-length]] = -np.inf
    # Sums of different bases differ in digits that mean nothing.
    order = np.argsort(-np.round(mean, 12), kind="stable")
    taken = np.zeros(n, dtype=bool)
    starts: list[int] = []
    for start in order[np.isfinite(mean[order])].tolist():
        if not taken[start : start + length].any():
            taken[start : start + length] = True
            starts.append(start)
            if len(starts) == count:
                break
    if not starts:
        raise InputError(
            f"{prediction.region}: no stretch of {length:,} known bases; choose "
            "another region or a shorter stretch"
        )
    return [prediction.crop(start, start + length) for start in starts]


def require_room(region: Region, count: int, *, length: int) -> None:
    """Raises InputError unless a region has room for what ``most_certain`` is asked."""
    if count < 1 or length < 1:
        raise InputError(
            f"the {count} most certain stretches of {length} bases: expected at least "
            "1 of both"
        )
    if count * length > len(region):
        raise InputError(
            f"the {count:,} most certain stretches of {length:,} bases do not fit in "
            f"{region}, which has {len(region):,} bases; ask for fewer or shorter ones"
        )


def stretch_table(stretches: Sequence[NucleotidePrediction]) -> pd.DataFrame:
    """Returns a row a stretch, in the order given.

    Columns: rank, contig, start and end (1-based inclusive), strand, true_bases and
    chosen_bases (5' to 3'), information (mean, bits), probability (mean, of the
    chosen base), correct (bases), accuracy.
    """
    return pd.DataFrame(
        [
            {
                "rank": rank,
                "contig": item.region.contig,
                "start": item.region.start + 1,
                "end": item.region.end,
                "strand": item.strand,
                "true_bases": decode(item.bases),
                "chosen_bases": decode(item.chosen),
                "information": item.information.mean(),
                "probability": item.probabilities.max(axis=-1).mean(dtype=float),
                "correct": int(item.correct.sum()),
                "accuracy": item.accuracy,
            }
            for rank, item in enumerate(stretches, start=1)
        ]
    )


def certainty_table(prediction: NucleotidePrediction) -> pd.DataFrame:
    """Returns, for every k, how the k most certain known positions fare.

    Columns: positions (k, from 1 up), information (of the k-th, bits), accuracy of
    the most probable base among the k, and probability, the mean that the model
    gave it: what the accuracy would be if its probabilities held.

    Raises:
        InputError: no base of the region is known.
    """
    at = np.flatnonzero(prediction.known)
    if at.size == 0:
        raise InputError(f"{prediction.region}: every base is N; choose another region")
    information = prediction.information
    at = at[np.argsort(-information[at], kind="stable")]
    k = np.arange(1, at.size + 1)
    return pd.DataFrame(
        {
            "positions": k,
            "information": information[at],
            "accuracy": np.cumsum(prediction.correct[at]) / k,
            "probability": np.cumsum(
                prediction.probabilities[at].max(axis=-1), dtype=float
            )
            / k,
        }
    )


def plot_certainty(prediction: NucleotidePrediction) -> "Figure":
    """Draws whether the most certain predictions are also right."""
    with style.context():
        figure = style.new_figure(width=4.2, height=3)
        ax = figure.subplots()
        draw_certainty(prediction, ax=ax)
        ax.set_title(f"{prediction.region} ({prediction.strand})")
    return figure


def draw_certainty(prediction: NucleotidePrediction, *, ax: "Axes") -> "Axes":
    """Draws ``certainty_table`` on ``ax``, from the ten most certain positions up."""
    table = certainty_table(prediction)
    table = table[min(9, len(table) - 1) :]
    single = "o" if len(table) == 1 else None
    with style.context():
        ax.plot(
            table.positions,
            table.accuracy,
            color=style.colour(0),
            marker=single,
            label="accuracy of the tallest letter",
        )
        ax.plot(
            table.positions,
            table.probability,
            color=style.colour(1),
            linestyle="--",
            marker=single,
            label="its mean predicted probability",
        )
        ax.axhline(0.25, color=style.GREY, linewidth=0.8, linestyle=":")
        ax.set(
            xscale="log",
            ylim=(0, 1),
            xlabel="Most certain positions taken",
            ylabel="Share of positions",
        )
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        ax.annotate(
            "guessing",
            (1, 0.25),
            xycoords=("axes fraction", "data"),
            xytext=(-2, 2),
            textcoords="offset points",
            ha="right",
            fontsize=7,
            color=style.GREY,
        )
        ax.legend(loc="upper right")
    return ax
