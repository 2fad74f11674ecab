"""Run configuration: the TOML (or preset) that ``seqexp-tf fit`` follows."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from seqexp_tf.config import (
    apply_overrides,
    build,
    nearest,
    read_toml,
    require,
    to_dict,
)
from seqexp_tf.errors import ConfigError
from seqexp_tf.models import registry
from seqexp_tf.pipeline.config import PipelineConfig
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.training.checks import (
    at_least_one,
    equal_streams,
    loop_options,
    none_negative,
    positive,
    seed_in_range,
    zero_or_more,
)
from seqexp_tf.training.expression_config import ExpressionRunConfig

if TYPE_CHECKING:
    from importlib.abc import Traversable


_PRESETS = resources.files("seqexp_tf.presets")


@dataclass(frozen=True)
class TrainingConfig:
    """How a joint model is optimised.

    Attributes:
        epochs: passes over the training windows at most.
        batch_size: windows in a global batch.
        learning_rate: peak of the schedule.
        warmup_epochs: linear rise from zero to the peak.
        final_fraction: learning rate at the end, as a share of the peak; the
            cosine between is Loshchilov & Hutter 2017.
        weight_decay: AdamW decay of kernels; biases and norms have none.
        clip_norm: largest global norm of the gradient, that of the whole batch.
        expression_weight: weight of the expression loss.
        sequence_weight: weight of the nucleotide loss.
        accumulate_steps: batches whose gradients are averaged into one update, as
            if they were one batch so many times larger; a rest at the end of the
            fit is left out.
        ema_decay: share of the moving average of weights that an update leaves, for
            example 0.999; the averaged weights are those validated, kept and
            exported. 0 for no average.
        patience: epochs without a better validation loss before stopping; 0
            never stops early.
        checkpoint_every: steps between checkpoints; 0 for none by steps. There is
            one after each validation in any case.
        checkpoint_minutes: minutes between checkpoints; 0 for none by time.
        precision: ``float32``, ``bfloat16`` (mixed: float32 variables), or
            ``auto``: bfloat16 where the hardware computes in it.
        strategy: ``single``; ``mirrored`` over the GPUs of this machine;
            ``multiworker`` over the processes that ``TF_CONFIG`` names; or ``auto``:
            multiworker where it names several, mirrored where there are several GPUs.
        max_windows: train on a subset of so many windows, drawn by ``seed`` over
            the whole split and kept for the run; 0 trains on all.
        initial_run: folder of a finished run of the same model whose weights to
            begin with; drawn at random if not given.
        wandb_project: project of Weights & Biases that the history is logged to, too;
            needs ``wandb``. Not logged there if not given.
        seed: seed of the initial weights, subset, order and masks.
    """

    task: ClassVar[str] = "joint"

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    warmup_epochs: float = 0.5
    final_fraction: float = 0.01
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    expression_weight: float = 1.0
    sequence_weight: float = 1.0
    accumulate_steps: int = 1
    ema_decay: float = 0.0
    patience: int = 10
    checkpoint_every: int = 0
    checkpoint_minutes: float = 10.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    strategy: Literal["auto", "single", "mirrored", "multiworker"] = "auto"
    max_windows: int = 0
    initial_run: str | None = None
    wandb_project: str | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        at_least_one(self, "epochs", "batch_size")
        loop_options(self)
        seed_in_range(self)
        positive(self, "learning_rate", "clip_norm")
        none_negative(
            self,
            "warmup_epochs",
            "weight_decay",
            "expression_weight",
            "sequence_weight",
        )
        require(
            0 <= self.final_fraction <= 1,
            f"final_fraction is {self.final_fraction}; it must be from 0 to 1",
        )
        zero_or_more(self, "patience", zero="never")
        zero_or_more(self, "max_windows", zero="all")


@dataclass(frozen=True)
class RunConfig:
    """Everything a run of a joint model depends on besides its dataset.

    Attributes:
        model: ``architecture`` and the options of its configuration class.
        masking: what is hidden from the model.
        pipeline: how batches are read.
        training: how the model is optimised.
    """

    task: ClassVar[str] = "joint"

    model: dict[str, Any]
    masking: MaskingConfig = MaskingConfig()
    pipeline: PipelineConfig = PipelineConfig()
    training: TrainingConfig = TrainingConfig()

    def __post_init__(self) -> None:
        require(
            self.masking.hides_expression or self.masking.hides_sequence,
            "masking hides nothing; raise masking.expression_fraction or "
            "masking.sequence_fraction",
        )
        equal_streams(self)

    @property
    def hidden(self) -> tuple[str, ...]:
        """What the model is asked for: ``expression``, ``sequence`` or both."""
        asked = {
            "expression": self.masking.hides_expression,
            "sequence": self.masking.hides_sequence,
        }
        return tuple(name for name, hides in asked.items() if hides)


AnyRunConfig: TypeAlias = RunConfig | ExpressionRunConfig

_RUN_CONFIGS: dict[str, type] = {
    config.task: config for config in (RunConfig, ExpressionRunConfig)
}


def presets(task: str | None = None) -> list[str]:
    """Returns the names of the built-in run configurations, of one task or all."""
    names = _names(_PRESETS)
    if task is None:
        return names
    return [name for name in names if _task(_read(_PRESETS, name), name) == task]


def read_preset(name: str) -> dict[str, Any]:
    """Returns the tables of a built-in run configuration."""
    if name not in presets():
        raise ConfigError(f"no preset {name!r}{nearest(name, presets())}")
    return _read(_PRESETS, name)


def regimes() -> list[str]:
    """Returns the names of the built-in masking regimes."""
    return _names(_PRESETS / "masking")


def with_regime(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Returns the tables of a run with its masking replaced by a built-in regime.

    The whole ``[masking]`` table is replaced, so that a regime means the same
    whatever the configuration said before.

    Args:
        values: tables of a run configuration.
        name: one of ``regimes``; ``+`` may stand for ``_``, as in ``rna+dna``.
    """
    known = name.replace("+", "_")
    if known not in regimes():
        raise ConfigError(f"no masking regime {name!r}{nearest(known, regimes())}")
    return {**values, **_read(_PRESETS / "masking", known)}


