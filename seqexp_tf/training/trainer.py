"""Configuration and dataset become a run."""

import contextlib
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import keras

from seqexp_tf.config import dump, to_dict
from seqexp_tf.errors import RunError, SeqExpError
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.models.size import trainable_weights
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.pipeline.subset import describe_subset
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import write_atomically
from seqexp_tf.records.verify import require_whole
from seqexp_tf.training import hardware
from seqexp_tf.training.callbacks import EpochReport, RunRecorder, write_history
from seqexp_tf.training.checkpoints import (
    BEST,
    Progress,
    last_checkpoint,
    restore_checkpoint,
)
from seqexp_tf.training.config import AnyRunConfig, TrainingConfig, model_config
from seqexp_tf.training.course import place, train
from seqexp_tf.training.environment import (
    ENVIRONMENT,
    read_environments,
    record_environment,
)
from seqexp_tf.training.joint_task import compile_joint
from seqexp_tf.training.loggers import TENSORBOARD, loggers, require_wandb
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.run import (
    CHECKPOINTS,
    CONFIG,
    CONFIG_SHA256,
    DATASET,
    HISTORY,
    MODEL,
    SCHEMA,
    SCHEMA_SHA256,
    Run,
    describe_dataset,
)
from seqexp_tf.training.strategy import open_distribution
from seqexp_tf.training.task import task_of

_log = logging.getLogger(__name__)


def fit(
    config: AnyRunConfig,
    store: RecordStore,
    folder: str | os.PathLike,
    *,
    resume: bool = False,
    require_gpu: bool = False,
    profile: bool = False,
    show_bar: bool = False,
    say: Callable[[str], None] = _log.info,
) -> Run:
    """Trains a model and leaves a run folder.

    Of several workers, each calls this with the same arguments, before TensorFlow has
    computed anything; the first one writes the folder and says how it goes.

    Asked to stop by SIGTERM or SIGINT, it saves a checkpoint after the running batch
    and raises SystemExit or KeyboardInterrupt.

    Args:
        config: the resolved configuration.
        store: a dataset with train and validation windows.
        folder: the run folder; must not hold a run unless ``resume``.
        resume: go on from the last checkpoint of ``folder``.
        require_gpu: refuse to train without one.
        profile: trace a few steps for TensorBoard.
        show_bar: show a progress bar on the terminal.
        say: called with lines for the user.

    Raises:
        ConfigError: the batch cannot be shared by the replicas, ``TF_CONFIG`` is
            malformed.
        RunError: the folder holds another run, or training went wrong.
        DatasetError: the dataset is damaged; names the shard.
    """
    folder = Path(folder)
    if require_gpu:
        hardware.require_gpu()
    require_whole(store)
    task = task_of(config)
    task.check(store)
    plan = task.plan(store)
    initial = initial_run(config)
    checkpoint = _checkpoint_of(folder, config, store, resume)
    if checkpoint is not None:
        read_environments(folder)  # Damage is said before there is work to lose.
    if (folder / CONFIG).exists() and (folder / MODEL).is_file():
        say(f"{folder}: has finished before; nothing is left to train")
        return Run.open(folder)
    training = config.training
    require_wandb(training.wandb_project)
    distribution = open_distribution(
        training.strategy,
        batch_size=training.batch_size,
        streams=config.pipeline.streams,
        say=say,
    )
    keras.utils.set_random_seed(training.seed)
    policy = hardware.compute_policy(training.precision)
    say(f"{hardware.describe()}, {policy}{distribution.describe()}")
    if not distribution.chief:
        say, show_bar = _log.debug, False

    progress, metrics = Progress(), None
    with distribution.losses_named(folder), distribution.scope():
        distribution.check_alike(
            {
                "configuration": zlib.crc32(dump(config).encode()),
                "dataset": int(store.fingerprint[:8], 16),
                "checkpoint": zlib.crc32(checkpoint.name.encode()) if checkpoint else 0,
            }
        )
        model = task.build(store.schema, policy)
        task.compile(model, plan)
        if checkpoint is not None:
            progress, metrics = restore_checkpoint(checkpoint, model)
            say(f"going on after {place(task, plan, progress)} ({checkpoint})")
        elif initial is not None:
            model.set_weights(initial.load_model().get_weights())
            say(f"begins with the weights of {initial.folder}")
    if distribution.chief and progress.history:
        write_history(folder / HISTORY, progress.history)
    # Only now, so that a model that cannot be built leaves no run behind.
    begins = distribution.chief and not (folder / CONFIG).exists()
    if begins:
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
        writes=distribution.chief,
    )
    with contextlib.ExitStack() as during:
        if begins:
            during.enter_context(_left_only_with_something(folder))
        if distribution.chief:
            record_environment(folder, step=progress.step)
        during.enter_context(distribution.losses_named(folder))
        during.enter_context(damage_named(store))
        # Also the validation between is traced in there.
        during.enter_context(compiled_layers())
        reports = [EpochReport(say, show_bar, task=task, plan=plan), recorder]
        if distribution.chief:
            logs = loggers(config, recorder, profile=profile, say=say)
            reports += during.enter_context(logs)
        train(task, model, store, plan, distribution, recorder, metrics, reports, say)
        if distribution.chief:
            best = last_checkpoint(folder / CHECKPOINTS) / BEST
            write_atomically(folder / MODEL, best.read_bytes())
        distribution.wait()
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
    run.require_finished()
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
    run = Run.open(folder)
    run.require_unedited()
    require_same(run, config, store)
    checkpoint = last_checkpoint(folder / CHECKPOINTS)
    begun = (folder / HISTORY).exists() and not (folder / MODEL).is_file()
    if checkpoint is None and begun:
        raise RunError(
            f"{folder}: nothing to go on from, {HISTORY} is there, but no checkpoint "
            f"in {folder / CHECKPOINTS}; start again with another --out"
        )
    return checkpoint


