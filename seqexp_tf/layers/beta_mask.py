"""The distribution of a mask over bases: Beta parameters, samples, divergence.

Equation and proposition numbers are those of Seq2Exp (Su et al. 2025). Parameters
travel as ``(batch, length, 2)``, alpha first. Every layer computes in float32
whatever the precision around it.
"""

import math
import random
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
from keras import ops

from seqexp_tf.layers.backend import beta_sample, digamma, log_gamma, replica

TINY = 1e-8
"""Added to parameters that may come out as zero."""

LEAST = 1e-3
"""The smallest parameter a product of two distributions may have."""


class Float32Layer(keras.layers.Layer):
    """A layer that computes in float32 whatever the precision around it."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})


@keras.saving.register_keras_serializable("seqexp_tf")
class BetaHead(Float32Layer):
    """Features of a base to its own Beta parameters alpha1, beta1 (equation 8).

    ``parameters = softplus(logits) + floor`` of two linear logits.

    Args:
        floor: the least value of both.
        initial_alpha: alpha1 where the features say nothing (the bias); softplus(0)
            + floor if not given.
        initial_beta: the same of beta1.
        learning_rate_multiplier: how many times faster the head learns. Adam
            divides a gradient by its own size, so that scaling it would change
            nothing: instead the weights are kept divided by the multiplier and
            multiplied in use (Karras et al. 2019).

    Call arguments:
        inputs: ``(batch, length, features)``.

    Returns:
        ``(batch, length, 2)``.

    Reference:
        [Karras et al. 2019](https://arxiv.org/abs/1812.04948), appendix C, for the
        multiplier
    """

    def __init__(
        self,
        *,
        floor: float = 1.0,
        initial_alpha: float | None = None,
        initial_beta: float | None = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.floor = floor
        self.initial_alpha = initial_alpha
        self.initial_beta = initial_beta
        self.learning_rate_multiplier = learning_rate_multiplier
        for name in ("initial_alpha", "initial_beta"):
            value = getattr(self, name)
            if value is not None and value <= floor:
                raise ValueError(f"{name} {value} is not above the floor {floor}")

    def build(self, input_shape):
        share = self.learning_rate_multiplier
        self.kernel = self.add_weight(
            shape=(input_shape[-1], 2),
            # Uniform in +-1/sqrt(features).
            initializer=keras.initializers.VarianceScaling(
                1 / (3 * share**2), "fan_in", "uniform"
            ),
            name="kernel",
        )
        start = [
            _inverse_softplus(value - self.floor) / share if value is not None else 0.0
            for value in (self.initial_alpha, self.initial_beta)
        ]
        self.bias = self.add_weight(shape=(2,), initializer="zeros", name="bias")
        self.bias.assign(np.array(start, np.float32))

    def call(self, inputs):
        logits = ops.matmul(inputs, self.kernel) + self.bias
        positive = ops.softplus(logits * self.learning_rate_multiplier)
        return positive + (self.floor + TINY)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def get_config(self):
        return {
            **super().get_config(),
            "floor": self.floor,
            "initial_alpha": self.initial_alpha,
            "initial_beta": self.initial_beta,
            "learning_rate_multiplier": self.learning_rate_multiplier,
        }


@keras.saving.register_keras_serializable("seqexp_tf")
class SignalBeta(Float32Layer):
    """Signals to the Beta parameters alpha2, beta2, without weights (equation 9).

    The paper sets alpha2 to the signal and beta2 to a constant. Of several signals s
    with weights w (made to sum to one) and constants c,
    ``alpha2 = scale * (sum_i w_i max(s_i, 0) + floor)`` and
    ``beta2 = scale * (sum_i w_i c_i + floor)``. A negative signal is no parameter of
    a Beta distribution and counts as zero.

    Args:
        weights: one for each signal, not negative, not all zero.
        constants: beta2 by each signal, not negative.
        scale: of both parameters: the trust in signals.
        floor: added to both before scaling.

    Call arguments:
        inputs: signals ``(batch, length, signals)``.

    Returns:
        ``(batch, length, 2)``.
    """

    def __init__(
        self,
        *,
        weights: Sequence[float],
        constants: Sequence[float],
        scale: float,
        floor: float,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.weights_of_signals = [float(weight) for weight in weights]
        self.constants = [float(constant) for constant in constants]
        self.scale = scale
        self.floor = floor

    def call(self, inputs):
        weights = np.array(self.weights_of_signals, np.float32)
        weights = weights / weights.sum()
        signal = ops.sum(ops.relu(inputs) * weights, axis=-1)
        alpha = self.scale * (signal + self.floor) + TINY
        constant = float(weights @ np.array(self.constants, np.float32))
        beta = self.scale * (constant + self.floor) + TINY
        return ops.stack([alpha, ops.full_like(alpha, beta)], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def get_config(self):
        return {
            **super().get_config(),
            "weights": self.weights_of_signals,
            "constants": self.constants,
            "scale": self.scale,
            "floor": self.floor,
        }


@keras.saving.register_keras_serializable("seqexp_tf")
class BetaProduct(Float32Layer):
    """Joins what DNA and signals say about a base (proposition 2, equation 6).

    The normalised product of two Beta densities is
    Beta(alpha1 + alpha2 - 1, beta1 + beta2 - 1), which exists where both sums are
    above one. Floors of the two parts are to see to that (``MaskConfig`` checks it);
    a sum that comes out lower all the same is held at ``LEAST``.

    Args:
        combine: ``paper``, as above, or ``official``, without the - 1, as in the
            published code.

    Call arguments:
        inputs: a pair of parameters, each ``(batch, length, 2)``.

    Returns:
        ``(batch, length, 2)``.
    """

    def __init__(self, combine: Literal["paper", "official"] = "paper", **kwargs):
        super().__init__(**kwargs)
        self.combine = combine

    def call(self, inputs):
        first, second = inputs
        if self.combine == "official":
            return first + second
        return ops.maximum(first + second - 1.0, LEAST)

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "combine": self.combine}


@keras.saving.register_keras_serializable("seqexp_tf")
class BetaMask(Float32Layer):
    """The soft mask: a draw in training, the expectation at inference (section 4.2).

    Where several replicas share a batch, each draws the masks of all and keeps its
    own: they are those that one device would draw.

    Args:
        seed: of the draws; taken from Python's generator, which
            ``keras.utils.set_random_seed`` sets, if not given. The count of
            draws so far is a weight, so that a resumed training draws what it would
            have drawn.

    Call arguments:
        inputs: parameters ``(batch, length, 2)``.
        training: draw.

    Returns:
        ``(batch, length)``, from 0 to 1.
    """

    def __init__(self, *, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if seed is None:
            seed = random.randrange(1, 1 << 31)
        self.seed = seed

    def build(self, input_shape):
        self.draws = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="draws",
        )

    def call(self, inputs, training=None):
        alpha, beta = inputs[..., 0], inputs[..., 1]
        if not training:
            return alpha / (alpha + beta)
        seed = ops.stack(
            [ops.convert_to_tensor(self.seed, "int32"), ops.cast(self.draws, "int32")]
        )
        self.draws.assign_add(1)
        index, replicas = replica()
        if replicas == 1:
            return beta_sample(alpha, beta, seed)
        whole = (ops.tile(values, (replicas, 1)) for values in (alpha, beta))
        drawn = beta_sample(*whole, seed)
        return ops.reshape(drawn, (replicas, *ops.shape(alpha)))[index]

    def compute_output_shape(self, input_shape):
        return input_shape[:-1]

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable("seqexp_tf")
class BetaDivergence(Float32Layer):
    """KL(Beta(alpha, beta) || Beta(prior)) of each base, in nats (equation 3).

    Closed form; the mean over the positions of each window. Within 0.5 % up to
    parameters of 10,000.

    Args:
        prior_alpha: alpha3; 10 in the paper.
        prior_beta: beta3; 90 in the paper.

    Call arguments:
        inputs: parameters ``(batch, length, 2)``.

    Returns:
        ``(batch,)``.
    """

    def __init__(
        self, *, prior_alpha: float = 10.0, prior_beta: float = 90.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.prior_alpha = prior_alpha
        self.prior_beta = prior_beta

    def call(self, inputs):
        alpha, beta = inputs[..., 0], inputs[..., 1]
        return ops.mean(
            beta_divergence(
                alpha, beta, prior_alpha=self.prior_alpha, prior_beta=self.prior_beta
            ),
            axis=-1,
        )

    def compute_output_shape(self, input_shape):
        return input_shape[:1]

    def get_config(self):
        return {
            **super().get_config(),
            "prior_alpha": self.prior_alpha,
            "prior_beta": self.prior_beta,
        }


def beta_divergence(alpha, beta, *, prior_alpha: float, prior_beta: float):
    """Returns KL(Beta(alpha, beta) || Beta(prior_alpha, prior_beta)) in nats.

    Args:
        alpha: float32, positive, any shape.
        beta: the same shape.
        prior_alpha: of the distribution it is held against.
        prior_beta: of the distribution it is held against.

    Returns:
        float32 of the same shape.
    """
    total = digamma(alpha + beta)
    of_prior = (
        math.lgamma(prior_alpha)
        + math.lgamma(prior_beta)
        - math.lgamma(prior_alpha + prior_beta)
    )
    of_posterior = log_gamma(alpha) + log_gamma(beta) - log_gamma(alpha + beta)
    return (
        of_prior
        - of_posterior
        + (alpha - prior_alpha) * (digamma(alpha) - total)
        + (beta - prior_beta) * (digamma(beta) - total)
    )


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))