def read_run_config(
    values: Mapping[str, Any] | str | os.PathLike,
    overrides: Sequence[str] = (),
    *,
    origin: str | None = None,
) -> AnyRunConfig:
    """Returns the checked configuration of a file or of tables.

    Its class is that of the architecture's task.

    Raises:
        ConfigError: names the file or preset and the key that is wrong.
    """
    if not isinstance(values, Mapping):
        origin, values = str(values), read_toml(values)
    origin = origin or "configuration"
    tables = apply_overrides(values, overrides)
    config = build(_RUN_CONFIGS[_task(tables, origin)], tables, origin=origin)
    # With every default written out, a later default cannot change an old run.
    options = to_dict(model_config(config, origin=origin))
    architecture = config.model["architecture"]
    return replace(config, model={"architecture": architecture, **options})


def model_config(config: AnyRunConfig, *, origin: str = "configuration") -> Any:
    """Returns the architecture's own configuration, checked."""
    options = {key: v for key, v in config.model.items() if key != "architecture"}
    return registry.read_config(config.model["architecture"], options, origin=origin)


def _task(tables: Mapping[str, Any], origin: str) -> str:
    model = tables.get("model")
    require(
        isinstance(model, Mapping) and "architecture" in model,
        f'{origin}: model.architecture is missing; for example architecture = "cnn"',
    )
    return registry.task(model["architecture"], origin=origin)


def _names(folder: "Traversable") -> list[str]:
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in folder.iterdir()
        if entry.name.endswith(".toml")
    )


def _read(folder: "Traversable", name: str) -> dict[str, Any]:
    with resources.as_file(folder / f"{name}.toml") as path:
        return read_toml(path)
