"""The learning-rate range test: the loss while the rate rises exponentially."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from seqexp_tf.errors import ConfigError
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import require_whole
from seqexp_tf.training import hardware
from seqexp_tf.training.config import AnyRunConfig
from seqexp_tf.training.task import task_of
from seqexp_tf.training.trainer import initial_run

SMOOTHING = 0.9
"""Share of the past in the smoothed loss."""

DIVERGED = 4.0
"""The sweep ends where the smoothed loss is so many times its lowest value."""

BELOW = 10.0
"""The rate suggested is so many times below that of the lowest smoothed loss."""


@dataclass(frozen=True)
class Sweep:
    """Losses of a learning-rate range test.

    Attributes:
        rates: learning rate of each step.
        losses: training loss of each step's batch, before its update.
        whole: the highest rate was reached, and the loss had not exploded.
    """

    rates: np.ndarray
    losses: np.ndarray
    whole: bool = False

    @property
    def smoothed(self) -> np.ndarray:
        """Exponential moving average of the losses, without the bias of its start."""
        return smooth(self.losses)

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate at which the loss is lowest; None if that is an end."""
        lowest = int(np.argmin(self.smoothed))
        inside = lowest and not self.still_falls
        return float(self.rates[lowest] / BELOW) if inside else None

    @property
    def still_falls(self) -> bool:
        """Whether the loss is lowest at the highest rate: a higher may be better."""
        return self.whole and int(np.argmin(self.smoothed)) == len(self.rates) - 1


def smooth(losses: Sequence[float]) -> np.ndarray:
    """Returns the moving average of losses, ``(steps,)``, after each of them."""
    average, averages = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        averages.append(average / (1 - SMOOTHING**count))
    return np.array(averages)


def find_rate(
    config: AnyRunConfig,
    store: RecordStore,
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
) -> Sweep:
    """Trains for some steps while the learning rate rises, and writes nothing.

    Everything but the schedule is that of the run: model, masks, batches, clipping,
    decay; all on one device. The sweep ends early where the loss explodes.

    Args:
        config: of the run to be.
        store: its dataset.
        lowest: the first rate.
        highest: the last rate.
        steps: batches, each with the next rate.

    Raises:
        ConfigError: no range.
        DatasetError: another kind of dataset, or a damaged one.

    Reference:
        [Smith 2017](https://arxiv.org/abs/1506.01186)
    """
    require_range(lowest, highest)
    require_whole(store)
    task = task_of(config)
    task.check(store)
    plan = task.plan(store)
    initial = initial_run(config)
    keras.utils.set_random_seed(config.training.seed)
    policy = hardware.compute_policy(config.training.precision)
    model = task.build(store.schema, policy)
    task.compile(model, plan)
    if initial is not None:
        model.set_weights(initial.load_model().get_weights())
    ratio = highest / lowest
    model.optimizer.learning_rate = keras.optimizers.schedules.ExponentialDecay(
        lowest, decay_steps=steps - 1, decay_rate=ratio
    )
    watch = _Watch()
    with damage_named(store), compiled_layers():
        model.fit(
            task.training_batches(model, store, plan, first_step=0),
            steps_per_epoch=steps,
            shuffle=False,
            callbacks=[watch],
            verbose=0,
        )
    rates = lowest * ratio ** (np.arange(len(watch.losses)) / (steps - 1))
    whole = len(rates) == steps and not watch.exploded
    return Sweep(rates, np.array(watch.losses), whole)


def require_range(lowest: float, highest: float) -> None:
    """Raises ConfigError unless there are learning rates from one to the other."""
    if not 0 < lowest < highest < float("inf"):
        raise ConfigError(
            f"learning rates from {lowest:g} to {highest:g} are no range; the lowest "
            "must be positive and below the highest, which must be finite"
        )


class _Watch(keras.callbacks.Callback):
    """Keeps the loss of every batch, and stops where it explodes."""

    def __init__(self):
        super().__init__()
        self.losses: list[float] = []
        self.exploded = False

    def on_train_batch_begin(self, batch, logs=None):
        # Keras logs the mean since the metrics were last reset.
        self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            self._stop()
            return
        self.losses.append(float(logs["loss"]))
        smoothed = smooth(self.losses)
        if smoothed[-1] > DIVERGED * smoothed.min():
            self._stop()

    def _stop(self) -> None:
        self.exploded = True
        self.model.stop_training = True
