"""The distribution of masks, held against SciPy and TensorFlow Probability."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

from seqexp_tf.layers import (
    BetaDivergence,
    BetaHead,
    BetaMask,
    BetaProduct,
    SignalBeta,
)
from seqexp_tf.layers.backend import beta_sample
from seqexp_tf.layers.beta_mask import LEAST, beta_divergence

EXTREMES = np.array([1e-8, 1e-4, 1e-2, 0.1, 0.3, 1, 10, 1e2, 1e4, 1e6], np.float32)
PRIOR = {"prior_alpha": 10.0, "prior_beta": 90.0}


def _pairs(repeats: int = 1) -> tuple[np.ndarray, np.ndarray]:
    alpha, beta = np.meshgrid(EXTREMES, EXTREMES, indexing="ij")
    return tuple(np.repeat(x[..., None], repeats, -1) for x in (alpha, beta))


def _full(alpha, beta, count):
    return [tf.fill([count], np.float32(value)) for value in (alpha, beta)]


def _numpy(values) -> np.ndarray:
    return keras.ops.convert_to_numpy(values)


def _divergence(alpha, beta, a, b):
    """In float64, by SciPy."""
    total = special.digamma(alpha + beta)
    return (
        special.betaln(a, b)
        - special.betaln(alpha, beta)
        + (alpha - a) * (special.digamma(alpha) - total)
        + (beta - b) * (special.digamma(beta) - total)
    )


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [(0.1, 0.1), (0.3, 5), (0.999, 1), (2, 3), (11.7, 20.5), (10, 90)],
)
def test_samples_follow_the_beta_distribution(alpha, beta):
    draws = _numpy(beta_sample(*_full(alpha, beta, 20_000), tf.constant([5, 1])))
    assert draws.dtype == np.float32
    # In float32 many draws of a small alpha round to 0 or 1: compare where not.
    inside = draws[(draws > 1e-6) & (draws < 1 - 1e-6)].astype(float)
    law = stats.beta(alpha, beta)
    low, high = law.cdf(1e-6), law.cdf(1 - 1e-6)
    found = stats.kstest(inside, lambda x: (law.cdf(x) - low) / (high - low))
    assert found.pvalue > 1e-3
    assert draws.mean() == pytest.approx(law.mean(), abs=5 * float(law.std()) / 141)


@pytest.mark.parametrize(
    ("alpha", "beta"), [(0.2, 0.7), (0.9, 4), (3, 3), (11.7, 20.5)]
)
def test_gradients_of_samples_are_those_of_the_mean(alpha, beta):
    alphas, betas = _full(alpha, beta, 40_000)
    with tf.GradientTape() as tape:
        tape.watch([alphas, betas])
        total = tf.reduce_sum(beta_sample(alphas, betas, tf.constant([3, 4])))
    by_alpha, by_beta = (_numpy(x) for x in tape.gradient(total, [alphas, betas]))
    for found, wanted in (
        (by_alpha, beta / (alpha + beta) ** 2),
        (by_beta, -alpha / (alpha + beta) ** 2),
    ):
        assert found.mean() == pytest.approx(wanted, abs=float(found.std()) / 40)


def test_samples_are_as_spread_as_those_of_tensorflow_probability():
    tfp = pytest.importorskip("tensorflow_probability")
    alphas, betas = _full(11.7, 20.5, 20_000)
    theirs = tfp.distributions.Beta(alphas, betas).sample(seed=(1, 2))
    ours = beta_sample(alphas, betas, tf.constant([1, 2]))
    assert stats.ks_2samp(_numpy(ours), _numpy(theirs)).pvalue > 1e-3


def test_same_seed_same_draw():
    alphas, betas = _full(2.0, 3.0, 1000)
    draws = [
        _numpy(beta_sample(alphas, betas, tf.constant(seed)))
        for seed in ([1, 0], [1, 0], [1, 1], [2, 0])
    ]
    np.testing.assert_array_equal(draws[0], draws[1])
    for other in draws[2:]:
        assert abs(np.corrcoef(draws[0], other)[0, 1]) < 0.15


@pytest.mark.parametrize("compiled", [False, True])
def test_draws_and_gradients_are_finite_at_the_extremes(compiled):
    @tf.function(jit_compile=compiled)
    def draw(alpha, beta):
        with tf.GradientTape() as tape:
            tape.watch([alpha, beta])
            found = beta_sample(alpha, beta, tf.constant([1, 2]))
        return found, *tape.gradient(found, [alpha, beta])

    # tfp's own Beta gives NaN gradients for parameters up to 0.3.
    draws, by_alpha, by_beta = draw(*map(tf.constant, _pairs(500)))
    assert np.isfinite(by_alpha).all() and np.isfinite(by_beta).all()
    assert (draws.numpy() >= 0).all() and (draws.numpy() <= 1).all()


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_parameter_that_is_not_finite_gives_no_number(compiled, value):
    """As after a step that went wrong; tfp's compiled sampler would never end."""
    draw = tf.function(beta_sample, jit_compile=compiled)
    found = draw(*map(tf.constant, ([value, 2.0], [1.0, 3.0])), tf.constant([1, 2]))
    np.testing.assert_array_equal(np.isnan(found), [True, False])


