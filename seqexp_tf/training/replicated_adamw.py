"""AdamW for several replicas of a model."""

import keras


@keras.saving.register_keras_serializable("seqexp_tf")
class ReplicatedAdamW(keras.optimizers.AdamW):
    """AdamW that adds up the gradients of replicas before it looks at them.

    Keras adds them up after clipping each replica's share, so that the norm a model is
    clipped to depends on the number of replicas.

    Attributes:
        ends_update: where gradients of several batches are averaged, whether the batch
            is the last one of an update. None leaves it to a condition in the graph,
            which replicas cannot have; their loop says it while it is traced.
    """

    ends_update: bool | None = None

    def apply(self, grads, trainable_variables=None):
        self.apply_total(_total(grads), trainable_variables)

    def apply_total(self, grads, trainable_variables=None) -> None:
        """Updates weights by the gradient of all replicas, each of which calls this."""
        super().apply(grads, trainable_variables)

    def _backend_apply_gradients(self, grads, trainable_variables):
        steps = self.gradient_accumulation_steps
        if not steps or self.ends_update is None:
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        sums = [
            self._accumulated_gradients[self._get_variable_index(variable)]
            for variable in trainable_variables
        ]
        if self.ends_update:
            means = [(g + s) / steps for g, s in zip(grads, sums, strict=True)]
            means = self._clip_gradients(means)
            self._apply_weight_decay(trainable_variables)
            self._backend_update_step(means, trainable_variables, self.learning_rate)
            self._backend_reset_gradient_accumulators()
        else:
            self._backend_increment_gradient_accumulators(grads, sums)
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def _total(grads):
    if keras.backend.backend() != "tensorflow":
        return grads
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return grads
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
