"""Regulatory elements out of a mask: selected bases, joined and scored.

Everything here runs from left to right along one gene's window and needs neither a
model nor a dataset.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from seqexp_tf.config import require
from seqexp_tf.evaluation.borders import find_runs
from seqexp_tf.evaluation.gene_masks import GeneMask

if TYPE_CHECKING:
    from seqexp_tf.models.mask_config import MaskConfig

RATIO_THRESHOLD = 0.5
"""A base counts towards the mask ratio from here on, as in the model's metrics."""

MAX_GAP, MIN_LENGTH = 10, 10
"""Of the elements of a model, where nothing else is asked."""

LEARNT, PROMOTER = "learnt", "promoter"
"""Kinds of elements: bases that a mask selects, and those it keeps whatever it says."""

COLUMNS = (
    "contig", "start", "end", "gene", "name", "strand", "kind", "score", "max", "area",
    "distance", "centre_distance", "length",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which bases of a mask are elements.

    Attributes:
        threshold: mask from which a base is selected; None where a share is.
        fraction: share of the window's bases outside the promoter selected, the
            highest; equal values are selected together, zero never is.
        max_gap: unselected bases between two runs that are joined all the same.
        min_length: shorter elements are left out, after joining.
        promoter: bases around the TSS that the model keeps whatever its mask says:
            an element of their own, at which others end.
    """

    threshold: float | None = None
    fraction: float | None = 0.1
    max_gap: int = 0
    min_length: int = 1
    promoter: int = 0

    def __post_init__(self) -> None:
        require(
            (self.threshold is None) != (self.fraction is None),
            "select by threshold or by fraction, one of the two",
        )
        if self.threshold is not None:
            require(
                0 < self.threshold <= 1,
                f"threshold is {self.threshold}; it must be above 0 and at most 1",
            )
        if self.fraction is not None:
            require(
                0 < self.fraction < 1,
                f"fraction is {self.fraction}; it must be above 0 and below 1",
            )
        require(
            self.max_gap >= 0, f"max_gap is {self.max_gap}; it must not be negative"
        )
        require(
            self.min_length >= 1,
            f"min_length is {self.min_length}; it must be at least 1",
        )

    def describe(self) -> str:
        """Returns the selection in words."""
        if self.threshold is not None:
            words = f"bases whose mask is at least {self.threshold:g}"
        else:
            outside = " outside the promoter" if self.promoter else ""
            words = (
                f"the {100 * self.fraction:g} % of each window{outside} whose mask is "
                "highest"
            )
        if self.max_gap:
            words += f", joined over gaps of up to {self.max_gap:,} bp"
        if self.min_length > 1:
            words += f", of {self.min_length:,} bp or more"
        return words

    def bases(self, mask: np.ndarray) -> np.ndarray:
        """Returns True at the selected bases of a mask ``(n,)``, none of a promoter.

        A mask that is the same everywhere names no base above another: a share of it
        is empty.
        """
        if self.threshold is not None:
            return mask >= self.threshold
        if not mask.size or mask.max() == mask.min():
            return np.zeros(mask.shape, dtype=bool)
        count = max(round(self.fraction * mask.size), 1)
        cutoff = np.partition(mask, mask.size - count)[mask.size - count]
        return (mask >= cutoff) & (mask > 0)

    def runs(self, mask: np.ndarray, kept: np.ndarray | None = None) -> np.ndarray:
        """Returns start and exclusive end of each learnt element.

        Args:
            mask: ``(n,)``.
            kept: True at the bases of the promoter, ``(n,)``; none of them is in an
                element, nor are elements joined across them.

        Returns:
            int64 ``(elements, 2)``, from left to right.
        """
        if kept is None:
            kept = np.zeros(mask.shape, dtype=bool)
        selected = np.zeros(mask.shape, dtype=bool)
        selected[~kept] = self.bases(mask[~kept])
        runs = find_runs(selected)
        if len(runs):
            before = np.concatenate([[0], np.cumsum(kept)])
            last, following = runs[:-1, 1], runs[1:, 0]
            apart = following - last > self.max_gap
            apart |= before[following] > before[last]
            starts = runs[np.append(True, apart), 0]
            ends = runs[np.append(apart, True), 1]
            runs = np.stack([starts, ends], axis=1)
        return runs[runs[:, 1] - runs[:, 0] >= self.min_length]


def model_selection(
    mask: "MaskConfig",
    *,
    threshold: float | None = None,
    fraction: float | None = None,
    max_gap: int = MAX_GAP,
    min_length: int = MIN_LENGTH,
) -> Selection:
    """Returns a selection; as the model's own mask goes where nothing else is asked.

    That is its threshold for a hard mask, what is not zero for one of zeros and ones,
    and the highest tenth for a soft mask, which has no threshold of its own. The
    promoter that the model keeps is left out of all of them.

    Args:
        mask: of the model.
        threshold: see ``Selection``; so are the others.
        fraction: not together with threshold.
        max_gap: see ``Selection``.
        min_length: see ``Selection``.
    """
    if threshold is None and fraction is None:
        own = {"hard": mask.threshold, "packed": mask.threshold}
        own |= {"given": RATIO_THRESHOLD, "run": RATIO_THRESHOLD}
        threshold = own.get(mask.kind)
        fraction = 0.1 if threshold is None else None
    return Selection(
        threshold=threshold,
        fraction=fraction,
        max_gap=max_gap,
        min_length=min_length,
        promoter=mask.promoter,
    )


def learnt(elements: pd.DataFrame) -> pd.DataFrame:
    """Returns the elements that are not the promoter that is always kept."""
    return elements[elements.kind == LEARNT]


def mask_ratio(mask: np.ndarray) -> float:
    """Returns the share of bases whose mask is at least ``RATIO_THRESHOLD``."""
    return float(np.mean(mask >= RATIO_THRESHOLD))


def signed_distance(
    starts: np.ndarray, ends: np.ndarray, *, tss: int, strand: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns how far elements lie from a TSS, negative upstream of it.

    Args:
        starts: first bases, ``(elements,)``.
        ends: exclusive ends.
        tss: the base where transcription starts.
        strand: of the gene.

    Returns:
        edge: int64, from the TSS to the nearest base; 0 where the element holds it.
        centre: float64, to the middle of the element, in half bases.
    """
    edge = np.where(starts > tss, starts - tss, np.minimum(ends - 1 - tss, 0))
    centre = (starts + ends - 1) / 2 - tss
    return (edge, centre) if strand == "+" else (-edge, -centre)


def element_table(gene: GeneMask, selection: Selection) -> pd.DataFrame:
    """Returns the elements of one gene, from left to right.

    Args:
        gene: with a mask.
        selection: which bases make elements.

    Returns:
        ``COLUMNS``: contig, start and end (0-based half-open), gene, name, strand (of
        the gene), kind (``learnt``, or ``promoter`` for the bases that are always
        kept), score (mean mask), max, area (sum of the mask), distance and
        centre_distance (see ``signed_distance``), and length in bases.
    """
    window, mask = gene.window, gene.mask
    kept = window.promoter(selection.promoter)
    promoter = find_runs(kept)
    runs = np.concatenate([selection.runs(mask, kept), promoter])
    kind = np.repeat([LEARNT, PROMOTER], [len(runs) - len(promoter), len(promoter)])
    order = np.argsort(runs[:, 0], kind="stable")
    runs, kind = runs[order], kind[order]
    starts, ends = runs.T
    length = ends - starts
    total = np.concatenate([[0.0], np.cumsum(mask, dtype=np.float64)])
    area = total[ends] - total[starts]
    edge, centre = signed_distance(
        starts + window.start,
        ends + window.start,
        tss=window.tss,
        strand=window.gene_strand,
    )
    largest = [float(mask[start:end].max()) for start, end in runs.tolist()]
    return pd.DataFrame(
        {
            "contig": pd.Series([window.contig] * len(runs), dtype=object),
            "start": starts + window.start,
            "end": ends + window.start,
            "gene": pd.Series([window.gene] * len(runs), dtype=object),
            "name": pd.Series([window.name] * len(runs), dtype=object),
            "strand": pd.Series([window.gene_strand] * len(runs), dtype=object),
            "kind": pd.Series(kind, dtype=object),
            "score": area / length,
            "max": np.array(largest, dtype=np.float64),
            "area": area,
            "distance": edge,
            "centre_distance": centre,
            "length": length,
        }
    )
