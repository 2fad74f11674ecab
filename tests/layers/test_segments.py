import keras
import numpy as np
import pytest

from seqexp_tf.layers import SpreadSegments


def test_layer_contract(check_layer):
    tokens = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    bases = np.zeros((2, 20, 7), np.float32)
    check_layer("SpreadSegments", {"segment": 5}, [tokens, bases], (2, 20, 3), 0)


@pytest.mark.parametrize("length", [1, 4, 5, 19, 20, 21, 23])
def test_every_base_gets_the_token_of_its_own_segment(length):
    # A strided convolution that sums names the bases of each token: sums of powers
    # of two.
    bases = np.zeros((1, length, 24), np.float32)
    bases[0, np.arange(length), np.arange(length)] = 1
    convolution = keras.layers.Conv1D(
        24, 5, strides=5, padding="same", use_bias=False, trainable=False
    )
    convolution.build(bases.shape)
    convolution.set_weights([np.stack([np.eye(24)] * 5)])
    tokens = convolution(bases)
    spread = SpreadSegments(5)([tokens, bases])
    assert spread.shape == bases.shape
    own = keras.ops.convert_to_numpy(spread)[0, np.arange(length), np.arange(length)]
    np.testing.assert_array_equal(own, 1)
