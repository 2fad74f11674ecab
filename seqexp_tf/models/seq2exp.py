"""Seq2Exp: a generator of masks over bases, and a predictor that sees the rest."""

from typing import TYPE_CHECKING

import keras

from seqexp_tf.layers.beta_mask import (
    BetaDivergence,
    BetaHead,
    BetaMask,
    BetaProduct,
    SignalBeta,
)
from seqexp_tf.layers.center_pooling import CenterMean, WeightedMean
from seqexp_tf.layers.mask_regions import HardMask, MaskRegions, TopFraction
from seqexp_tf.layers.masked_embedding import MaskedEmbedding
from seqexp_tf.layers.packing import LearnedPositions, PackSelected
from seqexp_tf.layers.reverse_complement import ReverseComplementEmbedding
from seqexp_tf.layers.warm_up import GradientWarmUp
from seqexp_tf.models.encoder_config import on_both_strands, output_stride
from seqexp_tf.models.encoders import build_encoder
from seqexp_tf.models.frozen_generator import frozen_mask
from seqexp_tf.models.seq2exp_config import (
    Seq2ExpConfig,
    check_shape,
    model_inputs,
    used_signals,
)

if TYPE_CHECKING:
    from seqexp_tf.models.shape import ExpressionShape

KEPT_MASK = "kept_mask"
"""Name of the layer whose output is a learnt soft mask with its fixed regions."""

_Tensors = dict[str, keras.KerasTensor]


def build_seq2exp(config: Seq2ExpConfig, shape: "ExpressionShape") -> keras.Model:
    """The model of *Learning to Discover Regulatory Elements for Gene Expression
    Prediction*, its variants and its baselines.

    The generator's encoder and a Beta head give the parameters of a mask by the DNA,
    the signals give theirs, and their product is the distribution of the mask. A
    draw from it (at inference its mean) multiplies the embedding of DNA and signals,
    which a second encoder reads; the mean of its middle positions and the features
    of the gene go through a small network to the prediction.

    Args:
        config: sizes and variant; the defaults are the study's soft variant.
        shape: window, signals, features and channels of the dataset.

    Inputs (those of ``model_inputs``):
        sequence: float ``(batch, window, 4)``, one-hot A, C, G, T; N all zero.
        signals: float ``(batch, window, signals)``, not negative.
        features: float ``(batch, features)``.
        blocked: float ``(batch, window)``, 1 at a base that is never selected.
        given: float ``(batch, window)``, the mask of kind ``given``.

    Outputs:
        expression: float32 ``(batch,)``.
        mask: float32 ``(batch, window)``, what multiplied the predictor's input; none
            with ``mask.kind = "none"``.
        divergence: float32 ``(batch,)``, mean over the bases of KL(mask || prior) in
            nats; where the mask is learnt.

    Raises:
        ConfigError: the configuration does not fit the shape.
        RunError: ``mask.run`` is no finished run of a learnt mask on such data.

    Example:

    ```python
    shape = ExpressionShape(2048, ("atac",), (), ())
    model = build_seq2exp(Seq2ExpConfig(center=1000, mask=MaskConfig(promoter=200)),
                          shape)
    model({"sequence": keras.ops.zeros((1, 2048, 4)),
           "signals": keras.ops.zeros((1, 2048, 1))})
    ```

    Reference:
        [Su et al. 2025](https://arxiv.org/abs/2502.13991)
    """
    check_shape(config, shape)
    inputs = _inputs(config, shape)
    outputs = {}
    embedding, predictor = _Embedding(config), _predictor(config)
    if config.mask.kind == "none":
        x = predictor(embedding(inputs))
    else:
        if config.mask.learned:
            generator = (
                predictor
                if config.share_encoder
                else build_encoder(
                    config.generator,
                    width=config.width,
                    name="generator",
                    remat=config.remat,
                )
            )
            x = embedding(inputs, signals=config.generator_signals)
            mask, outputs["divergence"] = _learned_mask(
                config, shape, generator(x), inputs
            )
        else:
            mask = _fixed_mask(config, inputs)
        # Keras calls an output after the layer it comes from.
        outputs["mask"] = keras.layers.Identity(dtype="float32", name="mask")(mask)
        if config.mask.kind == "packed":
            return _packed(config, inputs, outputs, embedding, predictor)
        x = predictor(_masked(config, inputs, mask, embedding))
    positions = config.center // output_stride(config.predictor)
    pooled = CenterMean(center=positions, bins=config.bins, name="pooled")(x)
    outputs["expression"] = _head(config, pooled, inputs)
    return keras.Model(inputs, outputs, name="seq2exp")


def _inputs(config: Seq2ExpConfig, shape: "ExpressionShape") -> _Tensors:
    sizes = {
        "sequence": (shape.window, 4),
        "signals": (shape.window, len(shape.signals)),
        "features": (len(shape.features),),
        "blocked": (shape.window,),
        "given": (shape.window,),
    }
    return {
        name: keras.Input(sizes[name], name=name)
        for name in model_inputs(config, shape)
    }


class _Embedding:
    """DNA and signals to features of a base: the sum of two linear maps.

    Called again, it has the same weights: generator and predictor share them. Where
    nothing but a predictor calls it, one of the two maps has no bias, as if bases and
    signals were one input.
    """

    def __init__(self, config: Seq2ExpConfig):
        both = on_both_strands(config.predictor)
        linear = ReverseComplementEmbedding if both else _dense
        self._sequence = linear(config.width, name="sequence_embedding")
        if both:
            options = {"complement": False}
        else:
            options = {"use_bias": config.mask.kind != "none"}
        self._signals = linear(config.width, name="signal_embedding", **options)
        self._add = keras.layers.Add(name="embedding")

    def __call__(self, inputs: _Tensors, *, signals: bool = True) -> keras.KerasTensor:
        x = self._sequence(inputs["sequence"])
        if signals and "signals" in inputs:
            x = self._add([x, self._signals(inputs["signals"])])
        return x