def _begin_folder(folder: Path, config: AnyRunConfig, store: RecordStore) -> None:
    """Writes what a run folder begins with; the configuration last.

    Raises:
        RunError: the folder cannot be written.
    """
    text, schema = dump(config).encode(), store.schema.to_json().encode()
    description = describe_dataset(store) | {
        CONFIG_SHA256: sha256(text).hexdigest(),
        SCHEMA_SHA256: sha256(schema).hexdigest(),
    }
    try:
        (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot write: {error.strerror}; choose another --out"
        ) from None
    write_atomically(folder / SCHEMA, schema)
    write_atomically(
        folder / DATASET, (json.dumps(description, indent=1) + "\n").encode()
    )
    write_atomically(folder / CONFIG, text)


@contextlib.contextmanager
def _left_only_with_something(folder: Path) -> Iterator[None]:
    """Takes back what a fit began, where it fails before its first checkpoint."""
    try:
        yield
    except SeqExpError:
        if last_checkpoint(folder / CHECKPOINTS) is None:
            for name in (CONFIG, DATASET, SCHEMA, ENVIRONMENT):
                (folder / name).unlink(missing_ok=True)
            for name in (CHECKPOINTS, TENSORBOARD):
                shutil.rmtree(folder / name, ignore_errors=True)
            with contextlib.suppress(OSError):  # Somebody else's files are in there.
                folder.rmdir()
        raise


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
            f"{_difference(run.config, config)}; use the run's own (`seqexp-tf fit "
            f"--resume --out {run.folder}`, nothing more) or another --out"
        )
    if not run.trained_on(store):
        raise RunError(
            f"{run.folder}: --resume with another dataset: trained on "
            f"{run.dataset['folder']} ({run.dataset['fingerprint'][:12]}), given "
            f"{store.folder} ({store.fingerprint[:12]}); give the run's own or choose "
            "another --out"
        )


def _difference(old: AnyRunConfig, new: AnyRunConfig) -> str:
    before, after = (_flat(to_dict(config)) for config in (old, new))
    absent = "not given"
    return "; ".join(
        f"{name} = {before.get(name, absent)} became {after.get(name, absent)}"
        for name in before | after
        if before.get(name) != after.get(name)
    )
