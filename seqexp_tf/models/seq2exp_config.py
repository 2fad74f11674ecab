"""Options of the Seq2Exp model; free of TensorFlow."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqexp_tf.config import require
from seqexp_tf.models.config import at_least_one
from seqexp_tf.models.encoder_config import (
    CaduceusEncoder,
    EncoderConfig,
    TransformerEncoder,
    check_width,
    on_both_strands,
    output_stride,
    read_encoder,
)
from seqexp_tf.models.mask_config import MaskConfig

if TYPE_CHECKING:
    from seqexp_tf.models.shape import ExpressionShape

BLACKLIST = "blacklist"
"""The channel of a dataset whose bases are never selected."""


@dataclass(frozen=True)
class Seq2ExpConfig:
    """A generator of masks and a predictor of expression; defaults of the study.

    Attributes:
        width: features of every base.
        generator: the encoder behind the mask: a table with ``encoder`` and the
            options of its class in ``seqexp_tf.models.encoder_config``.
        predictor: the encoder behind the prediction, likewise.
        mask: which bases the predictor sees.
        use_signals: the model sees signals; else DNA (and features) alone.
        use_features: the model sees the features of a gene.
        generator_signals: the generator sees signals too, and not the DNA alone.
        predictor_signals: the predictor sees the signals that the mask keeps; else
            the DNA alone, so that signals can say where to look and nothing else.
        share_encoder: generator and predictor are one encoder with the same weights.
        center: bases in the middle whose features are averaged.
        bins: parts of the center that are averaged singly, so that the head knows
            where a feature lies; 1 is the study's one average.
        head: units of the layers between those averages and the prediction.
        head_dropout: share of the head's inputs, and of its units, that are dropped.
        remat: compute the activations of encoder blocks again in the backward pass
            instead of keeping them: less memory, more time.
    """

    width: int = 128
    generator: Any = CaduceusEncoder()
    predictor: Any = CaduceusEncoder()
    mask: MaskConfig = MaskConfig()
    use_signals: bool = True
    use_features: bool = True
    generator_signals: bool = False
    predictor_signals: bool = True
    share_encoder: bool = False
    center: int = 2000
    bins: int = 1
    head: tuple[int, ...] = (128, 128)
    head_dropout: float = 0.0
    remat: bool = False

    def __post_init__(self) -> None:
        at_least_one(self, "width", "center", "bins")
        for name in ("generator", "predictor"):
            encoder = read_encoder(getattr(self, name), name=name)
            check_width(encoder, self.width)
            if self.remat:
                _check_remat(name, encoder)
            object.__setattr__(self, name, encoder)
        require(
            all(units >= 1 for units in self.head),
            f"head is {list(self.head)}; each must be at least 1",
        )
        require(
            0 <= self.head_dropout < 1,
            f"head_dropout is {self.head_dropout}; choose 0 or more, below 1",
        )
        require(
            self.center % self.bins == 0,
            f"bins is {self.bins}, which does not divide center {self.center}; choose "
            f"a center of {self.center - self.center % self.bins}, or other bins",
        )
        require(
            self.bins == 1 or self.mask.kind != "packed",
            f"bins is {self.bins} with mask.kind 'packed', which moves bases; set "
            "bins to 1",
        )
        require(
            self.predictor_signals or self.mask.kind != "none",
            "predictor_signals is false with mask.kind 'none'; set use_signals to "
            "false instead",
        )
        if self.share_encoder:
            require(
                self.mask.learned and self.generator == self.predictor,
                "share_encoder is true; it needs a learnt mask and the same generator "
                "and predictor tables",
            )

        self._check_strands()
        self._check_stride()

    def _check_strands(self) -> None:
        both = on_both_strands(self.predictor)
        require(
            not self.mask.learned or on_both_strands(self.generator) == both,
            "generator and predictor share their embedding; set reverse_complement of "
            "both or of neither",
        )
        require(
            not both or (self.mask.kind != "packed" and self.mask.apply != "token"),
            "predictor.reverse_complement is true; packed masks and apply = 'token' "
            "are not the same on both strands",
        )
        require(
            not both or self.bins == 1,
            f"predictor.reverse_complement is true; {self.bins} bins side by side are "
            "not the same on both strands: set bins to 1",
        )

    def _check_stride(self) -> None:
        require(
            output_stride(self.generator) == 1,
            "generator.encoder is 'tower', which has no features of single bases; "
            "choose another, a tower can only predict",
        )
        stride = output_stride(self.predictor)
        require(
            stride == 1 or self.mask.kind != "packed",
            "predictor.encoder is 'tower' with mask.kind 'packed', which moves bases; "
            "choose mask.kind 'hard'",
        )
        require(
            self.center % (stride * self.bins) == 0,
            f"center is {self.center:,}; with a predictor of one position every "
            f"{stride:,} bases, in {self.bins:,} bins, it must be a multiple of "
            f"{stride * self.bins:,}",
        )

    @property
    def receptive_field(self) -> int | None:
        """Bases that reach the prediction; None where there is no bound."""
        reach = self.predictor.receptive_field
        if reach is None:
            return None
        reach += self.center - 1
        if not self.mask.learned:
            return reach if self.mask.kind != "run" else None
        own = self.generator.receptive_field
        return None if own is None else reach + own - 1


def _check_remat(name: str, encoder: EncoderConfig) -> None:
    require(
        not isinstance(encoder, TransformerEncoder),
        f"remat is true, which the transformer of {name} does not have; its attention "
        "keeps little",
    )
    dropout = getattr(encoder, "dropout", 0.0)
    require(
        dropout == 0,
        f"remat is true with {name}.dropout {dropout}; what is computed again would "
        "drop other features: choose one",
    )


def used_signals(config: Seq2ExpConfig, shape: "ExpressionShape") -> tuple[str, ...]:
    """Returns the names of the signals a model sees, in order."""
    return shape.signals if config.use_signals else ()


def model_inputs(config: Seq2ExpConfig, shape: "ExpressionShape") -> tuple[str, ...]:
    """Returns the names of a model's inputs, in order."""
    mask = config.mask
    signals_matter = config.predictor_signals or mask.kind != "given"
    wanted = {
        "sequence": True,
        "signals": signals_matter and bool(used_signals(config, shape)),
        "features": config.use_features and bool(shape.features),
        "blocked": mask.kind != "none"
        and mask.blacklist
        and BLACKLIST in shape.channels,
        "given": mask.kind == "given",
    }
    return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def check_shape(config: Seq2ExpConfig, shape: "ExpressionShape") -> None:
    """Raises ConfigError where a model does not fit its data."""
    mask = config.mask
    require(
        shape.window % 2 == 0,
        f"pipeline.window is {shape.window}; it must be even",
    )
    step = 2 * output_stride(config.predictor)
    require(
        step == 2 or shape.window % step == config.center % step == 0,
        f"pipeline.window is {shape.window:,} and model.center {config.center:,}; with "
        f"a tower for a predictor, both must be multiples of {step:,}",
    )
    require(
        config.center <= shape.window,
        f"model.center is {config.center:,}; the windows have {shape.window:,} bases, "
        "choose no more",
    )
    if mask.learned or mask.kind == "run":
        require(
            mask.promoter < shape.window,
            f"model.mask.promoter is {mask.promoter:,}; it leaves nothing to select "
            f"in windows of {shape.window:,} bases, choose fewer",
        )
    if mask.kind == "run":
        selected = int(mask.fraction * shape.window)
        require(
            selected > mask.promoter,
            f"model.mask.fraction is {mask.fraction}; {selected:,} of "
            f"{shape.window:,} bases are not more than the promoter's "
            f"{mask.promoter:,}",
        )
    if mask.kind == "given":
        known = ", ".join(shape.channels) or "none"
        require(
            mask.channel in shape.channels,
            f"model.mask.channel is {mask.channel!r}; the channels of the dataset: "
            f"{known}; name one, or convert with another under [channels], a BED of "
            "peaks (`seqexp-tf peaks`)",
        )
    if mask.learned:
        signals = used_signals(config, shape)
        weights = mask.signal_weights(signals)
        mask.signal_constants(signals)
        for signal, weight, least in zip(signals, weights, shape.minima, strict=False):
            require(
                least >= 0 or weight == 0,
                f"the signal {signal!r} goes down to {least:g}, and is no alpha of a "
                "Beta distribution there; convert it with another transform, or set "
                f"model.mask.weights.{signal}=0",
            )
