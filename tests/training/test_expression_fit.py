"""Fit of a model of genes: what a run leaves, learns, resumes, refuses, explains."""

import math

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy

from seqexp_tf.errors import ConfigError, DatasetError, RunError
from seqexp_tf.pipeline.expression import gene_ids
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.callbacks import TIMES
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.expression_task import ExpressionTask
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import build_model, fit

SMALL = {
    "model": {
        "architecture": "seq2exp",
        "width": 8,
        "center": 32,
        "head": [8],
        "generator": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "predictor": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "mask": {"promoter": 16},
    },
    "training": {
        "epochs": 10,
        "batch_size": 8,
        "learning_rate": 0.01,
        "final_learning_rate": 0.001,
        "warmup_steps": 5,
        "precision": "float32",
        "seed": 2,
    },
}

PLAIN = ("model.mask.kind=none",)


def _config(*overrides):
    return read_run_config(SMALL, overrides)


@pytest.fixture(scope="module")
def finished(gene_folder, tmp_path_factory):
    lines = []
    folder = tmp_path_factory.mktemp("runs") / "finished"
    run = fit(_config(), RecordStore.open(gene_folder), folder, say=lines.append)
    return run, lines


def test_a_run_folder_is_complete(finished, gene_store):
    run, lines = finished
    assert run.task == "expression"
    assert run.config == _config()
    history = pd.read_csv(run.folder / "history.csv")
    measured = [
        "loss",
        "mse",
        "mae",
        "pearson",
        "divergence",
        "mask_mean",
        "mask_ratio",
    ]
    gradients = ["prediction_gradient", "divergence_gradient", "gradient_ratio"]
    assert history.columns.tolist() == [
        "validation",
        "step",
        "epoch",
        *TIMES,
        *measured,
        *gradients,
        *(f"val_{name}" for name in measured),
    ]
    assert history.validation.tolist() == list(range(1, 11))
    assert history.step.tolist() == list(range(12, 121, 12))
    assert history.epoch.tolist() == list(range(1, 11))
    assert (history[gradients] > 0).all().all()
    assert gene_store.count("train") // 8 == 12
    assert sum(line.startswith("step ") for line in lines) == 10
    assert "step  12/120" in lines[2]
    assert list((run.folder / "tensorboard").rglob("events*"))


def test_it_learns(finished):
    history = pd.read_csv(finished[0].folder / "history.csv")
    assert history.val_pearson.max() > 0.9
    assert history.val_mse.min() < history.val_mse.iloc[0] / 2


def test_the_validation_with_the_lowest_error_is_kept(finished, gene_store):
    run, lines = finished
    history = pd.read_csv(run.folder / "history.csv")
    best = history.loc[history.val_mse.idxmin()]
    assert f"best step {best.step:.0f}: validation MSE {best.val_mse:.4f}" in lines[-1]
    batches = ExpressionTask(run.config).validation_batches(
        run.load_model(), gene_store
    )
    model = run.load_model()
    errors = np.concatenate(
        [
            (model.predict_on_batch(x)["expression"] - y["expression"]) ** 2
            for x, y in batches.as_numpy_iterator()
        ]
    )
    assert errors.mean() == pytest.approx(best.val_mse, rel=1e-4)


def test_the_history_is_exact(finished):
    """24 validation genes in batches of 8, the loss with the weighted divergence."""
    history = pd.read_csv(finished[0].folder / "history.csv")
    last = history.iloc[-1]
    huber = last.val_mse / 2  # No error is above 1 any more.
    assert last.val_mae < 0.5
    assert last.val_loss == pytest.approx(huber + 0.01 * last.val_divergence, rel=1e-3)


def test_weight_decay_spares_vectors_and_state_matrices(gene_store):
    config = _config(
        "model.predictor={encoder='mamba', blocks=1, state=2}", "training.epochs=1"
    )
    model = build_model(config, "float32", gene_store.schema)
    task = ExpressionTask(config)
    task.compile(model, task.plan(gene_store))
    optimizer = model.optimizer
    decayed = {
        variable.name
        for variable in model.trainable_variables
        if optimizer._use_weight_decay(variable)
    }
    spared = {v.name for v in model.trainable_variables} - decayed
    assert "kernel" in decayed
    assert decayed.isdisjoint({"bias", "A_log", "D", "gamma", "scale"})
    assert {"bias", "A_log", "D"} <= spared


def _with_nan(self, model, store, plan, *, first_step, **options):
    """Training batches whose step 15 (from 0) has NaN signals for its fourth gene."""
    batches = UNDISTURBED(self, model, store, plan, first_step=first_step, **options)

    def spoil(step, batch):
        inputs, targets = batch
        hit = (step == 15) & (tf.range(8) == 3)
        signals = tf.where(hit[:, None, None], math.nan, inputs["signals"])
        return {**inputs, "signals": signals}, targets

    return batches.enumerate(start=first_step).map(spoil)


UNDISTURBED = ExpressionTask.training_batches


def test_what_is_not_finite_is_traced_to_its_gene(gene_store, tmp_path, monkeypatch):
    monkeypatch.setattr(ExpressionTask, "training_batches", _with_nan)
    folder = tmp_path / "run"
    config = _config(*PLAIN, "training.epochs=3")
    with pytest.raises(RunError) as caught:
        fit(config, gene_store, folder)
    genes = gene_ids(
        gene_store,
        batch_size=8,
        pipeline=config.pipeline,
        seed=2,
        max_windows=0,
        step=15,
    )
    message = str(caught.value)
    assert message.startswith(f"{folder}: step 16: the ")
    assert f"signals of gene {genes[3]} is not finite" in message
    assert f"(genes of the batch: {', '.join(genes)})" in message
    assert "the checkpoint of step 12 is kept" in message
    assert "\n" not in message
    monkeypatch.undo()
    assert fit(config, gene_store, folder, resume=True).model_path.is_file()


