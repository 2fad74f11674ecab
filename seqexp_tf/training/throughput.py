"""How many examples a second a fit trains on, and how long it waits for them."""

import math
import time
from typing import ClassVar

import keras
import tensorflow as tf


class InputWait:
    """Seconds for which a training loop has waited for its next batch."""

    def __init__(self):
        self._outside = 0.0
        with tf.device("CPU:0"):
            self._inside = tf.Variable(0.0, trainable=False, dtype=tf.float64)

    @property
    def seconds(self) -> float:
        """So far."""
        return self._outside + float(self._inside.numpy())

    def add(self, seconds: float) -> None:
        """Adds what the loop measured itself."""
        self._outside += seconds

    def watch(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Returns the same batches, which count how long each is waited for.

        For the loop of Keras, which does not tell.
        """
        clock = tf.data.Dataset.counter().map(lambda _: tf.timestamp())

        def count(began, batch):
            # No clock of its own behind the batch: it would queue for a thread, too.
            self._inside.assign_add(tf.timestamp() - began)
            return batch

        options = tf.data.Options()
        # A buffer behind the clock would wait in the place of the loop.
        options.experimental_optimization.inject_prefetch = False
        return tf.data.Dataset.zip((clock, batches)).map(count).with_options(options)


class Throughput(keras.callbacks.Callback):
    """Adds examples per second, and the share of time spent waiting, to the logs.

    The first batches of a call of ``fit`` do not count, because graphs are traced in
    them, unless there are no others. Nor does validation. Both are NaN where a resumed
    fit had nothing but the validation left to do.

    Args:
        wait: of the loop.
        batch_size: examples in a global batch.
        skip: how many batches do not count.
    """

    SPEED = "examples_per_second"
    WAIT = "input_wait"
    COLUMNS: ClassVar[tuple[str, ...]] = (SPEED, WAIT)

    def __init__(self, wait: InputWait, batch_size: int, *, skip: int = 1):
        super().__init__()
        self.wait = wait
        self.batch_size = batch_size
        self.skip = skip
        self._skipped = 0
        self._measured: dict[str, float] = {}
        self._steps = 0
        self._began = self._waited = 0.0

    def on_train_begin(self, logs=None):
        self._skipped = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._steps = 0
        self._measured = dict.fromkeys(self.COLUMNS, math.nan)

    def on_train_batch_begin(self, batch, logs=None):
        if self._steps == 0:
            self._began = time.perf_counter()
            self._waited = self.wait.seconds

    def on_train_batch_end(self, batch, logs=None):
        last = batch + 1 == self.params["steps"]
        if self._skipped >= self.skip or last:
            self._steps += 1
        else:
            self._skipped += 1
        if last:
            seconds = time.perf_counter() - self._began
            waited = min(self.wait.seconds - self._waited, seconds)
            self._measured = {
                self.SPEED: self._steps * self.batch_size / seconds,
                self.WAIT: waited / seconds,
            }

    def on_epoch_end(self, epoch, logs=None):
        logs |= self._measured
