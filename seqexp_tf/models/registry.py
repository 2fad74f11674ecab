"""Architectures by name, loaded when they are built."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqexp_tf.config import build as build_config
from seqexp_tf.config import nearest
from seqexp_tf.errors import ConfigError
from seqexp_tf.models.config import CNNConfig, HybridConfig, TransformerConfig

if TYPE_CHECKING:
    import keras

ARCHITECTURES: dict[str, tuple[type, str]] = {
    "cnn": (CNNConfig, "seqexp_tf.models.cnn:build_cnn"),
    "transformer": (
        TransformerConfig,
        "seqexp_tf.models.transformer:build_transformer",
    ),
    "hybrid": (HybridConfig, "seqexp_tf.models.hybrid:build_hybrid"),
}
"""Configuration class and builder of each architecture."""


def read_config(name: str, options: Mapping[str, Any], *, origin: str) -> Any:
    """Returns the checked configuration of an architecture.

    Raises:
        ConfigError: unknown architecture or option.
    """
    if name not in ARCHITECTURES:
        raise ConfigError(
            f"{origin}: unknown model.architecture {name!r}"
            f"{nearest(name, list(ARCHITECTURES))}"
        )
    config, _ = ARCHITECTURES[name]
    return build_config(config, options, origin=f"{origin} [model]")


def build(name: str, config: Any) -> "keras.Model":
    """Returns the Keras model of an architecture and its configuration."""
    _, location = ARCHITECTURES[name]
    module, function = location.split(":")
    return getattr(importlib.import_module(module), function)(config)
