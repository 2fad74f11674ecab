"""Architectures by name, loaded when they are built."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from seqexp_tf.config import build as build_config
from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError
from seqexp_tf.models import seq2exp_config
from seqexp_tf.models.config import CNNConfig, HybridConfig, TransformerConfig

if TYPE_CHECKING:
    import keras

    from seqexp_tf.models.shape import ExpressionShape


@dataclass(frozen=True)
class Architecture:
    """What the registry knows of an architecture.

    Attributes:
        config: its configuration class.
        builder: module and function that build it.
        task: ``joint``: hidden labels and nucleotides of a window; ``expression``:
            one number a gene.
    """

    config: type
    builder: str
    task: Literal["joint", "expression"] = "joint"


ARCHITECTURES: dict[str, Architecture] = {
    "cnn": Architecture(CNNConfig, "seqexp_tf.models.cnn:build_cnn"),
    "transformer": Architecture(
        TransformerConfig, "seqexp_tf.models.transformer:build_transformer"
    ),
    "hybrid": Architecture(HybridConfig, "seqexp_tf.models.hybrid:build_hybrid"),
    "seq2exp": Architecture(
        seq2exp_config.Seq2ExpConfig,
        "seqexp_tf.models.seq2exp:build_seq2exp",
        task="expression",
    ),
}


def task(name: str, *, origin: str = "configuration") -> str:
    """Returns what an architecture learns: ``joint`` or ``expression``.

    Raises:
        ConfigError: unknown architecture.
    """
    return _find(name, origin).task


def read_config(name: str, options: Mapping[str, Any], *, origin: str) -> Any:
    """Returns the checked configuration of an architecture.

    Raises:
        ConfigError: unknown architecture or option.
    """
    return build_config(_find(name, origin).config, options, origin=f"{origin} [model]")


def build(
    name: str, config: Any, shape: "ExpressionShape | None" = None
) -> "keras.Model":
    """Returns the Keras model of an architecture and its configuration.

    Args:
        name: of the architecture.
        config: as ``read_config`` returns it.
        shape: of the dataset, for architectures of task ``expression``.

    Raises:
        ConfigError: the configuration does not fit the shape.
    """
    architecture = ARCHITECTURES[name]
    module, function = architecture.builder.split(":")
    builder = getattr(importlib.import_module(module), function)
    return builder(config) if architecture.task == "joint" else builder(config, shape)


def model_inputs(config: Any, shape: "ExpressionShape") -> tuple[str, ...]:
    """Returns the names of the inputs of a model of task ``expression``, in order."""
    return seq2exp_config.model_inputs(config, shape)


def _find(name: str, origin: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise ConfigError(
            f"{origin}: unknown model.architecture {name!r}"
            f"{nearest(name, list(ARCHITECTURES))}"
        )
    return ARCHITECTURES[name]
