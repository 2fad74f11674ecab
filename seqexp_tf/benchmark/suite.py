"""What a benchmark compares: a TOML of models, seeds and tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from seqexp_tf.config import build, nearest, read_toml, require
from seqexp_tf.errors import ConfigError

SEEDS = (2, 22, 222, 2222, 22222)
"""Of the study."""

_NAME = re.compile(r"[\w-]+")
_RUN = re.compile(r"\{out\}/([^/{}]+)/\{seed\}")
_SUITES = resources.files("seqexp_tf.presets") / "suites"


@dataclass(frozen=True)
class SuiteModel:
    """One row of the tables, trained once a seed.

    Attributes:
        name: of the model; a folder of its runs.
        preset: built-in run configuration.
        config: file of one instead, relative to the suite's.
        label: name in tables; ``name`` if not given.
        overrides: as after ``--set``. ``{out}`` stands for the folder of all models
            and ``{seed}`` for the seed, so that ``{out}/NAME/{seed}`` is the run of
            another model, which is trained before.
        baseline: one of those to be beaten.
    """

    name: str
    preset: str | None = None
    config: str | None = None
    label: str = ""
    overrides: tuple[str, ...] = ()
    baseline: bool = False

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"name is {self.name!r}; letters, digits, _ and - alone, it names a folder",
        )
        require(
            (self.preset is None) != (self.config is None),
            f"{self.name}: give either preset or config",
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """Models whose run of the same seed has to come first."""
        found = [name for text in self.overrides for name in _RUN.findall(text)]
        return tuple(dict.fromkeys(found))


Metric = Literal[
    "mse",
    "mae",
    "pearson",
    "spearman",
    "r2_pearson",
    "r2_determination",
    "pearson_share",
    "mask_ratio",
]


@dataclass(frozen=True)
class SuiteTable:
    """A table over all seeds: a row a model, a column a metric and dataset.

    Attributes:
        name: of its files.
        title: above it.
        models: rows, in order; all if empty.
        metrics: columns, in order.
        spread: give the standard deviation beside the mean.
        apart: write a table a dataset, and not one of all side by side.
    """

    name: str
    title: str = ""
    models: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ("mse", "mae", "pearson")
    spread: bool = True
    apart: bool = False

    def __post_init__(self) -> None:
        require(
            _NAME.fullmatch(self.name) is not None,
            f"name is {self.name!r}; letters, digits, _ and - alone, it names a file",
        )
        require(bool(self.metrics), f"{self.name}: metrics is empty")


@dataclass(frozen=True)
class Suite:
    """A benchmark.

    Attributes:
        name: of the suite.
        models: what is compared.
        seeds: each model is trained with each.
        split: on which they are compared.
        overrides: of every model, as after ``--set``.
        tables: what is written; one of everything if empty.
    """

    name: str
    models: tuple[SuiteModel, ...]
    seeds: tuple[int, ...] = SEEDS
    split: str = "test"
    overrides: tuple[str, ...] = ()
    tables: tuple[SuiteTable, ...] = ()

    def __post_init__(self) -> None:
        names = [model.name for model in self.models]
        require(bool(names), "models is empty; give at least one [[models]]")
        require(bool(self.seeds), "seeds is empty; give at least one")
        for what, values in (("models", names), ("seeds", self.seeds)):
            for value in values:
                require(
                    list(values).count(value) == 1, f"{what}: {value!r} is there twice"
                )
        for model in self.models:
            for other in model.needs:
                _require_known(other, names, f"models: {model.name} needs the run of")
        for table in self.tables:
            for name in table.models:
                _require_known(name, names, f"tables: {table.name} has a row for")
        list(self.in_order())

    def in_order(self) -> Iterator[SuiteModel]:
        """Yields models, those that others need before them, else as they stand.

        Raises:
            ConfigError: models that need each other.
        """
        done: list[str] = []
        left = list(self.models)
        while left:
            ready = next((m for m in left if set(m.needs) <= set(done)), None)
            if ready is None:
                names = ", ".join(model.name for model in left)
                raise ConfigError(f"models: {names} need each other's runs")
            left.remove(ready)
            done.append(ready.name)
            yield ready

    def find(self, name: str) -> SuiteModel:
        """Returns a model by its name."""
        return next(model for model in self.models if model.name == name)


def suites() -> list[str]:
    """Returns the names of the built-in suites."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in _SUITES.iterdir()
        if entry.name.endswith(".toml")
    )


def read_suite(name: str) -> tuple[Suite, Path]:
    """Returns a suite, and the folder its paths start from.

    Args:
        name: a file, or one of ``suites``.

    Raises:
        ConfigError: neither, or the file says something wrong.
    """
    if name in suites():
        with resources.as_file(_SUITES / f"{name}.toml") as path:
            return build(Suite, read_toml(path), origin=f"suite {name}"), path.parent
    path = Path(name)
    if not path.suffix and not path.exists():
        raise ConfigError(f"no suite {name!r}{nearest(name, suites())}")
    return build(Suite, read_toml(path), origin=name), path.parent


def _require_known(name: str, names: list[str], what: str) -> None:
    require(name in names, f"{what} {name!r}{nearest(name, names)}")
