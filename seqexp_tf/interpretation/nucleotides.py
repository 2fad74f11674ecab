"""Which nucleotide a model expects at every base of a region, the base hidden."""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.metrics import softmax
from seqexp_tf.evaluation.predictor import SEQUENCE, JointPredictor, Labels
from seqexp_tf.genome.alphabet import ALPHABET, BASES, UNKNOWN
from seqexp_tf.records.regions import STRANDS, Region

Masks = Literal["blockwise", "leave_one_out", "none"]
"""What is hidden while a base is predicted: a random group of its window's bases
that it belongs to, the base alone, or nothing (the model then reads the base)."""


def information_content(probabilities: np.ndarray) -> np.ndarray:
    """Returns ``log2 4 - H(p)`` in bits: 0 for a uniform guess, 2 for certainty.

    Args:
        probabilities: ``(..., 4)`` over A, C, G, T.

    Returns:
        float64 ``(...)``, 0 to 2.

    Raises:
        InputError: not distributions over four bases.

    Reference:
        [Schneider and Stephens 1990](https://doi.org/10.1093/nar/18.20.6097),
        without their correction for few sequences.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape[-1:] != (len(BASES),):
        raise InputError(
            f"probabilities of shape {p.shape}: expected (..., 4), over A, C, G, T"
        )
    proper = (p >= 0).all(axis=-1) & (np.abs(p.sum(axis=-1) - 1) < 1e-3)
    if not proper.all():
        raise InputError(
            f"{np.size(proper) - np.count_nonzero(proper):,} of {np.size(proper):,} "
            "positions are no distributions over A, C, G, T: expected numbers of 0 "
            "or more that add up to 1"
        )
    entropy = -np.sum(p * np.log2(p, out=np.zeros_like(p), where=p > 0), axis=-1)
    return np.clip(np.log2(len(BASES)) - entropy, 0, np.log2(len(BASES)))


@dataclass(frozen=True)
class NucleotidePrediction:
    """Expected and true nucleotides of one strand of a region, 5' to 3'.

    On the minus strand index 0 is the region's last base, and the letters are
    those of the minus strand.

    Attributes:
        region: where it lies.
        strand: ``+`` or ``-``.
        probabilities: float32 ``(n, 4)`` over A, C, G, T, without N.
        bases: true nucleotides, uint8 ``(n,)``.
        masks: what was hidden; see ``Masks``.
        labels: whether the measured expression was shown.
    """

    region: Region
    strand: str
    probabilities: np.ndarray
    bases: np.ndarray
    masks: Masks
    labels: Labels

    def __len__(self) -> int:
        return self.bases.size

    @property
    def positions(self) -> np.ndarray:
        """0-based position of every base on the contig, int64 ``(n,)``."""
        positions = np.arange(self.region.start, self.region.end)
        return positions if self.strand == "+" else positions[::-1]

    @property
    def information(self) -> np.ndarray:
        """Bits, float64 ``(n,)``; see ``information_content``."""
        return information_content(self.probabilities)

    @property
    def heights(self) -> np.ndarray:
        """Letter heights p x information in bits, float64 ``(n, 4)``."""
        return self.probabilities * self.information[:, None]

    @property
    def chosen(self) -> np.ndarray:
        """The most probable base, uint8 ``(n,)``; the first of equals."""
        return self.probabilities.argmax(axis=-1).astype(np.uint8)

    @property
    def known(self) -> np.ndarray:
        """Bool ``(n,)``, False where the true base is N."""
        return self.bases < UNKNOWN

    @property
    def correct(self) -> np.ndarray:
        """Bool ``(n,)``: the most probable base is the true one."""
        return self.chosen == self.bases

    @property
    def accuracy(self) -> float:
        """Share of the known bases that are ``correct``; NaN if none is known."""
        known = self.known
        return float(self.correct[known].mean()) if known.any() else math.nan

    def crop(self, first: int, last: int) -> "NucleotidePrediction":
        """Returns the bases of index ``first`` up to ``last``, exclusive."""
        start, end = (
            (self.region.start + first, self.region.start + last)
            if self.strand == "+"
            else (self.region.end - last, self.region.end - first)
        )
        return NucleotidePrediction(
            region=Region(self.region.contig, start, end),
            strand=self.strand,
            probabilities=self.probabilities[first:last],
            bases=self.bases[first:last],
            masks=self.masks,
            labels=self.labels,
        )

    def table(self) -> pd.DataFrame:
        """Returns a row a base, 5' to 3'.

        Columns: contig, position (1-based), strand, true_base, p_A, p_C, p_G, p_T,
        information (bits), chosen_base, correct (1 or 0; missing where the true
        base is N).
        """
        return pd.DataFrame(
            {
                "contig": self.region.contig,
                "position": self.positions + 1,
                "strand": self.strand,
                "true_base": _letters(self.bases),
                **{f"p_{b}": self.probabilities[:, i] for i, b in enumerate(BASES)},
                "information": self.information,
                "chosen_base": _letters(self.chosen),
                "correct": pd.array(self.correct, dtype="Int8"),
            }
        ).assign(correct=lambda table: table.correct.where(self.known))


def mask_groups(mask_fraction: float) -> int:
    """Returns the groups of ``predict_nucleotides``, of which one is hidden at once."""
    return math.ceil(1 / mask_fraction)


def predict_nucleotides(
    predictor: JointPredictor,
    region: Region,
    strand: str,
    *,
    masks: Masks = "blockwise",
    labels: Labels = "visible",
    mask_fraction: float = 0.15,
    seed: int = 1,
    progress: Callable[[int], None] = lambda bases: None,
) -> NucleotidePrediction:
    """Predicts the nucleotide at every base of a region.

    Under ``blockwise`` the bases of a window are dealt at random to
    ``ceil(1 / mask_fraction)`` groups of one size, drawn from the seed and the
    window's place alone. Each pass hides one group by the mask token, and a base
    is predicted in the pass that hides it. ``leave_one_out`` takes a pass of a
    whole window for every base.

    Args:
        predictor: see ``JointPredictor``, whose grid of windows is used: a base
            has one prediction whatever the region and the batch size.
        region: of any length; one batch of windows is held at a time.
        strand: ``+`` or ``-``.
        masks: what is hidden while a base is predicted; see ``Masks``.
        labels: ``visible`` shows the measured expression.
        mask_fraction: most bases of a window hidden at once under ``blockwise``,
            as a share; best what the model was trained with.
        seed: of the groups.
        progress: called after each batch with the number of bases it predicted.

    Raises:
        InputError: an unknown strand, masks or labels, or a fraction outside 0 to 1.
        RunError: the model has no DNA head, or its predictions are not finite.
        DatasetError: no window of the dataset lies there.
    """
    predictor.require(SEQUENCE, purpose="sequence logos")
    _require_one_of("strand", strand, STRANDS)
    _require_one_of("masks", masks, get_args(Masks))
    _require_one_of("labels", labels, get_args(Labels))
    if not 0 < mask_fraction <= 1:
        raise InputError(
            f"mask_fraction is {mask_fraction}; it must be over 0 and at most 1"
        )
    genome = predictor.read(region)
    passes = _passes(
        predictor,
        region,
        masks=masks,
        groups=mask_groups(mask_fraction),
        seed=seed,
    )
    probabilities = np.empty((len(region), len(BASES)), dtype=np.float32)
    while batch := list(itertools.islice(passes, predictor.batch_size)):
        pieces = [
            genome.strand(strand, item.start, item.start + predictor.window)
            for item in batch
        ]
        masked = np.stack(
            [
                piece.genomic(item.hidden)
                for piece, item in zip(pieces, batch, strict=True)
            ]
        )
        inputs = predictor.inputs(pieces, hidden=labels == "hidden", masked=masked)
        logits = predictor.logits(inputs)[SEQUENCE]
        for piece, item, values in zip(pieces, batch, logits, strict=True):
            values = piece.genomic(values)[item.bases - item.start]
            probabilities[item.bases - region.start] = softmax(
                values[:, : len(BASES)].astype(np.float64)
            )
        progress(sum(item.bases.size for item in batch))
    here = genome.strand(strand, region.start, region.end)
    return NucleotidePrediction(
        region=region,
        strand=strand,
        probabilities=np.ascontiguousarray(here.genomic(probabilities)),
        bases=here.sequence,
        masks=masks,
        labels=labels,
    )


@dataclass(frozen=True)
class _Pass:
    """A window seen by the model once.

    Attributes:
        start: its first base.
        hidden: bool ``(window,)`` from left to right, True behind the mask token.
        bases: positions on the contig that this pass predicts.
    """

    start: int
    hidden: np.ndarray
    bases: np.ndarray


def _passes(
    predictor: JointPredictor, region: Region, *, masks: Masks, groups: int, seed: int
) -> Iterator[_Pass]:
    starts, owner = predictor.tiles(region)
    offsets = np.arange(predictor.window)
    limits = np.searchsorted(owner, np.arange(starts.size + 1))
    for start, first, last in zip(
        starts.tolist(), limits[:-1], limits[1:], strict=True
    ):
        bases = np.arange(region.start + first, region.start + last)
        if masks == "none":
            yield _Pass(start, np.zeros(predictor.window, dtype=bool), bases)
            continue
        if masks == "leave_one_out":
            for base in bases:
                yield _Pass(start, offsets == base - start, bases[bases == base])
            continue
        group = _deal(predictor.window, groups, (seed, region.contig, start))
        for index in range(groups):
            hidden = group == index
            predicted = bases[hidden[bases - start]]
            if predicted.size:
                yield _Pass(start, hidden, predicted)


def _deal(window: int, groups: int, key: tuple[int, str, int]) -> np.ndarray:
    """Returns the group of every base of a window, int64 ``(window,)``."""
    seed, contig, start = key
    rng = np.random.default_rng([seed, zlib.crc32(contig.encode()), start])
    return rng.permutation(np.arange(window) % groups)


def _letters(bases: np.ndarray) -> list[str]:
    return [ALPHABET[base] for base in bases]


def _require_one_of(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{what} {value!r}: expected one of {', '.join(known)}")
