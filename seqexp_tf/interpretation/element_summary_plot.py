"""Figure of the elements of many genes: where they lie and how long they are."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.evaluation import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BINS = 80


def plot_element_summary(elements: pd.DataFrame, genes: pd.DataFrame) -> "Figure":
    """Draws selected bases by distance to the TSS, lengths, and mask ratios.

    Args:
        elements: learnt ones of ``join_elements``; not empty.
        genes: rows of ``GENE_COLUMNS``.
    """
    with style.context():
        figure = style.new_figure(width=8.4, height=2.5)
        axes = figure.subplots(1, 3, width_ratios=(1.7, 1, 1))
        plot_distances(elements, genes, ax=axes[0])
        plot_lengths(elements, ax=axes[1])
        plot_mask_means(genes, ax=axes[2])
    return figure


def plot_distances(
    elements: pd.DataFrame, genes: pd.DataFrame, *, ax: "Axes"
) -> "Axes":
    """Draws the share of bases selected by distance, negative upstream of the TSS.

    The share is of the bases that the genes' windows have at that distance.
    """
    ahead, behind = _reach(genes)
    edges = np.linspace(-behind.max() - 0.5, ahead.max() + 0.5, _BINS + 1)
    middle = elements.centre_distance.to_numpy(dtype=float)
    half = elements.length.to_numpy(dtype=float) / 2
    selected = _bases_between(edges, middle - half, middle + half)
    covered = _bases_between(edges, -behind - 0.5, ahead + 0.5)
    share = np.divide(selected, covered, out=np.zeros(_BINS), where=covered > 0)
    with style.context():
        ax.stairs(100 * share, edges / 1000, fill=True, color=style.colour(1))
        ax.axvline(0, color="#222222", linewidth=0.7, linestyle=(0, (3, 2)))
        ax.set(
            xlabel="Distance to the TSS (kb), upstream negative",
            ylabel="Bases selected (%)",
        )
        ax.set_xlim(edges[0] / 1000, edges[-1] / 1000)
        ax.set_title("Where elements lie")
    return ax


def plot_lengths(elements: pd.DataFrame, *, ax: "Axes") -> "Axes":
    """Draws how long elements are."""
    length = elements.length.to_numpy(dtype=float)
    edges = np.geomspace(1, max(length.max(), 2) * 1.01, 30)
    with style.context():
        ax.hist(length, bins=edges, color=style.colour(0))
        ax.set(xscale="log", xlabel="Length (bp)", ylabel="Elements")
        ax.set_title("Lengths")
    return ax


def plot_mask_means(genes: pd.DataFrame, *, ax: "Axes") -> "Axes":
    """Draws the mean mask of the genes."""
    with style.context():
        ax.hist(genes.mask_mean.to_numpy(dtype=float), bins=25, color=style.colour(2))
        ax.set(xlabel="Mean mask", ylabel="Genes")
        ax.locator_params(axis="x", nbins=5)
        ax.set_title("Mean mask of a gene")
    return ax


def _bases_between(
    edges: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Returns how many bases of some stretches lie between neighbouring edges."""
    below = [np.clip(edge - starts, 0, ends - starts).sum() for edge in edges]
    return np.diff(below)


def _reach(genes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Returns how far windows reach downstream and upstream of their TSS."""
    left = (genes.tss - genes.start).to_numpy()
    right = (genes.end - 1 - genes.tss).to_numpy()
    plus = (genes.strand == "+").to_numpy()
    return np.where(plus, right, left), np.where(plus, left, right)
