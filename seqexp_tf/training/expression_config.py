"""Run configuration of models that predict the expression of genes."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from seqexp_tf.config import require
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.training.checks import (
    at_least_one,
    equal_streams,
    loop_options,
    none_negative,
    positive,
    seed_in_range,
    zero_or_more,
)


@dataclass(frozen=True)
class ExpressionTrainingConfig:
    """How a model of genes is optimised; the defaults are those of the study.

    Attributes:
        max_steps: batches to train on; 0 where ``epochs`` says how long.
        epochs: passes over the training genes; 0 where ``max_steps`` says.
        batch_size: genes in a global batch.
        loss: ``huber`` (quadratic up to an error of 1, linear beyond) or ``mse``.
        learning_rate: peak of the schedule.
        initial_learning_rate: first step of the linear rise to the peak.
        final_learning_rate: end of the cosine that follows.
        warmup_steps: steps of the rise; cut to the length of the fit.
        weight_decay: AdamW decay of kernels; biases, norms, and A and D of a
            state-space layer have none.
        beta_1: decay of Adam's mean of gradients.
        beta_2: decay of Adam's mean of squared gradients.
        clip_norm: largest global gradient norm.
        accumulate_steps: as in ``TrainingConfig``.
        ema_decay: as in ``TrainingConfig``.
        validate_every: steps between validations; 0 validates after each epoch.
        patience: validations without a lower mean squared error before stopping; 0
            never stops early.
        checkpoint_every: as in ``TrainingConfig``.
        checkpoint_minutes: as in ``TrainingConfig``.
        precision: as in ``TrainingConfig``.
        strategy: as in ``TrainingConfig``.
        max_windows: train on so many genes, drawn by ``seed``; 0 on all.
        initial_run: as in ``TrainingConfig``.
        wandb_project: as in ``TrainingConfig``.
        seed: seed of the initial weights, subset, order and sampled masks.
    """

    task: ClassVar[str] = "expression"

    max_steps: int = 0
    epochs: int = 0
    batch_size: int = 8
    loss: Literal["huber", "mse"] = "huber"
    learning_rate: float = 5e-4
    initial_learning_rate: float = 1e-5
    final_learning_rate: float = 1e-4
    warmup_steps: int = 5000
    weight_decay: float = 1e-6
    beta_1: float = 0.9
    beta_2: float = 0.95
    clip_norm: float = 1.0
    accumulate_steps: int = 1
    ema_decay: float = 0.0
    validate_every: int = 0
    patience: int = 0
    checkpoint_every: int = 0
    checkpoint_minutes: float = 10.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    strategy: Literal["auto", "single", "mirrored", "multiworker"] = "auto"
    max_windows: int = 0
    initial_run: str | None = None
    wandb_project: str | None = None
    seed: int = 2222

    def __post_init__(self) -> None:
        zero_or_more(self, "max_steps", "epochs", "warmup_steps", "validate_every")
        require(
            (self.max_steps > 0) != (self.epochs > 0),
            f"max_steps is {self.max_steps} and epochs is {self.epochs}; give one of "
            "them, for example max_steps = 50000",
        )
        at_least_one(self, "batch_size")
        loop_options(self)
        seed_in_range(self)
        positive(self, "learning_rate", "clip_norm")
        none_negative(
            self, "initial_learning_rate", "final_learning_rate", "weight_decay"
        )
        for name in ("initial_learning_rate", "final_learning_rate"):
            value = getattr(self, name)
            require(
                value <= self.learning_rate,
                f"{name} is {value}; it must not be above the learning_rate of "
                f"{self.learning_rate}",
            )
        for name in ("beta_1", "beta_2"):
            value = getattr(self, name)
            require(
                0 <= value < 1,
                f"{name} is {value}; it must be from 0 up to, not including, 1",
            )
        zero_or_more(self, "patience", zero="never")
        zero_or_more(self, "max_windows", zero="all")


@dataclass(frozen=True)
class ExpressionRunConfig:
    """Everything a run of task ``expression`` depends on besides its dataset.

    Attributes:
        model: ``architecture`` and the options of its configuration class.
        training: how the model is optimised; says at least how long.
        pipeline: how batches are read.
    """

    task: ClassVar[str] = "expression"

    model: dict[str, Any]
    training: ExpressionTrainingConfig
    pipeline: ExpressionPipelineConfig = ExpressionPipelineConfig()

    def __post_init__(self) -> None:
        equal_streams(self)
