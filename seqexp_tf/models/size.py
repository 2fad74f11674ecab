"""How large a model is."""

import math

import keras


def trainable_weights(model: keras.Model) -> int:
    """Returns the number of weights that training changes.

    Counters of steps and draws, and the generator of a finished run that a model takes
    its mask from, are none of them.
    """
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)
