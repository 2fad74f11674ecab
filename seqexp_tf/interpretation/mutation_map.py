"""A mutagenesis map, in memory and in its file."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.metrics import sigmoid
from seqexp_tf.records.regions import Region

Labels = Literal["half", "hidden"]
"""Which measured labels the model is not shown: those of the central half of its
window, or all of them, which leaves the DNA alone."""

Measure = Literal["log_odds", "log_ratio"]

MEASURES: dict[Measure, str] = {
    "log_odds": "|logit p' - logit p|, p' and p with and without the mutation",
    "log_ratio": "|ln (p' / p)|, p' and p with and without the mutation",
}
"""What an entry of a map is, p = p(expressed); the largest of three mutations."""


@dataclass(frozen=True)
class MutationMap:
    """Effects of the three mutations of each base of a region on a strand.

    Everything is from left to right, and bases are those of the plus strand, as in
    the FASTA, whatever the strand whose expression is predicted.

    Attributes:
        region: the ``n`` bases that are mutated, one at a time.
        recorded: the ``m`` bases whose predicted expression is compared.
        window: what the model sees.
        hidden: where it does not see the measured labels.
        target: the recorded bases that ``effect`` adds up.
        strand: ``+`` or ``-``, of the expression.
        sequence: uint8 ``(n,)``, 0 to 4 for A, C, G, T, N.
        reference: logit of p(expressed) without any mutation, float32 ``(m,)``.
        expressed: measured labels, uint8 ``(m,)``.
        measured: bool ``(m,)``, True where the label was measured.
        log_odds: float32 ``(n, m)``, the largest absolute difference of logits that
            a mutation of base i makes at base j; NaN where base i is N.
        log_ratio: likewise of ln p(expressed).
        log_odds_base: uint8 ``(n, m)``, the base that makes the largest difference;
            4 where none makes any.
        log_ratio_base: likewise.
        effect: float32 ``(n, 4)``, the sum of signed differences of logits over
            ``target`` for A, C, G, T at base i; 0 for its own, NaN where it is N.

    Reference:
        *Joint Modelling of DNA and RNA*, section 5.3, which has ``log_ratio`` in its
        formula and the log odds in its text.
    """

    region: Region
    recorded: Region
    window: Region
    hidden: Region
    target: Region
    strand: str
    sequence: np.ndarray
    reference: np.ndarray
    expressed: np.ndarray
    measured: np.ndarray
    log_odds: np.ndarray
    log_ratio: np.ndarray
    log_odds_base: np.ndarray
    log_ratio_base: np.ndarray
    effect: np.ndarray

    @property
    def probability(self) -> np.ndarray:
        """p(expressed) without any mutation, float64 ``(m,)``."""
        return sigmoid(self.reference.astype(float))

    @property
    def labels(self) -> Labels:
        """Which labels were not shown."""
        return "hidden" if self.hidden == self.window else "half"

    def values(self, measure: Measure) -> np.ndarray:
        """The map ``(n, m)`` of a measure."""
        return getattr(self, measure)

    def mean_influence(self, measure: Measure) -> np.ndarray:
        """Mean over recorded bases, float32 ``(n,)``; NaN where the base is N."""
        return self.values(measure).mean(axis=1)

    def max_influence(self, measure: Measure) -> np.ndarray:
        """Maximum over recorded bases, float32 ``(n,)``; NaN where the base is N."""
        return self.values(measure).max(axis=1)


def require_within(what: str, inner: Region, outer: Region, name: str) -> None:
    """Raises InputError unless a region lies within another."""
    if (
        inner.contig != outer.contig
        or inner.start < outer.start
        or inner.end > outer.end
    ):
        raise InputError(f"{what} {inner}: not within {name}, {outer}")


def read_map(path: Path) -> MutationMap:
    """Reads what ``write_mutagenesis`` wrote.

    Raises:
        InputError: no such file, or none of these.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return map_of({name: arrays[name] for name in arrays.files})
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: no mutagenesis map ({error}); make one with "
            "`seqexp-tf mutagenesis`"
        ) from None


def map_of(arrays: Mapping[str, Any]) -> MutationMap:
    """Returns the map of arrays by name, as its file holds them."""
    contig = str(arrays["contig"])
    found: dict[str, Any] = {}
    for field in fields(MutationMap):
        value = arrays[field.name]
        if field.type is Region:
            value = Region(contig, *(int(end) for end in value))
        found[field.name] = str(value) if field.name == "strand" else value
    return MutationMap(**found)
