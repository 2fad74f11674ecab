import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from seqexp_tf.layers import SelfAttention, attention
from seqexp_tf.layers.attention import attend


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _plain(query, key, value):
    scores = tf.matmul(query, key, transpose_b=True)
    return tf.matmul(tf.nn.softmax(scores), value)


def _with_gradients(function, tensors, upstream):
    tensors = [tf.constant(x) for x in tensors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        output = function(*tensors)
        total = tf.reduce_sum(output * upstream)
    return [output, *tape.gradient(total, tensors)]


@settings(max_examples=25)
@given(
    length=st.integers(1, 70),
    block=st.integers(1, 40),
    heads=st.integers(1, 3),
    size=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_equal_to_plain_attention(length, block, heads, size, seed):
    shape = (2, heads, length, size)
    tensors = [_draw(*shape, seed=seed + i) for i in range(3)]
    upstream = _draw(*shape, seed=seed + 9)
    before = attention.BLOCK
    attention.BLOCK = block
    try:
        found = _with_gradients(attend, tensors, upstream)
    finally:
        attention.BLOCK = before
    wanted = _with_gradients(_plain, tensors, upstream)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)


def test_equal_at_the_length_of_a_window():
    shape = (1, 2, 2048, 16)
    tensors = [_draw(*shape, seed=i) for i in range(3)]
    upstream = _draw(*shape, seed=9)
    found = _with_gradients(attend, tensors, upstream)
    wanted = _with_gradients(_plain, tensors, upstream)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-4)
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(scale, 1))


ON_JAX = """
import sys

import jax
import numpy as np

from seqexp_tf.layers import attention

attention.BLOCK = 30
tensors = np.load(sys.argv[1])["tensors"]

def plain(query, key, value):
    return jax.nn.softmax(query @ key.swapaxes(2, 3), axis=-1) @ value

def with_gradients(function):
    output, back = jax.vjp(function, *tensors[:3])
    return [output, *back(tensors[3])]

for ours, theirs in zip(*map(with_gradients, (attention.attend, plain)), strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-5)
print("equal")
"""


def test_equal_to_plain_attention_under_jax(run_under, tmp_path):
    # Seven blocks of 30, so that some wait for others.
    tensors = [_draw(2, 3, 200, 8, seed=i) for i in range(4)]
    np.savez(tmp_path / "tensors.npz", tensors=tensors)
    assert run_under("jax", ON_JAX, tmp_path / "tensors.npz") == "equal\n"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_short_types_are_of_the_scores_that_were_rounded(dtype):
    shape = (1, 2, 700, 16)
    tensors = [tf.cast(_draw(*shape, seed=i), dtype) for i in range(3)]
    tensors[0] *= 4  # Scores of up to about 60, as sharp heads have.
    upstream = tf.cast(_draw(*shape, seed=9), dtype)
    found = _with_gradients(attend, tensors, upstream)
    wanted = _with_gradients(_plain, tensors, upstream)
    precision = {"bfloat16": 2**-8, "float16": 2**-11}[dtype]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == dtype
        ours, theirs = (tf.cast(x, "float32").numpy() for x in (ours, theirs))
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=8 * precision * scale)


def test_sharp_attention_has_the_gradients_of_plain_attention():
    # Scores of hundreds, where one key takes all.
    shape = (1, 1, 300, 16)
    tensors = [_draw(*shape, seed=i) for i in range(3)]
    tensors[0] *= 60
    upstream = _draw(*shape, seed=9)
    found = _with_gradients(attend, tensors, upstream)
    wanted = _with_gradients(_plain, tensors, upstream)
    for ours, theirs in zip(found, wanted, strict=True):
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4 * scale)


def test_equal_where_the_length_is_unknown_to_the_graph():
    spec = tf.TensorSpec((None, 2, None, 4), tf.float32)
    graph = tf.function(attend, input_signature=[spec] * 3)
    for length in (1, 5, 16, 50, 700):
        tensors = [_draw(1, 2, length, 4, seed=i) for i in range(3)]
        upstream = _draw(1, 2, length, 4, seed=9)
        found = _with_gradients(graph, tensors, upstream)
        wanted = _with_gradients(_plain, tensors, upstream)
        for ours, theirs in zip(found, wanted, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=1e-4)


