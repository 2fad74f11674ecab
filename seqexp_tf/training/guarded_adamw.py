"""AdamW that leaves out a gradient that is not finite, and says when."""

import keras
from keras import ops

from seqexp_tf.training.weight_average import AveragedAdamW


@keras.saving.register_keras_serializable("seqexp_tf")
class GuardedAdamW(AveragedAdamW):
    """AdamW (Loshchilov & Hutter 2019), but a gradient with NaN in it counts as zero.

    Training is to stop then; the weights that made the gradient are still there to
    find the gene that did. The loss alone does not tell: a ReLU may turn NaN to zero.

    Attributes:
        bad_step: the first step, from 1, whose gradient was not finite; 0 for none.
    """

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.bad_step = self.add_variable(
            (),
            initializer="zeros",
            dtype="int32",
            aggregation="only_first_replica",
            name="bad_step",
        )

    def apply_total(self, grads, trainable_variables=None):
        finite = ops.all(
            ops.stack([ops.isfinite(ops.sum(ops.square(grad))) for grad in grads])
        )
        grads = [ops.where(finite, grad, ops.zeros_like(grad)) for grad in grads]
        super().apply_total(grads, trainable_variables)
        # Of batches, where ``iterations`` counts updates.
        step = ops.cast(self._iterations, "int32")
        known = ops.convert_to_tensor(self.bad_step)
        first = ops.logical_and(ops.logical_not(finite), known == 0)
        self.bad_step.assign(ops.where(first, step, known))
