"""A loss whose gradient grows during the first steps."""

import keras
from keras import ops

from seqexp_tf.layers.beta_mask import Float32Layer


@keras.saving.register_keras_serializable("seqexp_tf")
class GradientWarmUp(Float32Layer):
    """Passes values on as they are, and their gradient times a rising factor.

    The factor is ``step / steps``, 1 from then on; steps are calls in training,
    counted by a weight, so that a resumed training goes on where it was. The value
    stays the same, so that losses before and after can be compared.

    Args:
        steps: length of the rise.

    Call arguments:
        inputs: any shape.
        training: count a step.

    Returns:
        The same shape.
    """

    def __init__(self, *, steps: int, **kwargs):
        super().__init__(**kwargs)
        self.steps = steps

    def build(self, input_shape):
        self.step = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="step",
        )

    def call(self, inputs, training=None):
        if not training:
            return inputs
        done = ops.cast(self.step, "float32") / self.steps
        self.step.assign_add(1)
        still = ops.stop_gradient(inputs)
        return still + ops.minimum(done, 1.0) * (inputs - still)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "steps": self.steps}
