"""Convolutions for bases, attention for the whole window."""

import keras

from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.layers.segments import SpreadSegments
from seqexp_tf.layers.transformer_block import TransformerBlock
from seqexp_tf.models.config import HybridConfig
from seqexp_tf.models.joint import joint_inputs, joint_outputs


def build_hybrid(config: HybridConfig) -> keras.Model:
    """Convolutions at single bases around attention between short segments.

    A stem and residual dilated convolutions describe every base by its
    neighbourhood. Segments of ``segment`` bases are summed up as one token each;
    Transformer blocks (pre-norm, rotary) relate all tokens of the window; what they
    found is given back to the bases of each segment, and a second stack of
    convolutions joins both. Attention over segments costs ``segment`` squared times
    less than over bases, and no part of a window is out of reach.

    Inputs:
        sequence: float ``(batch, length, 5)``, one-hot; all zero = masked base.
        expression: float ``(batch, length)``, 0 or 1; 0.5 = hidden label.

    Outputs:
        expression_logits: float32 ``(batch, length)``.
        sequence_logits: float32 ``(batch, length, 5)`` over A, C, G, T, N.

    Example:

    ```python
    model = build_hybrid(HybridConfig(filters=32, width=64, heads=4))
    model({"sequence": keras.ops.zeros((1, 256, 5)),
           "expression": keras.ops.zeros((1, 256))})
    ```

    Reference:
        [Enformer, Avsec et al. 2021](https://doi.org/10.1038/s41592-021-01252-x)
        for attention over convolved segments.
    """
    inputs, x = joint_inputs()
    stem = keras.layers.Conv1D(
        config.filters, config.kernel, padding="same", name="stem"
    )
    x = for_cpu(stem)(x)
    x = _residual_stack(x, config, name="encoder")

    # Tokens: one for each segment.
    summary = keras.layers.Conv1D(
        config.width,
        config.segment,
        strides=config.segment,
        padding="same",
        name="tokens",
    )
    tokens = for_cpu(summary)(x)
    for index in range(config.blocks):
        tokens = TransformerBlock(
            heads=config.heads,
            feed_forward=config.feed_forward,
            normalization="pre",
            rotary=True,
            dropout=config.dropout,
            name=f"block_{index}",
        )(tokens)
    tokens = keras.layers.LayerNormalization(epsilon=1e-5, name="final_norm")(tokens)
    tokens = for_cpu(keras.layers.Dense(config.filters, name="context"))(tokens)

    x = keras.layers.Add(name="with_context")(
        [x, SpreadSegments(config.segment, name="spread")([tokens, x])]
    )
    x = _residual_stack(x, config, name="decoder")
    outputs = joint_outputs(x, expression_kernel=config.expression_kernel)
    return keras.Model(inputs, outputs, name="hybrid")


def _residual_stack(
    x: keras.KerasTensor, config: HybridConfig, *, name: str
) -> keras.KerasTensor:
    # A branch that begins at zero leaves the sum as it is, so that a deep stack
    # without normalisation starts out as a shallow one.
    for index, dilation in enumerate(config.dilations):
        branch = keras.layers.ReLU(name=f"{name}_{index}_relu")(x)
        convolution = keras.layers.Conv1D(
            config.filters,
            config.block_kernel,
            padding="same",
            dilation_rate=dilation,
            kernel_initializer="zeros",
            name=f"{name}_{index}",
        )
        branch = for_cpu(convolution)(branch)
        if config.dropout:
            branch = keras.layers.Dropout(
                config.dropout, name=f"{name}_{index}_dropout"
            )(branch)
        x = keras.layers.Add(name=f"{name}_{index}_sum")([x, branch])
    return keras.layers.ReLU(name=f"{name}_relu")(x)
