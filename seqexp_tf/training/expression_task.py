"""Models of task ``expression``: one number a gene, from the window around its TSS."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.models.seq2exp_config import check_shape
from seqexp_tf.models.shape import ExpressionShape, expression_shape
from seqexp_tf.pipeline.epochs import epoch_steps
from seqexp_tf.pipeline.expression import (
    check_shift,
    evaluation_batches,
    gene_ids,
    training_batches,
)
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training import hardware
from seqexp_tf.training.config import model_config
from seqexp_tf.training.expression_config import (
    ExpressionRunConfig,
    ExpressionTrainingConfig,
)
from seqexp_tf.training.expression_losses import (
    AbsoluteError,
    GeneLoss,
    MaskRatio,
    OutputLoss,
    OutputMean,
    Pearson,
    SquaredError,
)
from seqexp_tf.training.faulty_gene import DIVERGED, find_faulty_gene
from seqexp_tf.training.gradient_log import GradientLog
from seqexp_tf.training.gradients import mask_head
from seqexp_tf.training.guarded_adamw import GuardedAdamW
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.schedule import warmup_cosine
from seqexp_tf.training.task import Task
from seqexp_tf.training.weight_average import update_options

_COLUMNS = {
    "loss": ("loss",),
    "mse": ("expression_mse", "mse"),
    "mae": ("expression_mae", "mae"),
    "pearson": ("expression_pearson", "pearson"),
    "divergence": ("divergence_mean",),
    "mask_mean": ("mask_mean",),
    "mask_ratio": ("mask_ratio",),
}
"""Columns of the history, and what Keras calls them with several outputs or one."""


class ExpressionTask(Task):
    """Trains a model of genes; see ``Task``."""

    monitored = "val_mse"
    monitored_name = "validation MSE"
    examples = "genes"
    config: ExpressionRunConfig

    def check(self, store: RecordStore) -> None:
        """Raises ConfigError, too, where the model does not fit the dataset."""
        super().check(store)
        config = model_config(self.config)
        try:
            shape = self.shape(store.schema)
            check_shape(config, shape)
        except ConfigError as error:
            raise ConfigError(f"{store.folder}: {error}") from None
        if config.mask.kind == "given" and not config.mask.promoter:
            _require_intervals(store, config.mask.channel, shape.window)

    def shape(self, schema: Schema) -> ExpressionShape:
        pipeline = self.config.pipeline
        found = expression_shape(schema, pipeline.window)
        check_shift(schema, found.window, pipeline.shift)
        return found

    def plan(self, store: RecordStore) -> Plan:
        training = self.config.training
        epoch = epoch_steps(
            store,
            batch_size=training.batch_size,
            streams=self.config.pipeline.streams,
            max_windows=training.max_windows,
            seed=training.seed,
        )
        return Plan(
            epoch=epoch,
            period=training.validate_every or epoch,
            total=training.max_steps or training.epochs * epoch,
        )

    def compile(self, model: keras.Model, plan: Plan) -> None:
        compile_expression(
            model, self.config.training, plan, kl_weight=kl_weight(self.config)
        )

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
            inputs=input_names(model),
            pipeline=self.config.pipeline,
            seed=training.seed,
            max_windows=training.max_windows,
            first_step=first_step,
            worker=worker,
            given=given_channel(self.config),
        )
        return _with_every_output(batches, model)

    def validation_batches(
        self,
        model: keras.Model,
        store: RecordStore,
        *,
        worker: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        batches = evaluation_batches(
            store,
            "validation",
            batch_size=self.config.training.batch_size,
            inputs=input_names(model),
            pipeline=self.config.pipeline,
            given=given_channel(self.config),
            worker=worker,
        )
        return _with_every_output(batches, model)

    def describe(self, plan: Plan) -> str:
        return (
            f"{plan.total:,} steps of {self.config.training.batch_size} genes, "
            f"{plan.epoch:,} in an epoch, validated every {plan.period:,}"
        )

    def name_step(self, step: int, plan: Plan) -> str:
        return f"step {step + 1:,}"

    def name_period(self, number: int, plan: Plan) -> str:
        return f"step {plan.steps_after(number):,}"

    def name_kept(self, finished: int, plan: Plan) -> str:
        step = plan.steps_after(finished)
        return f"the checkpoint of step {step:,} is kept" if step else "nothing to keep"

    def place(self, finished: int, plan: Plan) -> str:
        total = f"{plan.total:,}"
        return f"step {plan.steps_after(finished):>{len(total)},}/{total}"

    def summary(self, logs: dict[str, float], prefix: str) -> str:
        found = _select(logs, prefix)
        parts = [f"loss {found['loss']:.4f}"]
        parts += [f"MSE {found['mse']:.4f}", f"r {found['pearson']:.4f}"]
        if "mask_ratio" in found:
            parts.append(f"mask {found['mask_ratio']:.1%}")
        return " ".join(parts)

    def position(self, finished: int, plan: Plan) -> dict[str, Any]:
        step = plan.steps_after(finished)
        return {
            "validation": finished,
            "step": step,
            "epoch": round(step / plan.epoch, 3),
        }

    def columns(self, logs: dict[str, float]) -> dict[str, float]:
        row = _select(logs, "")
        row |= {name: logs[name] for name in GradientLog.COLUMNS if name in logs}
        validation = _select(logs, "val_")
        return row | {f"val_{name}": value for name, value in validation.items()}

    def callbacks(
        self, model: keras.Model, validation: tf.data.Dataset
    ) -> Sequence[keras.callbacks.Callback]:
        if not mask_head(model):
            return ()
        loss = GeneLoss(self.config.training.loss)
        return [GradientLog(validation, loss, kl_weight=kl_weight(self.config))]

    def bad_step(self, model: keras.Model) -> int | None:
        step = int(keras.ops.convert_to_numpy(model.optimizer.bad_step))
        return step - 1 if step else None

    def find_fault(
        self, model: keras.Model, store: RecordStore, plan: Plan, step: int
    ) -> str:
        training = self.config.training
        genes = gene_ids(
            store,
            batch_size=training.batch_size,
            pipeline=self.config.pipeline,
            seed=training.seed,
            max_windows=training.max_windows,
            step=step,
        )
        batches = self.training_batches(model, store, plan, first_step=step)
        inputs, targets = next(batches.take(1).as_numpy_iterator())
        fault = find_faulty_gene(
            model, genes, inputs, targets, loss=GeneLoss(training.loss)
        )
        if fault == DIVERGED:
            return fault
        return f"{fault} (genes of the batch: {', '.join(genes)})"


def _require_intervals(store: RecordStore, channel: str, window: int) -> None:
    """Raises DatasetError where a mask that is a channel hides every training gene.

    Without TensorFlow, which must not compute before workers have met.
    """
    index = store.schema.by_name["channels"].tracks.index(channel)
    first = (store.schema.window - window) // 2
    if not any(
        record["channels"][index, first : first + window].any()
        for record in store.records("train")
    ):
        raise DatasetError(
            f"{store.folder}: channel {channel!r}, the mask, is zero in every window "
            "of split train; convert with intervals there, or keep some bases always "
            "with model.mask.promoter"
        )


def kl_weight(config: ExpressionRunConfig) -> float:
    """Returns the weight of the divergence in the loss."""
    return model_config(config).mask.kl_weight


def given_channel(config: ExpressionRunConfig) -> str:
    """Returns the channel of the dataset that is a model's mask, if one is."""
    return model_config(config).mask.channel


