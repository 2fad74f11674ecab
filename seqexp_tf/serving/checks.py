"""Refusals inside a graph: a client learns what is wrong from one line.

A server answers InvalidArgument with the message.
"""

from collections.abc import Mapping

import tensorflow as tf

from seqexp_tf.serving.card import FREE, TensorCard

Tensors = dict[str, tf.Tensor]


def refuse_unless(condition: tf.Tensor, message: str, *values: tf.Tensor) -> tf.Tensor:
    """Returns an operation that fails with ``message`` unless a condition holds.

    Args:
        condition: bool scalar.
        message: ``{}`` stands for each of ``values``.
        values: scalars or short vectors.
    """
    text = tf.strings.format(message, values) if values else tf.constant(message)
    return tf.debugging.Assert(condition, [text])


def checked(
    inputs: Mapping[str, tf.Tensor], cards: Mapping[str, TensorCard]
) -> Tensors:
    """Returns inputs whose shapes are as they should be and whose numbers are finite.

    Graphs take tensors of any size, and only here learn their shapes: TensorFlow's own
    refusals name operations, not inputs.

    Args:
        inputs: by name; ``string`` ones are ``(batch,)``.
        cards: what they should be.
    """
    first = next(iter(cards))
    batch = _leading(tf.shape(inputs[first]), 0)
    some = refuse_unless(
        batch > 0, f"{first} has no rows; expected at least one, in a list"
    )
    with tf.control_dependencies([some]):
        batch = tf.identity(batch)
    found = {}
    for name, card in cards.items():
        values = inputs[name]
        shape = tf.shape(values)
        wanted = tf.stack(
            [batch, *(_size(shape, at, card) for at in range(1, len(card.shape)))]
        )
        listed = ", ".join(
            "any" if size == FREE else str(size) for size in card.shape[1:]
        )
        # As texts, because tensors of another rank cannot be compared.
        conditions = [
            refuse_unless(
                _text(shape) == _text(wanted),
                f"{name} has the shape {{}}; expected [{{}}{', ' * bool(listed)}"
                f"{listed}], the batch of {first} first",
                shape,
                batch,
            )
        ]
        with tf.control_dependencies(conditions):
            free = [None if size == FREE else size for size in card.shape]
            values = tf.ensure_shape(tf.identity(values), free)
        if card.dtype == "float32":
            along = list(range(1, len(card.shape)))
            good = tf.reduce_all(tf.math.is_finite(values), axis=along)
            finite = refuse_unless(
                tf.reduce_all(good),
                f"{name} holds NaN or infinity in row {{}} (from 0) of the batch; "
                "expected finite numbers",
                tf.argmin(tf.cast(good, tf.int32)),
            )
            with tf.control_dependencies([finite]):
                values = tf.identity(values)
        found[name] = values
    return found


def _size(shape: tf.Tensor, at: int, card: TensorCard) -> tf.Tensor | int:
    if card.shape[at] != FREE:
        return card.shape[at]
    # Of a tensor of lower rank there is no such size; any number differs.
    return _leading(shape, at)


def _leading(shape: tf.Tensor, at: int) -> tf.Tensor:
    """Returns a size, 0 of a tensor without such an axis."""
    return tf.reduce_max(tf.concat([shape[at : at + 1], [0]], axis=0))


def _text(shape: tf.Tensor) -> tf.Tensor:
    return tf.strings.reduce_join(tf.strings.as_string(shape), separator=",")
