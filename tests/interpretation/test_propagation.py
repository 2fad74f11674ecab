"""Every mutant through the whole model equals the difference it propagates."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.interpretation.mutants import Mutants, in_float32
from seqexp_tf.interpretation.propagation import Propagation
from seqexp_tf.interpretation.receptive_field import NotLocal, local_graph
from seqexp_tf.models.cnn import build_cnn
from seqexp_tf.models.config import CNNConfig

OUTPUT = "expression_logits"


def _inputs(length, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "sequence": np.eye(5, dtype=np.float32)[rng.integers(0, 5, (1, length))],
        "expression": rng.choice([0, 0.5, 1], (1, length)).astype(np.float32),
    }


def _randomize(model, seed=0):
    """Gives biases and normalisations weights of their own too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        scale = 0.7 / np.sqrt(np.prod(weight.shape[:-1]) or 1)
        noise = scale * rng.standard_normal(weight.shape)
        positive = weight.path.endswith(("gamma", "moving_variance"))
        weight.assign(1 + 0.3 * np.abs(noise) if positive else noise)
    return model


def _joint_model(body, length=None):
    """A model of the names the package uses, with any body."""
    sequence = keras.Input((length, 5), name="sequence")
    expression = keras.Input((length,), name="expression")
    outputs = {OUTPUT: body(sequence, expression)}
    return keras.Model({"sequence": sequence, "expression": expression}, outputs)


def _all_mutants(length):
    positions = np.repeat(np.arange(length), 4)
    return positions, np.tile(np.arange(4), length)


def _oracle(model, inputs, positions, bases):
    batch = {
        name: np.repeat(rows, len(positions), axis=0) for name, rows in inputs.items()
    }
    batch["sequence"][np.arange(len(positions)), positions] = np.eye(5)[bases]
    return np.asarray(model(batch, training=False)[OUTPUT])


def _propagated(model, inputs, positions, bases, *, first=0, last=None, group=25):
    last = inputs["sequence"].shape[1] if last is None else last
    graph = local_graph(model, OUTPUT, sequence="sequence")
    window = Propagation(graph, inputs, sequence="sequence", first=first, last=last)
    one_hot = np.eye(5, dtype=np.float32)[bases]
    parts = [
        window.mutate(positions[at : at + group], one_hot[at : at + group])
        for at in range(0, len(positions), group)
    ]
    return window.reference, np.concatenate(parts)


def _assert_exact(model, length, *, first=0, last=None, seed=0, tolerance=1e-5):
    inputs = _inputs(length, seed)
    positions, bases = _all_mutants(length)
    wanted = _oracle(model, inputs, positions, bases)[:, first:last]
    reference, found = _propagated(
        model, inputs, positions, bases, first=first, last=last
    )
    whole = np.asarray(model(inputs, training=False)[OUTPUT])[0, first:last]
    np.testing.assert_allclose(reference, whole, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)


KERNELS = st.integers(1, 8)


@pytest.mark.slow
@settings(max_examples=20)
@given(
    config=st.builds(
        CNNConfig,
        filters=st.sampled_from([4, 8]),
        kernel=KERNELS,
        block_kernel=KERNELS,
        dilations=st.lists(st.integers(1, 12), max_size=3).map(tuple),
        expression_kernel=KERNELS,
        normalize=st.booleans(),
        dropout=st.sampled_from([0.0, 0.3]),
    ),
    length=st.integers(1, 60),
    data=st.data(),
)
def test_any_cnn_at_any_length(config, length, data):
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    model = _randomize(build_cnn(config))
    _assert_exact(model, length, first=first, last=last)


