"""Mamba in both directions."""

import keras
from keras import ops

from seqexp_tf.layers.mamba_mixer import gated_scan, projections
from seqexp_tf.layers.mamba_options import MambaLayer


@keras.saving.register_keras_serializable("seqexp_tf")
class BiMamba(MambaLayer):
    """The sum of two mixers, one of which reads the window from its end.

    Both have the projections in common, and those are linear maps of a base: the
    window is projected once, and so is the sum of both scans.

    Args:
        state: size of the state of each channel of the scans.
        kernel: bases that reach an output of the causal convolutions.
        expand: channels of each scan, as a multiple of the width.
        rank: rank of the step sizes; 0 is a sixteenth of the width, rounded up.
        depth: number of such layers in the model, see ``MambaMixer``.

    Call arguments:
        inputs: ``(batch, length, width)``.

    Returns:
        ``(batch, length, width)``.

    Example:

    ```python
    BiMamba(depth=4)(keras.random.normal((2, 500, 128)))
    ```

    Reference:
        [Schiff et al. 2024](https://arxiv.org/abs/2403.03234), section 3.2
    """

    def build(self, input_shape):
        self.in_proj, self.out_proj = projections(self, input_shape)
        self.ahead = gated_scan(self, input_shape, name="ahead")
        self.back = gated_scan(self, input_shape, name="back")

    def call(self, inputs):
        x = self.in_proj(inputs)
        return self.out_proj(self.ahead(x) + _turned(self.back(_turned(x))))


def _turned(x):
    return ops.flip(x, axis=1)
