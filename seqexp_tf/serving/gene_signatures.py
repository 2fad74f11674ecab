"""Signatures of models of genes."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from seqexp_tf.evaluation.mask_predictor import EXPRESSION, MASK, with_soft_mask
from seqexp_tf.serving.card import FREE, SignatureCard, TensorCard
from seqexp_tf.serving.checks import Tensors, refuse_unless
from seqexp_tf.serving.dna import Placed, place
from seqexp_tf.serving.signature import Signature

SEQUENCE = "sequence"
DIVERGENCE = "divergence"

DNA = TensorCard(
    "string",
    (FREE,),
    "DNA of 1 base to a window; of n bases number n // 2 (from 0) is the TSS; U counts "
    "as T, other IUPAC codes as N",
)
_ALONG = {"sequence", "signals", "blocked", "given"}
"""Inputs that run along the window."""

_DESCRIPTIONS = {
    "sequence": "one-hot over A, C, G, T; all zero = N",
    "signals": "signals of each base after their transforms, in the order of "
    "genes.signals",
    "features": "numbers of the gene, as the dataset stores them, in the order of "
    "genes.features",
    "blocked": "1 at a base that is never selected, else 0",
    "given": "the mask: 1 at a base that is selected, else 0",
}
_LEVEL = TensorCard(
    "float32", (FREE,), "expression, in the unit of the transformed target"
)


def gene_signatures(model: keras.Model) -> dict[str, Signature]:
    """Returns the signatures of a model of genes, by name.

    Args:
        model: computes in float32.
    """
    arrays = {
        tensor.name: TensorCard(
            "float32", (FREE, *tensor.shape[1:]), _DESCRIPTIONS[tensor.name]
        )
        for tensor in model.inputs
    }
    found = {
        "serving_default": _arrays(model, arrays),
        "serve_sequence": _sequence(model, arrays),
    }
    if MASK in model.output:
        found["serve_elements"] = _elements(with_soft_mask(model), arrays)
    return found


def _arrays(model: keras.Model, arrays: dict[str, TensorCard]) -> Signature:
    card = SignatureCard(
        "The arrays a model of genes reads.",
        inputs=arrays,
        outputs=_outputs(model, "what multiplied the predictor's input, 0 to 1"),
    )
    return Signature(card, lambda inputs: _answer(model, inputs, card))


def _sequence(model: keras.Model, arrays: dict[str, TensorCard]) -> Signature:
    card = SignatureCard(
        "Expression of a gene from the DNA around its TSS and what else the model "
        "reads.",
        inputs={
            "dna": DNA,
            **_besides_sequence(arrays),
            "average_strands": TensorCard(
                "bool", (FREE,), "whether to average over both strands of the window"
            ),
        },
        outputs=_outputs(
            model,
            "what multiplied the predictor's input, 0 to 1; NaN outside dna",
        ),
    )

    def answer(inputs: Tensors) -> Tensors:
        placed, read = _read(inputs, arrays)
        rows = tf.where(inputs["average_strands"])
        # One pass through the model, with a second copy of the rows that ask for it.
        both = {
            name: tf.concat([values, _other_strand(name, values, rows[:, 0])], axis=0)
            for name, values in read.items()
        }
        outputs = _answer(model, both, card)
        count = tf.shape(inputs["dna"])[0]
        found = {}
        for name, values in outputs.items():
            given, other = values[:count], values[count:]
            if name == MASK:
                other = other[:, ::-1]
            mean = (tf.gather_nd(given, rows) + other) / 2
            found[name] = tf.tensor_scatter_nd_update(given, rows, mean)
        return _marked(found, placed)

    return Signature(card, answer)


def _elements(model: keras.Model, arrays: dict[str, TensorCard]) -> Signature:
    outputs = _outputs(
        model,
        "how strongly each base is selected, 0 to 1, before any threshold; NaN outside "
        "dna",
    )
    outputs["selected"] = TensorCard(
        "float32",
        outputs[MASK].shape,
        "1 where the mask reaches the threshold, else 0; NaN outside dna",
    )
    if DIVERGENCE in model.output:
        outputs[DIVERGENCE] = TensorCard(
            "float32", (FREE,), "mean over the window of KL(mask || prior), in nats"
        )
    card = SignatureCard(
        "Which bases around a TSS the model selects.",
        inputs={
            "dna": DNA,
            **_besides_sequence(arrays),
            "threshold": TensorCard(
                "float32",
                (FREE,),
                "mask from which a base is selected, above 0 and at most 1",
            ),
        },
        outputs=outputs,
    )

    def answer(inputs: Tensors) -> Tensors:
        placed, read = _read(inputs, arrays)
        threshold = inputs["threshold"]
        inside = refuse_unless(
            tf.reduce_all((threshold > 0) & (threshold <= 1)),
            "threshold goes from {} to {}; expected above 0 and at most 1",
            tf.reduce_min(threshold),
            tf.reduce_max(threshold),
        )
        with tf.control_dependencies([inside]):
            found = _answer(model, read, card)
        selected = found[MASK] >= threshold[:, None]
        found["selected"] = tf.cast(selected, tf.float32)
        return _marked(found, placed)

    return Signature(card, answer)


def _besides_sequence(arrays: dict[str, TensorCard]) -> dict[str, TensorCard]:
    return {name: card for name, card in arrays.items() if name != SEQUENCE}


def _outputs(model: keras.Model, mask: str) -> dict[str, TensorCard]:
    found = {EXPRESSION: _LEVEL}
    if MASK in model.output:
        window = model.output[MASK].shape[1]
        found[MASK] = TensorCard("float32", (FREE, window), mask)
    return found


def _answer(model: keras.Model, inputs: Tensors, card: SignatureCard) -> Tensors:
    outputs = model(inputs, training=False)
    return {name: outputs[name] for name in card.outputs if name in outputs}


def _read(inputs: Tensors, arrays: Mapping[str, TensorCard]) -> tuple[Placed, Tensors]:
    """Returns where strings lie, and what the model reads."""
    _, window, bases = arrays[SEQUENCE].shape
    placed = place(inputs["dna"], window)
    # N and what lies outside have no index below ``bases``: zeros, as in training.
    read = {SEQUENCE: tf.one_hot(placed.bases, bases)}
    return placed, read | {name: inputs[name] for name in arrays if name != SEQUENCE}


def _other_strand(name: str, values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns some rows of an input as read from the other strand."""
    values = tf.gather(values, rows)
    if name not in _ALONG:
        return values
    # A, C, G, T backwards are their complements.
    return tf.reverse(values, [1, 2] if name == SEQUENCE else [1])


def _marked(outputs: Tensors, placed: Placed) -> Tensors:
    along = {MASK, "selected"}
    return {
        name: placed.or_nan(values) if name in along else values
        for name, values in outputs.items()
    }