@pytest.mark.parametrize("length", [40, 700])
def test_the_preset(length):
    """Both a window shorter than the receptive field of 288 and a longer one."""
    model = _randomize(build_cnn(CNNConfig(filters=16)))
    inputs = _inputs(length)
    edges = np.array([0, 1, 2, length // 2, length - 2, length - 1])
    positions, bases = np.repeat(edges, 4), np.tile(np.arange(4), len(edges))
    wanted = _oracle(model, inputs, positions, bases)
    _, found = _propagated(model, inputs, positions, bases)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert np.abs(wanted).max() > 0.1


@pytest.mark.parametrize(
    ("padding", "kernel", "dilation"),
    [
        ("same", 1, 1),
        ("same", 30, 1),
        ("same", 4, 3),
        ("causal", 5, 1),
        ("causal", 2, 3),
    ],
)
def test_what_lies_out_of_reach_is_untouched(padding, kernel, dilation):
    def body(sequence, expression):
        x = keras.layers.Conv1D(
            1, kernel, padding=padding, dilation_rate=dilation, name="head"
        )(sequence)
        return keras.layers.Reshape((-1,))(x)

    model = _randomize(_joint_model(body))
    inputs = _inputs(100)
    positions, bases = _all_mutants(100)
    reference, found = _propagated(model, inputs, positions, bases, group=40)
    total = dilation * (kernel - 1)
    left = total if padding == "causal" else total // 2
    graph = local_graph(model, OUTPUT, sequence="sequence")
    assert graph.reach[-1] == (total - left, left)
    assert graph.receptive_field == total + 1
    row = np.arange(100)
    away = row - positions[:, None]
    reached = (away >= left - total) & (away <= left)
    # Every kernel-th base in reach is hit when dilated; the others keep all digits.
    changed = found != reference
    assert not changed[~reached].any()
    mutated = np.argmax(inputs["sequence"][0], -1)[positions] != bases
    hit = reached & ((left - away) % dilation == 0) & mutated[:, None]
    assert (changed == hit).all()


def test_a_closed_form():
    """Sums of G over a window of five: a mutation to G adds one to five rows."""

    def body(sequence, expression):
        x = keras.layers.Conv1D(1, 5, padding="same", use_bias=False, name="sum")(
            sequence
        )
        return keras.layers.Reshape((-1,))(x)

    model = _joint_model(body)
    kernel = np.zeros((5, 5, 1))
    kernel[:, 2] = 1
    model.get_layer("sum").set_weights([kernel])
    inputs = {
        "sequence": np.eye(5, dtype=np.float32)[[[0] * 12]],
        "expression": np.zeros((1, 12), np.float32),
    }
    mutants = Mutants(model, inputs, first=0, last=12, batch_size=4)
    assert mutants.receptive_field == 5
    assert np.array_equal(mutants.reference, np.zeros(12))
    found = mutants.logits(np.array([0, 5, 11]), np.array([2, 2, 1]))
    assert found.tolist() == [
        [1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        [0] * 12,
    ]


def _branches(sequence, expression):
    """Narrow and wide paths, both inputs, and every layer that is treated alone."""
    layers = keras.layers
    label = layers.Reshape((-1, 1))(expression)
    label = layers.Conv1D(4, 3, padding="same", activation="tanh")(label)
    narrow = layers.Conv1D(4, 2, padding="same", activation="gelu")(sequence)
    wide = layers.Conv1D(4, 3, padding="causal", dilation_rate=9)(sequence)
    wide = layers.BatchNormalization()(wide)
    wide = layers.ReLU()(wide)
    x = layers.Multiply()([narrow, label])
    x = layers.Concatenate()([x, wide, label])
    x = layers.LayerNormalization()(x)
    x = layers.Dense(6, activation="silu")(x)
    x = layers.SpatialDropout1D(0.2)(x)
    x = layers.Dense(6, use_bias=False)(layers.Dropout(0.1)(x))
    x = layers.Activation("elu")(layers.Add()([x, x]))
    return layers.Reshape((-1,))(layers.Conv1D(1, 4, padding="same")(x))


@pytest.mark.parametrize("recorded", [(0, 60), (50, 58), (3, 4)])
def test_branches(recorded):
    first, last = recorded
    _assert_exact(_randomize(_joint_model(_branches)), 60, first=first, last=last)


def test_a_fixed_length_and_its_reshape():
    def body(sequence, expression):
        label = keras.layers.Reshape((30, 1))(expression)
        x = keras.layers.Concatenate()([sequence, label])
        x = keras.layers.Conv1D(1, 7, padding="same")(x)
        return keras.layers.Reshape((30,))(x)

    _assert_exact(_randomize(_joint_model(body, length=30)), 30)


def test_an_output_that_ignores_the_sequence():
    def body(sequence, expression):
        x = keras.layers.Reshape((-1, 1))(expression)
        return keras.layers.Reshape((-1,))(keras.layers.Conv1D(1, 3, padding="same")(x))

    model = _randomize(_joint_model(body))
    assert local_graph(model, OUTPUT, sequence="sequence").receptive_field == 0
    _assert_exact(model, 20)


def test_the_number_of_mutants_at_once_changes_nothing():
    model = _randomize(build_cnn(CNNConfig(filters=8, dilations=(2, 16))))
    inputs = _inputs(40)
    positions, bases = _all_mutants(40)
    order = np.random.default_rng(0).permutation(len(positions))
    _, wanted = _propagated(model, inputs, positions, bases, group=3)
    for group in (64, 1000):
        _, found = _propagated(
            model, inputs, positions[order], bases[order], group=group
        )
        np.testing.assert_allclose(found, wanted[order], rtol=0, atol=1e-5)


class _Mean(keras.layers.Layer):
    def call(self, inputs):
        return inputs + keras.ops.mean(inputs, axis=1, keepdims=True)


class _Twice(keras.layers.Conv1D):
    """A subclass, which may do anything."""


def _centred(values):
    return values - keras.ops.mean(values, axis=1, keepdims=True)


def _attention(x):
    return keras.layers.MultiHeadAttention(2, 4)(x, x)


def _shared(x):
    layer = keras.layers.Conv1D(5, 3, padding="same")
    return layer(layer(x))


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (_Mean(), "_Mean"),
        (_attention, "MultiHeadAttention"),
        (keras.layers.LayerNormalization(axis=1), "LayerNormalization"),
        (keras.layers.Activation(_centred), "Activation"),
        (keras.layers.Dense(5, activation=_centred), "Dense"),
        (_Twice(5, 3, padding="same"), "_Twice"),
        (keras.layers.Conv1D(5, 3, padding="same", groups=5), "another"),
        (keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True)), "Bi"),
        (_shared, "called twice"),
        (lambda x: x * 2, "operator|Multiply"),
    ],
)
def test_any_other_layer_sees_every_mutant_whole(layer, named):
    def body(sequence, expression):
        return keras.layers.Reshape((-1,))(
            keras.layers.Conv1D(1, 3, padding="same")(layer(sequence))
        )

    model = _joint_model(body, length=24)
    with pytest.raises(NotLocal, match=named):
        local_graph(model, OUTPUT, sequence="sequence")
    inputs = _inputs(24)
    positions, bases = _all_mutants(24)
    mutants = Mutants(model, inputs, first=4, last=20, batch_size=5)
    assert mutants.receptive_field is None
    wanted = _oracle(model, inputs, positions, bases)[:, 4:20]
    found = mutants.logits(positions, bases)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    np.testing.assert_allclose(
        mutants.reference, np.asarray(model(inputs)[OUTPUT])[0, 4:20], atol=1e-5
    )


