"""Configuration and dataset become a run."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from seqexp_tf.config import dump
from seqexp_tf.errors import RunError
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.pipeline.faults import damage_named, require_whole
from seqexp_tf.pipeline.subset import describe_subset
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import write_atomically
from seqexp_tf.training import hardware
from seqexp_tf.training.callbacks import EpochReport, RunRecorder
from seqexp_tf.training.checkpoints import (
    BEST,
    Metrics,
    Progress,
    last_checkpoint,
    restore_checkpoint,
)
from seqexp_tf.training.config import AnyRunConfig, TrainingConfig, model_config
from seqexp_tf.training.interrupt import StopRequest
from seqexp_tf.training.joint_task import compile_joint
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.run import (
    CHECKPOINTS,
    CONFIG,
    DATASET,
    MODEL,
    SCHEMA,
    Run,
    describe_dataset,
)
from seqexp_tf.training.step_checkpoints import StepCheckpoints
from seqexp_tf.training.task import Task, task_of
from seqexp_tf.training.weight_average import AverageValidation

_log = logging.getLogger(__name__)


def fit(
    config: AnyRunConfig,
    store: RecordStore,
    folder: str | os.PathLike,
    *,
    resume: bool = False,
    show_bar: bool = False,
    say: Callable[[str], None] = _log.info,
) -> Run:
    """Trains a model and leaves a run folder.

    Asked to stop by SIGTERM or SIGINT, it saves a checkpoint after the running batch
    and raises SystemExit or KeyboardInterrupt.

    Args:
        config: the resolved configuration.
        store: a dataset with train and validation windows.
        folder: the run folder; must not hold a run unless ``resume``.
        resume: go on from the last checkpoint of ``folder``.
        show_bar: show a progress bar on the terminal.
        say: called with lines for the user.

    Raises:
        RunError: the folder holds another run, or training went wrong.
        DatasetError: the dataset is damaged; names the shard.
    """
    folder = Path(folder)
    require_whole(store)
    task = task_of(config)
    task.check(store)
    plan = task.plan(store)
    initial = initial_run(config)
    checkpoint = _checkpoint_of(folder, config, store, resume)
    training = config.training
    keras.utils.set_random_seed(training.seed)
    policy = hardware.compute_policy(training.precision)
    say(f"{hardware.describe()}, {policy}")

    progress, metrics = Progress(), None
    with hardware.distribution(training.strategy):
        model = task.build(store.schema, policy)
        task.compile(model, plan)
        if checkpoint is not None:
            progress, metrics = restore_checkpoint(checkpoint, model)
            say(f"going on after {_place(task, plan, progress)} ({checkpoint})")
        elif initial is not None:
            model.set_weights(initial.load_model().get_weights())
            say(f"begins with the weights of {initial.folder}")
    # Only now, so that a model that cannot be built leaves no run behind.
    if not (folder / CONFIG).exists():
        _begin_folder(folder, config, store)
    if training.max_windows:
        say(describe_subset(store.count("train"), training.max_windows))
    say(
        f"{config.model['architecture']}: {trainable_weights(model):,} weights, "
        f"{task.describe(plan)}"
    )
    recorder = RunRecorder(
        folder,
        task=task,
        plan=plan,
        patience=training.patience,
        progress=progress,
        find_fault=partial(task.find_fault, store=store, plan=plan),
    )
    # Also the validation between is traced in there.
    with damage_named(store), compiled_layers():
        _train(task, model, store, plan, recorder, metrics, say, show_bar)
    best = last_checkpoint(folder / CHECKPOINTS) / BEST
    write_atomically(folder / MODEL, best.read_bytes())
    say(
        f"best {task.name_period(progress.best_epoch, plan)}: "
        f"{task.monitored_name} {progress.best:.4f}; {folder / MODEL}"
    )
    return Run.open(folder)


def build_model(
    config: AnyRunConfig, policy: str, schema: Schema | None = None
) -> keras.Model:
    """Returns the model of a configuration, computing under a Keras dtype policy.

    Args:
        config: of a run.
        policy: see ``hardware.compute_policy``.
        schema: of the dataset; a joint model needs none.
    """
    return task_of(config).build(schema, policy)


def compile_model(model: keras.Model, training: TrainingConfig, steps: int) -> None:
    """Gives a joint model its optimizer, schedule, masked losses and metrics.

    Args:
        model: as built.
        training: how it is optimised.
        steps: batches in an epoch.
    """
    plan = Plan(epoch=steps, period=steps, total=training.epochs * steps)
    compile_joint(model, training, plan)


def _train(
    task: Task,
    model: keras.Model,
    store: RecordStore,
    plan: Plan,
    recorder: RunRecorder,
    metrics: Metrics | None,
    say: Callable[[str], None],
    show_bar: bool,
) -> None:
    """Runs the steps that are left, unless patience has run out before."""
    training, progress = task.config.training, recorder.progress
    validation = task.validation_batches(model, store)
    average, stop = AverageValidation(), StopRequest()
    callbacks = [
        average,
        *task.callbacks(model, validation),
        EpochReport(say, show_bar, task=task, plan=plan),
        recorder,
        StepCheckpoints(
            recorder,
            average=average,
            stop=stop,
            every=training.checkpoint_every,
            minutes=training.checkpoint_minutes,
            metrics=metrics,
            say=say,
        ),
        keras.callbacks.TensorBoard(recorder.folder / "tensorboard"),
    ]
    if metrics is not None:
        # Metrics have no state to be restored before they have met a batch.
        model.evaluate(validation.take(1), verbose=0)
    finished = len(progress.history)
    legs = plan.legs(finished, plan.begun(progress.step, finished))
    with stop.listen():
        for first, last, steps in legs:
            if recorder.stops_after(first):
                break
            if not steps:
                _validate(model, validation, callbacks, first)
                continue
            model.fit(
                task.training_batches(model, store, plan, first_step=progress.step),
                validation_data=validation,
                epochs=last,
                initial_epoch=first,
                steps_per_epoch=steps,
                shuffle=False,
                callbacks=callbacks,
                verbose=0,
            )


def _validate(
    model: keras.Model,
    validation: tf.data.Dataset,
    callbacks: Sequence[keras.callbacks.Callback],
    epoch: int,
) -> None:
    """Ends a period whose batches are all done as ``fit`` would."""
    told = keras.callbacks.CallbackList(
        list(callbacks), model=model, epochs=epoch + 1, steps=0
    )
    told.on_train_begin()
    told.on_epoch_begin(epoch)
    logs = model.get_metrics_result()
    found = model.evaluate(validation, callbacks=told, return_dict=True, verbose=0)
    logs |= {f"val_{name}": value for name, value in found.items()}
    told.on_epoch_end(epoch, logs)
    told.on_train_end(logs)


def _place(task: Task, plan: Plan, progress: Progress) -> str:
    """Returns what the user knows the last batch as, or the last validation."""
    finished = len(progress.history)
    if plan.begun(progress.step, finished):
        return task.name_step(progress.step - 1, plan)
    return task.name_period(finished, plan)


def initial_run(config: AnyRunConfig) -> Run | None:
    """Returns the finished run whose weights to begin with, if there is one."""
    if config.training.initial_run is None:
        return None
    run = Run.open(config.training.initial_run)
    if model_config(run.config) != model_config(config):
        raise RunError(
            f"{run.folder}: training.initial_run has another model, "
            f"{_model_difference(run.config.model, config.model)}; give this run the "
            "same [model]"
        )
    run.model_path  # noqa: B018  Raises unless the fit has finished.
    return run


def _model_difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """Names the options that differ; those of another architecture all would."""
    theirs, ours = _flat(theirs), _flat(ours)
    keys = ["architecture"]
    if theirs["architecture"] == ours["architecture"]:
        keys = [k for k in (theirs | ours) if theirs.get(k) != ours.get(k)]
    return ", ".join(f"{k} {theirs.get(k)!r}, here {ours.get(k)!r}" for k in keys)


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options of nested tables under dotted names."""
    options = {}
    for key, value in table.items():
        nested = isinstance(value, dict)
        name = f"{prefix}{key}"
        options |= _flat(value, f"{name}.") if nested else {name: value}
    return options


