"""What Keras has no operation for, on TensorFlow and on JAX.

The only module of the layers that imports a backend.
"""

import functools
from collections.abc import Callable

import keras

ON_JAX = keras.backend.backend() == "jax"


@functools.cache
def has_accelerator() -> bool:
    """Returns whether there is a device other than the CPU."""
    if ON_JAX:
        import jax

        return jax.default_backend() != "cpu"
    import tensorflow as tf

    return len(tf.config.list_physical_devices()) > len(
        tf.config.list_physical_devices("CPU")
    )


def as_graph(function: Callable, *, compiled: bool) -> Callable:
    """Returns a function of tensors as one graph, traced once for each shape.

    Args:
        function: of tensors.
        compiled: by XLA; under JAX it is in any case.
    """
    if ON_JAX:
        import jax

        return jax.jit(function)
    import tensorflow as tf

    # None, because False leaves a mark in the graph, which is to have none.
    return tf.function(function, jit_compile=compiled or None, autograph=False)


def replica() -> tuple[object, int]:
    """Returns which replica of a model computes, and how many share its batch.

    The parts of a batch are in the order of the replicas.
    """
    if ON_JAX:
        return 0, 1
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def current_graph() -> object | None:
    """Returns the TensorFlow graph that is being made, None where there is none."""
    if ON_JAX:
        return None
    import tensorflow as tf

    return None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()


