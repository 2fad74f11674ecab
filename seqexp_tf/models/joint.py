"""Inputs and outputs that every joint model shares."""

import keras

from seqexp_tf.layers.cpu import for_cpu

BASES = 5


def joint_inputs() -> tuple[dict[str, keras.KerasTensor], keras.KerasTensor]:
    """Returns the named inputs and the six channels they make together.

    Inputs: ``sequence`` ``(batch, length, 5)`` one-hot over A, C, G, T, N, all zero
    at a masked base, and ``expression`` ``(batch, length)``, 0, 1 or the value that
    stands for a hidden label. Channels: ``(batch, length, 6)``.
    """
    sequence = keras.Input((None, BASES), name="sequence")
    expression = keras.Input((None,), name="expression")
    channel = keras.layers.Reshape((-1, 1), name="expression_channel")(expression)
    channels = keras.layers.Concatenate(name="inputs")([sequence, channel])
    return {"sequence": sequence, "expression": expression}, channels


def joint_outputs(
    features: keras.KerasTensor, *, expression_kernel: int = 1
) -> dict[str, keras.KerasTensor]:
    """Returns both heads on per-base features ``(batch, length, any)``.

    The heads compute in float32 whatever the precision of the trunk: bfloat16 keeps
    three digits of a logit, and makes ties of different ones.

    Returns:
        ``expression_logits`` ``(batch, length)``, a convolution of
        ``expression_kernel`` bases, and ``sequence_logits`` ``(batch, length, 5)``.
    """
    head = keras.layers.Conv1D(
        1, expression_kernel, padding="same", dtype="float32", name="expression_head"
    )
    expression = for_cpu(head)(features)
    return {
        "expression_logits": keras.layers.Reshape(
            (-1,), dtype="float32", name="expression_logits"
        )(expression),
        "sequence_logits": keras.layers.Conv1D(
            BASES, 1, dtype="float32", name="sequence_logits"
        )(features),
    }
