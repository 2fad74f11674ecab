"""Expression logits of one window and of mutants of it."""

from collections.abc import Mapping
from typing import Protocol

import keras
import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.predictor import EXPRESSION
from seqexp_tf.interpretation.propagation import Propagation
from seqexp_tf.interpretation.receptive_field import NotLocal, local_graph
from seqexp_tf.layers.cpu import all_for_cpu

SEQUENCE_INPUT = "sequence"

_ONE_HOT = np.eye(5, dtype=np.float32)


class _Mutator(Protocol):
    reference: np.ndarray

    def mutate(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray: ...


class Mutants:
    """A window, its logits and those of mutants of it, all computed in float32.

    Where every layer of the model is local (see ``local_graph``), only what a base
    changes is computed (see ``Propagation``); any other model sees each mutant
    whole, in batches. Both give the same logits.

    Args:
        model: outputs ``expression_logits`` ``(batch, length)``.
        inputs: ``sequence`` ``(1, length, 5)`` and ``expression`` ``(1, length)``.
        first: first row of the window that is recorded.
        last: its exclusive end.
        batch_size: windows at once where they are computed whole.
        temperature: what logits are divided by.

    Attributes:
        reference: logits of the window itself, float32 ``(recorded,)``.
        receptive_field: bases that reach one logit; None where the model is not
            local.

    Raises:
        RunError: the model answers with infinity or NaN.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Mapping[str, np.ndarray],
        *,
        first: int,
        last: int,
        batch_size: int,
        temperature: float = 1.0,
    ) -> None:
        model = in_float32(model)
        self._temperature = np.float32(temperature)
        self._mutator: _Mutator
        try:
            graph = local_graph(model, EXPRESSION, sequence=SEQUENCE_INPUT)
        except NotLocal:
            self.receptive_field = None
            self._mutator = _Whole(model, inputs, first, last, batch_size)
        else:
            self.receptive_field = graph.receptive_field
            self._mutator = Propagation(
                graph, inputs, sequence=SEQUENCE_INPUT, first=first, last=last
            )
        self.reference = self._checked(self._mutator.reference)

    def logits(self, positions: np.ndarray, bases: np.ndarray) -> np.ndarray:
        """Returns the logits of mutants with one other base each.

        Args:
            positions: int ``(mutants,)``, rows of the window.
            bases: the new base of each, 0 to 4 for A, C, G, T, N.

        Returns:
            float32 ``(mutants, recorded)``.

        Raises:
            RunError: the model answers with infinity or NaN.
        """
        return self._checked(self._mutator.mutate(positions, _ONE_HOT[bases]))

    def _checked(self, logits: np.ndarray) -> np.ndarray:
        if not np.isfinite(logits).all():
            raise RunError(
                f"the model predicts {EXPRESSION} that are not finite; the run is "
                "damaged or diverged, train again with a lower learning rate"
            )
        return logits / self._temperature


class _Whole:
    """Every mutant through the whole model."""

    def __init__(
        self,
        model: keras.Model,
        inputs: Mapping[str, np.ndarray],
        first: int,
        last: int,
        batch_size: int,
    ) -> None:
        self._model = model
        self._inputs = inputs
        self._recorded = slice(first, last)
        self._batch_size = batch_size
        self.reference = self._predict(inputs)[0]

    def mutate(self, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
        parts = []
        for at in range(0, len(positions), self._batch_size):
            here = slice(at, at + self._batch_size)
            count = len(positions[here])
            batch = {
                name: np.repeat(rows, count, axis=0)
                for name, rows in self._inputs.items()
            }
            batch[SEQUENCE_INPUT][np.arange(count), positions[here]] = values[here]
            parts.append(self._predict(batch))
        return np.concatenate(parts)

    def _predict(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        logits = self._model.predict_on_batch(batch)[EXPRESSION]
        return np.asarray(logits, dtype=np.float32)[:, self._recorded]


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a model that computes in float32, with the same weights.

    A mutation often changes a logit by less than the last digit of a bfloat16.
    """
    layers = getattr(model, "layers", [])
    if all(layer.compute_dtype == "float32" for layer in layers):
        return model
    copy = keras.models.clone_model(model, clone_function=_layer_in_float32)
    copy.set_weights(model.get_weights())
    copy.jit_compile = model.jit_compile
    return all_for_cpu(copy)


def _layer_in_float32(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.Model):
        return in_float32(layer)
    return type(layer).from_config({**layer.get_config(), "dtype": "float32"})