def _predictor(config: Seq2ExpConfig):
    return build_encoder(
        config.predictor, width=config.width, name="predictor", remat=config.remat
    )


def _learned_mask(
    config: Seq2ExpConfig,
    shape: "ExpressionShape",
    hidden: keras.KerasTensor,
    inputs: _Tensors,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Returns the mask, and its divergence from the prior."""
    mask = config.mask
    parameters = BetaHead(
        floor=mask.floor,
        initial_alpha=mask.initial_alpha,
        initial_beta=mask.initial_beta,
        learning_rate_multiplier=mask.learning_rate_multiplier,
        name="mask_head",
    )(hidden)
    signals = used_signals(config, shape)
    if signals:
        by_signals = SignalBeta(
            weights=mask.signal_weights(signals),
            constants=mask.signal_constants(signals),
            scale=mask.scale,
            floor=mask.signal_floor,
            name="signal_beta",
        )(inputs["signals"])
        parameters = BetaProduct(mask.combine, name="posterior")(
            [parameters, by_signals]
        )
    divergence = BetaDivergence(
        prior_alpha=mask.prior_alpha,
        prior_beta=mask.prior_beta,
        name="whole_divergence" if mask.kl_warmup_steps else "divergence",
    )(parameters)
    if mask.kl_warmup_steps:
        divergence = GradientWarmUp(steps=mask.kl_warmup_steps, name="divergence")(
            divergence
        )
    selected = _with_regions(
        config, BetaMask(name="soft_mask")(parameters), inputs, name=KEPT_MASK
    )
    if mask.kind != "soft":
        selected = HardMask(threshold=mask.threshold, name="hard_mask")(selected)
    return selected, divergence


def _fixed_mask(config: Seq2ExpConfig, inputs: _Tensors) -> keras.KerasTensor:
    if config.mask.kind == "given":
        return _with_regions(config, inputs["given"], inputs, name="fixed_mask")
    mask = frozen_mask(config.mask.run, inputs, layer=KEPT_MASK)
    mask = TopFraction(fraction=config.mask.fraction, name="top_fraction")(mask)
    return _with_regions(config, mask, inputs, name="fixed_mask")


def _with_regions(
    config: Seq2ExpConfig, mask: keras.KerasTensor, inputs: _Tensors, *, name: str
) -> keras.KerasTensor:
    blocked = [inputs["blocked"]] if "blocked" in inputs else []
    keep = MaskRegions(promoter=config.mask.promoter, name=name)
    return keep([mask, *blocked] if blocked else mask)


def _masked(
    config: Seq2ExpConfig,
    inputs: _Tensors,
    mask: keras.KerasTensor,
    embedding: _Embedding,
) -> keras.KerasTensor:
    """Returns the predictor's input."""
    seen = ("sequence", "signals") if config.predictor_signals else ("sequence",)
    kept = {name: inputs[name] for name in seen if name in inputs}
    if config.mask.apply == "raw":
        raw = {
            name: MaskedEmbedding(name=f"masked_{name}")([values, mask])
            for name, values in kept.items()
        }
        return embedding(raw)
    fill = "token" if config.mask.apply == "token" else "zero"
    return MaskedEmbedding(fill=fill, name="masked")([embedding(kept), mask])


def _packed(
    config: Seq2ExpConfig,
    inputs: _Tensors,
    outputs: _Tensors,
    embedding: _Embedding,
    predictor,
) -> keras.Model:
    """The published hard variant: selected bases side by side.

    Positions are added before packing, so that a packed base still says where it
    was.
    """
    x = embedding(inputs, signals=config.predictor_signals)
    x = LearnedPositions(name="positions")(x)
    packed, middle = PackSelected(center=config.center, name="packed")(
        [x, outputs["mask"]]
    )
    pooled = WeightedMean(name="pooled")([predictor(packed), middle])
    outputs["expression"] = _head(config, pooled, inputs)
    return keras.Model(inputs, outputs, name="seq2exp")


def _head(
    config: Seq2ExpConfig, pooled: keras.KerasTensor, inputs: _Tensors
) -> keras.KerasTensor:
    x = pooled
    if "features" in inputs:
        x = keras.layers.Concatenate(dtype="float32", name="with_features")(
            [x, inputs["features"]]
        )
    for index, units in enumerate(config.head):
        x = _dropped(config, x, name=f"head_dropout_{index}")
        x = _dense(units, name=f"head_{index}", activation="relu", dtype="float32")(x)
    x = _dropped(config, x, name="expression_dropout")
    x = _dense(1, name="expression_head", dtype="float32")(x)
    return keras.layers.Reshape((), dtype="float32", name="expression")(x)


def _dropped(
    config: Seq2ExpConfig, x: keras.KerasTensor, *, name: str
) -> keras.KerasTensor:
    if not config.head_dropout:
        return x
    return keras.layers.Dropout(config.head_dropout, dtype="float32", name=name)(x)


def _dense(units: int, **options) -> keras.layers.Dense:
    """A linear map that begins as the study's: uniform in +-1/sqrt(inputs)."""
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.VarianceScaling(
            1 / 3, "fan_in", "uniform"
        ),
        **options,
    )