def add_bias(x, bias, activation: Callable):
    """Returns activation(x + bias), with a gradient of the bias summed in float32.

    For TensorFlow, which on a CPU sums it in the type of ``x``.

    Args:
        x: ``(..., features)``.
        bias: ``(features,)``.
        activation: of a tensor, elementwise.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def biased(x, bias):
        # Whoever takes the gradients may do so again, of something else.
        with tf.GradientTape(persistent=True) as tape:
            added = tf.nn.bias_add(x, bias)
            tape.watch(added)
            outputs = activation(added)

        def gradients(upstream):
            upstream = tape.gradient(outputs, added, upstream)
            rows = tf.reshape(upstream, (-1, upstream.shape[-1]))
            # A product is summed in float32 and rounded once.
            ones = tf.ones((1, tf.shape(rows)[0]), rows.dtype)
            return upstream, tf.matmul(ones, rows)[0]

        return outputs, gradients

    return biased(x, keras.ops.cast(bias, x.dtype))


def after(x, others):
    """Returns a tensor, computed no sooner than others are.

    What is computed again in the backward pass, to save memory, must not be merged
    with the same in the forward pass, nor begin before there is need for it.

    Args:
        x: floating.
        others: tensors, at least one.
    """
    if not ON_JAX:
        import tensorflow as tf

        with tf.control_dependencies(others):
            x = tf.identity(x)
    # XLA knows nothing of that, but does not foresee this sum. A NaN stays one.
    seen = keras.ops.max(others[0])
    nothing = keras.ops.where(seen == seen, 0.0, float("nan"))
    return x + keras.ops.cast(nothing, x.dtype)


def scan(
    step: Callable, carry: tuple, inputs: tuple, *, outputs: int, reverse: bool = False
) -> tuple[tuple, tuple]:
    """Steps through the first axis of tensors, as ``jax.lax.scan`` does.

    Unlike ``keras.ops.scan``, a step may give out other shapes than it carries.

    Args:
        step: of the carried tensors and a tuple of slices; returns the tensors to
            carry on and those to give out, two tuples.
        carry: tensors before the first step; their shapes stay.
        inputs: tensors of the same first axis, at least one long.
        outputs: how many tensors a step gives out.
        reverse: from the last slice to the first.

    Returns:
        The carried tensors after the last step, and what the steps gave out, stacked
        in the order of the slices.
    """
    if ON_JAX:
        import jax

        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    import tensorflow as tf

    length = keras.ops.shape(inputs[0])[0]
    shapes = [None] * outputs

    def body(index, carry, arrays):
        at = length - 1 - index if reverse else index
        before = carry
        carry, given = step(before, tuple(values[at] for values in inputs))
        for old, new in zip(before, carry, strict=True):
            new.set_shape(old.shape)  # A step may know less, as of one row and any.
        shapes[:] = [values.shape for values in given]
        arrays = tuple(
            array.write(at, values) for array, values in zip(arrays, given, strict=True)
        )
        return index + 1, carry, arrays

    arrays = tuple(tf.TensorArray(carry[0].dtype, length) for _ in range(outputs))
    _, carry, arrays = tf.while_loop(
        lambda index, *_: index < length, body, (0, carry, arrays)
    )
    stacked = tuple(array.stack() for array in arrays)
    known = length if isinstance(length, int) else None
    for values, shape in zip(stacked, shapes, strict=True):
        values.set_shape([known, *shape])
    return carry, stacked


def beta_sample(alpha, beta, seed):
    """Returns one differentiable draw of every Beta(alpha, beta).

    A Beta variable is g1 / (g1 + g2) of two Gamma variables (the two-sided case of
    the Dirichlet distribution), divided in logarithms, because a Gamma variable of a
    small shape is smaller than any float32. On TensorFlow they are drawn through
    TensorFlow Probability, with implicit reparameterisation gradients. Those of JAX
    are loops of hundreds of steps, which an accelerator waits for; there the draw is
    one of Marsaglia & Tsang's, whose shape is raised so far that nearly all proposals
    are accepted, and which is differentiated as it stands (gradients of the mean are
    within 1 % of the exact ones).

    Args:
        alpha: float32, positive, any shape.
        beta: the same shape.
        seed: two whole numbers; the same seed gives the same draw.

    Returns:
        float32 of the same shape, from 0 to 1, with finite gradients; NaN where a
        parameter is not finite.

    Reference:
        [Figurnov et al. 2018](https://arxiv.org/abs/1805.08498);
        [Naesseth et al. 2017](https://arxiv.org/abs/1610.05683), section 5
    """
    # tfp's sampler for accelerators never ends where a shape is infinite.
    alpha, beta = (
        keras.ops.where(keras.ops.isfinite(x), x, float("nan")) for x in (alpha, beta)
    )
    if ON_JAX:
        import jax

        key = jax.random.wrap_key_data(jax.numpy.asarray(seed, "uint32"))
        first, second = jax.random.split(key)
        return jax.nn.sigmoid(_raised_gamma(alpha, first) - _raised_gamma(beta, second))
    import tensorflow as tf

    first, second = tf.unstack(tf.random.split(tf.cast(seed, tf.int32)))
    return tf.sigmoid(_log_gamma_sample(alpha, first) - _log_gamma_sample(beta, second))


_RAISED, _PROPOSALS = 4, 4
"""By how much a shape is raised; proposals for a draw, of which 1 in 50 is refused."""


def _raised_gamma(concentration, key):
    """Returns the logarithm of a Gamma draw under JAX, without a loop."""
    import jax
    import jax.numpy as jnp

    of_normal, of_choice, of_lift = jax.random.split(key, 3)
    shape = jnp.shape(concentration)
    # Marsaglia & Tsang 2000: d (1 + c x)^3 for a normal x that is accepted.
    d = concentration + (_RAISED - 1 / 3)
    c = (9.0 * d) ** -0.5
    x = jax.random.normal(of_normal, (_PROPOSALS, *shape))
    u = jax.random.uniform(of_choice, (_PROPOSALS, *shape), minval=1e-30)
    cube = jnp.maximum(1 + c * x, 1e-6) ** 3
    accepted = jnp.log(u) < 0.5 * x**2 + d * (1 - cube + jnp.log(cube))
    chosen = jnp.argmax(accepted, axis=0)[None]
    x = jax.lax.stop_gradient(jnp.take_along_axis(x, chosen, axis=0)[0])
    # Where all were refused, which is once in ten million draws: the mode.
    x = jnp.where(jnp.any(accepted, axis=0), x, 0.0)
    lift = jax.random.uniform(of_lift, (_RAISED, *shape), minval=1e-30)
    steps = jnp.arange(_RAISED, dtype=d.dtype).reshape(-1, *[1] * len(shape))
    lowered = jnp.sum(jnp.log(lift) / (concentration + steps), axis=0)
    return jnp.log(d) + 3 * jnp.log1p(c * x) + lowered


def _log_gamma_sample(concentration, seed):
    import tensorflow as tf
    import tensorflow_probability as tfp

    # tfp's gradient is 0 / 0 where a draw underflows, which small shapes do. A
    # Gamma(a) variable is one of Gamma(a + 1) times U^(1/a) (Marsaglia & Tsang 2000).
    of_gamma, of_uniform = tf.unstack(tf.random.split(seed))
    small = concentration < 1.0
    lifted = tf.where(small, concentration + 1.0, concentration)
    drawn = tfp.distributions.ExpGamma(lifted, 1.0).sample(seed=of_gamma)
    uniform = tf.random.stateless_uniform(
        tf.shape(concentration), of_uniform, minval=1e-30
    )
    lowered = tf.math.log(uniform) / tf.where(small, concentration, 1.0)
    return drawn + tf.where(small, lowered, 0.0)


def fused_attention(query, key, value):
    """Returns softmax(query keyᵀ) value from cuDNN's fused kernel, or None without one.

    Args:
        query: ``(batch, heads, length, size)``, already scaled.
        key: the same shape.
        value: the same shape.
    """
    half = keras.backend.standardize_dtype(query.dtype) in ("bfloat16", "float16")
    if not (ON_JAX and half and _has_cuda()):
        return None
    import jax

    query, key, value = (x.swapaxes(1, 2) for x in (query, key, value))
    attended = jax.nn.dot_product_attention(
        query, key, value, scale=1.0, implementation="cudnn"
    )
    return attended.swapaxes(1, 2)


@functools.cache
def _has_cuda() -> bool:
    import jax

    device = jax.devices()[0]
    return device.platform == "gpu" and "cuda" in device.client.platform_version.lower()


def digamma(x):
    """Returns the derivative of the logarithm of the Gamma function."""
    if ON_JAX:
        import jax

        return jax.scipy.special.digamma(x)
    import tensorflow as tf

    return tf.math.digamma(x)


def log_gamma(x):
    """Returns the logarithm of the Gamma function."""
    if ON_JAX:
        import jax

        return jax.scipy.special.gammaln(x)
    import tensorflow as tf

    return tf.math.lgamma(x)
