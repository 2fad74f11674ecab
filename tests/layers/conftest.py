"""What every layer must do."""

from collections.abc import Callable

import keras
import numpy as np
import pytest

from seqexp_tf import layers


@pytest.fixture
def check_layer() -> Callable:
    """Builds, calls, serialises, trains and runs a layer in mixed precision."""

    def check(kind: str, arguments: dict, inputs, output_shape: tuple, weights: int):
        cls = getattr(layers, kind)
        layer = cls(**arguments)
        wanted = layer(inputs)
        assert tuple(wanted.shape) == output_shape
        assert layer.count_params() == weights
        assert np.isfinite(keras.ops.convert_to_numpy(wanted)).all()

        again = cls.from_config(layer.get_config())
        assert again.get_config() == layer.get_config()
        again(inputs)
        again.set_weights(layer.get_weights())
        np.testing.assert_array_equal(
            *(keras.ops.convert_to_numpy(values) for values in (wanted, again(inputs)))
        )

        many = isinstance(inputs, list)
        symbolic = [keras.Input(x.shape[1:]) for x in (inputs if many else [inputs])]
        output = cls(**arguments)(symbolic if many else symbolic[0])
        assert output.shape[1:] == output_shape[1:]
        model = keras.Model(symbolic, output)
        model.compile("sgd", "mse")
        loss = model.train_on_batch(inputs, np.ones(output_shape, np.float32))
        assert np.isfinite(loss)

        mixed = cls(**arguments, dtype="mixed_bfloat16")
        half = mixed(inputs)
        assert keras.backend.standardize_dtype(half.dtype) == "bfloat16"
        assert {weight.dtype for weight in mixed.weights} <= {"float32"}
        mixed.set_weights(layer.get_weights())
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(keras.ops.cast(mixed(inputs), "float32")),
            keras.ops.convert_to_numpy(wanted),
            atol=0.1,
            rtol=0.1,
        )

    return check