def _checkpoint_of(
    folder: Path, config: AnyRunConfig, store: RecordStore, resume: bool
) -> Path | None:
    """Returns the checkpoint to go on from, or None for a new run."""
    if not (folder / CONFIG).exists():
        return None
    if not resume:
        raise RunError(
            f"{folder}: already holds a run; go on with --resume or choose "
            "another --out"
        )
    require_same(Run.open(folder), config, store)
    return last_checkpoint(folder / CHECKPOINTS)


def _begin_folder(folder: Path, config: AnyRunConfig, store: RecordStore) -> None:
    """Writes what a run folder begins with; the configuration last.

    Raises:
        RunError: the folder cannot be written.
    """
    description = describe_dataset(store)
    try:
        (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot write: {error.strerror}") from None
    write_atomically(folder / SCHEMA, store.schema.to_json().encode())
    write_atomically(
        folder / DATASET, (json.dumps(description, indent=1) + "\n").encode()
    )
    write_atomically(folder / CONFIG, dump(config).encode())


def require_same(run: Run, config: AnyRunConfig, store: RecordStore) -> None:
    """Raises RunError unless a run is of a configuration and a dataset.

    Args:
        run: to go on with, or to keep.
        config: asked for.
        store: asked for.
    """
    if run.config != config:
        raise RunError(
            f"{run.folder}: --resume with another configuration: "
            f"{_difference(run.config, config)}; use the run's own or another --out"
        )
    if run.dataset["fingerprint"] != store.fingerprint:
        raise RunError(
            f"{run.folder}: --resume with another dataset: trained on "
            f"{run.dataset['name']} ({run.dataset['fingerprint'][:12]}), given "
            f"{store.manifest['name']} ({store.fingerprint[:12]})"
        )


def _difference(old: AnyRunConfig, new: AnyRunConfig) -> str:
    before, after = dump(old).splitlines(), dump(new).splitlines()
    changed = [line for line in after if line not in before]
    gone = [line for line in before if line not in after]
    return f"{'; '.join(gone) or 'nothing'} became {'; '.join(changed) or 'nothing'}"
