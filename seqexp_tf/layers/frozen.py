"""A trained model as a layer of another."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("seqexp_tf")
class Frozen(keras.layers.Layer):
    """A model that neither learns nor notices that the one around it is training.

    Keras hands ``training`` on to models inside models, and makes every layer of a
    model trainable on loading it; neither reaches this one.

    Args:
        model: with a dictionary of inputs and one output.

    Call arguments:
        inputs: those of the model.

    Returns:
        Its output at inference, without gradient.
    """

    def __init__(self, model: keras.Model, **kwargs):
        super().__init__(**{**kwargs, "autocast": False})
        self.model = model
        # A layer that is loaded not trainable makes its inner layers trainable, and
        # setting what is set already does not reach them.
        model.trainable = True
        model.trainable = False

    @property
    def trainable(self) -> bool:
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        pass

    def call(self, inputs):
        return ops.stop_gradient(self.model(inputs, training=False))

    def compute_output_spec(self, inputs):
        output = self.model.output
        return keras.KerasTensor(output.shape, dtype=output.dtype)

    def get_config(self):
        model = keras.saving.serialize_keras_object(self.model)
        return {**super().get_config(), "model": model}

    @classmethod
    def from_config(cls, config):
        model = keras.saving.deserialize_keras_object(config["model"])
        return cls(**{**config, "model": model})
