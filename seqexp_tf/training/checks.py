"""Checks that the training configurations of both tasks share."""

import math
from typing import Any

from seqexp_tf.config import require


def at_least_one(config: Any, *names: str) -> None:
    """Raises ConfigError for a field below 1."""
    for name in names:
        value = getattr(config, name)
        require(value >= 1, f"{name} is {value}; it must be at least 1")


def positive(config: Any, *names: str) -> None:
    """Raises ConfigError for a field that is zero, negative or infinite."""
    for name in names:
        value = getattr(config, name)
        require(
            0 < value < math.inf, f"{name} is {value}; it must be positive and finite"
        )


def none_negative(config: Any, *names: str) -> None:
    """Raises ConfigError for a negative field."""
    for name in names:
        value = getattr(config, name)
        require(value >= 0, f"{name} is {value}; it must not be negative")


def zero_or_more(config: Any, *names: str, zero: str = "") -> None:
    """Raises ConfigError for a negative field; ``zero`` is what 0 stands for."""
    for name in names:
        value = getattr(config, name)
        allowed = f"at least 1, or 0 for {zero}" if zero else "at least 0"
        require(value >= 0, f"{name} is {value}; it must be {allowed}")


def seed_in_range(config: Any) -> None:
    """Raises ConfigError for a seed that TensorFlow would not take for one."""
    # TensorFlow takes a pair of zero seeds for no seed at all.
    require(
        1 <= config.seed < 1 << 31,
        f"seed is {config.seed}; it must be from 1 to {(1 << 31) - 1}",
    )


def loop_options(config: Any) -> None:
    """Raises ConfigError for what no training can do between its batches."""
    at_least_one(config, "accumulate_steps")
    require(
        0 <= config.ema_decay < 1,
        f"ema_decay is {config.ema_decay}; it must be from 0, for no average, up to, "
        "not including, 1",
    )
    zero_or_more(config, "checkpoint_every", zero="none by steps")
    none_negative(config, "checkpoint_minutes")


def equal_streams(config: Any) -> None:
    """Raises ConfigError for a run whose batches cannot be cut into its streams."""
    streams, size = config.pipeline.streams, config.training.batch_size
    require(
        size % streams == 0,
        f"pipeline.streams is {streams}; it must divide training.batch_size, which is "
        f"{size}",
    )
