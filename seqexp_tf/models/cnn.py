"""The BPNet-like CNN of the joint-modelling study."""

import keras

from seqexp_tf.models.config import CNNConfig

BASES = 5


def build_cnn(config: CNNConfig) -> keras.Model:
    """Dilated residual CNN that fills in masked nucleotides and expression.

    The convolution of six input channels (one-hot A, C, G, T, N and expression)
    is followed by residual dilated convolutions without pooling, so that every
    base keeps its own features, and by two heads. The defaults of ``CNNConfig``
    are the network of section 4.1 of *Joint Modelling of DNA and RNA*.

    Inputs:
        sequence: float ``(batch, length, 5)``, one-hot; all zero = masked base.
        expression: float ``(batch, length)``, 0 or 1; 0.5 = hidden label.

    Outputs:
        expression_logits: float32 ``(batch, length)``.
        sequence_logits: float32 ``(batch, length, 5)`` over A, C, G, T, N.

    Example:

    ```python
    model = build_cnn(CNNConfig(dilations=(2, 4, 8)))
    model({"sequence": keras.ops.zeros((1, 256, 5)),
           "expression": keras.ops.zeros((1, 256))})
    ```

    Reference:
        [BPNet, Avsec et al. 2021](https://doi.org/10.1038/s41588-021-00782-6)
    """
    # Functional model.
    sequence = keras.Input((None, BASES), name="sequence")
    expression = keras.Input((None,), name="expression")
    channel = keras.layers.Reshape((-1, 1), name="expression_channel")(expression)
    x = keras.layers.Concatenate(name="inputs")([sequence, channel])
    x = _convolution(config.filters, config.kernel, name="stem")(x)
    for index, dilation in enumerate(config.dilations):
        residual = x
        if config.normalize:
            x = keras.layers.LayerNormalization(name=f"norm_{index}")(x)
        x = _convolution(
            config.filters, config.block_kernel, dilation, name=f"block_{index}"
        )(x)
        if config.dropout:
            x = keras.layers.Dropout(config.dropout, name=f"dropout_{index}")(x)
        x = keras.layers.Add(name=f"residual_{index}")([residual, x])
    # The heads compute in float32 whatever the precision of the trunk: bfloat16
    # keeps three digits of a logit, and makes ties of different ones.
    expression_logits = keras.layers.Conv1D(
        1,
        config.expression_kernel,
        padding="same",
        dtype="float32",
        name="expression_head",
    )(x)
    outputs = {
        "expression_logits": keras.layers.Reshape(
            (-1,), dtype="float32", name="expression_logits"
        )(expression_logits),
        "sequence_logits": keras.layers.Conv1D(
            BASES, 1, dtype="float32", name="sequence_logits"
        )(x),
    }
    return keras.Model(
        {"sequence": sequence, "expression": expression}, outputs, name="cnn"
    )


def _convolution(
    filters: int, kernel: int, dilation: int = 1, *, name: str
) -> keras.layers.Layer:
    return keras.layers.Conv1D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        activation="relu",
        name=name,
    )
