"""Reference and alternative allele in windows that line up, and what differs."""

from dataclasses import dataclass

import numpy as np

from seqexp_tf.evaluation.profile_prediction import log_odds
from seqexp_tf.genome.alphabet import encode
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.prediction.joint import Bases

EFFECTS = ("log_odds", "expressed")
"""What ``AlleleWindows.effects`` tells."""


@dataclass(frozen=True)
class AlleleWindows:
    """One stretch of a contig with either allele.

    Attributes:
        reference: uint8 indices ``(n,)``.
        alternative: likewise, of as many bases unless the contig is too short.
        places: index of the allele in either.
        sizes: bases of the allele in either, without what both alleles share.
    """

    reference: np.ndarray
    alternative: np.ndarray
    places: tuple[int, int]
    sizes: tuple[int, int]

    @property
    def before(self) -> int:
        """Bases that both share before the alleles."""
        return min(self.places)

    @property
    def after(self) -> int:
        """Bases that both share after the alleles."""
        lengths = self.reference.size, self.alternative.size
        return min(
            length - place - size
            for length, place, size in zip(
                lengths, self.places, self.sizes, strict=True
            )
        )

    def effects(
        self, reference: np.ndarray, alternative: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns how the alternative allele changes expression over the window.

        An indel moves what lies after it; bases are compared with themselves, wherever
        they went, and those that only one window holds at its ends are left out.

        Args:
            reference: p(expressed) with the reference, ``(strands, n)``.
            alternative: likewise with the alternative.

        Returns:
            ``log_odds``: sum of the changes of ln(p / (1 - p)) over the bases that
            both have, the alleles' own paired from the left;
            ``expressed``: change of the expected number of expressed bases, sum of p,
            the alleles' own included. Both float64 ``(strands,)``.
        """
        paired = self.before + min(self.sizes)
        whole, odds = [], []
        for values, place, size in zip(
            (reference, alternative), self.places, self.sizes, strict=True
        ):
            first, last = place - self.before, place + size + self.after
            p = values[:, first:last].astype(np.float64)
            whole.append(p.sum(axis=1))
            both = np.hstack([p[:, :paired], p[:, p.shape[1] - self.after :]])
            odds.append(log_odds(both).sum(axis=1))
        return {"log_odds": odds[1] - odds[0], "expressed": whole[1] - whole[0]}


def allele_windows(
    bases: Bases, contig: str, allele: Allele, *, window: int
) -> AlleleWindows:
    """Returns the windows with the middle of an allele at their centre.

    Both begin at the same base: after a deletion the alternative window goes on with
    the bases that follow, after an insertion it ends earlier. Near the end of a contig
    they are moved, each for itself, to lie within it. An allele longer than what a
    window has room for is cut at its end.

    Args:
        bases: the genome.
        contig: as ``bases`` names it.
        allele: whose reference bases are those of the genome.
        window: bases the model reads.
    """
    start, replaced, inserted = allele.trimmed()
    length = bases.sizes[contig]
    growth = len(inserted) - len(replaced)
    # Half of the window is context, also of an allele that does not fit.
    wanted = start - window // 2
    low = wanted + min(len(replaced), window // 2) // 2
    low = max(min(low, length - window), 0)
    moved = max(min(max(low, wanted), length + growth - window), 0)
    end = start + len(replaced)
    rest = bases.fetch(contig, end, min(end + window, length))
    left = min(low, moved)
    before = bases.fetch(contig, left, start)
    alternative = np.concatenate([before[moved - left :], encode(inserted), rest])
    return AlleleWindows(
        reference=bases.fetch(contig, low, min(low + window, length)),
        alternative=alternative[:window],
        places=(start - low, start - moved),
        sizes=(
            min(len(replaced), window - (start - low)),
            min(len(inserted), window - (start - moved)),
        ),
    )