@pytest.mark.parametrize("prior", [(10.0, 90.0), (0.1, 0.1222), (1.0, 1.0)])
def test_divergence_is_the_closed_form(prior):
    tfp = pytest.importorskip("tensorflow_probability")
    alpha, beta = (x[..., 0] for x in _pairs())
    found = _numpy(
        beta_divergence(
            tf.constant(alpha),
            tf.constant(beta),
            prior_alpha=prior[0],
            prior_beta=prior[1],
        )
    )
    assert found.dtype == np.float32
    usual = (alpha <= 1e4) & (beta <= 1e4)
    wanted = _divergence(alpha.astype(float), beta.astype(float), *prior)
    np.testing.assert_allclose(found[usual], wanted[usual], rtol=6e-3, atol=6e-3)
    moderate = usual & (alpha <= 100) & (beta <= 100) & (np.minimum(alpha, beta) > 0.05)
    np.testing.assert_allclose(found[moderate], wanted[moderate], rtol=2e-4, atol=2e-4)
    law = tfp.distributions.Beta
    theirs = law(11.693, 20.493).kl_divergence(law(*prior))
    ours = beta_divergence(
        tf.constant(11.693),
        tf.constant(20.493),
        prior_alpha=prior[0],
        prior_beta=prior[1],
    )
    assert float(ours) == pytest.approx(float(theirs), rel=1e-4)


def test_divergence_is_the_integral():
    posterior, prior = stats.beta(11.693, 20.493), stats.beta(10, 90)
    wanted, _ = integrate.quad(
        lambda x: posterior.pdf(x) * (posterior.logpdf(x) - prior.logpdf(x)), 0, 1
    )
    found = beta_divergence(tf.constant(11.693), tf.constant(20.493), **PRIOR)
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_gradient_of_the_divergence():
    alpha, beta = (x[..., 0] for x in _pairs())
    tensors = tf.constant(alpha), tf.constant(beta)
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(beta_divergence(*tensors, **PRIOR))
    by_alpha, by_beta = (_numpy(x) for x in tape.gradient(total, tensors))
    assert np.isfinite(by_alpha).all() and np.isfinite(by_beta).all()
    a, b = alpha.astype(float), beta.astype(float)
    spread = (a + b - 100) * special.polygamma(1, a + b)
    usual = (a >= 0.1) & (b >= 0.1) & (a <= 1e4) & (b <= 1e4)
    for found, wanted in (
        (by_alpha, (a - 10) * special.polygamma(1, a) - spread),
        (by_beta, (b - 90) * special.polygamma(1, b) - spread),
    ):
        np.testing.assert_allclose(found[usual], wanted[usual], rtol=1e-3, atol=1e-3)


def test_no_divergence_from_itself_and_the_mean_over_positions():
    layer = BetaDivergence(**PRIOR)
    parameters = np.tile(np.array([10, 90], np.float32), (2, 6, 1))
    np.testing.assert_allclose(layer(parameters), [0, 0], atol=1e-4)
    parameters[1, 2] = (11.693, 20.493)
    np.testing.assert_allclose(layer(parameters), [0, 18.730 / 6], atol=1e-3)


@pytest.mark.parametrize(
    ("signal", "mean", "divergence"),
    [(0.0, 0.363, 18.73), (1.0, 0.51, 40), (5.0, 0.75, 97), (20.0, 0.91, 189)],
)
def test_the_published_soft_variant_before_training(signal, mean, divergence):
    """The figures of the published code at zero logits, weighted signals as given."""
    head = BetaHead(floor=1.0)
    signals = SignalBeta(
        weights=[0.4, 0.4, 0.2], constants=[1.5, 0.2, 1.0], scale=10, floor=1
    )
    hidden = np.zeros((1, 1, 8), np.float32)
    by_signals = signals(np.full((1, 1, 3), signal, np.float32))
    assert float(by_signals[0, 0, 1]) == pytest.approx(18.8, rel=1e-6)
    parameters = BetaProduct("official")([head(hidden), by_signals])
    alpha, beta = _numpy(parameters)[0, 0]
    assert alpha == pytest.approx(1 + np.log(2) + 10 * (signal + 1), rel=1e-5)
    assert beta == pytest.approx(20.493, abs=1e-3)
    assert float(BetaMask()(parameters)[0, 0]) == pytest.approx(mean, abs=5e-3)
    found = float(BetaDivergence(**PRIOR)(parameters)[0])
    assert found == pytest.approx(divergence, rel=5e-3)


