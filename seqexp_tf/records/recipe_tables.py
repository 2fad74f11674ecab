"""Tables that recipes of every kind share."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqexp_tf.config import require
from seqexp_tf.records.remote import is_remote, join, remote_file

_FILE_NAME = re.compile(r"\w[\w.-]*", re.ASCII)


def require_names(key: str, names: Iterable[str]) -> None:
    """Raises ConfigError unless every name can be part of a file name."""
    for name in names:
        require(
            _FILE_NAME.fullmatch(name) is not None,
            f"{key}: {name!r} must be letters, digits, '_', '-' and '.' "
            "(it names a file)",
        )


def input_path(root: str, name: str) -> Path:
    """Returns the path of an input file of a recipe; of a remote one, its copy's.

    Raises:
        InputError: a remote file is not there, or cannot be read.
    """
    if is_remote(root) or is_remote(name):
        return remote_file(join(root, name)).bring()
    return Path(root).expanduser() / name


@dataclass(frozen=True)
class SplitsConfig:
    """Which contigs are train, validation and test.

    Either lists of contigs (a missing list is chosen to come nearest its
    fraction of the genome), or ``folds`` and ``fold``, or a ``file`` of
    intervals or contigs with their split.
    """

    train: tuple[str, ...] | None = None
    validation: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    folds: int | None = None
    fold: int = 0
    file: str | None = None

    def __post_init__(self) -> None:
        lists = any(
            names is not None for names in (self.train, self.validation, self.test)
        )
        ways = lists + (self.folds is not None) + (self.file is not None)
        require(
            ways <= 1,
            "give contig lists, or folds and fold, or a file: only one of these",
        )
        require(
            self.fold == 0 or self.folds is not None,
            f"fold is {self.fold}, but folds, their number, is not given",
        )


@dataclass(frozen=True)
class OutputConfig:
    """How shards are stored.

    Attributes:
        compression: ``gzip`` or ``none``.
        level: gzip level, 1 (fast) to 9 (small).
        shard_mb: arrays stored in a shard, before compression, at most.
        min_shards: shards of a split, when it has that many records.
    """

    compression: Literal["none", "gzip"] = "gzip"
    level: int = 1
    shard_mb: float = 128.0
    min_shards: int = 16

    def __post_init__(self) -> None:
        require(1 <= self.level <= 9, f"level is {self.level}; it must be from 1 to 9")
        require(self.shard_mb > 0, f"shard_mb is {self.shard_mb}; it must be positive")
        require(
            1 <= self.min_shards <= 4096,
            f"min_shards is {self.min_shards}; it must be from 1 to 4096",
        )
