"""Joint models: hidden expression labels and nucleotides of every window."""

from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.pipeline.epochs import epoch_steps
from seqexp_tf.pipeline.joint import evaluation_batches, training_batches
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training import hardware
from seqexp_tf.training.config import RunConfig, TrainingConfig, model_config
from seqexp_tf.training.losses import (
    ExpressionAccuracy,
    ExpressionCrossEntropy,
    ExpressionLoss,
    SequenceAccuracy,
    SequenceCrossEntropy,
    SequenceLoss,
)
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.schedule import warmup_cosine
from seqexp_tf.training.task import Task
from seqexp_tf.training.weight_average import AveragedAdamW, update_options

OUTPUTS = {"expression": "RNA", "sequence": "DNA"}
"""Outputs of a joint model, and what they are called in a line for the user."""


class JointTask(Task):
    """Trains a joint model; see ``Task``."""

    monitored = "val_loss"
    monitored_name = "validation loss"
    examples = "windows"
    config: RunConfig

    def shape(self, schema: Schema | None) -> None:
        return None

    def plan(self, store: RecordStore) -> Plan:
        training = self.config.training
        epoch = epoch_steps(
            store,
            batch_size=training.batch_size,
            streams=self.config.pipeline.streams,
            max_windows=training.max_windows,
            seed=training.seed,
        )
        return Plan(epoch=epoch, period=epoch, total=training.epochs * epoch)

    def compile(self, model: keras.Model, plan: Plan) -> None:
        compile_joint(model, self.config.training, plan)

    def training_batches(
        self,
        model: keras.Model,
        store: RecordStore,
        plan: Plan,
        *,
        first_step: int,
        worker: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        training = self.config.training
        batches, _ = training_batches(
            store,
            batch_size=training.batch_size,
            masking=self.config.masking,
            pipeline=self.config.pipeline,
            seed=training.seed,
            max_windows=training.max_windows,
            first_step=first_step,
            worker=worker,
        )
        return batches

    def validation_batches(
        self,
        model: keras.Model,
        store: RecordStore,
        *,
        worker: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        return evaluation_batches(
            store,
            "validation",
            batch_size=self.config.training.batch_size,
            masking=self.config.masking,
            worker=worker,
        )

    def describe(self, plan: Plan) -> str:
        bases = model_config(self.config).receptive_field
        reach = "the whole window" if bases is None else f"{bases:,} bases"
        return (
            f"receptive field {reach}; {plan.epoch} steps of "
            f"{self.config.training.batch_size} windows an epoch"
        )

    def name_step(self, step: int, plan: Plan) -> str:
        return f"epoch {step // plan.period + 1}, step {step % plan.period + 1}"

    def name_period(self, number: int, plan: Plan) -> str:
        return f"epoch {number}"

    def name_kept(self, finished: int, plan: Plan) -> str:
        return (
            f"the {finished} epochs before are kept" if finished else "nothing to keep"
        )

    def place(self, finished: int, plan: Plan) -> str:
        return f"epoch {finished:>{len(str(plan.periods))}}/{plan.periods}"

    def summary(self, logs: dict[str, float], prefix: str) -> str:
        parts = [f"loss {logs[prefix + 'loss']:.4f}"]
        for name in self.config.hidden:
            accuracy = logs[f"{prefix}{name}_logits_accuracy"]
            parts.append(f"{OUTPUTS[name]} accuracy {accuracy:.4f}")
        return " ".join(parts)

    def position(self, finished: int, plan: Plan) -> dict[str, Any]:
        return {"epoch": finished}

    def columns(self, logs: dict[str, float]) -> dict[str, float]:
        """Returns the columns of a history, under the names of the outputs.

        Keras' own loss of each output weights a smaller last batch wrongly; the
        cross-entropy metrics take its place.
        """
        row = {}
        for name, value in logs.items():
            output, _, metric = name.removeprefix("val_").partition("_logits_")
            if metric == "loss" or (metric and output not in self.config.hidden):
                continue
            row[name.replace("_logits", "").replace("cross_entropy", "loss")] = value
        return row


def compile_joint(model: keras.Model, training: TrainingConfig, plan: Plan) -> None:
    """Gives a joint model its optimizer, schedule, masked losses and metrics."""
    warmup = round(training.warmup_epochs * plan.epoch)
    optimizer = AveragedAdamW(
        warmup_cosine(
            initial=0.0,
            peak=training.learning_rate,
            final_fraction=training.final_fraction,
            warmup=warmup,
            total=plan.total,
        ),
        weight_decay=training.weight_decay,
        global_clipnorm=training.clip_norm,
        **update_options(
            accumulate_steps=training.accumulate_steps, ema_decay=training.ema_decay
        ),
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss={
            "expression_logits": ExpressionLoss(),
            "sequence_logits": SequenceLoss(),
        },
        loss_weights={
            "expression_logits": training.expression_weight,
            "sequence_logits": training.sequence_weight,
        },
        weighted_metrics={
            "expression_logits": [ExpressionAccuracy(), ExpressionCrossEntropy()],
            "sequence_logits": [SequenceAccuracy(), SequenceCrossEntropy()],
        },
        jit_compile=hardware.compiles(),
    )