def test_the_product_of_proposition_2_is_the_normalised_product_of_densities():
    first, second = (3.2, 1.7), (1.4, 6.1)
    product = BetaProduct("paper")(
        [np.array(pair, np.float32)[None, None] for pair in (first, second)]
    )
    x = np.linspace(0.01, 0.99, 99)
    density = stats.beta(*first).pdf(x) * stats.beta(*second).pdf(x)
    ratio = stats.beta(*_numpy(product)[0, 0]).pdf(x) / density
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_a_product_outside_the_domain_is_held_at_its_edge():
    pair = [np.full((1, 1, 2), 0.3, np.float32)] * 2
    np.testing.assert_allclose(BetaProduct("paper")(pair), LEAST)
    np.testing.assert_allclose(BetaProduct("official")(pair), 0.6)


def test_signals_by_hand_and_negative_ones_count_as_zero():
    layer = SignalBeta(weights=[3, 1], constants=[2, 4], scale=2, floor=0.5)
    signals = np.array([[[1, 2], [-5, 4], [0, 0]]], np.float32)
    wanted = [[2 * (0.75 + 0.5 + 0.5), 6], [2 * (1 + 0.5), 6], [1, 6]]
    np.testing.assert_allclose(layer(signals)[0], wanted, rtol=1e-6)


def test_head_starts_where_it_is_told():
    layer = BetaHead(floor=1.0, initial_alpha=3.0, initial_beta=25.0)
    found = _numpy(layer(np.zeros((2, 3, 5), np.float32)))
    np.testing.assert_allclose(found, np.tile([3, 25], (2, 3, 1)), rtol=1e-5)
    plain = _numpy(BetaHead(floor=1.0)(np.zeros((1, 1, 5), np.float32)))
    np.testing.assert_allclose(plain, 1 + np.log(2), rtol=1e-6)
    with pytest.raises(ValueError, match="initial_beta 0.5 is not above the floor 1"):
        BetaHead(floor=1.0, initial_beta=0.5)


def test_head_at_extreme_logits():
    layer = BetaHead(floor=0.0)
    hidden = tf.Variable(np.array([[[-300.0], [0], [300]]], np.float32))
    layer(hidden)
    layer.kernel.assign([[1.0, 1.0]])
    with tf.GradientTape() as tape:
        parameters = layer(hidden)
        total = tf.reduce_sum(BetaDivergence(**PRIOR)(parameters))
    assert (_numpy(parameters) > 0).all()
    assert np.isfinite(_numpy(tape.gradient(total, hidden))).all()


def test_a_multiplier_makes_adam_move_the_head_faster():
    hidden = np.random.default_rng(0).normal(size=(4, 7, 6)).astype(np.float32)
    moved = []
    for multiplier in (1.0, 10.0):
        keras.utils.set_random_seed(1)
        layer = BetaHead(
            floor=1.0, initial_alpha=2.0, learning_rate_multiplier=multiplier
        )
        layer(hidden)
        share = layer.kernel.shape[0] ** -0.5 / multiplier
        assert np.abs(layer.kernel).max() <= share
        # The same function at first, whatever the multiplier.
        layer.kernel.assign(np.ones((6, 2), np.float32) * 0.1 / multiplier)
        before = _numpy(layer(hidden))
        optimizer = keras.optimizers.Adam(1e-4)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(layer(hidden))
        weights = layer.trainable_variables
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
        moved.append((before, _numpy(layer(hidden)) - before))
    np.testing.assert_allclose(moved[0][0], moved[1][0], rtol=1e-5)
    np.testing.assert_allclose(moved[1][1], 10 * moved[0][1], rtol=0.02)


def _parameters(*shape):
    rng = np.random.default_rng(2)
    return rng.uniform(0.5, 20, (*shape, 2)).astype(np.float32)


def test_a_draw_in_training_and_the_mean_at_inference():
    parameters = _parameters(2, 500)
    layer = BetaMask(seed=7)
    mean = parameters[..., 0] / parameters.sum(-1)
    for _ in range(2):
        np.testing.assert_allclose(layer(parameters, training=False), mean, rtol=1e-6)
    first, second = (_numpy(layer(parameters, training=True)) for _ in range(2))
    assert np.abs(first - second).mean() > 0.02
    assert np.abs(first - mean).max() > 0.1
    again = BetaMask(seed=7)
    np.testing.assert_array_equal(again(parameters, training=True), first)
    # The count of draws is a weight: a copy goes on where the layer was.
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(
        again(parameters, training=True), layer(parameters, training=True)
    )
    other = BetaMask(seed=8)
    assert np.abs(_numpy(other(parameters, training=True)) - first).mean() > 0.02


