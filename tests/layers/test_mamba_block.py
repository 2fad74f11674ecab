import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from seqexp_tf.layers import CaduceusBlock, MambaBlock, RMSNorm

MIXER = 16 * 64 + 5 * 32 + 32 * 33 + 32 + 32 + 32 * 16 + 32 + 32 * 16
BIMAMBA = 16 * 64 + 2 * (5 * 32 + 32 * 33 + 32 + 32 + 32 * 16 + 32) + 32 * 16


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layer_contract(check_layer, bidirectional):
    check_layer(
        "MambaBlock",
        {"bidirectional": bidirectional},
        _draw(2, 30, 16),
        (2, 30, 16),
        16 + (BIMAMBA if bidirectional else MIXER),
    )


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_mixer_of_normalised_features_beside_a_residual(bidirectional):
    block = MambaBlock(bidirectional=bidirectional)
    x = _draw(2, 20, 8)
    block(x)
    block.norm.gamma.assign(_draw(8, seed=1))
    norm = RMSNorm()
    norm.build(x.shape)
    norm.set_weights([_draw(8, seed=1)])
    wanted = x + np.asarray(block.mixer(norm(x)))
    np.testing.assert_allclose(block(x), wanted, atol=1e-5)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((None, 8), name="x")
    return keras.Model(inputs, CaduceusBlock(state=4, name="block")(inputs))


def test_saved_and_trained_models_are_compiled_in_training_alone(model, tmp_path):
    x = _draw(2, 70, 8)
    wanted = model(x, training=False).numpy()
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(x, training=False), wanted)

    again.compile("adamw", "mse")
    losses = again.fit(x, 0 * x, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(
        again.predict(x, verbose=0), again(x, training=True), atol=1e-5
    )

    again.export(tmp_path / "export", verbose=False)
    graph = _saved_graph(tmp_path / "export")
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    assert any("While" in node.op for node in nodes)
    assert not [node.op for node in nodes if node.op in ("PyFunc", "EagerPyFunc")]
    assert not any("Xla" in node.op for node in nodes)
    holders = [*nodes, *functions]
    assert not any("_XlaMustCompile" in holder.attr for holder in holders)
    saved = tf.saved_model.load(tmp_path / "export")
    for length in (70, 5):
        np.testing.assert_allclose(
            saved.serve(x[:, :length]), again(x[:, :length]), atol=1e-5
        )


def _saved_graph(folder):
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((folder / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    return graph.graph_def


_GRADIENTS = """
import sys
import jax, keras, numpy as np
import seqexp_tf.layers
model = keras.saving.load_model(sys.argv[1])
x = np.load(sys.argv[2])
def total(weights):
    y, _ = model.stateless_call(weights, [], x, training=True)
    return (y**2).mean(), y
weights = [variable.value for variable in model.trainable_variables]
gradients, y = jax.jit(jax.grad(total, has_aux=True))(weights)
np.savez(sys.argv[3], y, *gradients)
"""


def test_outputs_and_gradients_under_jax(model, tmp_path, run_under):
    x = _draw(2, 70, 8)
    paths = [tmp_path / name for name in ("model.keras", "x.npy", "found.npz")]
    model.save(paths[0])
    np.save(paths[1], x)
    run_under("jax", _GRADIENTS, *paths)
    with tf.GradientTape() as tape:
        y = model(x, training=False)
        total = tf.reduce_mean(y**2)
    gradients = tape.gradient(total, [w.value for w in model.trainable_variables])
    with np.load(paths[2]) as found:
        for ours, theirs in zip([y, *gradients], found.values(), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
