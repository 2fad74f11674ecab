"""The exponential moving average of weights, and gradients of several batches.

Training goes on with the weights as they are; validated, kept as the best model and
exported is their average (Polyak & Juditsky 1992).
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras
from keras.ops import convert_to_numpy

from seqexp_tf.training.replicated_adamw import ReplicatedAdamW


@keras.saving.register_keras_serializable("seqexp_tf")
class AveragedAdamW(ReplicatedAdamW):
    """AdamW whose average of weights never takes their place by itself.

    Keras would put it there at the end of each call of ``fit``, of which a training
    that is resumed or validated at odd steps has several.
    """

    def finalize_variable_values(self, var_list):
        pass


def update_options(*, accumulate_steps: int, ema_decay: float) -> dict[str, Any]:
    """Returns the options of an optimizer by which it averages.

    Args:
        accumulate_steps: batches whose gradients are averaged into one update.
        ema_decay: share of the average of weights that an update leaves; 0 for no
            average.
    """
    options: dict[str, Any] = {}
    if accumulate_steps > 1:
        options["gradient_accumulation_steps"] = accumulate_steps
    if ema_decay:
        # Keras moves the average after each batch, though weights change only after
        # the last one of an update.
        options |= {
            "use_ema": True,
            "ema_momentum": ema_decay ** (1 / accumulate_steps),
        }
    return options


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Gives a model its averaged weights, if there are any, for as long as it lasts."""
    _swap(model)
    try:
        yield
    finally:
        _swap(model)


class AverageValidation(keras.callbacks.Callback):
    """Validates with the averaged weights, if there are any.

    ``keras.callbacks.SwapEMAWeights`` adds and subtracts, which rounds the weights
    that training goes on with.
    """

    def __init__(self):
        super().__init__()
        self._inside = contextlib.ExitStack()

    def on_test_begin(self, logs=None):
        self._inside.enter_context(averaged(self.model))

    def on_test_end(self, logs=None):
        self.leave()

    def leave(self) -> None:
        """Takes the weights of training back; for a validation that is cut short."""
        self._inside.close()


def _swap(model: keras.Model) -> None:
    optimizer = model.optimizer
    # Before the first step there is no average yet.
    if not (optimizer.use_ema and optimizer.built):
        return
    for weight, average in zip(
        model.trainable_variables,
        optimizer._model_variables_moving_average,
        strict=True,
    ):
        kept = convert_to_numpy(weight)
        weight.assign(average)
        average.assign(kept)
