"""Which gene of a batch makes the loss not finite."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from seqexp_tf.training.expression_losses import GeneLoss

DIVERGED = "every gene of the batch fails alone: the weights have diverged"


def find_faulty_gene(
    model: keras.Model,
    genes: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    targets: Mapping[str, np.ndarray],
    *,
    loss: GeneLoss,
) -> str:
    """Evaluates a batch gene by gene, as in training, and says what it found.

    Args:
        model: with the weights that met the batch.
        genes: identifiers, in the order of the batch.
        inputs: what the model reads.
        targets: ``expression`` ``(batch,)``.
        loss: the prediction loss.
    """
    for index, gene in enumerate(genes):
        for name, values in {**inputs, "target": targets["expression"]}.items():
            if not np.isfinite(values[index]).all():
                return f"{name} of gene {gene} is not finite, repair the data"
    faults = []
    for index, gene in enumerate(genes):
        one = {name: values[index : index + 1] for name, values in inputs.items()}
        outputs = model(one, training=True)
        found = {
            "loss": loss.call(targets["expression"][index], outputs["expression"]),
            **outputs,
        }
        for name, values in found.items():
            if not np.isfinite(keras.ops.convert_to_numpy(values)).all():
                faults.append(f"gene {gene} alone gives a {name} that is not finite")
                break
    if not faults:
        return "each of its genes alone gives a finite loss"
    if len(faults) == len(genes) > 1:
        return DIVERGED
    return faults[0] + (", as do others of the batch" if len(faults) > 1 else "")
