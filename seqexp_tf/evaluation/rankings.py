"""What the bases of a gene's window are ranked by: the mask and its baselines."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.genome.intervals import interval_mask
from seqexp_tf.records.expression_details import CONTACT

MASK = "mask"
DISTANCE = "distance"
UPSTREAM = "upstream"
RANDOM = "random"
BLACKLIST = "blacklist"

Scale = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Rankings:
    """Ranks the bases of a gene's window in every way there is.

    Attributes:
        measured: signal -> what turns its stored values into measured ones (a
            logarithm undone), for products; as stored where not named.
        peaks: further intervals: name -> contig -> start, end (0-based half-open).
    """

    measured: Mapping[str, Scale] = field(default_factory=dict)
    peaks: Mapping[str, Mapping[str, pd.DataFrame]] = field(default_factory=dict)

    def of(self, gene: GeneMask) -> dict[str, np.ndarray]:
        """Returns scores of the bases by method, each float32 ``(n,)``, higher first.

        ``mask`` (where there is one); every signal; every signal times contact, and
        the geometric mean of all signals times contact, as in the ABC model (Fulco et
        al. 2019), on the measured scale; ``distance`` to the TSS, the nearest first;
        ``upstream``: the same, all bases before the TSS ahead of the others; every
        channel but the blacklist; ``peaks``; and ``random``, where all are equal and
        the average precision is the prevalence.
        """
        result = {} if gene.mask is None else {MASK: gene.mask}
        result |= gene.signals
        if CONTACT in gene.signals:
            result |= self._products(gene)
        away = gene.window.distance().astype(np.float32)
        result[DISTANCE] = -np.abs(away)
        result[UPSTREAM] = np.where(away < 0, away, away.min() - 1 - away)
        for name, values in gene.channels.items():
            if name != BLACKLIST:
                result[name] = values.astype(np.float32)
        for name, intervals in self.peaks.items():
            result[name] = _painted(intervals, gene.window)
        result[RANDOM] = np.zeros(len(gene.window), dtype=np.float32)
        return result

    def _products(self, gene: GeneMask) -> dict[str, np.ndarray]:
        contact = self._measured(gene, CONTACT)
        levels = {
            name: np.maximum(self._measured(gene, name), 0)
            for name in gene.signals
            if name != CONTACT
        }
        products = {
            f"{name} x {CONTACT}": (level * contact).astype(np.float32)
            for name, level in levels.items()
        }
        if len(levels) > 1:
            mean = np.prod(list(levels.values()), axis=0) ** (1 / len(levels))
            products[f"all signals x {CONTACT}"] = (mean * contact).astype(np.float32)
        return products

    def _measured(self, gene: GeneMask, name: str) -> np.ndarray:
        values = gene.signals[name].astype(np.float64)
        return self.measured.get(name, lambda stored: stored)(values)


def _painted(intervals: Mapping[str, pd.DataFrame], window: GeneWindow) -> np.ndarray:
    rows = intervals.get(window.contig)
    if rows is None:
        return np.zeros(len(window), dtype=np.float32)
    return interval_mask(rows.start, rows.end, window.start, window.end).astype("f4")


def kind_of(method: str, *, signals: tuple[str, ...]) -> str:
    """Returns ``mask``, ``signal``, ``product``, ``distance``, ``random``, ``channel``.

    Upstream is a distance, too.

    Args:
        method: of ``Rankings.of``.
        signals: names of the signals.
    """
    if method in (MASK, DISTANCE, RANDOM):
        return method
    if method == UPSTREAM:
        return DISTANCE
    if method in signals:
        return "signal"
    return "product" if method.endswith(f" x {CONTACT}") else "channel"
