import keras
import numpy as np

from seqexp_tf.layers import SinusoidalPositions
from seqexp_tf.layers.positions import rotate


def test_layer_contract(check_layer):
    x = np.random.default_rng(0).normal(size=(2, 50, 8)).astype(np.float32)
    check_layer("SinusoidalPositions", {}, x, (2, 50, 8), 0)


def test_the_waves_of_the_paper():
    added = SinusoidalPositions()(np.zeros((1, 2048, 128), np.float32))[0]
    for position in (0, 1, 77, 2047):
        for i in (0, 1, 31, 63):
            angle = position / 10_000 ** (2 * i / 128)
            assert abs(added[position, 2 * i] - np.sin(angle)) < 2e-4
            assert abs(added[position, 2 * i + 1] - np.cos(angle)) < 2e-4


def test_products_of_turned_vectors_depend_on_distance_alone():
    rng = np.random.default_rng(1)
    query, key = rng.normal(size=(2, 16)).astype(np.float32)
    turned = [
        keras.ops.convert_to_numpy(rotate(np.tile(vector, (1, 1, 300, 1))))[0, 0]
        for vector in (query, key)
    ]
    products = turned[0] @ turned[1].T
    for distance in (0, 1, 40, 255):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-3)
    assert products.std() > 0.1
    np.testing.assert_allclose(
        np.linalg.norm(turned[0], axis=-1), np.linalg.norm(query), rtol=1e-5
    )
    np.testing.assert_allclose(turned[0][0], query, atol=1e-6)
