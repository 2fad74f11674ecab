"""Options of the input pipeline; free of TensorFlow."""

from dataclasses import dataclass
from typing import Literal

from seqexp_tf.config import require


@dataclass(frozen=True)
class PipelineConfig:
    """How training batches are read.

    Attributes:
        shuffle_mb: serialised records held for shuffling.
        cache: keep serialised records in ``memory`` between epochs, or ``none``.
        reverse_complement: read each window from a random strand; needless
            where the dataset holds both strands of every window.
    """

    shuffle_mb: float = 256.0
    cache: Literal["none", "memory"] = "none"
    reverse_complement: bool = False

    def __post_init__(self) -> None:
        require(self.shuffle_mb >= 0, f"shuffle_mb is {self.shuffle_mb}; at least 0")
