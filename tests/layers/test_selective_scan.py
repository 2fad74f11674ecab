import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.layers import (
    CausalConvolution,
    SelectiveScan,
    compiled_layers,
    scan_graph,
    scan_parallel,
    selective_scan,
)


def _inputs(batch, length, channels, state, seed=0):
    """x, delta, A, B, C, D and a gradient of y, float32."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.normal(size=shape)

    arrays = (
        draw(batch, length, channels),
        np.exp(rng.uniform(np.log(1e-3), np.log(0.5), (batch, length, channels))),
        -np.exp(draw(channels, state)),
        draw(batch, length, state),
        draw(batch, length, state),
        draw(channels),
        draw(batch, length, channels),
    )
    return [array.astype(np.float32) for array in arrays]


def _reference(x, delta, A, B, C, D, upstream):
    """y and all gradients, step by step in float64."""
    x, delta, A, B, C, D, upstream = (
        np.asarray(array, np.float64) for array in (x, delta, A, B, C, D, upstream)
    )
    length = x.shape[1]
    decay = np.exp(delta[..., None] * A)
    states, y = [np.zeros((x.shape[0], *A.shape))], np.empty_like(x)
    for t in range(length):
        u = (delta[:, t] * x[:, t])[:, :, None]
        states.append(decay[:, t] * states[-1] + u * B[:, t, None])
        y[:, t] = (states[-1] * C[:, t, None]).sum(-1) + D * x[:, t]
    dx, ddelta, dA = np.zeros_like(x), np.zeros_like(x), np.zeros_like(A)
    dB, dC, dh = np.zeros_like(B), np.zeros_like(C), np.zeros_like(states[0])
    for t in reversed(range(length)):
        dC[:, t] = (states[t + 1] * upstream[:, t, :, None]).sum(1)
        dh += upstream[:, t, :, None] * C[:, t, None]
        dB[:, t] = (dh * (delta[:, t] * x[:, t])[:, :, None]).sum(1)
        du = (dh * B[:, t, None]).sum(-1)
        dx[:, t] = du * delta[:, t] + D * upstream[:, t]
        dh *= decay[:, t]
        by_decay = dh * states[t]
        ddelta[:, t] = du * x[:, t] + (by_decay * A).sum(-1)
        dA += (by_decay * delta[:, t, :, None]).sum(0)
    return y, dx, ddelta, dA, dB, dC, (upstream * x).sum((0, 1))


def _found(*arrays, compiled=False):
    *arrays, upstream = (tf.convert_to_tensor(array) for array in arrays)
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        y = selective_scan(*arrays, compiled=compiled)
        total = tf.reduce_sum(y * upstream)
    return [y, *tape.gradient(total, arrays)]


def _assert_close(found, wanted, tolerance=2e-6):
    for ours, theirs in zip(found, wanted, strict=True):
        # Sums of a few random terms may cancel.
        scale = max(np.abs(theirs).max(), 1)
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance, rtol=0)


def test_the_reference_by_finite_differences():
    arrays = [a.astype(np.float64) for a in _inputs(2, 5, 3, 2)]
    _, *gradients = _reference(*arrays)
    rng = np.random.default_rng(1)
    for index, gradient in enumerate(gradients):
        direction = rng.normal(size=arrays[index].shape)
        totals = []
        for step in (1e-6, -1e-6):
            moved = list(arrays)
            moved[index] = arrays[index] + step * direction
            totals.append((_reference(*moved)[0] * arrays[-1]).sum())
        slope = (totals[0] - totals[1]) / 2e-6
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6)


@settings(max_examples=15)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 24),
    channels=st.integers(1, 5),
    state=st.integers(1, 4),
    block=st.tuples(st.integers(1, 6), st.integers(0, 8)),
    step=st.integers(1, 300),
    serial=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_any_cut_gives_the_same(
    batch, length, channels, state, block, step, serial, seed
):
    *arrays, upstream = _inputs(batch, length, channels, state, seed)
    names = ("BLOCK", "_IN_BLOCK", "_STEP_ON_CPU")
    before = [getattr(scan_graph, name) for name in names]
    few, more = block
    values = ((few, few + more), 10 * step, step)
    for name, value in zip(names, values, strict=True):
        setattr(scan_graph, name, value)
    try:
        y, states = scan_graph.forward(*arrays, serial=serial)
        found = scan_graph.backward(*arrays, states, upstream, serial=serial)
    finally:
        for name, value in zip(names, before, strict=True):
            setattr(scan_graph, name, value)
    _assert_close([y, *found], _reference(*arrays, upstream))


@settings(max_examples=10)
@given(
    batch=st.integers(1, 3),
    length=st.integers(1, 24),
    channels=st.integers(1, 5),
    state=st.integers(1, 4),
    in_block=st.integers(1, 400),
    seed=st.integers(0, 1000),
)
def test_any_block_of_an_accelerator_gives_the_same(
    batch, length, channels, state, in_block, seed
):
    *arrays, upstream = _inputs(batch, length, channels, state, seed)
    arrays = [tf.constant(array) for array in arrays]
    before = scan_parallel.IN_BLOCK
    scan_parallel.IN_BLOCK = in_block
    try:
        y, states = scan_parallel.forward(*arrays)
        found = scan_parallel.backward(*arrays, states, tf.constant(upstream))
    finally:
        scan_parallel.IN_BLOCK = before
    _assert_close([y, *found], _reference(*(a.numpy() for a in arrays), upstream))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("length", [1, 333])
def test_equal_to_the_reference(compiled, length):
    arrays = _inputs(2, length, 6, 4)
    _assert_close(_found(*arrays, compiled=compiled), _reference(*arrays))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_gradient_of_one_output(length):
    *arrays, _ = _inputs(1, length, 2, 3)
    for position in range(length):
        upstream = np.zeros((1, length, 2), np.float32)
        upstream[:, position] = 1
        found = _found(*arrays, upstream)
        _assert_close(found, _reference(*arrays, upstream))
        for gradient in (found[1], found[2], found[4]):
            assert not np.asarray(gradient)[:, position + 1 :].any()


def test_a_long_memory_survives():
    # One input, hardly any decay: what comes out late is what went in early.
    length = 20_000
    x = np.zeros((1, length, 1), np.float32)
    x[0, 0] = 1
    delta = np.full_like(x, 0.01)
    ones = np.ones((1, length, 1), np.float32)
    A, D = np.full((1, 1), -1e-3, np.float32), np.zeros(1, np.float32)
    y = np.asarray(selective_scan(x, delta, A, ones, ones, D))[0, :, 0]
    wanted = 0.01 * np.exp(-1e-5 * np.arange(length))
    np.testing.assert_allclose(y, wanted, rtol=1e-3)


def test_the_same_inputs_give_the_same_bytes():
    arrays = _inputs(3, 500, 16, 16)
    for compiled in (False, True):
        first, again = (_found(*arrays, compiled=compiled) for _ in range(2))
        for one, other in zip(first, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_any_length_and_batch_in_one_graph():
    tensors = [(None, None, 4), (None, None, 4), (4, 3), (None, None, 3)]
    spec = [tf.TensorSpec(s) for s in (*tensors, tensors[3], (4,), tensors[0])]
    for compiled in (False, True):
        graph = tf.function(
            lambda *tensors, c=compiled: _found(*tensors, compiled=c),
            input_signature=spec,
            autograph=False,
        )
        for batch, length in ((2, 7), (1, 150)):
            arrays = _inputs(batch, length, 4, 3)
            _assert_close(graph(*map(tf.constant, arrays)), _reference(*arrays))


@pytest.mark.parametrize("compiled", [False, True])
def test_no_tensor_of_length_by_channels_by_state(compiled):
    length, channels, state = 32768, 64, 16
    tensors = [
        (1, length, channels),
        (1, length, channels),
        (channels, state),
        (1, length, state),
        (1, length, state),
        (channels,),
        (1, length, channels),
    ]
    graph = tf.function(
        lambda *tensors: _found(*tensors, compiled=compiled),
        input_signature=[tf.TensorSpec(shape) for shape in tensors],
        autograph=False,
    )
    definition = graph.get_concrete_function().graph.as_graph_def(add_shapes=True)
    nodes = [
        node
        for function in (definition, *definition.library.function)
        for node in (function.node if function is definition else function.node_def)
    ]
    sizes = [
        np.prod([max(dimension.size, 1) for dimension in shape.dim] or [1])
        for node in nodes
        for shape in node.attr["_output_shapes"].list.shape
    ]
    whole = length * channels * state
    block = scan_graph.BLOCK[1] * channels * state
    assert any(node.op == "Exp" for node in nodes)
    assert max(sizes) >= length * max(channels, state)
    assert max(sizes) <= whole / 16 and max(sizes) >= block


def test_layer_contract(check_layer):
    x, delta, _, B, C, _, _ = _inputs(2, 30, 6, 4)
    check_layer("SelectiveScan", {"state": 4}, [x, delta, B, C], (2, 30, 6), 6 * 4 + 6)


def test_layer_is_the_function():
    x, delta, _, B, C, _, _ = _inputs(2, 30, 6, 4)
    layer = SelectiveScan(state=4)
    layer([x, delta, B, C])
    layer.A_log.assign_add(np.linspace(-1, 1, 24).reshape(6, 4))
    layer.D.assign(np.linspace(-1, 1, 6))
    D = layer.D.numpy()
    wanted = selective_scan(x, delta, -np.exp(layer.A_log.numpy()), B, C, D)
    np.testing.assert_allclose(layer([x, delta, B, C]), wanted, atol=1e-6)
    assert [weight.name for weight in layer.weights] == ["A_log", "D"]


def test_states_are_float32_under_mixed_precision():
    # In bfloat16 a sum of 4,000 like terms would stop growing at 256 times the first.
    layer = SelectiveScan(state=1, dtype="mixed_bfloat16")
    x = np.ones((1, 4000, 1), np.float32)
    delta = np.full_like(x, 1e-3)
    layer.build([x.shape, x.shape, x.shape, x.shape])
    layer.A_log.assign([[-20.0]])
    for training in (False, True):
        y = layer([x, delta, x, x], training=training)
        assert y.dtype == tf.bfloat16
        assert float(y[0, -1, 0]) == pytest.approx(4.0 + 1.0, rel=5e-3)


def _compiled_functions(graph):
    return [
        function.signature.name
        for function in graph.as_graph_def().library.function
        if function.attr["_XlaMustCompile"].b
    ]


def _traced(layer, inputs, **options):
    function = tf.function(lambda *x: layer(list(x), **options), autograph=False)
    return function.get_concrete_function(*map(tf.constant, inputs)).graph


def test_compiled_in_training_and_where_asked():
    x, delta, _, B, C, _, _ = _inputs(1, 10, 2, 3)
    layer, inputs = SelectiveScan(state=3), (x, delta, B, C)
    assert _compiled_functions(_traced(layer, inputs, training=True))
    # Neither the trained layer nor one that is told nothing.
    assert not _compiled_functions(_traced(layer, inputs, training=False))
    assert not _compiled_functions(_traced(layer, inputs))
    with compiled_layers():
        assert _compiled_functions(_traced(layer, inputs, training=False))
    assert not _compiled_functions(_traced(layer, inputs, training=False))


def test_compiled_where_activations_are_computed_again():
    with keras.RematScope(mode="list_of_layers", layer_names=["again"]):

        class Outer(keras.layers.Layer):
            def __init__(self):
                super().__init__(name="again")
                self.inner = CausalConvolution()

            def build(self, shape):
                self.inner.build(shape)

            def call(self, inputs):
                return self.inner(inputs)

        outer = Outer()
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, outer(inputs))

    def step(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(x, training=True))
        return tape.gradient(total, model.trainable_variables)

    graph = tf.function(step, autograph=False).get_concrete_function(
        tf.TensorSpec((1, 20, 3))
    )
    calls = [
        operation
        for operation in graph.graph.get_operations()
        if operation.type.endswith("PartitionedCall")
    ]
    assert len(calls) == 3  # Forward, forward again, backward.
    assert len(_compiled_functions(graph.graph)) == 2


_UNDER_JAX = """
import sys
import jax, keras, numpy as np
from seqexp_tf.layers import scan_graph, scan_parallel, selective_scan
with np.load(sys.argv[1]) as arrays:
    *arrays, upstream = arrays.values()