def input_names(model: keras.Model) -> tuple[str, ...]:
    """Returns what a model reads, in the terms of ``pipeline.expression``."""
    return tuple(tensor.name for tensor in model.inputs)


def output_names(model: keras.Model) -> tuple[str, ...]:
    """Returns what a model answers: ``expression``, ``mask``, ``divergence``."""
    # Keras' own names are those of the layers.
    return tuple(model.output)


def compile_expression(
    model: keras.Model,
    training: ExpressionTrainingConfig,
    plan: Plan,
    *,
    kl_weight: float,
) -> None:
    """Gives a model of genes its optimizer, schedule, losses and metrics."""
    optimizer = GuardedAdamW(
        warmup_cosine(
            initial=training.initial_learning_rate,
            peak=training.learning_rate,
            final_fraction=training.final_learning_rate / training.learning_rate,
            warmup=training.warmup_steps,
            total=plan.total,
        ),
        weight_decay=training.weight_decay,
        beta_1=training.beta_1,
        beta_2=training.beta_2,
        global_clipnorm=training.clip_norm,
        **update_options(
            accumulate_steps=training.accumulate_steps, ema_decay=training.ema_decay
        ),
    )
    optimizer.exclude_from_weight_decay(
        var_list=[v for v in model.trainable_variables if not _decays(v)]
    )
    outputs = output_names(model)
    losses = {"expression": GeneLoss(training.loss)}
    weights = {"expression": 1.0}
    if "divergence" in outputs:
        losses["divergence"], weights["divergence"] = OutputLoss(), kl_weight
    metrics = {
        "expression": [SquaredError(), AbsoluteError(), Pearson()],
        "divergence": [OutputMean()],
        "mask": [OutputMean(), MaskRatio()],
    }
    model.compile(
        optimizer=optimizer,
        loss=losses,
        loss_weights=weights,
        weighted_metrics={k: m for k, m in metrics.items() if k in outputs},
        jit_compile=hardware.compiles(),
    )


def _decays(variable: keras.Variable) -> bool:
    """Whether a weight is a kernel: no bias, norm or D, which are vectors, nor A."""
    return len(variable.shape) > 1 and variable.name != "A_log"


def _with_every_output(batches: tf.data.Dataset, model: keras.Model) -> tf.data.Dataset:
    """Gives outputs without a target one that nothing looks at; Keras asks for it.

    Weights, if there are any, are those of every output.
    """
    names = output_names(model)

    def add(
        inputs: Mapping[str, tf.Tensor],
        targets: Mapping[str, tf.Tensor],
        *weights: tf.Tensor,
    ):
        unused = tf.zeros_like(targets["expression"])
        every = {name: targets.get(name, unused) for name in names}
        return inputs, every, *(dict.fromkeys(names, each) for each in weights)

    return batches.map(add)


def _select(logs: Mapping[str, float], prefix: str) -> dict[str, float]:
    return {
        column: logs[prefix + name]
        for column, names in _COLUMNS.items()
        for name in names
        if prefix + name in logs
    }
