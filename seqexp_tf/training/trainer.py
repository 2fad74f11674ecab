"""Configuration and dataset become a run."""

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import keras

from seqexp_tf.config import dump
from seqexp_tf.errors import RunError
from seqexp_tf.models import registry
from seqexp_tf.pipeline.faults import damage_named, require_whole
from seqexp_tf.pipeline.joint import evaluation_batches, training_batches
from seqexp_tf.pipeline.subset import describe_subset, subset_size
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import write_atomically
from seqexp_tf.training import hardware
from seqexp_tf.training.callbacks import EpochReport, RunRecorder
from seqexp_tf.training.checkpoints import BEST, last_checkpoint, restore_checkpoint
from seqexp_tf.training.config import RunConfig, TrainingConfig, model_config
from seqexp_tf.training.losses import (
    ExpressionAccuracy,
    ExpressionCrossEntropy,
    ExpressionLoss,
    SequenceAccuracy,
    SequenceCrossEntropy,
    SequenceLoss,
)
from seqexp_tf.training.run import CONFIG, DATASET, MODEL, SCHEMA, Run, describe_dataset

_log = logging.getLogger(__name__)


def fit(
    config: RunConfig,
    store: RecordStore,
    folder: str | os.PathLike,
    *,
    resume: bool = False,
    show_bar: bool = False,
    say: Callable[[str], None] = _log.info,
) -> Run:
    """Trains a model and leaves a run folder.

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
    initial = _initial_run(config)
    checkpoint = _prepare_folder(folder, config, store, resume)
    training = config.training
    keras.utils.set_random_seed(training.seed)
    policy = hardware.compute_policy(training.precision)
    say(f"{hardware.describe()}, {policy}")

    first_epoch, state = 0, {}
    with hardware.distribution(training.strategy):
        model = build_model(config, policy)
        windows = subset_size(store.count("train"), training.max_windows)
        steps = windows // training.batch_size
        compile_model(model, training, max(steps, 1))
        if checkpoint is not None:
            state = restore_checkpoint(checkpoint, model)
            first_epoch = state["epoch"]
            say(f"going on after epoch {first_epoch} ({checkpoint})")
        elif initial is not None:
            model.set_weights(initial.load_model().get_weights())
            say(f"begins with the weights of {initial.folder}")
    batches, steps = training_batches(
        store,
        batch_size=training.batch_size,
        masking=config.masking,
        pipeline=config.pipeline,
        seed=training.seed,
        max_windows=training.max_windows,
        first_epoch=first_epoch,
    )
    if training.max_windows:
        say(describe_subset(store.count("train"), training.max_windows))
    validation = evaluation_batches(
        store,
        "validation",
        batch_size=training.batch_size,
        masking=config.masking,
    )
    say(
        f"{config.model['architecture']}: {model.count_params():,} weights, "
        f"receptive field {_reach(config)}; "
        f"{steps} steps of {training.batch_size} windows an epoch"
    )
    recorder = RunRecorder(folder, training.patience, state, hidden=config.hidden)
    waited = first_epoch - recorder.best_epoch
    stopped = 0 < training.patience <= waited
    if first_epoch < training.epochs and not stopped:
        with damage_named(store):
            model.fit(
                batches,
                validation_data=validation,
                epochs=training.epochs,
                initial_epoch=first_epoch,
                steps_per_epoch=steps,
                shuffle=False,
                callbacks=[
                    EpochReport(say, show_bar, hidden=config.hidden),
                    recorder,
                    keras.callbacks.TensorBoard(folder / "tensorboard"),
                ],
                verbose=0,
            )
    best = last_checkpoint(folder / "checkpoints") / BEST
    write_atomically(folder / MODEL, best.read_bytes())
    say(
        f"best epoch {recorder.best_epoch}: validation loss {recorder.best:.4f}; "
        f"{folder / MODEL}"
    )
    return Run.open(folder)


def build_model(config: RunConfig, policy: str) -> keras.Model:
    """Returns the model of a configuration, computing under a Keras dtype policy."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return registry.build(config.model["architecture"], model_config(config))
    finally:
        keras.config.set_dtype_policy(previous)


def compile_model(model: keras.Model, training: TrainingConfig, steps: int) -> None:
    """Gives a model its optimizer, schedule, masked losses and metrics.

    Args:
        model: as built.
        training: how it is optimised.
        steps: batches in an epoch.
    """
    total = training.epochs * steps
    warmup = min(round(training.warmup_epochs * steps), total - 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup else training.learning_rate,
        decay_steps=total - warmup,
        alpha=training.final_fraction,
        warmup_target=training.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=training.weight_decay,
        global_clipnorm=training.clip_norm,
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


def _initial_run(config: RunConfig) -> Run | None:
    """Returns the finished run whose weights to begin with, if there is one."""
    if config.training.initial_run is None:
        return None
    run = Run.open(config.training.initial_run)
    if model_config(run.config) != model_config(config):
        raise RunError(
            f"{run.folder}: training.initial_run has another model, "
            f"{run.config.model}; give this run the same [model]"
        )
    run.model_path  # noqa: B018  Raises unless the fit has finished.
    return run


def _prepare_folder(
    folder: Path, config: RunConfig, store: RecordStore, resume: bool
) -> Path | None:
    """Returns the checkpoint to go on from, or None for a new run."""
    description = describe_dataset(store)
    if (folder / CONFIG).exists():
        if not resume:
            raise RunError(
                f"{folder}: already holds a run; go on with --resume or choose "
                "another --out"
            )
        run = Run.open(folder)
        if run.config != config:
            raise RunError(
                f"{folder}: --resume with another configuration: "
                f"{_difference(run.config, config)}; use the run's own or another --out"
            )
        if run.dataset["fingerprint"] != store.fingerprint:
            raise RunError(
                f"{folder}: --resume with another dataset: trained on "
                f"{run.dataset['name']} ({run.dataset['fingerprint'][:12]}), given "
                f"{description['name']} ({store.fingerprint[:12]})"
            )
        return last_checkpoint(folder / "checkpoints")
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot write: {error.strerror}") from None
    write_atomically(folder / SCHEMA, store.schema.to_json().encode())
    write_atomically(
        folder / DATASET, (json.dumps(description, indent=1) + "\n").encode()
    )
    write_atomically(folder / CONFIG, dump(config).encode())
    return None


def _reach(config: RunConfig) -> str:
    bases = model_config(config).receptive_field
    return "the whole window" if bases is None else f"{bases:,} bases"


def _difference(old: RunConfig, new: RunConfig) -> str:
    before, after = dump(old).splitlines(), dump(new).splitlines()
    changed = [line for line in after if line not in before]
    gone = [line for line in before if line not in after]
    return f"{'; '.join(gone) or 'nothing'} became {'; '.join(changed) or 'nothing'}"
