"""In-silico mutagenesis inside a graph, in memory of a few windows."""

from collections.abc import Callable

import tensorflow as tf

from seqexp_tf.genome.alphabet import BASES
from seqexp_tf.serving.checks import Tensors

BASES_AT_ONCE = 1 << 15
"""Bases of all mutants that go through the model at once, or one base's mutants."""

_OTHERS = len(BASES) - 1


def mutation_summary(
    logits: Callable[[Tensors], tf.Tensor],
    inputs: Tensors,
    *,
    wanted: tf.Tensor,
    recorded: tf.Tensor,
) -> Tensors:
    """Returns what the mutations of each base change, summed up over the others.

    The numbers are those of ``MutationMap`` where what is recorded is also the target.

    Args:
        logits: from inputs to those of p(expressed), ``(batch, window)``.
        inputs: ``sequence`` one-hot ``(batch, window, 5)``, ``expression`` ``(batch,
            window)``.
        wanted: bases to mutate, none of them N, bool ``(batch, window)``.
        recorded: bases whose expression is compared, bool ``(batch, window)``.

    Returns:
        ``log_odds_mean``, ``log_odds_max``, ``log_ratio_mean``, ``log_ratio_max``
        ``(batch, window)`` and ``effect`` ``(batch, window, 4)``; NaN where no
        mutation was wanted.
    """
    window = wanted.shape[1]
    at_once = max(BASES_AT_ONCE // (_OTHERS * window), 1)
    reference = logits(inputs)
    places = tf.cast(tf.where(wanted), tf.int32)
    count = tf.shape(places)[0]
    steps = (count + at_once - 1) // at_once

    def step(index: tf.Tensor, arrays: tuple) -> tuple:
        # The last step may do some bases again, because all are of one size.
        chosen = tf.minimum(index * at_once + tf.range(at_once), count - 1)
        rows, positions = tf.unstack(tf.gather(places, chosen), axis=1)
        found = _summary(logits, inputs, reference, recorded, rows, positions)
        arrays = tuple(
            array.write(index, values)
            for array, values in zip(arrays, found, strict=True)
        )
        return index + 1, arrays

    widths = [[len(BASES)] if name == "effect" else [] for name in _NAMES]
    arrays = tuple(
        tf.TensorArray(tf.float32, steps, element_shape=[at_once, *width])
        for width in widths
    )
    _, arrays = tf.while_loop(
        lambda index, _: index < steps, step, (0, arrays), parallel_iterations=1
    )
    result = {}
    for name, width, array in zip(_NAMES, widths, arrays, strict=True):
        values = tf.reshape(array.stack(), [-1, *width])[:count]
        nothing = tf.fill(tf.concat([tf.shape(wanted), width], 0), float("nan"))
        found = tf.tensor_scatter_nd_update(nothing, places, values)
        result[name] = tf.ensure_shape(found, [None, window, *width])
    return result


_NAMES = (
    "log_odds_mean", "log_odds_max", "log_ratio_mean", "log_ratio_max", "effect",
)  # fmt: skip


def _summary(
    logits: Callable[[Tensors], tf.Tensor],
    inputs: Tensors,
    reference: tf.Tensor,
    recorded: tf.Tensor,
    rows: tf.Tensor,
    positions: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Returns ``_NAMES`` of some bases."""
    bases, window = rows.shape[0], reference.shape[1]
    sequence = tf.gather(inputs["sequence"], rows)
    own = tf.argmax(
        tf.gather(sequence, positions, batch_dims=1), axis=1, output_type=tf.int32
    )
    others = (own[:, None] + tf.range(1, _OTHERS + 1)) % len(BASES)
    depth = inputs["sequence"].shape[2]
    changed = tf.one_hot(positions, window)[:, None, :, None]
    mutants = tf.where(
        changed > 0, tf.one_hot(others, depth)[:, :, None], sequence[:, None]
    )
    labels = tf.gather(inputs["expression"], tf.repeat(rows, _OTHERS))
    new = logits(
        {
            "sequence": tf.reshape(mutants, (bases * _OTHERS, window, depth)),
            "expression": tf.reshape(labels, (bases * _OTHERS, window)),
        }
    )
    new = tf.reshape(new, (bases, _OTHERS, window))
    old = tf.gather(reference, rows)[:, None]
    counted = tf.cast(tf.gather(recorded, rows), tf.float32)
    total = tf.reduce_sum(counted, axis=1)
    change = new - old
    found = []
    for values in (change, tf.math.log_sigmoid(new) - tf.math.log_sigmoid(old)):
        largest = tf.reduce_max(tf.abs(values), axis=1) * counted
        found += [
            tf.reduce_sum(largest, axis=1) / total,
            tf.reduce_max(largest, axis=1),
        ]
    effect = tf.reduce_sum(change * counted[:, None], axis=2)
    spread = tf.one_hot(others, len(BASES)) * effect[:, :, None]
    return *found, tf.reduce_sum(spread, axis=1)
