import keras
import numpy as np
import pytest

from seqexp_tf.layers import DilatedBlock


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("normalize", "more"), [(False, 0), (True, 16)])
def test_layer_contract(check_layer, normalize, more):
    check_layer(
        "DilatedBlock",
        {"kernel": 3, "dilation": 4, "normalize": normalize},
        _draw(2, 30, 8),
        (2, 30, 8),
        3 * 8 * 8 + 8 + more,
    )


def test_written_out_in_numpy():
    layer = DilatedBlock(kernel=3, dilation=2)
    x = _draw(2, 9, 4)
    layer(x)
    kernel, bias = _draw(3, 4, 4, seed=1), _draw(4, seed=2)
    layer.convolution.set_weights([kernel, bias])
    padded = np.pad(x, ((0, 0), (2, 2), (0, 0)))
    convolved = sum(padded[:, 2 * tap : 2 * tap + 9] @ kernel[tap] for tap in range(3))
    wanted = x + np.maximum(convolved + bias, 0)
    np.testing.assert_allclose(layer(x), wanted, atol=1e-5)


def test_dropout_acts_in_training_alone():
    layer = DilatedBlock(dropout=0.5)
    x = _draw(1, 20, 8)
    still = [keras.ops.convert_to_numpy(layer(x, training=False)) for _ in range(2)]
    np.testing.assert_array_equal(*still)
    moving = [keras.ops.convert_to_numpy(layer(x, training=True)) for _ in range(2)]
    assert np.abs(moving[0] - moving[1]).max() > 0.01
