"""Encoders of bases: features of each to features that know of the others."""

import contextlib
from collections.abc import Callable

import keras

from seqexp_tf.layers.caduceus_block import CaduceusBlock
from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.layers.dilated_block import DilatedBlock
from seqexp_tf.layers.mamba_block import MambaBlock
from seqexp_tf.layers.reverse_complement import ReverseComplementMean
from seqexp_tf.layers.rms_norm import RMSNorm
from seqexp_tf.layers.segment_context import SegmentContext
from seqexp_tf.layers.transformer_block import TransformerBlock
from seqexp_tf.models.encoder_config import (
    CaduceusEncoder,
    CNNEncoder,
    EncoderConfig,
    HybridEncoder,
    MambaEncoder,
    TowerEncoder,
    TransformerEncoder,
)


def build_encoder(
    config: EncoderConfig, *, width: int, name: str, remat: bool = False
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Returns an encoder; called again, it has the same weights.

    It takes ``(batch, length, width)`` and gives the same shape; a tower gives
    ``(batch, length / stride, filters)``, and a reverse-complement
    equivariant one takes both strands as two halves of the features
    (``ReverseComplementEmbedding``) and gives their mean, ``(batch, length,
    width / 2)``.

    Args:
        config: which encoder, and its options.
        width: features of a base, in and out.
        name: prefix of the names of its layers.
        remat: compute the activations inside each block again in the backward pass
            instead of keeping them.
    """
    # By name, because the layers inside a block would each be computed again as well.
    names = [f"{name}_block_{index}" for index in range(config.depth)]
    scope = keras.RematScope(mode="list_of_layers", layer_names=names)
    with scope if remat else contextlib.nullcontext():
        layers = _LAYERS[type(config)](config, width, name)

    def encode(x: keras.KerasTensor) -> keras.KerasTensor:
        for layer in layers:
            x = layer(x)
        return x

    return encode


def _caduceus(
    config: CaduceusEncoder, width: int, name: str
) -> list[keras.layers.Layer]:
    strands = [ReverseComplementMean(name=f"{name}_strands")]
    return [
        *_state_spaces(
            CaduceusBlock, config, name, reverse_complement=config.reverse_complement
        ),
        *(strands if config.reverse_complement else []),
        RMSNorm(name=f"{name}_norm"),
    ]


def _mamba(config: MambaEncoder, width: int, name: str) -> list[keras.layers.Layer]:
    return [*_state_spaces(MambaBlock, config, name), RMSNorm(name=f"{name}_norm")]


def _state_spaces(
    block: type, config: CaduceusEncoder | MambaEncoder, name: str, **options: bool
) -> list[keras.layers.Layer]:
    return [
        block(
            state=config.state,
            kernel=config.kernel,
            expand=config.expand,
            rank=config.rank,
            depth=config.blocks,
            name=f"{name}_block_{index}",
            **options,
        )
        for index in range(config.blocks)
    ]


def _cnn(config: CNNEncoder, width: int, name: str) -> list[keras.layers.Layer]:
    stem = keras.layers.Conv1D(
        width, config.kernel, padding="same", activation="relu", name=f"{name}_stem"
    )
    blocks = [
        DilatedBlock(
            kernel=config.block_kernel,
            dilation=dilation,
            normalize=config.normalize,
            dropout=config.dropout,
            name=f"{name}_block_{index}",
        )
        for index, dilation in enumerate(config.dilations)
    ]
    return [for_cpu(stem), *blocks]


def _transformer(
    config: TransformerEncoder, width: int, name: str
) -> list[keras.layers.Layer]:
    blocks = [
        TransformerBlock(
            heads=config.heads,
            feed_forward=config.feed_forward,
            normalization="pre",
            rotary=True,
            dropout=config.dropout,
            name=f"{name}_block_{index}",
        )
        for index in range(config.blocks)
    ]
    norm = keras.layers.LayerNormalization(epsilon=1e-5, name=f"{name}_norm")
    return [*blocks, norm]


def _hybrid(config: HybridEncoder, width: int, name: str) -> list[keras.layers.Layer]:
    stem = keras.layers.Conv1D(
        width, config.kernel, padding="same", activation="relu", name=f"{name}_stem"
    )
    context = SegmentContext(
        segment=config.segment,
        features=config.features,
        dilations=config.dilations,
        blocks=config.blocks,
        heads=config.heads,
        feed_forward=config.feed_forward,
        dropout=config.dropout,
        name=f"{name}_block_0",
    )
    last = DilatedBlock(
        kernel=config.last_kernel, dropout=config.dropout, name=f"{name}_last"
    )
    return [for_cpu(stem), context, last]


def _tower(config: TowerEncoder, width: int, name: str) -> list[keras.layers.Layer]:
    layers = []
    for index, filters in enumerate(config.filters):
        convolution = keras.layers.Conv1D(
            filters,
            config.block_kernel if index else config.kernel,
            padding="same",
            activation="relu",
            name=f"{name}_block_{index}",
        )
        pooling = keras.layers.MaxPooling1D(config.pool, name=f"{name}_pool_{index}")
        layers += [for_cpu(convolution), pooling]
    return layers


_LAYERS = {
    CaduceusEncoder: _caduceus,
    MambaEncoder: _mamba,
    CNNEncoder: _cnn,
    TransformerEncoder: _transformer,
    HybridEncoder: _hybrid,
    TowerEncoder: _tower,
}