def test_a_loss_that_grows_without_end_names_no_gene(gene_store, tmp_path):
    config = _config(*PLAIN, "training.learning_rate=1e30", "training.clip_norm=1e30")
    with pytest.raises(RunError) as caught:
        fit(config, gene_store, tmp_path / "run")
    said = str(caught.value)
    assert said.endswith(
        "every gene of the batch fails alone: the weights have diverged; nothing to "
        "keep: start again with a lower training.learning_rate"
    )
    assert not (tmp_path / "run").exists()


def test_early_stopping_also_ends_a_shorter_last_leg(gene_store, tmp_path):
    config = _config(
        *PLAIN,
        "training.epochs=0",
        "training.max_steps=14",
        "training.validate_every=4",
        "training.patience=1",
        "training.learning_rate=1e-30",
        "training.initial_learning_rate=0.0",
        "training.final_learning_rate=0.0",
    )
    run = fit(config, gene_store, tmp_path / "run")
    assert pd.read_csv(run.folder / "history.csv").step.tolist() == [4, 8]


def test_mixed_precision_predicts_float32(gene_store, tmp_path):
    config = _config("training.precision=bfloat16", "training.epochs=1")
    model = fit(config, gene_store, tmp_path / "run").load_model()
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert model.get_layer("predictor_stem").compute_dtype == "bfloat16"
    assert model.output["expression"].dtype == "float32"


def test_it_begins_with_the_weights_of_another_run(finished, gene_store, tmp_path):
    run, _ = finished
    config = _config(
        f"training.initial_run={run.folder}",
        "training.learning_rate=1e-12",
        "training.initial_learning_rate=0.0",
        "training.final_learning_rate=0.0",
        "training.epochs=1",
    )
    tuned = fit(config, gene_store, tmp_path / "tuned")
    for ours, theirs in zip(
        tuned.load_model().trainable_variables,
        run.load_model().trainable_variables,
        strict=True,
    ):
        np.testing.assert_allclose(
            convert_to_numpy(ours), convert_to_numpy(theirs), atol=1e-6
        )


def test_fewer_genes_than_a_batch_are_refused(gene_store, tmp_path):
    with pytest.raises(
        DatasetError, match="99 training windows do not fill a batch of"
    ):
        fit(_config("training.batch_size=200"), gene_store, tmp_path / "run")
    config = _config("training.max_windows=7")
    with pytest.raises(DatasetError, match="lower training.batch_size or raise"):
        fit(config, gene_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_other_kind_of_dataset_is_refused(gene_store, joint_store, tmp_path):
    with pytest.raises(DatasetError, match="kind 'joint'; seq2exp needs one of kind"):
        fit(_config(), joint_store, tmp_path / "run")
    joint = read_run_config({"model": {"architecture": "cnn"}})
    with pytest.raises(DatasetError, match="kind 'expression'; cnn needs one of kind"):
        fit(joint, gene_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_window_that_the_records_lack_is_refused(gene_store, tmp_path):
    with pytest.raises(ConfigError, match="pipeline.window is 256"):
        fit(_config("pipeline.window=256"), gene_store, tmp_path / "run")


def test_a_shift_that_the_records_lack_is_refused_before_there_is_a_run(
    gene_store, tmp_path
):
    options = ("pipeline.window=128", "pipeline.shift=1")
    with pytest.raises(ConfigError, match="can be shifted by 0 at most"):
        fit(_config(*options), gene_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_built_leaves_no_run(gene_store, tmp_path):
    options = ('model.mask.kind="run"', "model.mask.fraction=0.5")
    config = _config(*options, f'model.mask.run="{tmp_path}/none"')
    with pytest.raises(RunError, match="none: not a run, no such folder"):
        fit(config, gene_store, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unfinished_run_is_named(finished, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for name in ("config.toml", "dataset.json", "schema.json"):
        (folder / name).write_bytes((finished[0].folder / name).read_bytes())
    with pytest.raises(RunError, match="has not finished"):
        Run.open(folder).load_model()


def test_a_verb_of_joint_models_refuses_it(finished):
    with pytest.raises(RunError, match="of task 'expression'; `seqexp-tf logo` is for"):
        finished[0].require_task("joint", verb="logo")
    finished[0].require_task("expression", verb="elements")
    assert keras.config.dtype_policy().name == "float32"


def test_a_mask_of_no_training_gene_is_refused(tiny_genes, tmp_path):
    (tmp_path / "peaks.bed").write_text("chrII\t0\t400\n")
    channels = {"peaks": str(tmp_path / "peaks.bed")}
    convert(tiny_genes.recipe(channels=channels), tmp_path / "data")
    store = RecordStore.open(tmp_path / "data")
    given = ["model.mask.kind=given", "model.mask.promoter=0"]
    said = r"data: channel 'peaks', the mask, is zero in every window of split train"
    with pytest.raises(DatasetError, match=said):
        fit(_config(*given), store, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    # Nothing is wrong with it where the promoter is kept.
    ExpressionTask(_config("model.mask.kind=given")).check(store)


def test_a_model_that_does_not_fit_names_the_dataset(gene_store, tmp_path):
    config = _config("model.mask.kind=given", "model.mask.channel=peak")
    with pytest.raises(ConfigError) as caught:
        fit(config, gene_store, tmp_path / "run")
    said = f"{gene_store.folder}: model.mask.channel is 'peak'; the channels of"
    assert str(caught.value).startswith(said)
