"""What moves the mask head: the prediction, or the divergence from the prior.

Where the second is far larger, the mask learns the prior and nothing of the gene.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras.ops import convert_to_numpy as to_numpy

from seqexp_tf.layers.beta_mask import BetaHead
from seqexp_tf.training import hardware

Batch = tuple[Mapping[str, Any], Mapping[str, Any]]
"""Inputs and targets."""

Losses = Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Any, Any]]
"""Targets and outputs to the two parts of the loss, both scalars."""


@dataclass(frozen=True)
class HeadGradients:
    """Euclidean norms of the gradient on the weights of the mask head.

    Attributes:
        prediction: of the prediction loss.
        divergence: of the weighted divergence.
    """

    prediction: float
    divergence: float

    @property
    def ratio(self) -> float:
        """Prediction over divergence; NaN where the divergence has none."""
        return self.prediction / self.divergence if self.divergence else float("nan")


def mask_head(model: keras.Model) -> list[keras.Variable]:
    """Returns the trainable weights of the mask head; empty without one."""
    heads = [layer for layer in _layers(model) if isinstance(layer, BetaHead)]
    return [variable for head in heads for variable in head.trainable_variables]


def head_gradients(
    model: keras.Model,
    inputs: Mapping[str, Any],
    targets: Mapping[str, Any],
    losses: Losses,
) -> HeadGradients:
    """Measures both gradients on one batch, as in training: with sampled masks.

    Leaves the model as it was, its count of draws included.

    Args:
        model: has a mask head.
        inputs: of the model.
        targets: given to ``losses``.
        losses: prediction loss and weighted divergence.
    """
    return gradient_meter(model, losses)([(inputs, targets)])


def gradient_meter(
    model: keras.Model, losses: Losses
) -> Callable[[Sequence[Batch]], HeadGradients]:
    """Returns ``head_gradients`` of a model over batches of one size, traced once.

    The gradients are means over the batches, so that what takes too much memory at
    once can be measured in parts.
    """
    head = mask_head(model)
    measure = _BACKENDS[keras.backend.backend()](model, head, losses)

    def meter(batches: Sequence[Batch]) -> HeadGradients:
        kept = [to_numpy(variable) for variable in model.non_trainable_variables]
        found = [
            [_flat(gradients) for gradients in measure(inputs, targets)]
            for inputs, targets in batches
        ]
        for variable, value in zip(model.non_trainable_variables, kept, strict=True):
            variable.assign(value)
        return HeadGradients(*np.linalg.norm(np.mean(found, axis=0), axis=-1).tolist())

    return meter


def _tensorflow(model: keras.Model, head: Sequence[keras.Variable], losses: Losses):
    import tensorflow as tf

    strategy = model.distribute_strategy
    with strategy.scope():
        compiled = hardware.compiles()

    def gradients(inputs, targets):
        with tf.GradientTape(persistent=True) as tape:
            parts = losses(targets, model(inputs, training=True))
        zero = tf.UnconnectedGradients.ZERO
        return [tape.gradient(part, head, unconnected_gradients=zero) for part in parts]

    @tf.function(jit_compile=compiled, autograph=False)
    def measure(inputs, targets):
        found = strategy.run(gradients, args=(inputs, targets))
        # Every replica measures the same.
        return tf.nest.map_structure(
            lambda each: strategy.experimental_local_results(each)[0], found
        )

    return measure


def _jax(model: keras.Model, head: Sequence[keras.Variable], losses: Losses):
    import jax

    paths = {variable.path for variable in head}
    variables = model.trainable_variables
    places = [i for i, variable in enumerate(variables) if variable.path in paths]

    @jax.jit
    def measure_at(values, others, inputs, targets):
        def parts(chosen):
            filled = list(values)
            for place, value in zip(places, chosen, strict=True):
                filled[place] = value
            outputs, _ = model.stateless_call(filled, others, inputs, training=True)
            return losses(targets, outputs)

        _, pull = jax.vjp(parts, [values[place] for place in places])
        return [pull(unit)[0] for unit in ((1.0, 0.0), (0.0, 1.0))]

    def measure(inputs, targets):
        values = [variable.value for variable in variables]
        others = [variable.value for variable in model.non_trainable_variables]
        return measure_at(values, others, inputs, targets)

    return measure


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax}


def _layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _layers(inner)


def _flat(gradients: Sequence[Any]) -> np.ndarray:
    parts = [to_numpy(gradient).astype(np.float64).ravel() for gradient in gradients]
    return np.concatenate(parts)
