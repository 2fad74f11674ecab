"""Encoders of bases by name, and their options; free of TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from seqexp_tf.config import build, nearest, require
from seqexp_tf.errors import ConfigError
from seqexp_tf.models.config import at_least_one, share


@dataclass(frozen=True)
class _StateSpaceEncoder:
    blocks: int = 4
    state: int = 16
    kernel: int = 4
    expand: int = 2
    rank: int = 0

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "state", "kernel", "expand")
        require(self.rank >= 0, f"rank is {self.rank}; at least 1, or 0 for automatic")

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.blocks

    @property
    def receptive_field(self) -> None:
        """No bound: a base sees its whole window, or all of it before the base."""
        return None


@dataclass(frozen=True)
class MambaEncoder(_StateSpaceEncoder):
    """Mamba blocks, which see a base and those before it.

    Attributes:
        encoder: ``mamba``.
        blocks: number of blocks.
        state: state of each channel of the scan.
        kernel: width of the causal convolution.
        expand: channels of the scan, as a multiple of the width.
        rank: rank of the step sizes; 0 is a sixteenth of the width.
    """

    encoder: Literal["mamba"] = "mamba"


@dataclass(frozen=True)
class CaduceusEncoder(_StateSpaceEncoder):
    """Bidirectional Mamba blocks; the defaults are those of the study.

    Attributes:
        encoder: ``caduceus``.
        reverse_complement: the same output, reversed, for the other strand.
        blocks: and the rest: as in ``MambaEncoder``.
    """

    encoder: Literal["caduceus"] = "caduceus"
    reverse_complement: bool = False


@dataclass(frozen=True)
class CNNEncoder:
    """Dilated residual convolutions.

    Attributes:
        encoder: ``cnn``.
        kernel: width of the first convolution.
        block_kernel: width of the residual convolutions.
        dilations: dilation of each residual block.
        normalize: layer normalisation before each residual convolution.
        dropout: share of the features dropped after each residual convolution.
    """

    encoder: Literal["cnn"] = "cnn"
    kernel: int = 15
    block_kernel: int = 3
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    normalize: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least_one(self, "kernel", "block_kernel")
        share(self, "dropout")
        require(
            all(dilation >= 1 for dilation in self.dilations),
            f"dilations is {list(self.dilations)}; each must be at least 1",
        )

    @property
    def depth(self) -> int:
        """Number of residual blocks."""
        return len(self.dilations)

    @property
    def receptive_field(self) -> int:
        """Bases that reach the features of one."""
        return self.kernel + sum((self.block_kernel - 1) * d for d in self.dilations)


@dataclass(frozen=True)
class TransformerEncoder:
    """Pre-norm Transformer blocks with rotary positions.

    Attributes:
        encoder: ``transformer``.
        blocks: number of blocks.
        heads: attention heads of each; the width is a multiple of twice as many.
        feed_forward: hidden units of the feed-forward networks.
        dropout: share dropped after attention and feed-forward.
    """

    encoder: Literal["transformer"] = "transformer"
    blocks: int = 4
    heads: int = 4
    feed_forward: int = 512
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least_one(self, "blocks", "heads", "feed_forward")
        share(self, "dropout")

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return self.blocks

    @property
    def receptive_field(self) -> None:
        """No bound: every base sees its whole window."""
        return None


@dataclass(frozen=True)
class HybridEncoder:
    """Convolutions of bases around a network between short segments.

    Attributes:
        encoder: ``hybrid``.
        kernel: width of the first convolution of bases.
        segment: bases summed up as one token.
        features: of a token.
        dilations: of the convolutions between tokens.
        blocks: Transformer blocks between tokens, after the convolutions.
        heads: attention heads of each; ``features`` is a multiple of twice as many.
        feed_forward: hidden units of their feed-forward networks.
        last_kernel: width of the convolution of bases after it.
        dropout: share dropped after each branch.
    """

    encoder: Literal["hybrid"] = "hybrid"
    kernel: int = 15
    segment: int = 16
    features: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    blocks: int = 0
    heads: int = 4
    feed_forward: int = 128
    last_kernel: int = 5
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least_one(
            self, "kernel", "segment", "features", "heads", "feed_forward",
            "last_kernel",
        )  # fmt: skip
        share(self, "dropout")
        require(self.blocks >= 0, f"blocks is {self.blocks}; it must not be negative")
        require(
            all(dilation >= 1 for dilation in self.dilations),
            f"dilations is {list(self.dilations)}; each must be at least 1",
        )
        require(
            self.blocks == 0 or self.features % (2 * self.heads) == 0,
            f"features is {self.features}; it must be a multiple of twice the "
            f"{self.heads} heads",
        )

    @property
    def depth(self) -> int:
        """Number of blocks of bases, as ``remat`` counts them."""
        return 1

    @property
    def receptive_field(self) -> int | None:
        """Bases that reach the features of one; None where there is no bound."""
        if self.blocks:
            return None
        tokens = 1 + sum(2 * dilation for dilation in self.dilations)
        # Wherever in its segment a base lies, this bounds what its tokens saw.
        return (tokens + 1) * self.segment + self.kernel + self.last_kernel - 2


@dataclass(frozen=True)
class TowerEncoder:
    """Convolutions with max pooling after each, as in Basset: for a predictor alone.

    It gives one position for ``stride`` bases, and costs a fraction of an encoder
    that keeps every base.

    Attributes:
        encoder: ``tower``.
        kernel: width of the first convolution.
        block_kernel: width of the others.
        filters: of each convolution.
        pool: neighbours of which the largest is kept, after each convolution.
    """

    encoder: Literal["tower"] = "tower"
    kernel: int = 15
    block_kernel: int = 9
    filters: tuple[int, ...] = (32, 64, 64, 64)
    pool: int = 4

    def __post_init__(self) -> None:
        at_least_one(self, "kernel", "block_kernel", "pool")
        require(
            len(self.filters) > 0 and all(number >= 1 for number in self.filters),
            f"filters is {list(self.filters)}; one or more, each at least 1",
        )

    @property
    def depth(self) -> int:
        """Number of convolutions."""
        return len(self.filters)

    @property
    def stride(self) -> int:
        """Bases between two positions of the output."""
        return self.pool**self.depth

    @property
    def receptive_field(self) -> int:
        """Bases that reach the features of one position."""
        kernels = [self.kernel] + [self.block_kernel] * (self.depth - 1)
        steps = (self.pool**index for index in range(self.depth))
        return 1 + sum(
            (kernel + self.pool - 2) * step
            for kernel, step in zip(kernels, steps, strict=True)
        )


EncoderConfig: TypeAlias = (
    CaduceusEncoder
    | MambaEncoder
    | CNNEncoder
    | TransformerEncoder
    | HybridEncoder
    | TowerEncoder
)

ENCODERS: dict[str, type] = {
    "caduceus": CaduceusEncoder,
    "mamba": MambaEncoder,
    "cnn": CNNEncoder,
    "transformer": TransformerEncoder,
    "hybrid": HybridEncoder,
    "tower": TowerEncoder,
}
"""Configuration class of each encoder."""


def read_encoder(values: Any, *, name: str) -> EncoderConfig:
    """Returns the checked configuration of an encoder.

    Args:
        values: a table with the key ``encoder`` and the options of its class, or
            what this function returned before.
        name: of the table, for errors.

    Raises:
        ConfigError: unknown encoder or option.
    """
    if isinstance(values, tuple(ENCODERS.values())):
        return values
    if not isinstance(values, Mapping):
        raise ConfigError(f"{name} must be a table, not {values!r}")
    encoder = values.get("encoder", "caduceus")
    if encoder not in ENCODERS:
        raise ConfigError(
            f"{name}.encoder is {encoder!r}{nearest(str(encoder), list(ENCODERS))}"
        )
    return build(ENCODERS[encoder], values, origin=name)


def on_both_strands(config: EncoderConfig) -> bool:
    """Returns whether an encoder reads both strands as halves of the features."""
    return isinstance(config, CaduceusEncoder) and config.reverse_complement


def output_stride(config: EncoderConfig) -> int:
    """Returns the number of bases between two positions of an encoder's output."""
    return config.stride if isinstance(config, TowerEncoder) else 1


def check_width(config: EncoderConfig, width: int) -> None:
    """Raises ConfigError for a width that an encoder cannot have."""
    if isinstance(config, TransformerEncoder):
        require(
            width % (2 * config.heads) == 0,
            f"width is {width}; it must be a multiple of twice the {config.heads} "
            "heads of the transformer",
        )
    if on_both_strands(config):
        require(
            width % 2 == 0, f"width is {width}; with reverse_complement it must be even"
        )