def total(*arrays):
    return (selective_scan(*arrays) * upstream).sum()
gradient = jax.grad(total, range(6))
results = [selective_scan(*arrays), *jax.jit(gradient)(*arrays)]
def in_chunks(*arrays):
    y, states = scan_graph.forward(*arrays, serial=False)
    return y, *scan_graph.backward(*arrays, states, upstream, serial=False)
results += jax.jit(in_chunks)(*arrays)
def on_accelerator(*arrays):
    y, states = scan_parallel.forward(*arrays)
    return y, *scan_parallel.backward(*arrays, states, upstream)
scan_parallel.IN_BLOCK = 10_000
results += jax.jit(on_accelerator)(*arrays)
np.savez(sys.argv[2], *map(np.asarray, results))

def sizes(jaxpr):
    for equation in jaxpr.eqns:
        yield from (v.aval.size for v in equation.outvars)
        for inner in jax.core.jaxprs_in_params(equation.params):
            yield from sizes(inner)
x, delta, A, B, C, D = arrays
def longer(array):
    return np.tile(array, (1, 8192 // array.shape[1] + 1, 1))[:, :8192]
upstream = longer(upstream)
made = jax.make_jaxpr(gradient)(longer(x), longer(delta), A, longer(B), longer(C), D)
print(max(sizes(made.jaxpr)))
"""


def test_equal_under_jax(tmp_path, run_under):
    arrays = _inputs(2, 200, 6, 16)
    np.savez(tmp_path / "inputs.npz", *arrays)
    paths = [tmp_path / "inputs.npz", tmp_path / "outputs.npz"]
    largest = run_under("jax", _UNDER_JAX, *paths)
    with np.load(tmp_path / "outputs.npz") as found:
        found = list(found.values())
    wanted = _reference(*arrays)
    assert len(found) == 3 * len(wanted)
    for start in range(0, len(found), len(wanted)):
        _assert_close(found[start : start + len(wanted)], wanted)
    _assert_close(_found(*arrays), found[: len(wanted)], tolerance=1e-5)
    assert int(largest) <= 2 * 8192 * 6 * 16 / 4
