"""The motif library: position weight matrices and the strength of each motif."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seqexp_tf.genome.alphabet import BASES

_IUPAC = {"A": "A", "C": "C", "G": "G", "T": "T", "W": "AT", "Y": "CT", "N": "ACGT"}
_CORE = 0.96
_FLANK = 0.78


@dataclass(frozen=True)
class Motif:
    """A binding motif with a closed-form site score.

    Attributes:
        name: Name in the truth tables.
        consensus: IUPAC letters; upper case is well conserved, lower case less so.
        strength: Log-expression units given by a perfect site.
        family: Factor family; an enhancer acts on promoters of its own family.
    """

    name: str
    consensus: str
    strength: float = 0.0
    family: str = ""

    def __len__(self) -> int:
        return len(self.consensus)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Base probabilities, shape ``(len(motif), 4)``, columns A, C, G, T."""
        rows = np.empty((len(self), 4))
        for row, letter in zip(rows, self.consensus, strict=True):
            chosen = np.array([base in _IUPAC[letter.upper()] for base in BASES])
            share = _CORE if letter.isupper() else _FLANK
            if chosen.all():
                row[:] = 0.25
            else:
                row[chosen] = share / chosen.sum()
                row[~chosen] = (1 - share) / (~chosen).sum()
        return rows

    def sample(self, rng: np.random.Generator) -> np.ndarray:
        """Draws one site: uint8 indices, shape ``(len(motif),)``."""
        cumulative = self.probabilities.cumsum(axis=1)[:, :3]
        return (rng.random((len(self), 1)) > cumulative).sum(axis=1).astype(np.uint8)

    def match(self, site: np.ndarray) -> float:
        """Scores a site: log odds against uniform, as a share of the best, in 0..1.

        Args:
            site: Indices in the motif's orientation, shape ``(len(motif),)``. An
                unknown base counts as the worst one.
        """
        odds = np.log2(self.probabilities / 0.25)
        scores = np.concatenate([odds, odds.min(axis=1, keepdims=True)], axis=1)
        total = scores[np.arange(len(self)), site].sum()
        return float(np.clip(total / odds.max(axis=1).sum(), 0.0, 1.0))


TATA = Motif("TATA", "TATAWAWg")
INITIATOR = Motif("Inr", "YYAnwYY")
TERMINATOR = Motif("pAsignal", "AATAAA" + "wwwwwwwwwwwwww" + "TTTTTTTTTT")
PIONEER = Motif("P1", "cGGGTAATc")
"""Opens chromatin at enhancers and decoys alike; adds nothing to expression."""

FAMILIES = ("alpha", "beta")
ACTIVATORS = (
    Motif("A1", "cACCCGTACa", 2.3, "alpha"),
    Motif("A2", "GGCATTCCgt", 2.8, "alpha"),
    Motif("A3", "TGACGCAGca", 2.0, "alpha"),
    Motif("B1", "GCGATGAGct", 2.5, "beta"),
    Motif("B2", "aCCTCGACTg", 2.1, "beta"),
    Motif("B3", "AGTGGCACGt", 2.9, "beta"),
)
LIBRARY = {
    motif.name: motif for motif in (TATA, INITIATOR, TERMINATOR, PIONEER, *ACTIVATORS)
}


def activators(family: str) -> tuple[Motif, ...]:
    """Returns the activating motifs of one family."""
    return tuple(motif for motif in ACTIVATORS if motif.family == family)
