"""What the training loop asks of the two things a model can learn.

Models of task ``joint`` predict hidden labels and nucleotides of every window, those
of task ``expression`` one number a gene. The loop, its checkpoints and its folder
are the same; everything that differs is asked of a ``Task``.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.models import registry
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import AnyRunConfig, model_config
from seqexp_tf.training.plan import Plan


class Task(ABC):
    """One way of training, for one run configuration.

    Args:
        config: the run configuration.

    Attributes:
        monitored: the column of the history by which a model is the best so far.
        monitored_name: what it is called in a line for the user.
        examples: what it is trained on, in a line for the user.
    """

    monitored: str
    monitored_name: str
    examples: str

    def __init__(self, config: AnyRunConfig):
        self.config = config

    def check(self, store: RecordStore) -> None:
        """Raises DatasetError for a dataset of another kind."""
        if store.schema.kind != self.config.task:
            raise DatasetError(
                f"{store.folder}: a dataset of kind {store.schema.kind!r}; "
                f"{self.config.model['architecture']} needs one of kind "
                f'"{self.config.task}"'
            )

    def build(self, schema: Schema | None, policy: str) -> keras.Model:
        """Returns the model, computing under a Keras dtype policy.

        Args:
            schema: of the dataset; a joint model needs none.
            policy: see ``hardware.compute_policy``.
        """
        previous = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            return registry.build(
                self.config.model["architecture"],
                model_config(self.config),
                self.shape(schema),
            )
        finally:
            keras.config.set_dtype_policy(previous)

    @abstractmethod
    def shape(self, schema: Schema | None) -> Any:
        """Returns what the builder of the architecture must know of the data."""

    @abstractmethod
    def plan(self, store: RecordStore) -> Plan:
        """Returns the steps of the fit.

        Raises:
            DatasetError: fewer training windows than a batch.
        """

    @abstractmethod
    def compile(self, model: keras.Model, plan: Plan) -> None:
        """Gives a model its optimizer, losses and metrics."""

    @abstractmethod
    def training_batches(
        self,
        model: keras.Model,
        store: RecordStore,
        plan: Plan,
        *,
        first_step: int,
        worker: tuple[int, int] = (0, 1),
    ) -> tf.data.Dataset:
        """Returns endless training batches from a step on, whatever ran before.

        Args:
            model: which reads them.
            store: the dataset.
            plan: steps of the fit.
            first_step: counted from 0.
            worker: index of this worker and number of workers, each of which gets its
                part of every batch.
        """

    @abstractmethod
    def validation_batches(
        self,
        model: keras.Model,
        store: RecordStore,
        *,
        worker: tuple[int, int] | None = None,
    ) -> tf.data.Dataset:
        """Returns the validation windows, each once.

        With ``worker``, as in ``training_batches``, batches are all of one size, and
        what fills up the last one has weight zero.
        """

    @abstractmethod
    def describe(self, plan: Plan) -> str:
        """Returns what is peculiar about the model and its batches."""

    @abstractmethod
    def name_step(self, step: int, plan: Plan) -> str:
        """Returns what the user knows a step (from 0) as."""

    @abstractmethod
    def name_period(self, number: int, plan: Plan) -> str:
        """Returns what the user knows a period (from 1) as."""

    @abstractmethod
    def name_kept(self, finished: int, plan: Plan) -> str:
        """Says which part of a fit that failed is kept, after so many periods."""

    @abstractmethod
    def place(self, finished: int, plan: Plan) -> str:
        """Returns where a fit is after so many periods, of a fixed width."""

    @abstractmethod
    def summary(self, logs: dict[str, float], prefix: str) -> str:
        """Returns the figures for the user; ``prefix`` is empty or ``val_``."""

    @abstractmethod
    def position(self, finished: int, plan: Plan) -> dict[str, Any]:
        """Returns the first columns of the history after so many periods."""

    @abstractmethod
    def columns(self, logs: dict[str, float]) -> dict[str, float]:
        """Returns the other columns, from what Keras logged."""

    def callbacks(
        self, model: keras.Model, validation: tf.data.Dataset
    ) -> Sequence[keras.callbacks.Callback]:
        """Returns what else is to be measured at each validation."""
        return ()

    def bad_step(self, model: keras.Model) -> int | None:
        """Returns the first step (from 0) whose gradient was not finite, if known."""
        return None

    def find_fault(
        self, model: keras.Model, store: RecordStore, plan: Plan, step: int
    ) -> str:
        """Says what in the batch of a step (from 0) made the loss not finite."""
        return ""


_TASKS = {
    "joint": "seqexp_tf.training.joint_task:JointTask",
    "expression": "seqexp_tf.training.expression_task:ExpressionTask",
}


def task_of(config: AnyRunConfig) -> Task:
    """Returns the task of a run configuration."""
    module, name = _TASKS[config.task].split(":")
    return getattr(importlib.import_module(module), name)(config)
