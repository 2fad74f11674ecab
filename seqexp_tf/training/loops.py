"""The training loop: that of Keras, or one for several replicas."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.training.strategy import Distribution
from seqexp_tf.training.throughput import InputWait


def loop_of(
    model: keras.Model, distribution: Distribution, wait: InputWait
) -> "KerasLoop | ReplicatedLoop":
    """Returns the loop for a compiled model.

    Args:
        model: built and compiled in the scope of the distribution.
        distribution: of the model.
        wait: to which waiting for training batches is added.
    """
    if distribution.strategy is None:
        return KerasLoop(model, wait)
    return ReplicatedLoop(model, distribution, wait)


class KerasLoop:
    """What ``keras.Model`` does on one device; see ``loop_of``."""

    def __init__(self, model: keras.Model, wait: InputWait):
        self.model = model
        self.wait = wait

    def build_metrics(self, batches: tf.data.Dataset) -> None:
        """Gives metrics their state: variables made in a graph have it traced twice."""
        self.model._symbolic_build(data_batch=batches.element_spec)

    def fit(self, batches: tf.data.Dataset, **options) -> None:
        """Trains and validates; see ``ReplicatedLoop.fit``."""
        self.build_metrics(batches)
        self.model.fit(self.wait.watch(batches), shuffle=False, verbose=0, **options)

    def evaluate(
        self, batches: tf.data.Dataset, callbacks: keras.callbacks.CallbackList
    ) -> dict[str, float]:
        """Returns the metrics over batches."""
        return self.model.evaluate(
            batches, callbacks=callbacks, return_dict=True, verbose=0
        )


class ReplicatedLoop:
    """What ``keras.Model`` does, on the replicas of a distribution; see ``loop_of``.

    Keras 3 cannot feed models of named inputs to several workers. The steps and the
    callbacks are the same.
    """

    def __init__(self, model: keras.Model, distribution: Distribution, wait: InputWait):
        self.model = model
        self.distribution = distribution
        self.wait = wait
        self._train = self._step(self._train_step)
        self._test = self._step(lambda data, _: model.test_step(data))

    def build_metrics(self, batches: tf.data.Dataset) -> None:
        """Gives metrics their state, inside the scope, where variables belong."""
        with self.distribution.scope():
            self.model._symbolic_build(data_batch=batches.element_spec)

    def fit(
        self,
        batches: tf.data.Dataset,
        *,
        validation_data: tf.data.Dataset,
        epochs: int,
        initial_epoch: int,
        steps_per_epoch: int,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        """Trains, and validates after each epoch, as ``keras.Model.fit`` does.

        Args:
            batches: this worker's part of endless training batches.
            validation_data: this worker's part of the validation batches, all of one
                size.
            epochs: number of the last epoch.
            initial_epoch: number of the first one, less one.
            steps_per_epoch: batches in an epoch.
            callbacks: told what happens.
        """
        model = self.model
        self.build_metrics(batches)
        told = keras.callbacks.CallbackList(
            list(callbacks), model=model, epochs=epochs, steps=steps_per_epoch
        )
        iterator = iter(self.distribution.spread(batches))
        model.stop_training = False
        told.on_train_begin()
        logs: dict[str, Any] = {}
        together = model.optimizer.gradient_accumulation_steps or 1
        done = int(keras.ops.convert_to_numpy(model.optimizer._iterations))
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            told.on_epoch_begin(epoch)
            for step in range(steps_per_epoch):
                told.on_train_batch_begin(step)
                began = time.perf_counter()
                batch = next(iterator)
                self.wait.add(time.perf_counter() - began)
                done += 1
                ends_update = done % together == 0
                told.on_train_batch_end(step, self._train(batch, ends_update))
            logs = self._results()
            found = self.evaluate(validation_data, told)
            logs |= {f"val_{name}": value for name, value in found.items()}
            told.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
        told.on_train_end(logs)

    def evaluate(
        self, batches: tf.data.Dataset, callbacks: keras.callbacks.CallbackList
    ) -> dict[str, float]:
        """Returns the metrics over this worker's part of batches and the others'."""
        self.build_metrics(batches)
        self.model.reset_metrics()
        callbacks.on_test_begin()
        for step, batch in enumerate(self.distribution.spread(batches)):
            callbacks.on_test_batch_begin(step)
            callbacks.on_test_batch_end(step, self._test(batch))
        logs = self._results()
        callbacks.on_test_end(logs)
        return logs

    def _results(self) -> dict[str, float]:
        return {k: float(v) for k, v in self.model.get_metrics_result().items()}

    def _train_step(self, data: Any, ends_update: bool) -> dict[str, tf.Tensor]:
        self.model.optimizer.ends_update = ends_update
        return self.model.train_step(data)

    def _step(self, step: Callable) -> Callable[..., dict[str, float]]:
        """Returns a step of all replicas; it gives the loss so far."""
        strategy = self.distribution.strategy

        @tf.autograph.experimental.do_not_convert
        def loss(batch, option):
            losses = strategy.run(lambda x: step(x, option)["loss"], args=(batch,))
            return strategy.reduce("MEAN", losses, axis=None)

        compiled = tf.function(loss, reduce_retracing=True)
        return lambda batch, option=None: {"loss": float(compiled(batch, option))}