def test_a_model_without_a_graph_sees_every_mutant_whole():
    class Sums(keras.Model):
        def call(self, inputs):
            return {OUTPUT: keras.ops.cumsum(inputs["sequence"][..., 0], axis=1)}

    inputs = _inputs(9)
    mutants = Mutants(Sums(), inputs, first=0, last=9, batch_size=2)
    assert mutants.receptive_field is None
    base = np.argmax(inputs["sequence"][0, 3])
    added = mutants.logits(np.array([3]), np.array([0]))[0] - mutants.reference
    assert added.tolist() == [0, 0, 0] + [float(base != 0)] * 6


def test_mixed_precision_is_computed_in_float32(tmp_path):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = build_cnn(CNNConfig(filters=8, dilations=(2, 4), normalize=True))
    finally:
        keras.config.set_dtype_policy(before)
    _randomize(model)
    plain = build_cnn(CNNConfig(filters=8, dilations=(2, 4), normalize=True))
    plain.set_weights(model.get_weights())
    inputs = _inputs(50)
    positions, bases = _all_mutants(50)
    mutants = Mutants(model, inputs, first=0, last=50, batch_size=8)
    wanted = _oracle(plain, inputs, positions, bases)
    found = mutants.logits(positions, bases)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert in_float32(plain) is plain
    model.jit_compile = False
    assert in_float32(model).jit_compile is False
    assert {layer.compute_dtype for layer in in_float32(model).layers} == {"float32"}


JAX = """
import sys
import numpy as np, keras
from seqexp_tf.interpretation.mutants import Mutants
assert keras.backend.backend() == "jax"
model = keras.saving.load_model(sys.argv[1])
case = np.load(sys.argv[2])
inputs = {name: case[name] for name in ("sequence", "expression")}
mutants = Mutants(model, inputs, first=5, last=50, batch_size=8)
assert mutants.receptive_field
np.save(sys.argv[3], mutants.logits(case["positions"], case["bases"]))
"""


@pytest.mark.slow
def test_the_same_under_jax(tmp_path, run_under):
    model = _randomize(build_cnn(CNNConfig(filters=8, dilations=(2,))))
    inputs = _inputs(60)
    positions, bases = np.array([0, 7, 8, 59]), np.array([0, 1, 2, 3])
    model.save(tmp_path / "model.keras")
    np.savez(tmp_path / "case.npz", **inputs, positions=positions, bases=bases)
    files = [tmp_path / name for name in ("model.keras", "case.npz", "found.npy")]
    run_under("jax", JAX, *files)
    wanted = _oracle(model, inputs, positions, bases)[:, 5:50]
    np.testing.assert_allclose(np.load(files[2]), wanted, rtol=0, atol=1e-4)


def test_temperature_divides_every_logit():
    model = _randomize(build_cnn(CNNConfig(filters=4, dilations=(2,))))
    inputs = _inputs(30)
    plain, tempered = (
        Mutants(model, inputs, first=0, last=30, batch_size=4, temperature=one)
        for one in (1.0, 2.0)
    )
    np.testing.assert_array_equal(plain.reference, 2 * tempered.reference)
    positions, bases = _all_mutants(30)
    np.testing.assert_array_equal(
        plain.logits(positions, bases), 2 * tempered.logits(positions, bases)
    )


@pytest.mark.parametrize(
    "config",
    [
        CNNConfig(filters=1),
        CNNConfig(filters=1, kernel=15, dilations=tuple(2**i for i in range(10))),
        CNNConfig(filters=1, kernel=4, block_kernel=2, dilations=(3,)),
    ],
)
def test_the_receptive_field_is_that_of_the_configuration(config):
    graph = local_graph(build_cnn(config), OUTPUT, sequence="sequence")
    assert graph.receptive_field == config.receptive_field
