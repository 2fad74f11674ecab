"""The gene that makes a loss not finite is named."""

import keras
import numpy as np
import pytest

from seqexp_tf.training.expression_losses import GeneLoss
from seqexp_tf.training.faulty_gene import find_faulty_gene

GENES = ["YAL001C", "YAL002W", "YAL003W"]


@pytest.fixture
def model():
    inputs = keras.Input((2,), name="features")
    x = keras.layers.Lambda(lambda t: keras.ops.sum(keras.ops.log(t), axis=-1))(inputs)
    return keras.Model({"features": inputs}, {"expression": x})


@pytest.mark.parametrize(
    ("features", "target", "said"),
    [
        ([[1, 1], [1, np.nan], [1, 1]], [0, 0, 0], "features of gene YAL002W is not"),
        ([[1, 1], [1, 1], [1, 1]], [0, 0, np.inf], "target of gene YAL003W is not"),
        ([[1, 1], [1, 1], [1, 0]], [0, 0, 0], "gene YAL003W alone gives a loss"),
        ([[1, 1], [1, 0], [1, 0]], [0, 0, 0], "YAL002W alone gives a loss that is not"),
        ([[1, 1], [1, 0], [1, 0]], [0, 0, 0], "not finite, as do others of the batch"),
        ([[1, 0], [0, 1], [1, 0]], [0, 0, 0], "the weights have diverged"),
        ([[1, 1], [1, 1], [1, 1]], [0, 0, 0], "each of its genes alone gives a finite"),
    ],
)
def test_what_is_said(model, features, target, said):
    found = find_faulty_gene(
        model,
        GENES,
        {"features": np.array(features, "f4")},
        {"expression": np.array(target, "f4")},
        loss=GeneLoss("mse"),
    )
    assert said in found
