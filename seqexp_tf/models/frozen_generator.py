"""The mask of a finished run, for a predictor that is trained anew."""

import keras

from seqexp_tf.errors import RunError
from seqexp_tf.layers.frozen import Frozen


def frozen_mask(
    folder: str, inputs: dict[str, keras.KerasTensor], *, layer: str
) -> keras.KerasTensor:
    """Returns the soft mask that a finished run gives, at inference, not trainable.

    Args:
        folder: of the run.
        inputs: of the new model, by name.
        layer: name of the layer whose output the mask is.

    Returns:
        ``(batch, window)``.

    Raises:
        RunError: no finished run of a learnt mask, or one on other data.
    """
    # The run reads its configuration through the registry, which builds this model.
    from seqexp_tf.training.run import Run

    run = Run.open(folder)
    trained = run.load_model()
    if layer not in {own.name for own in trained.layers}:
        raise RunError(
            f"{run.folder}: model.mask.run has no learnt mask; give a run of "
            "mask.kind soft or hard"
        )
    output = trained.get_layer(layer).output
    own = {
        tensor.name: tensor for tensor in trained.inputs if tensor.name != "features"
    }
    for name, tensor in own.items():
        if name not in inputs:
            raise RunError(
                f"{run.folder}: model.mask.run needs the input {name!r}, which this "
                "model or its dataset does not have"
            )
        if tensor.shape != inputs[name].shape:
            raise RunError(
                f"{run.folder}: model.mask.run was trained on {name} of shape "
                f"{tensor.shape[1:]}, this model gets {inputs[name].shape[1:]}"
            )
    generator = keras.Model(own, output, name="generator")
    return Frozen(generator, name="frozen_generator")(
        {name: inputs[name] for name in own}
    )
