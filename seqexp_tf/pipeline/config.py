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
        streams: equal parts of a batch, each read from shards of its own, in an
            order and with random numbers of its own. The number of workers must
            divide it; whatever that is, the batches are the same.
    """

    shuffle_mb: float = 256.0
    cache: Literal["none", "memory"] = "none"
    reverse_complement: bool = False
    streams: int = 1

    def __post_init__(self) -> None:
        require(self.shuffle_mb >= 0, f"shuffle_mb is {self.shuffle_mb}; at least 0")
        require(self.streams >= 1, f"streams is {self.streams}; at least 1")


@dataclass(frozen=True)
class ExpressionPipelineConfig:
    """How the windows of genes are read.

    Attributes:
        shuffle_mb: serialised records held for shuffling.
        cache: keep serialised records in ``memory`` between epochs, or ``none``.
        window: bases around the TSS; 0 takes the whole record.
        shift: bases by which the centre is moved at most in training, drawn anew
            each time.
        reverse_complement: read each training window from a random strand.
        streams: as in ``PipelineConfig``.
    """

    shuffle_mb: float = 256.0
    cache: Literal["none", "memory"] = "none"
    window: int = 0
    shift: int = 0
    reverse_complement: bool = False
    streams: int = 1

    def __post_init__(self) -> None:
        for name in ("shuffle_mb", "window", "shift"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}; at least 0")
        require(self.streams >= 1, f"streams is {self.streams}; at least 1")
        require(
            self.window % 2 == 0,
            f"window is {self.window}; it must be even, so that the TSS is its middle",
        )
