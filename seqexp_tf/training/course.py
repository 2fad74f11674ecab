"""The course of a fit: training in legs, with a validation after each period."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.callbacks import RunRecorder
from seqexp_tf.training.checkpoints import Metrics, Progress
from seqexp_tf.training.interrupt import StopRequest
from seqexp_tf.training.loops import KerasLoop, ReplicatedLoop, loop_of
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.step_checkpoints import StepCheckpoints
from seqexp_tf.training.strategy import Distribution
from seqexp_tf.training.task import Task
from seqexp_tf.training.throughput import InputWait, Throughput
from seqexp_tf.training.weight_average import AverageValidation


def train(
    task: Task,
    model: keras.Model,
    store: RecordStore,
    plan: Plan,
    distribution: Distribution,
    recorder: RunRecorder,
    metrics: Metrics | None,
    reports: Sequence[keras.callbacks.Callback],
    say: Callable[[str], None],
) -> None:
    """Runs the steps that are left, unless patience has run out before.

    Args:
        task: of the run.
        model: compiled, and restored where a fit goes on.
        store: the dataset.
        plan: steps of the fit.
        distribution: of the model.
        recorder: of the run.
        metrics: of the period that a resumed run is in the midst of.
        reports: callbacks that report and record, the recorder among them.
        say: called with lines for the user.
    """
    training, progress = task.config.training, recorder.progress
    wait = InputWait()
    loop = loop_of(model, distribution, wait)
    part = distribution.part()
    validation = task.validation_batches(model, store, **part)
    average, stop = AverageValidation(), StopRequest()
    callbacks = [
        average,
        *task.callbacks(model, task.validation_batches(model, store)),
        # Each batch of an update may have a graph of its own.
        Throughput(wait, training.batch_size, skip=training.accumulate_steps),
        *reports,
        StepCheckpoints(
            recorder,
            average=average,
            stop=stop,
            every=training.checkpoint_every,
            minutes=training.checkpoint_minutes,
            metrics=metrics,
            agree=distribution.largest,
            say=say,
        ),
    ]
    if metrics is not None:
        loop.build_metrics(validation)
    finished = len(progress.history)
    legs = plan.legs(finished, plan.begun(progress.step, finished))
    with stop.listen():
        for first, last, steps in legs:
            if recorder.stops_after(first):
                break
            if not steps:
                _validate(loop, validation, callbacks, first)
                continue
            loop.fit(
                task.training_batches(
                    model, store, plan, first_step=progress.step, **part
                ),
                validation_data=validation,
                epochs=last,
                initial_epoch=first,
                steps_per_epoch=steps,
                callbacks=callbacks,
            )


def _validate(
    loop: KerasLoop | ReplicatedLoop,
    validation: tf.data.Dataset,
    callbacks: Sequence[keras.callbacks.Callback],
    epoch: int,
) -> None:
    """Ends a period whose batches are all done as ``fit`` would."""
    told = keras.callbacks.CallbackList(
        list(callbacks), model=loop.model, epochs=epoch + 1, steps=0
    )
    told.on_train_begin()
    told.on_epoch_begin(epoch)
    logs = dict(loop.model.get_metrics_result())
    found = loop.evaluate(validation, told)
    logs |= {f"val_{name}": value for name, value in found.items()}
    told.on_epoch_end(epoch, logs)
    told.on_train_end(logs)


def place(task: Task, plan: Plan, progress: Progress) -> str:
    """Returns what the user knows the last batch as, or the last validation."""
    finished = len(progress.history)
    if plan.begun(progress.step, finished):
        return task.name_step(progress.step - 1, plan)
    return task.name_period(finished, plan)
