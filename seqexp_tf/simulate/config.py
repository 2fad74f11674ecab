"""What can be chosen about a simulated genome."""

from dataclasses import dataclass, fields

import numpy as np

from seqexp_tf.errors import ConfigError

_RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "contigs": (1, 100),
    "contig_length": (20_000, 2_000_000),
    "noise": (0.0, 3.0),
    "silent": (0.0, 0.9),
    "distal": (0.0, 1.0),
    "threshold": (0.0, 1000.0),
}


@dataclass(frozen=True)
class SimulationConfig:
    """Size, seed and a few rates of a simulated genome.

    Attributes:
        seed: Same seed, same genome and same files.
        contigs: Number of contigs, named ``chr1`` onwards.
        contig_length: Mean contig length in bp; the lengths differ by up to 25 %.
        noise: Standard deviation of the noise on natural-log expression.
        silent: Probability that a gene's promoter has no working element.
        distal: Probability that the gap before a gene holds an enhancer or decoy.
        threshold: Coverage (reads per million) above which a base is expressed.

    Raises:
        ConfigError: A value has the wrong type or is out of range.
    """

    seed: int = 0
    contigs: int = 6
    contig_length: int = 120_000
    noise: float = 0.35
    silent: float = 0.1
    distal: float = 0.3
    threshold: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            allowed = (int, np.integer) if field.type is int else (int, float)
            if isinstance(value, bool) or not isinstance(value, allowed):
                raise ConfigError(
                    f"simulation: {field.name} is {value!r}; it must be "
                    f"{'an integer' if field.type is int else 'a number'}"
                )
            low, high = _RANGES[field.name]
            if not low <= value <= high:
                raise ConfigError(
                    f"simulation: {field.name} is {value}; it must be from "
                    f"{low:g} to {high:g}"
                )

    def rng(self, *stream: int) -> np.random.Generator:
        """Returns the generator of one stream; streams do not disturb each other."""
        return np.random.default_rng([self.seed, *stream])
