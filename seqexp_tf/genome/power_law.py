"""Contact as a power law of distance, and its fit to the mean contacts of a matrix."""

from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import ConfigError


@dataclass(frozen=True)
class PowerLaw:
    """Contact as a power law of distance: ``exp(scale - gamma ln(d + 1))``.

    The constants are those of the Activity-by-Contact (ABC) model, for matrices
    whose rows sum to one (cooler's balancing does so) at 5 kb: 0.123 up to 5 kb,
    0.00123 at 1 Mb.

    Attributes:
        gamma: exponent, over 0.
        scale: logarithm of the law at distance 0; ``-4.80 + 11.63 gamma`` if None,
            the line that ABC fitted over 20 cell types.
        minimum: nearer pairs count as so many bases apart, for want of measurements.

    Reference:
        Fulco et al., Nature Genetics 2019, doi:10.1038/s41588-019-0538-0, and the
        power law of broadinstitute/ABC-Enhancer-Gene-Prediction.
    """

    gamma: float = 0.87
    scale: float | None = None
    minimum: int = 5000

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise ConfigError(f"gamma is {self.gamma}; it must be over 0")

    def __call__(self, distance: np.ndarray | float) -> np.ndarray:
        """Returns the contact at distances in bases, float64."""
        distance = np.maximum(np.abs(np.asarray(distance, np.float64)), self.minimum)
        scale = -4.80 + 11.63 * self.gamma if self.scale is None else self.scale
        return np.exp(scale - self.gamma * np.log(distance + 1))


def fit_power_law(
    distance: np.ndarray, contact: np.ndarray, *, minimum: int
) -> PowerLaw:
    """Fits a law by least squares in logarithms, as ABC does.

    Args:
        distance: bases, shape ``(n,)``.
        contact: mean contact at each, shape ``(n,)``; those not over 0 are left out.
        minimum: the ``minimum`` of the law.

    Raises:
        ConfigError: fewer than three distances, or contact does not fall with them.
    """
    kept = contact > 0
    if np.count_nonzero(kept) < 3:
        raise ConfigError(
            "contacts at fewer than three distances; no law can be fitted"
        )
    slope, scale = np.polyfit(np.log(distance[kept] + 1), np.log(contact[kept]), 1)
    return PowerLaw(gamma=float(-slope), scale=float(scale), minimum=minimum)
