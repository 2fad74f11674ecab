"""One block of a dilated residual convolutional encoder."""

import keras

from seqexp_tf.layers.cpu import for_cpu


@keras.saving.register_keras_serializable("seqexp_tf")
class DilatedBlock(keras.layers.Layer):
    """A dilated convolution with ReLU beside a residual; as many features out as in.

    Args:
        kernel: width of the convolution.
        dilation: distance between its taps.
        normalize: layer normalisation before it.
        dropout: share of its output dropped in training.

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, features)``.

    Reference:
        [BPNet, Avsec et al. 2021](https://doi.org/10.1038/s41588-021-00782-6)
    """

    def __init__(
        self,
        *,
        kernel: int = 3,
        dilation: int = 1,
        normalize: bool = False,
        dropout: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.kernel = kernel
        self.dilation = dilation
        self.normalize = normalize
        self.dropout = dropout
        policy = self.dtype_policy
        self.norm = (
            keras.layers.LayerNormalization(dtype=policy, name="norm")
            if normalize
            else None
        )
        self.drop = keras.layers.Dropout(dropout, dtype=policy, name="dropout")

    def build(self, input_shape):
        if self.norm is not None:
            self.norm.build(input_shape)
        convolution = keras.layers.Conv1D(
            input_shape[-1],
            self.kernel,
            padding="same",
            dilation_rate=self.dilation,
            activation="relu",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.convolution = for_cpu(convolution)
        self.convolution.build(input_shape)

    # No argument ``training``: the dropout learns it from the call around it, and the
    # block can be computed again in the backward pass.
    def call(self, inputs):
        x = inputs if self.norm is None else self.norm(inputs)
        return inputs + self.drop(self.convolution(x))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "kernel": self.kernel,
            "dilation": self.dilation,
            "normalize": self.normalize,
            "dropout": self.dropout,
        }
