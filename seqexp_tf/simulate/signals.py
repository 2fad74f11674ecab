"""Measured tracks: stranded RNA coverage, accessibility, H3K27ac, contacts."""

import numpy as np
import pandas as pd

from seqexp_tf.simulate.effects import BIN, DECAY, Loops
from seqexp_tf.simulate.layout import Layout

READS_PER_RPM = 20
"""Sequencing depth: the sample stands for a library of 20 million reads."""

CONTACT_DEPTH = 400.0
LOOP_GAIN = 3.0
"""A loop of strength 1 lifts the expected contacts of its bin pair by this factor."""

_BACKGROUND_RPM = 0.08
_TRUNCATED = 0.3
_READ_THROUGH = 0.04


def pileup(length: int, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns how many intervals cover each base, int64, shape ``(length,)``."""
    opened = np.bincount(np.clip(starts, 0, length), minlength=length + 1)
    closed = np.bincount(np.clip(ends, 0, length), minlength=length + 1)
    return np.cumsum(opened - closed)[:length]


def rna_coverage(
    layout: Layout, genes: pd.DataFrame, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns plus and minus coverage in RPM, float32, shape ``(length,)`` each.

    Reads run from the TSS, or from inside the transcript where the molecule broke,
    to the terminator; a few read on past it. Both strands carry a thin background.
    """
    tracks = []
    for strand in "+-":
        starts, ends = _background_reads(layout.length, rng)
        for gene in genes[genes["strand"] == strand].itertuples():
            reads = rng.poisson(gene.expression * READS_PER_RPM)
            size = gene.end - gene.start
            head = rng.geometric(0.25, size=reads) - 1
            broken = rng.random(reads) < _TRUNCATED
            head[broken] = rng.integers(0, size - 100, size=broken.sum())
            tail = size - rng.integers(0, 12, size=reads)
            beyond = rng.random(reads) < _READ_THROUGH
            tail[beyond] += rng.geometric(0.01, size=beyond.sum())
            if strand == "+":
                starts.append(gene.start + head)
                ends.append(gene.start + tail)
            else:
                starts.append(gene.end - tail)
                ends.append(gene.end - head)
        depth = pileup(layout.length, np.concatenate(starts), np.concatenate(ends))
        tracks.append(_visible(depth / READS_PER_RPM, layout))
    return tracks[0], tracks[1]


def _background_reads(
    length: int, rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    mean = 250
    count = rng.poisson(_BACKGROUND_RPM * READS_PER_RPM * length / mean)
    starts = rng.integers(0, length, size=count)
    return [starts], [starts + rng.geometric(1 / mean, size=count)]


def accessibility(
    layout: Layout, genes: pd.DataFrame, rng: np.random.Generator
) -> np.ndarray:
    """Returns fragment coverage, float32: promoters, enhancers and decoys are open."""
    rate = np.full(layout.length, 0.02)
    for gene in genes.itertuples():
        upstream = -80 if gene.strand == "+" else 80
        height = 0.05 if gene.silent else 0.3 + 0.08 * gene.promoter_strength
        _add_peak(rate, gene.tss + upstream, width=55, height=height * _jitter(rng))
    for region in layout.regions:
        width = (region.end - region.start) / 3
        _add_peak(rate, region.centre, width=width, height=0.5 * _jitter(rng))
    return _fragments(rate, layout, shortest=50, longest=110, rng=rng)


def h3k27ac(
    layout: Layout,
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns fragment coverage, float32: broad, at active promoters and enhancers."""
    rate = np.full(layout.length, 0.01)
    for gene in genes.itertuples():
        downstream = 250 if gene.strand == "+" else -250
        height = 0.03 * np.log1p(gene.expression_noiseless)
        _add_peak(rate, gene.tss + downstream, width=220, height=height * _jitter(rng))
    enhancers = elements[elements["kind"] == "enhancer"]
    active = enhancers.groupby("element")["effect"].sum()
    for region in layout.regions:
        height = 0.1 if active.get(region.name, 0.0) > 0 else 0.005
        _add_peak(rate, region.centre, width=300, height=height * _jitter(rng))
    return _fragments(rate, layout, shortest=150, longest=250, rng=rng)


def _jitter(rng: np.random.Generator) -> float:
    return float(rng.lognormal(0.0, 0.25))


def _add_peak(rate: np.ndarray, centre: int, *, width: float, height: float) -> None:
    reach = round(4 * width)
    low, high = max(0, centre - reach), min(rate.size, centre + reach)
    offset = (np.arange(low, high) - centre) / width
    rate[low:high] += height * np.exp(-0.5 * offset**2)


def _fragments(
    rate: np.ndarray,
    layout: Layout,
    *,
    shortest: int,
    longest: int,
    rng: np.random.Generator,
) -> np.ndarray:
    centres = np.repeat(np.arange(rate.size), rng.poisson(rate))
    sizes = rng.integers(shortest, longest, size=centres.size)
    starts = centres - sizes // 2
    return _visible(pileup(rate.size, starts, starts + sizes), layout)


def _visible(values: np.ndarray, layout: Layout) -> np.ndarray:
    """Zeroes the runs of N: no read maps there."""
    track = values.astype(np.float32)
    for start, end in layout.unknown:
        track[start:end] = 0.0
    return track


def contact_counts(
    layout: Layout, loops: Loops, rng: np.random.Generator
) -> np.ndarray:
    """Returns raw contact counts, int32, shape ``(bins, bins)``, symmetric.

    Expected counts fall as a power of distance, are lifted at loops, and are
    multiplied by each bin's visibility, the bias that balancing takes out.
    """
    bins = -(-layout.length // BIN)
    index = np.arange(bins)
    distance = np.abs(index[:, None] - index[None, :])
    expected = CONTACT_DEPTH * np.maximum(distance, 1.0) ** -DECAY
    for (low, high), strength in loops.items():
        expected[low, high] *= 1 + LOOP_GAIN * strength
    visibility = rng.lognormal(0.0, 0.2, size=bins)
    visibility[-1] *= (layout.length - (bins - 1) * BIN) / BIN
    counts = np.triu(rng.poisson(expected * visibility[:, None] * visibility))
    return (counts + np.triu(counts, 1).T).astype(np.int32)


def balancing_weights(counts: np.ndarray, *, smallest: float = 0.25) -> np.ndarray:
    """Iterative correction: weights that give every bin one row sum.

    Args:
        counts: Symmetric raw counts, shape ``(bins, bins)``.
        smallest: Bins with less than this share of the median row sum are masked.

    Returns:
        float64, shape ``(bins,)``: ``counts * w[:, None] * w`` has row sums of 1;
        masked bins are NaN.

    Reference:
        Imakaev et al., Nature Methods 2012, doi:10.1038/nmeth.2148.
    """
    sums = counts.sum(axis=1)
    kept = sums > smallest * np.median(sums)
    matrix = counts[np.ix_(kept, kept)].astype(np.float64)
    weights = np.ones(kept.sum())
    for _ in range(500):
        margin = (matrix @ weights) * weights
        if np.abs(margin / margin.mean() - 1).max() < 1e-9:
            break
        weights /= np.sqrt(margin / margin.mean())
    weights /= np.sqrt(margin.mean())
    result = np.full(sums.size, np.nan)
    result[kept] = weights
    return result
