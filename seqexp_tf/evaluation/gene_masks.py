"""A gene, the window around its transcription start, and its learnt mask."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

T = TypeVar("T", bound=np.ndarray)


@dataclass(frozen=True, kw_only=True)
class GeneWindow:
    """The stretch of genome a model reads for one gene, 0-based half-open.

    Attributes:
        gene: identifier.
        name: common name; the identifier where there is none.
        contig: name as the dataset spells it.
        start: first base; negative where the window hangs over its contig.
        end: exclusive end.
        strand: orientation of the model's arrays; on ``-``, index 0 is the last base.
        gene_strand: strand the gene is transcribed from.
        tss: transcription start site, the base itself.
        split: split of the dataset.
    """

    gene: str
    name: str
    contig: str
    start: int
    end: int
    strand: str
    gene_strand: str
    tss: int
    split: str

    def __len__(self) -> int:
        return self.end - self.start

    def centre(self, bases: int) -> "GeneWindow":
        """Returns the middle ``bases`` of the window; of both the length is even."""
        cut = (len(self) - bases) // 2
        return replace(self, start=self.start + cut, end=self.end - cut)

    def on_contig(self, length: int) -> tuple["GeneWindow", slice]:
        """Returns the part of the window on its contig, and where it lies in it.

        Args:
            length: of the contig.

        Returns:
            The part, and its slice of arrays that run from left to right.
        """
        start, end = max(self.start, 0), min(self.end, length)
        inside = slice(start - self.start, end - self.start)
        return replace(self, start=start, end=end), inside

    def genomic(self, values: T) -> T:
        """Returns the model's values (positions first) from left to right."""
        return values if self.strand == "+" else values[::-1]

    def distance(self) -> np.ndarray:
        """Returns int64 distances of the bases from the TSS, from left to right.

        Negative upstream, in the direction of transcription.
        """
        away = np.arange(self.start, self.end) - self.tss
        return away if self.gene_strand == "+" else -away

    def promoter(self, bases: int) -> np.ndarray:
        """Returns True on the middle ``bases`` around the TSS, from left to right.

        These are the positions ``TSS - bases // 2`` and the ``bases - 1`` after it in
        the orientation of the arrays, as masks keep them.
        """
        away = np.arange(self.start, self.end) - self.tss
        if self.strand == "-":
            away = -away
        return (away >= -(bases // 2)) & (away < bases - bases // 2)


@dataclass(frozen=True, kw_only=True)
class GeneMask:
    """What a model made of one gene; arrays run from left to right.

    Attributes:
        window: the bases covered, all on the contig; ``n`` of them.
        mask: float32 ``(n,)``, in [0, 1]; None of a model without a mask.
        signals: name -> float32 ``(n,)``, as the dataset stores them.
        channels: name -> bool ``(n,)``.
        prediction: expression, in the unit of the target.
        target: measured expression.
    """

    window: GeneWindow
    mask: np.ndarray | None
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)
    channels: Mapping[str, np.ndarray] = field(default_factory=dict)
    prediction: float = float("nan")
    target: float = float("nan")
