"""Checkpoints between validations, and the last one of a process that has to stop."""

import signal
import time
from collections.abc import Callable
from typing import NoReturn

import keras

from seqexp_tf.training.callbacks import RunRecorder
from seqexp_tf.training.checkpoints import Metrics, read_metrics, restore_metrics
from seqexp_tf.training.interrupt import StopRequest
from seqexp_tf.training.weight_average import AverageValidation

_SAVE, _STOP = 1, 2


class StepCheckpoints(keras.callbacks.Callback):
    """Saves every so many steps or minutes, and when the process is asked to stop.

    Goes after the recorder in the list of callbacks.

    Args:
        recorder: of the run; it is what saves.
        average: of the validation, which a request may cut short.
        stop: looked at after every batch.
        every: steps between checkpoints; 0 for none by steps.
        minutes: minutes between checkpoints; 0 for none by time.
        metrics: of the period that a resumed run is in the midst of.
        agree: of what this worker is asked for, a number, to the largest of all
            workers; they save and stop at the same step.
        say: called with a line when the process stops.
    """

    def __init__(
        self,
        recorder: RunRecorder,
        *,
        average: AverageValidation,
        stop: StopRequest,
        every: int,
        minutes: float,
        metrics: Metrics | None,
        agree: Callable[[int], int],
        say: Callable[[str], None],
    ):
        super().__init__()
        self.recorder = recorder
        self.average = average
        self.stop = stop
        self.every = every
        self.seconds = 60 * minutes
        self.agree = agree
        self.say = say
        self._metrics = metrics
        self._saved = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._saved = time.monotonic()
        # Keras has just set them to zero.
        if self._metrics is not None:
            restore_metrics(self.model, self._metrics)

    def on_train_batch_end(self, batch, logs=None):
        last = batch + 1 == self.params["steps"]
        asked = self._asked()
        if last:
            # Validation uses the same metrics, and may be cut short.
            self._metrics = read_metrics(self.model)
        elif asked == _SAVE:
            self.recorder.save(read_metrics(self.model))
            self._saved = time.monotonic()
        if asked == _STOP:
            self._leave(self._metrics if last else read_metrics(self.model))

    def on_test_batch_end(self, batch, logs=None):
        if self._asked() == _STOP:
            # Under JAX this takes back the state of the validation first.
            self.model  # noqa: B018
            self.average.leave()
            self._leave(self._metrics)

    def on_epoch_end(self, epoch, logs=None):
        self._metrics = None

    def _asked(self) -> int:
        if self.stop.signal is not None:
            return self.agree(_STOP)
        asked = self.agree(_SAVE if self._due() else 0)
        if asked == _STOP:
            self.stop.signal = signal.SIGTERM  # At another worker.
        return asked

    def _due(self) -> bool:
        if self.every and self.recorder.progress.step % self.every == 0:
            return True
        return 0 < self.seconds <= time.monotonic() - self._saved

    def _leave(self, metrics: Metrics) -> NoReturn:
        path = self.recorder.save(metrics)
        self.say(
            f"stopped by {self.stop.signal.name}, {path} is saved; go on with "
            f"`seqexp-tf fit --resume --out {self.recorder.folder}`"
        )
        self.stop.obey()
