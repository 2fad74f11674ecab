import numpy as np
import pytest

from seqexp_tf.layers import (
    CaduceusBlock,
    ReverseComplementEmbedding,
    ReverseComplementMean,
)


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _dna(batch, length, seed=0):
    rng = np.random.default_rng(seed)
    one_hot = np.eye(4, dtype=np.float32)[rng.integers(0, 4, (batch, length))]
    one_hot[rng.random((batch, length)) < 0.1] = 0
    return one_hot


@pytest.mark.parametrize("complement", [False, True])
def test_embedding_contract(check_layer, complement):
    check_layer(
        "ReverseComplementEmbedding",
        {"width": 8, "complement": complement},
        _draw(2, 30, 4),
        (2, 30, 8),
        4 * 4 + 4,
    )


def test_mean_contract(check_layer):
    kind = "ReverseComplementMean"
    layer = ReverseComplementMean()
    x = _draw(2, 30, 8)
    wanted = (x[..., :4] + x[..., :3:-1]) / 2
    np.testing.assert_allclose(layer(x), wanted, atol=1e-6)
    assert layer.count_params() == 0 and type(layer).__name__ == kind


def test_strands_of_a_network():
    dna, signals = _dna(2, 40), _draw(2, 40, 3)
    of_dna = ReverseComplementEmbedding(16)
    of_signals = ReverseComplementEmbedding(16, complement=False)
    block = CaduceusBlock(reverse_complement=True)
    mean = ReverseComplementMean()

    def features(dna, signals):
        x = of_dna(dna) + of_signals(signals)
        return np.asarray(x), np.asarray(mean(block(x)))

    embedded, given = features(dna, signals)
    turned, other = features(dna[:, ::-1, ::-1], signals[:, ::-1])
    np.testing.assert_allclose(embedded, turned[:, ::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(given, other[:, ::-1], atol=1e-5)
    assert np.abs(given - other).max() > 0.05


def test_an_odd_width_has_no_halves():
    with pytest.raises(ValueError, match="width is 7; it must be even"):
        ReverseComplementEmbedding(7)
