"""One block of a Mamba encoder."""

import keras

from seqexp_tf.layers.bimamba import BiMamba
from seqexp_tf.layers.mamba_mixer import MambaMixer
from seqexp_tf.layers.mamba_options import MambaLayer
from seqexp_tf.layers.rms_norm import RMSNorm


@keras.saving.register_keras_serializable("seqexp_tf")
class MambaBlock(MambaLayer):
    """A mixer of normalised features beside a residual.

    Args:
        state: size of the state of each channel of the scan.
        kernel: bases that reach an output of the causal convolution.
        expand: channels of the scan, as a multiple of the width.
        rank: rank of the step sizes; 0 is a sixteenth of the width, rounded up.
        depth: number of such blocks in the model, see ``MambaMixer``.
        bidirectional: ``BiMamba`` instead of ``MambaMixer``.

    Call arguments:
        inputs: ``(batch, length, width)``.

    Returns:
        ``(batch, length, width)``.

    Example:

    ```python
    MambaBlock(depth=4)(keras.random.normal((2, 500, 128)))
    ```

    Reference:
        [Gu & Dao 2023](https://arxiv.org/abs/2312.00752), section 3.4
    """

    def __init__(self, *, bidirectional: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.bidirectional = bidirectional
        policy = self.dtype_policy
        mixer = BiMamba if bidirectional else MambaMixer
        self.norm = RMSNorm(dtype=policy, name="norm")
        self.mixer = mixer(**self.options, dtype=policy, name="mixer")

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.mixer.build(input_shape)

    def call(self, inputs):
        return inputs + self.mixer(self.norm(inputs))

    def get_config(self):
        return {**super().get_config(), "bidirectional": self.bidirectional}