def test_no_tensor_of_length_by_length_in_a_training_step():
    length = 8192
    spec = tf.TensorSpec((1, 1, length, 8), tf.float32)

    def step(query, key, value):
        with tf.GradientTape() as tape:
            tape.watch([query, key, value])
            total = tf.reduce_sum(attend(query, key, value))
        return tape.gradient(total, [query, key, value])

    graph = tf.function(step, input_signature=[spec] * 3).get_concrete_function().graph
    shapes = [
        output.shape.as_list()
        for operation in graph.get_operations()
        for output in operation.outputs
        if output.shape.rank is not None
    ]
    largest = max(np.prod([n or 1 for n in shape]) for shape in shapes)
    assert largest == attention.BLOCK * length
    assert not any(shape.count(length) > 1 for shape in shapes)


MEMORY = """
import resource

import keras
import numpy as np

from seqexp_tf.layers.attention import attend

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def loss(x):
    for _ in range(4):
        x = x + attend(x, x, x)
    return keras.ops.sum(x)

x = np.zeros((1, 1, 8192, 8), "float32")
if keras.backend.backend() == "jax":
    import jax

    step = jax.jit(jax.grad(loss))
else:
    import tensorflow as tf

    @tf.function(autograph=False, jit_compile=COMPILED)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = loss(x)
        return tape.gradient(total, x)

before = peak()
np.asarray(step(x))
print(peak() - before)
"""
"""Four layers over 8,192 bases; prints kB over what the process had before."""


@pytest.mark.parametrize(
    ("backend", "compiled"), [("tensorflow", None), ("tensorflow", True), ("jax", True)]
)
def test_a_training_step_holds_no_length_by_length_matrix(backend, compiled):
    run = subprocess.run(
        [sys.executable, "-c", MEMORY.replace("COMPILED", str(compiled))],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    # One such matrix is 262,144 kB; four would be kept, and XLA keeps as many copies.
    assert int(run.stdout.split()[-1]) < 3 * 8192 * 8192 * 4 / 1024


@pytest.mark.parametrize("rotary", [False, True])
def test_layer_contract(check_layer, rotary):
    check_layer(
        "SelfAttention",
        {"heads": 2, "rotary": rotary},
        _draw(2, 30, 8),
        (2, 30, 8),
        8 * 24 + 24 + 8 * 8 + 8,
    )


def test_layer_written_out_in_numpy():
    layer = SelfAttention(heads=2)
    x = _draw(3, 20, 8)
    layer(x)
    weights = [_draw(*w.shape, seed=i) for i, w in enumerate(layer.weights)]
    layer.set_weights(weights)
    kernel, bias, combine, combine_bias = weights
    query, key, value = np.split(x @ kernel + bias, 3, axis=-1)
    heads = []
    for head in range(2):
        at = slice(4 * head, 4 * head + 4)
        scores = query[..., at] @ key[..., at].swapaxes(1, 2) / np.sqrt(4)
        heads.append(softmax(scores, axis=-1) @ value[..., at])
    wanted = np.concatenate(heads, -1) @ combine + combine_bias
    np.testing.assert_allclose(layer(x), wanted, atol=1e-4, rtol=1e-4)


def test_equal_to_keras_own_layer():
    ours, theirs = SelfAttention(heads=2), keras.layers.MultiHeadAttention(2, 4)
    x = _draw(2, 33, 8)
    ours(x), theirs(x, x)
    kernel, bias, combine, combine_bias = ours.get_weights()
    theirs.set_weights(
        [
            part
            for k, b in zip(np.split(kernel, 3, 1), np.split(bias, 3), strict=True)
            for part in (k.reshape(8, 2, 4), b.reshape(2, 4))
        ]
        + [combine.reshape(2, 4, 8), combine_bias]
    )
    np.testing.assert_allclose(ours(x), theirs(x, x), atol=1e-5)


def test_rotary_attention_knows_distances_only():
    # Shifting a window that attends only within itself shifts its output.
    layer = SelfAttention(heads=2, rotary=True)
    x = _draw(1, 16, 8)
    plain = SelfAttention(heads=2)
    layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    flipped = x[:, ::-1]
    assert np.abs(plain(flipped)[:, ::-1] - plain(x)).max() < 1e-5
    assert np.abs(layer(flipped)[:, ::-1] - layer(x)).max() > 1e-3


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match="10 features do not divide by 4 heads"):
        SelfAttention(heads=4)(_draw(1, 5, 10))
