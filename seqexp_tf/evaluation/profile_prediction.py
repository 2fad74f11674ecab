"""Predictions over stretches of genome of any length, in bounded pieces."""

from collections.abc import Callable, Iterable

import numpy as np

from seqexp_tf.evaluation.predictor import JointPredictor, Labels
from seqexp_tf.records.regions import STRANDS, Region
from seqexp_tf.records.spans import blocks

BLOCK = 1 << 19
"""Bases predicted and scored at once."""


def predict_profile(
    predictor: JointPredictor,
    region: Region,
    strand: str,
    *,
    labels: Labels,
    progress: Callable[[int], None] = lambda windows: None,
) -> np.ndarray:
    """Predicts a region of any length piece by piece; see ``JointPredictor``.

    Returns:
        p(expressed), float32 ``(n,)``, from left to right whatever the strand.
    """
    return np.concatenate(
        [
            predictor.expression(part, strand, labels=labels, progress=progress)
            for part in blocks(region, BLOCK)
        ]
    )


def count_windows(predictor: JointPredictor, regions: Iterable[Region]) -> int:
    """Returns how many windows predict both strands of some regions."""
    return len(STRANDS) * sum(
        predictor.tiles(part)[0].size
        for region in regions
        for part in blocks(region, BLOCK)
    )


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Returns ln(p / (1 - p)), float64; finite for 0 and 1, which float32 can reach."""
    p = np.asarray(probability, dtype=np.float64)
    p = np.clip(p, np.finfo(np.float32).tiny, 1 - 2.0**-25)
    return np.log(p) - np.log1p(-p)
