import keras
import numpy as np
import pytest

from seqexp_tf.layers import CaduceusBlock, MambaBlock


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("training", [False, True])
def test_without_halves_a_bidirectional_mamba_block(training):
    x = _draw(2, 30, 8)
    ours, theirs = CaduceusBlock(depth=2), MambaBlock(depth=2, bidirectional=True)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(
        ours(x, training=training), theirs(x, training=training), atol=1e-6
    )


@pytest.mark.parametrize("reverse_complement", [False, True])
def test_layer_contract(check_layer, reverse_complement):
    half = 16
    one_way = 5 * 32 + 32 * (1 + 2 * 16) + 32 + 32 + 32 * 16 + 32
    weights = half * 64 + 32 * half + 2 * one_way + half
    width = 2 * half if reverse_complement else half
    check_layer(
        "CaduceusBlock",
        {"reverse_complement": reverse_complement},
        _draw(2, 30, width),
        (2, 30, width),
        weights,
    )


@pytest.mark.parametrize("length", [1, 64, 131])
def test_the_other_strand_gives_the_same_turned_round(length):
    blocks = [CaduceusBlock(depth=3, reverse_complement=True) for _ in range(3)]
    x = _draw(2, length, 16)
    for block in blocks:
        block.build(x.shape)
        block.norm.gamma.assign(_draw(8, seed=1))
    for training in (False, True):
        given, other = x, x[:, ::-1, ::-1]
        for block in blocks:
            given, other = (block(y, training=training) for y in (given, other))
        turned = np.asarray(other)[:, ::-1, ::-1]
        np.testing.assert_allclose(given, turned, atol=1e-5)
        assert np.abs(given - x).max() > 0.05


def test_halves_see_one_strand_each():
    block = CaduceusBlock(reverse_complement=True)
    x = _draw(1, 20, 16)
    before = np.asarray(block(x))
    x[..., 3] += 1
    moved = np.abs(np.asarray(block(x)) - before).max(axis=(0, 1))
    assert (moved[:8] > 0).all() and (moved[8:] == 0).all()


def test_halves_must_be_equal():
    block = CaduceusBlock(reverse_complement=True)
    with pytest.raises(ValueError, match="7 features do not divide into two halves"):
        block(keras.ops.zeros((1, 5, 7)))
