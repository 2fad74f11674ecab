"""How a mask keeps bases from a predictor."""

from typing import Literal

import keras


@keras.saving.register_keras_serializable("seqexp_tf")
class MaskedEmbedding(keras.layers.Layer):
    """Multiplies the features of each base by its mask (Z = M x X).

    An encoder that normalises its input first (Mamba, Caduceus, a pre-norm
    Transformer) takes any positive m out of ``m * x`` there, and leaves it to the
    residual alone; at m = 0 the normalisation has a slope of 1 / sqrt(epsilon), which
    makes the straight-through gradient of a hard mask hundreds of times larger than
    any other. With ``fill="token"`` the rest, ``(1 - m)``, is a learnt vector: the
    direction of the sum, which a normalisation keeps, tells a selected base from a
    masked one, and no slope is steep.

    Args:
        fill: what a masked base looks like: ``zero`` (published) or ``token``.

    Call arguments:
        inputs: features ``(batch, length, features)`` and mask ``(batch, length)``.

    Returns:
        ``(batch, length, features)``.
    """

    def __init__(self, *, fill: Literal["zero", "token"] = "zero", **kwargs):
        super().__init__(**kwargs)
        self.fill = fill

    def build(self, input_shape):
        if self.fill == "token":
            self.token = self.add_weight(
                shape=(input_shape[0][-1],),
                initializer=keras.initializers.RandomNormal(stddev=0.5),
                name="token",
            )

    def call(self, inputs):
        features, mask = inputs
        mask = mask[..., None]
        if self.fill == "zero":
            return mask * features
        return mask * features + (1.0 - mask) * self.token

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "fill": self.fill}
