"""Sizes of each architecture; free of TensorFlow so that a typo fails at once."""

from dataclasses import dataclass
from typing import Any, Literal

from seqexp_tf.config import require


@dataclass(frozen=True)
class CNNConfig:
    """The dilated residual CNN; the defaults are those of the study.

    Attributes:
        filters: channels of every convolution of the trunk.
        kernel: width of the first convolution.
        block_kernel: width of the residual convolutions.
        dilations: dilation of each residual block.
        expression_kernel: width of the expression head.
        normalize: layer normalisation before each residual convolution.
        dropout: share of the features dropped after each residual convolution.
    """

    filters: int = 64
    kernel: int = 7
    block_kernel: int = 3
    dilations: tuple[int, ...] = (2, 4, 8, 16, 32, 64)
    expression_kernel: int = 30
    normalize: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least_one(self, "filters", "kernel", "block_kernel", "expression_kernel")
        share(self, "dropout")
        require(
            all(dilation >= 1 for dilation in self.dilations),
            f"dilations is {list(self.dilations)}; each must be at least 1",
        )

    @property
    def receptive_field(self) -> int:
        """Bases of input that reach one expression logit."""
        trunk = self.kernel + sum((self.block_kernel - 1) * d for d in self.dilations)
        return trunk + self.expression_kernel - 1


@dataclass(frozen=True)
class TransformerConfig:
    """The Transformer encoder; the defaults are those of the study.

    Attributes:
        width: features of every base (d_model).
        blocks: encoder blocks.
        heads: attention heads of each; divides ``width``.
        feed_forward: hidden units of the feed-forward networks.
        normalization: ``post`` as in the study, or ``pre``.
        positions: ``sinusoidal`` as in the study, or ``rotary``.
        dropout: share dropped after positions, attention and feed-forward.
        remat: compute the activations inside each block again in the backward pass
            instead of keeping them; for long windows.
    """

    width: int = 128
    blocks: int = 4
    heads: int = 4
    feed_forward: int = 512
    normalization: Literal["post", "pre"] = "post"
    positions: Literal["sinusoidal", "rotary"] = "sinusoidal"
    dropout: float = 0.0
    remat: bool = False

    def __post_init__(self) -> None:
        at_least_one(self, "width", "blocks", "heads", "feed_forward")
        share(self, "dropout")
        even_heads(self)
        require(
            not (self.remat and self.dropout),
            f"remat is true with dropout {self.dropout}; what is computed again would "
            "drop other features: choose one",
        )

    @property
    def receptive_field(self) -> None:
        """No bound: every base sees its whole window."""
        return None


@dataclass(frozen=True)
class HybridConfig:
    """Convolutions of bases around attention between segments.

    Attributes:
        filters: features of every base.
        kernel: width of the first convolution.
        block_kernel: width of the residual convolutions.
        dilations: of the residual convolutions before, and again after, attention.
        segment: bases summed up as one token.
        width: features of a token.
        blocks: Transformer blocks between tokens.
        heads: attention heads of each; divides ``width``.
        feed_forward: hidden units of their feed-forward networks.
        expression_kernel: width of the expression head.
        dropout: share of the features dropped after each branch.
    """

    filters: int = 64
    kernel: int = 15
    block_kernel: int = 3
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16)
    segment: int = 16
    width: int = 128
    blocks: int = 3
    heads: int = 4
    feed_forward: int = 512
    expression_kernel: int = 31
    dropout: float = 0.0

    def __post_init__(self) -> None:
        at_least_one(
            self, "filters", "kernel", "block_kernel", "segment", "width", "blocks",
            "heads", "feed_forward", "expression_kernel",
        )  # fmt: skip
        share(self, "dropout")
        even_heads(self)
        require(
            all(dilation >= 1 for dilation in self.dilations),
            f"dilations is {list(self.dilations)}; each must be at least 1",
        )

    @property
    def receptive_field(self) -> None:
        """No bound: every base sees its whole window."""
        return None


def at_least_one(config: Any, *names: str) -> None:
    """Raises ConfigError for a field below 1."""
    for name in names:
        value = getattr(config, name)
        require(value >= 1, f"{name} is {value}; it must be at least 1")


def share(config: Any, name: str) -> None:
    """Raises ConfigError for a field that is no share of something."""
    value = getattr(config, name)
    require(
        0 <= value < 1, f"{name} is {value}; it must be from 0 up to, not including, 1"
    )


def even_heads(config: Any) -> None:
    """Raises ConfigError for a width that does not divide into even heads."""
    require(
        config.width % (2 * config.heads) == 0,
        f"width is {config.width}; it must be a multiple of twice the "
        f"{config.heads} heads",
    )