def test_the_global_seed_decides_where_none_is_given():
    seeds = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        seeds.append(BetaMask().seed)
    assert seeds[0] == seeds[1] != seeds[2]


LAYERS = [
    (BetaHead, {"floor": 0.5, "initial_alpha": 2.0}, (2, 9, 4), (2, 9, 2)),
    (
        SignalBeta,
        {"weights": [1.0, 3.0], "constants": [0.5, 1.0], "scale": 2.0, "floor": 0.1},
        (2, 9, 2),
        (2, 9, 2),
    ),
    (BetaMask, {"seed": 4}, (2, 9, 2), (2, 9)),
    (BetaDivergence, {"prior_alpha": 1.0, "prior_beta": 4.0}, (2, 9, 2), (2,)),
]


@pytest.mark.parametrize(("cls", "options", "given", "wanted"), LAYERS)
def test_layers_keep_their_configuration_and_compute_in_float32(
    cls, options, given, wanted
):
    x = np.random.default_rng(0).uniform(0.1, 5, given).astype(np.float32)
    layer = cls(**options, dtype="mixed_bfloat16")
    found = layer(x)
    assert tuple(found.shape) == wanted
    assert layer.compute_output_shape(given) == wanted
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    config = layer.get_config()
    assert {name: config[name] for name in options} == options
    again = cls.from_config(config)
    again(x)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(_numpy(again(x)), _numpy(found))
    half = layer(keras.ops.cast(x, "bfloat16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float32"


UNDER_JAX = """
import sys
import jax, numpy as np
from seqexp_tf.layers.backend import beta_sample
from seqexp_tf.layers.beta_mask import beta_divergence
arrays = np.load(sys.argv[1])
alpha, beta = arrays["alpha"], arrays["beta"]
def total(alpha, beta):
    draws = beta_sample(alpha, beta, np.array([1, 2]))
    return draws.sum(), draws
gradients, draws = jax.jit(jax.grad(total, (0, 1), has_aux=True))(alpha, beta)
(_, moderate) = total(np.full(20000, 11.7, "f4"), np.full(20000, 20.5, "f4"))
def slopes(alpha, beta):
    # Mean gradients of the draws over those of their mean, which are closed forms.
    many = [np.full(400_000, x, "f4") for x in (alpha, beta)]
    found = jax.jit(jax.grad(lambda a, b: total(a, b)[0], (0, 1)))(*many)
    exact = np.array([beta, -alpha]) / (alpha + beta) ** 2
    return np.mean(found, axis=1) / exact
pairs = [(0.2, 0.5), (1, 1), (1, 9), (3, 30), (11.7, 20.5)]
slopes_found = [slopes(*pair) for pair in pairs]
prior = dict(prior_alpha=10.0, prior_beta=90.0)
divergence = beta_divergence(alpha[..., 0], beta[..., 0], **prior)
slope = jax.grad(lambda a: beta_divergence(a, beta[..., 0], **prior).sum())
np.savez(
    sys.argv[2], draws=draws, by_alpha=gradients[0], by_beta=gradients[1],
    moderate=moderate, slopes=slopes_found,
    divergence=divergence, slope=slope(alpha[..., 0]),
)
"""


def test_under_jax(tmp_path, run_under):
    alpha, beta = _pairs(4)
    np.savez(tmp_path / "in.npz", alpha=alpha, beta=beta)
    run_under("jax", UNDER_JAX, tmp_path / "in.npz", tmp_path / "out.npz")
    found = np.load(tmp_path / "out.npz")
    for name in found.files:
        assert np.isfinite(found[name]).all(), name
    np.testing.assert_allclose(found["slopes"], 1, atol=0.015)
    assert stats.kstest(found["moderate"], stats.beta(11.7, 20.5).cdf).pvalue > 1e-3
    with tf.GradientTape() as tape:
        first = tf.constant(alpha[..., 0])
        tape.watch(first)
        wanted = beta_divergence(first, tf.constant(beta[..., 0]), **PRIOR)
    usual = (alpha[..., 0] <= 1e4) & (beta[..., 0] <= 1e4)
    np.testing.assert_allclose(
        found["divergence"][usual], _numpy(wanted)[usual], rtol=6e-3, atol=6e-3
    )
    slope = _numpy(tape.gradient(wanted, first))
    usual &= (alpha[..., 0] >= 0.1) & (beta[..., 0] >= 0.1)
    np.testing.assert_allclose(
        found["slope"][usual], slope[usual], rtol=1e-3, atol=1e-3
    )
