"""The BPNet-like CNN of the joint-modelling study."""

import keras

from seqexp_tf.layers.cpu import for_cpu
from seqexp_tf.models.config import CNNConfig
from seqexp_tf.models.joint import joint_inputs, joint_outputs


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
    inputs, x = joint_inputs()
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
    outputs = joint_outputs(x, expression_kernel=config.expression_kernel)
    return keras.Model(inputs, outputs, name="cnn")


def _convolution(
    filters: int, kernel: int, dilation: int = 1, *, name: str
) -> keras.layers.Layer:
    convolution = keras.layers.Conv1D(
        filters,
        kernel,
        padding="same",
        dilation_rate=dilation,
        activation="relu",
        name=name,
    )
    return for_cpu(convolution)
