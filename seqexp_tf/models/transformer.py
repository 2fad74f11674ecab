"""The Transformer of the joint-modelling study."""

import contextlib

import keras

from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.layers.positions import SinusoidalPositions
from seqexp_tf.layers.transformer_block import TransformerBlock
from seqexp_tf.models.config import TransformerConfig
from seqexp_tf.models.joint import joint_inputs, joint_outputs


def build_transformer(config: TransformerConfig) -> keras.Model:
    """Transformer encoder that fills in masked nucleotides and expression.

    A linear projection of six input channels (one-hot A, C, G, T, N and
    expression), positions, encoder blocks, and two linear heads. The defaults of
    ``TransformerConfig`` are the network of section 4.2 of *Joint Modelling of DNA
    and RNA*.

    Inputs:
        sequence: float ``(batch, length, 5)``, one-hot; all zero = masked base.
        expression: float ``(batch, length)``, 0 or 1; 0.5 = hidden label.

    Outputs:
        expression_logits: float32 ``(batch, length)``.
        sequence_logits: float32 ``(batch, length, 5)`` over A, C, G, T, N.

    Example:

    ```python
    model = build_transformer(TransformerConfig(width=32, blocks=2))
    model({"sequence": keras.ops.zeros((1, 256, 5)),
           "expression": keras.ops.zeros((1, 256))})
    ```

    Reference:
        [Vaswani et al. 2017](https://arxiv.org/abs/1706.03762)
    """
    inputs, x = joint_inputs()
    x = for_cpu(keras.layers.Dense(config.width, name="projection"))(x)
    if config.positions == "sinusoidal":
        x = SinusoidalPositions(name="positions")(x)
    if config.dropout:
        x = keras.layers.Dropout(config.dropout, name="dropout")(x)
    # By name, because the layers inside a block would each be computed again as well.
    names = [f"block_{index}" for index in range(config.blocks)]
    again = keras.RematScope(mode="list_of_layers", layer_names=names)
    with again if config.remat else contextlib.nullcontext():
        blocks = [
            TransformerBlock(
                heads=config.heads,
                feed_forward=config.feed_forward,
                normalization=config.normalization,
                rotary=config.positions == "rotary",
                dropout=config.dropout,
                name=name,
            )
            for name in names
        ]
    for block in blocks:
        x = block(x)
    if config.normalization == "pre":
        x = keras.layers.LayerNormalization(epsilon=1e-5, name="final_norm")(x)
    return keras.Model(inputs, joint_outputs(x), name="transformer")
