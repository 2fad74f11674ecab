"""A signature: what clients call by its name."""

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from seqexp_tf.serving.card import SignatureCard
from seqexp_tf.serving.checks import Tensors, checked


@dataclass(frozen=True)
class Signature:
    """A signature and what computes it.

    Attributes:
        card: its inputs and outputs.
        answer: from inputs, whose shapes are checked, to outputs.
    """

    card: SignatureCard
    answer: Callable[[Tensors], Tensors]

    def __call__(self, inputs: Tensors) -> Tensors:
        """Returns the outputs; refuses inputs of a wrong shape in one line."""
        return self.answer(checked(inputs, self.card.inputs))

    def of_arguments(self, **inputs: tf.Tensor) -> Tensors:
        """Does the same with inputs as arguments."""
        return self(inputs)

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Inputs as a graph takes them: of their rank, of any size; see ``checked``."""
        return {
            name: tf.TensorSpec([None] * len(card.shape), card.dtype, name)
            for name, card in self.card.inputs.items()
        }
