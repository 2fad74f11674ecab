"""Sizes of each architecture; free of TensorFlow so that a typo fails at once."""

from dataclasses import dataclass

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
        for name in ("filters", "kernel", "block_kernel", "expression_kernel"):
            value = getattr(self, name)
            require(value >= 1, f"{name} is {value}; it must be at least 1")
        require(
            all(dilation >= 1 for dilation in self.dilations),
            f"dilations is {list(self.dilations)}; each must be at least 1",
        )
        require(
            0 <= self.dropout < 1,
            f"dropout is {self.dropout}; it must be from 0 up to, not including, 1",
        )

    @property
    def receptive_field(self) -> int:
        """Bases of input that reach one expression logit."""
        trunk = self.kernel + sum((self.block_kernel - 1) * d for d in self.dilations)
        return trunk + self.expression_kernel - 1
