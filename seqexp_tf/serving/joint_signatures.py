"""Signatures of joint models."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from seqexp_tf.evaluation.predictor import EXPRESSION, SEQUENCE
from seqexp_tf.genome.alphabet import ALPHABET
from seqexp_tf.serving.card import FREE, SignatureCard, TensorCard
from seqexp_tf.serving.checks import Tensors, refuse_unless
from seqexp_tf.serving.dna import Placed, place
from seqexp_tf.serving.mutagenesis_graph import mutation_summary
from seqexp_tf.serving.signature import Signature

HIDDEN = 0.5
"""What stands for a hidden label in requests, whatever the model sees there."""

ONE_HOT = len(ALPHABET)

DNA = TensorCard(
    "string",
    (FREE,),
    "DNA in the direction of the strand asked about, 1 base to a window; U counts as "
    "T, other IUPAC codes as N",
)
LABELS = TensorCard(
    "float32",
    (FREE, FREE),
    "1 where a base is known to be expressed, 0 where not, 0.5 where that is hidden; "
    "at least as long as the longest dna, ignored beyond its end",
)


def joint_signatures(
    model: keras.Model, *, window: int, expression_value: float
) -> dict[str, Signature]:
    """Returns the signatures of a joint model, by name.

    Args:
        model: computes in float32.
        window: bases it was trained on; shorter DNA is put into the middle of a
            window of mask tokens and hidden labels.
        expression_value: what it sees in place of a hidden label.
    """
    windows = _Windows(model, window, expression_value)
    return {
        "serving_default": _arrays(model),
        "serve_sequence": _sequence(windows),
        "serve_mutagenesis": _mutagenesis(windows),
    }


class _Windows:
    """DNA strings and labels to what a model makes of them."""

    def __init__(self, model: keras.Model, window: int, expression_value: float):
        self.model = model
        self.window = window
        self._expression_value = expression_value

    def place(self, inputs: Tensors) -> tuple[Placed, Tensors]:
        """Returns where strings lie, and what the model reads."""
        placed = place(inputs["dna"], self.window)
        labels = inputs["expression"]
        longest, given = tf.reduce_max(placed.lengths), tf.shape(labels)[1]
        checks = [
            refuse_unless(
                (given >= longest) & (given <= self.window),
                "expression has {} columns; expected at least the {} bases of the "
                f"longest dna, and at most {self.window}",
                given,
                longest,
            )
        ]
        with tf.control_dependencies(checks):
            labels = placed.from_string(labels, HIDDEN)
        checks = [
            refuse_unless(
                tf.reduce_all((labels >= 0) & (labels <= 1)),
                "expression goes from {} to {}; expected 0, 1, or 0.5 where hidden",
                tf.reduce_min(labels),
                tf.reduce_max(labels),
            )
        ]
        with tf.control_dependencies(checks):
            labels = tf.where(labels == HIDDEN, self._expression_value, labels)
        # A position outside has no index, and so no base: the mask token.
        return placed, {
            "sequence": tf.one_hot(placed.bases, ONE_HOT),
            "expression": labels,
        }


def _arrays(model: keras.Model) -> Signature:
    card = SignatureCard(
        "The arrays a joint model reads, of any length.",
        inputs={
            "sequence": TensorCard(
                "float32",
                (FREE, FREE, ONE_HOT),
                "one-hot over A, C, G, T, N; all zero = masked base",
            ),
            "expression": TensorCard(
                "float32", (FREE, FREE), "0 or 1; expression_value = hidden label"
            ),
        },
        outputs=_outputs(),
    )

    def answer(inputs: Tensors) -> Tensors:
        shapes = [tf.shape(inputs[name])[1] for name in ("sequence", "expression")]
        same = refuse_unless(
            tf.equal(*shapes),
            "sequence has {} bases and expression {} labels; expected as many",
            *shapes,
        )
        with tf.control_dependencies([same]):
            inputs = {name: tf.identity(values) for name, values in inputs.items()}
        return _probabilities(model(inputs, training=False))

    return Signature(card, answer)


def _sequence(windows: _Windows) -> Signature:
    card = SignatureCard(
        "What a joint model fills in, from DNA strings and known labels.",
        inputs={"dna": DNA, "expression": LABELS},
        outputs=_outputs("; NaN beyond the end of a shorter dna"),
    )

    def answer(inputs: Tensors) -> Tensors:
        placed, read = windows.place(inputs)
        length = tf.shape(inputs["expression"])[1]
        outputs = _probabilities(windows.model(read, training=False))
        return {
            name: placed.to_string(values, length) for name, values in outputs.items()
        }

    return Signature(card, answer)


def _mutagenesis(windows: _Windows) -> Signature:
    where = "NaN outside first to last, at N, and beyond the end of dna"
    row = (FREE, FREE)
    card = SignatureCard(
        "How much each mutation of a stretch changes p = p(expressed), over all bases "
        "of dna.",
        inputs={
            "dna": DNA,
            "expression": LABELS,
            "first": TensorCard("int32", (FREE,), "first base mutated, from 0"),
            "last": TensorCard("int32", (FREE,), "exclusive end of the bases mutated"),
        },
        outputs={
            "log_odds_mean": TensorCard(
                "float32",
                row,
                "mean over dna of |logit p' - logit p|, the largest of the three "
                f"mutations of a base; {where}",
            ),
            "log_odds_max": TensorCard("float32", row, f"its maximum; {where}"),
            "log_ratio_mean": TensorCard(
                "float32", row, f"likewise of |ln(p' / p)|; {where}"
            ),
            "log_ratio_max": TensorCard("float32", row, f"its maximum; {where}"),
            "effect": TensorCard(
                "float32",
                (*row, 4),
                "sum over dna of logit p' - logit p with A, C, G, T in the base's "
                f"place, 0 for itself; {where}",
            ),
        },
    )

    def answer(inputs: Tensors) -> Tensors:
        placed, read = windows.place(inputs)
        length = tf.shape(inputs["expression"])[1]
        first, last = inputs["first"][:, None], inputs["last"][:, None]
        valid = (first >= 0) & (first < last) & (last <= placed.lengths)
        row = tf.argmin(tf.cast(valid[:, 0], tf.int32))
        inside = refuse_unless(
            tf.reduce_all(valid),
            "row {}: bases {} to {} (from 0, exclusive) of a dna of {}; expected "
            "0 <= first < last <= its length",
            row,
            inputs["first"][row],
            inputs["last"][row],
            placed.lengths[row, 0],
        )
        with tf.control_dependencies([inside]):
            columns = tf.range(windows.window) - placed.left
            wanted = (columns >= first) & (columns < last)
        found = mutation_summary(
            lambda inputs: windows.model(inputs, training=False)[EXPRESSION],
            read,
            wanted=wanted & (placed.bases < ONE_HOT - 1),
            recorded=placed.inside,
        )
        return {name: placed.to_string(value, length) for name, value in found.items()}

    return Signature(card, answer)


def _outputs(where: str = "") -> dict[str, TensorCard]:
    return {
        "expression": TensorCard("float32", (FREE, FREE), f"p(expressed){where}"),
        "sequence": TensorCard(
            "float32", (FREE, FREE, ONE_HOT), f"p(A), p(C), p(G), p(T), p(N){where}"
        ),
    }


def _probabilities(outputs: Mapping[str, tf.Tensor]) -> Tensors:
    return {
        "expression": tf.sigmoid(outputs[EXPRESSION]),
        "sequence": tf.nn.softmax(outputs[SEQUENCE]),
    }
