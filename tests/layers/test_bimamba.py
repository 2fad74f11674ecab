import keras
import numpy as np
import pytest

from seqexp_tf.layers import BiMamba, MambaMixer


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _weights(layer):
    return {weight.path.split("/", 1)[1]: weight for weight in layer.weights}


def test_layer_contract(check_layer):
    one_way = 5 * 32 + 32 * (1 + 2 * 16) + 32 + 32 + 32 * 16 + 32
    weights = 16 * 64 + 32 * 16 + 2 * one_way
    check_layer("BiMamba", {}, _draw(2, 30, 16), (2, 30, 16), weights)


@pytest.mark.parametrize("training", [False, True])
def test_two_mixers_with_the_same_projections(training):
    x = _draw(2, 41, 8)
    both = BiMamba(depth=2)
    wanted = 0
    both.build(x.shape)
    for name, turn in (("ahead", slice(None)), ("back", slice(None, None, -1))):
        mixer = MambaMixer()
        mixer.build(x.shape)
        source = _weights(both)
        for path, weight in _weights(mixer).items():
            weight.assign(source[path.replace("scan/", f"{name}/")])
        wanted = wanted + np.asarray(mixer(x[:, turn]))[:, turn]
    np.testing.assert_allclose(both(x, training=training), wanted, atol=1e-6)


def test_a_base_sees_the_whole_window():
    layer = BiMamba()
    x = _draw(1, 20, 8)
    wanted = np.asarray(layer(x))
    changed = x.copy()
    changed[:, 11] += 1
    assert (np.abs(np.asarray(layer(changed)) - wanted).max(axis=-1) > 0).all()


def test_as_many_weights_as_in_the_study():
    # Four blocks with their norms, and the norm after the last, have 539,264.
    layer = BiMamba(depth=4)
    layer.build((None, None, 128))
    assert 4 * (layer.count_params() + 128) + 128 == 539_264


def test_projections_alone_are_shared():
    keras.utils.set_random_seed(1)
    layer = BiMamba()
    layer.build((None, None, 8))
    weights = _weights(layer)
    ahead = {path for path in weights if path.startswith("ahead/")}
    back = {path.replace("ahead/", "back/") for path in ahead}
    assert set(weights) == ahead | back | {"in_proj/kernel", "out_proj/kernel"}
    drawn = [np.asarray(weights[f"{name}/x_proj/kernel"]) for name in ("ahead", "back")]
    assert (drawn[0] != drawn[1]).any()
