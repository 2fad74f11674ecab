"""Masking: what it hides, and the fixed masks stored for evaluation.

Training draws fresh masks in the graph (``seqexp_tf.pipeline.masking``). For
validation and test every window carries one drawn mask, so that every model and
every evaluation sees the same hidden bases.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from seqexp_tf.config import require
from seqexp_tf.genome.alphabet import MASKED, UNKNOWN


@dataclass(frozen=True)
class MaskingConfig:
    """How expression and nucleotides are hidden.

    Expression: ``expression_spans`` disjoint spans that together hide
    ``expression_fraction`` of a window. When ``expression_fraction_max`` is
    given, each training window draws its fraction uniformly between the two.
    Nucleotides: every known base is selected with probability
    ``sequence_fraction``; a selected base becomes the mask token, a random base,
    or stays, as in BERT (Devlin et al. 2019).

    Attributes:
        expression_fraction: share of a window's labels hidden, 0 to 1.
        expression_fraction_max: upper end of the drawn share in training.
        expression_spans: number of hidden spans.
        expression_value: what a model sees in place of a hidden label.
        sequence_fraction: share of bases selected, 0 to 1.
        token_probability: share of selected bases that become the mask token.
        random_probability: share of selected bases that become a random base.
    """

    expression_fraction: float = 0.5
    expression_fraction_max: float | None = None
    expression_spans: int = 1
    expression_value: float = 0.5
    sequence_fraction: float = 0.15
    token_probability: float = 0.8
    random_probability: float = 0.1

    def __post_init__(self) -> None:
        for name in (
            "expression_fraction",
            "sequence_fraction",
            "token_probability",
            "random_probability",
        ):
            value = getattr(self, name)
            require(0 <= value <= 1, f"{name} is {value}; it must be from 0 to 1")
        require(
            self.token_probability + self.random_probability <= 1,
            "token_probability + random_probability is over 1",
        )
        require(
            self.expression_spans >= 1,
            f"expression_spans is {self.expression_spans}; it must be at least 1",
        )
        if self.expression_fraction_max is not None:
            require(
                self.expression_fraction <= self.expression_fraction_max <= 1,
                f"expression_fraction_max is {self.expression_fraction_max}; it must "
                f"be from expression_fraction ({self.expression_fraction}) to 1",
            )

    @property
    def hides_expression(self) -> bool:
        """Whether any expression label is hidden."""
        return max(self.expression_fraction, self.expression_fraction_max or 0) > 0

    @property
    def hides_sequence(self) -> bool:
        """Whether any base is selected."""
        return self.sequence_fraction > 0


@dataclass(frozen=True)
class WindowMasks:
    """Fixed masks of one window; every array has shape ``(window,)``.

    Attributes:
        expression_mask: uint8, 1 where the label is hidden.
        sequence_mask: uint8, 1 where the base is selected.
        sequence_masked: uint8 indices as the model sees them, 5 = mask token.
    """

    expression_mask: np.ndarray
    sequence_mask: np.ndarray
    sequence_masked: np.ndarray


def draw_masks(
    sequence: np.ndarray,
    config: MaskingConfig,
    *,
    seed: int,
    contig: str,
    start: int,
    strand: str,
) -> WindowMasks:
    """Draws the masks of one window from its seed and coordinates alone.

    Neither the shard a window lands in nor the number of workers changes them.

    Args:
        sequence: uint8 indices of shape ``(window,)``, in window orientation.
    """
    key = hashlib.sha256(f"{seed}|{contig}|{start}|{strand}".encode()).digest()
    rng = np.random.Generator(
        np.random.Philox(key=np.frombuffer(key[:16], dtype=np.uint64))
    )
    length = sequence.size

    expression_mask = np.zeros(length, dtype=np.uint8)
    for first, last in _draw_spans(length, config, rng):
        expression_mask[first:last] = 1

    draws = rng.random((2, length))
    random_bases = rng.integers(0, UNKNOWN, length, dtype=np.uint8)
    selected = (draws[0] < config.sequence_fraction) & (sequence < UNKNOWN)
    token = selected & (draws[1] < config.token_probability)
    random = (
        selected
        & ~token
        & (draws[1] < config.token_probability + config.random_probability)
    )
    sequence_masked = np.where(
        token, np.uint8(MASKED), np.where(random, random_bases, sequence)
    )
    return WindowMasks(expression_mask, selected.astype(np.uint8), sequence_masked)


def _draw_spans(
    length: int, config: MaskingConfig, rng: np.random.Generator
) -> list[tuple[int, int]]:
    hidden = round(config.expression_fraction * length)
    spans = config.expression_spans
    sizes = np.full(spans, hidden // spans)
    sizes[: hidden % spans] += 1
    gaps = np.sort(rng.integers(0, length - hidden + 1, spans))
    starts = gaps + np.concatenate(([0], np.cumsum(sizes)[:-1]))
    return list(zip(starts, starts + sizes, strict=True))
