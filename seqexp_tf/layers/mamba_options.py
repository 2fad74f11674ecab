"""What the layers made of selective scans have in common."""

import keras


class MambaLayer(keras.layers.Layer):
    """Options of a Mamba layer, from ``(batch, length, width)`` to the same shape.

    Args:
        state: size of the state of each channel of the scan.
        kernel: bases that reach an output of the causal convolution.
        expand: channels of the scan, as a multiple of the width.
        rank: rank of the step sizes; 0 is a sixteenth of the width, rounded up.
        depth: how many such layers add to one residual stream; the weights of the
            last projection begin smaller by its square root.
    """

    def __init__(
        self,
        *,
        state: int = 16,
        kernel: int = 4,
        expand: int = 2,
        rank: int = 0,
        depth: int = 1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = {
            "state": state,
            "kernel": kernel,
            "expand": expand,
            "rank": rank,
            "depth": depth,
        }

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), **self.options}
