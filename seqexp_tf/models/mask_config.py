"""Options of the mask of Seq2Exp; free of TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from seqexp_tf.config import nearest, require
from seqexp_tf.errors import ConfigError

_LEARNED = ("soft", "hard", "packed")

# Published: https://github.com/divelab/AIRS, Seq2Exp.sh.
_CONSTANTS = {
    ("paper", "soft"): (1.0, 0.1, 10.0, 10.0, 90.0),
    ("paper", "hard"): (1.0, 0.1, 10.0, 10.0, 90.0),
    ("official", "soft"): (1.0, 1.0, 10.0, 10.0, 90.0),
    ("official", "hard"): (0.0, 0.0, 1.0, 0.1, 0.1 * (1 - 0.45) / 0.45),
}
_CONSTANT_NAMES = ("floor", "signal_floor", "scale", "prior_alpha", "prior_beta")


def _not_negative(name: str, value: float) -> None:
    require(value >= 0, f"{name} is {value}; it must not be negative")


@dataclass(frozen=True)
class MaskConfig:
    """Which bases a predictor sees.

    ``floor``, ``signal_floor``, ``scale`` and the prior depend on ``combine`` and
    ``kind`` where they are not given. With ``paper``, the floors of both parts add
    up to more than one, as proposition 2 asks.

    Attributes:
        kind: ``none``: everything; ``soft`` and ``hard``: learnt, as in the paper;
            ``packed``: learnt, the selected bases side by side, as in the published
            hard variant (no gradient from the prediction reaches the mask);
            ``given``: a channel of the dataset; ``run``: what a finished run
            selects, its generator frozen.
        combine: ``paper`` (proposition 2) or ``official`` (without the - 1, with the
            constants of the published code).
        floor: least alpha and beta by the DNA.
        signal_floor: added to the weighted signals and to their constant.
        scale: of alpha and beta by the signals.
        weights: share of each signal in alpha and beta, by its name; all alike if
            empty.
        constants: beta by each signal (C_beta), by its name, or one for all.
        prior_alpha: alpha of the prior, which says how sparse masks are.
        prior_beta: beta of the prior.
        kl_weight: weight of the divergence from the prior in the loss.
        kl_warmup_steps: steps over which the gradient of the divergence rises from
            zero to its own.
        initial_alpha: alpha by the DNA before training; softplus(0) + floor if not
            given.
        initial_beta: the same of beta.
        learning_rate_multiplier: how many times faster the mask head learns.
        apply: where the mask acts: on the ``embedding`` (published), on the ``raw``
            one-hot bases and signals, or on the embedding with a learnt ``token`` in
            place of what is masked: for hard masks before an encoder that normalises
            its input, see ``MaskedEmbedding``.
        threshold: least soft mask that a hard mask selects.
        promoter: bases in the middle that are always selected.
        blacklist: never select bases of the channel ``blacklist``, where the dataset
            has one.
        channel: the channel of kind ``given``.
        run: folder of the finished run of kind ``run``.
        fraction: share of the bases that kind ``run`` selects.
    """

    kind: Literal["none", "soft", "hard", "packed", "given", "run"] = "soft"
    combine: Literal["paper", "official"] = "paper"
    floor: float | None = None
    signal_floor: float | None = None
    scale: float | None = None
    weights: dict[str, float] | None = None
    constants: dict[str, float] | float = 1.0
    prior_alpha: float | None = None
    prior_beta: float | None = None
    kl_weight: float = 0.01
    kl_warmup_steps: int = 0
    initial_alpha: float | None = None
    initial_beta: float | None = None
    learning_rate_multiplier: float = 1.0
    apply: Literal["embedding", "raw", "token"] = "embedding"
    threshold: float = 0.5
    promoter: int = 2000
    blacklist: bool = True
    channel: str = "peaks"
    run: str | None = None
    fraction: float = 0.1

    def __post_init__(self) -> None:
        hard = "soft" if self.kind == "soft" else "hard"
        for name, value in zip(
            _CONSTANT_NAMES, _CONSTANTS[self.combine, hard], strict=True
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for name in ("floor", "signal_floor", "kl_weight", "kl_warmup_steps"):
            _not_negative(name, getattr(self, name))
        for name in (
            "scale", "prior_alpha", "prior_beta", "learning_rate_multiplier"
        ):  # fmt: skip
            value = getattr(self, name)
            require(value > 0, f"{name} is {value}; it must be positive")
        self._check_signal_tables()
        self._check_domain()
        require(
            0 < self.threshold < 1,
            f"threshold is {self.threshold}; it must be between 0 and 1",
        )
        require(
            0 < self.fraction <= 1,
            f"fraction is {self.fraction}; it must be above 0 and at most 1",
        )
        _not_negative("promoter", self.promoter)
        require(
            self.kind != "packed" or self.apply == "embedding",
            f"apply is {self.apply!r} with kind 'packed', which packs embeddings",
        )
        require(
            self.kind != "run" or bool(self.run),
            "run is missing; kind 'run' takes the mask of a finished run of "
            "seq2exp: --set model.mask.run=RUN",
        )
        require(
            self.kind == "run" or self.run is None,
            f"run is {self.run!r} with kind {self.kind!r}; only kind 'run' has one",
        )

    @property
    def learned(self) -> bool:
        """Whether the mask is learnt along with the predictor."""
        return self.kind in _LEARNED

    def signal_weights(self, signals: tuple[str, ...]) -> list[float]:
        """Returns the weight of each signal; their sum is one.

        Raises:
            ConfigError: weights of signals the model does not see, or of too few.
        """
        if not self.weights:
            return [1 / len(signals) for _ in signals]
        found = _by_signal("mask.weights", self.weights, signals)
        return [weight / sum(found) for weight in found]

    def signal_constants(self, signals: tuple[str, ...]) -> list[float]:
        """Returns the constant of each signal.

        Raises:
            ConfigError: constants of signals the model does not see, or of too few.
        """
        if not isinstance(self.constants, Mapping):
            return [self.constants] * len(signals)
        return _by_signal("mask.constants", self.constants, signals)

    def _check_signal_tables(self) -> None:
        for name in ("weights", "constants"):
            table = getattr(self, name)
            if isinstance(table, Mapping):
                for signal, value in table.items():
                    _not_negative(f"{name}.{signal}", value)
            elif table is not None:
                _not_negative(name, table)
        if self.weights:
            require(
                sum(self.weights.values()) > 0,
                f"weights is {self.weights}; one of them must be positive",
            )

    def _check_domain(self) -> None:
        """Alpha and beta have to stay above zero whatever DNA and signals say."""
        if self.combine == "paper":
            least = self.floor + self.scale * self.signal_floor
            require(
                least > 1,
                f"floor is {self.floor} and scale x signal_floor "
                f"{least - self.floor:g}; with combine = 'paper' they must add up to "
                "more than 1, or alpha and beta leave the Beta distribution's domain",
            )
        for name in ("initial_alpha", "initial_beta"):
            value = getattr(self, name)
            require(
                value is None or value > self.floor,
                f"{name} is {value}; it must be above the floor of {self.floor}",
            )


def _by_signal(
    name: str, values: Mapping[str, float], signals: tuple[str, ...]
) -> list[float]:
    for signal in values:
        if signal not in signals:
            hint = nearest(signal, signals) if signals else "; the model sees none"
            raise ConfigError(f"model.{name} names an unknown signal {signal!r}{hint}")
    if missing := [repr(signal) for signal in signals if signal not in values]:
        raise ConfigError(
            f"model.{name} has no value for the signal {', '.join(missing)}; give each "
            f"one: {{{', '.join(f'{signal} = 1.0' for signal in signals)}}}"
        )
    return [values[signal] for signal in signals]
