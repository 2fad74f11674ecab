"""Retraining on what a finished run selects."""

import shutil

import keras
import numpy as np
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.models import registry
from seqexp_tf.models.shape import expression_shape
from seqexp_tf.training.run import Run


def _retrain(folder, schema, *, window=0, **changes):
    cnn = {"encoder": "cnn", "kernel": 5, "dilations": [1, 4]}
    mask = {"kind": "run", "run": str(folder), "promoter": 8, "fraction": 0.25}
    options = {"width": 8, "predictor": cnn, "center": 32, "mask": mask, **changes}
    config = registry.read_config("seq2exp", options, origin="test")
    return registry.build("seq2exp", config, expression_shape(schema, window))


@pytest.fixture
def finished(write_gene_run, gene_store, tmp_path):
    def finish(kind="soft"):
        folder = write_gene_run(
            tmp_path / kind, gene_store, mask={"kind": kind, "promoter": 8}
        )
        return folder, Run.open(folder).load_model()

    return finish


def _outputs(model, inputs, training=False):
    return {k: v.numpy() for k, v in model(inputs, training=training).items()}


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_mask_is_the_top_of_the_runs_soft_mask(
    finished, gene_store, kind, gene_batch
):
    folder, trained = finished(kind)
    model = _retrain(folder, gene_store.schema)
    inputs = gene_batch(model)
    soft = keras.Model(trained.inputs, trained.get_layer("kept_mask").output)
    ranked = np.argsort(-soft([inputs[t.name] for t in trained.inputs]).numpy())
    wanted = np.zeros((3, 128))
    np.put_along_axis(wanted, ranked[:, :32], 1, axis=1)
    for training in (False, True):
        outputs = _outputs(model, inputs, training)
        assert set(outputs) == {"expression", "mask"}
        np.testing.assert_array_equal(outputs["mask"], wanted)
    assert (outputs["mask"][:, 60:68] == 1).all()
    outside = np.r_[0:60, 68:128]
    assert (outputs["mask"] * inputs["blocked"])[:, outside].sum() == 0


def test_the_predictor_learns_and_the_generator_does_not(
    finished, gene_store, gene_batch
):
    folder, _ = finished()
    model = _retrain(folder, gene_store.schema)
    frozen = model.get_layer("frozen_generator")
    assert not frozen.trainable_weights
    own = {w.path for w in model.trainable_weights}
    assert {path.split("/")[0] for path in own} >= {"sequence_embedding", "head_0"}
    before = frozen.get_weights()
    unused = dict.fromkeys(model.output_names)
    model.compile("adam", loss={**unused, "expression": "mse"})
    targets = {name: np.ones(3, "f4") for name in model.output_names}
    inputs = gene_batch(model)
    losses = [float(model.train_on_batch(inputs, targets)) for _ in range(20)]
    assert losses[-1] < losses[0]
    for old, new in zip(before, frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_saved_model_no_longer_needs_the_run(
    finished, gene_store, tmp_path, gene_batch
):
    folder, _ = finished()
    model = _retrain(folder, gene_store.schema)
    model.save(tmp_path / "model.keras")
    shutil.rmtree(folder)
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert len(again.trainable_weights) == len(model.trainable_weights)
    inputs = gene_batch(model)
    wanted = _outputs(model, inputs)
    for name, values in _outputs(again, inputs).items():
        np.testing.assert_allclose(values, wanted[name], atol=1e-6)
    with pytest.raises(RunError, match="not a run"):
        _retrain(folder, gene_store.schema)


def test_runs_without_a_learnt_mask_are_refused(finished, gene_store):
    folder, _ = finished("none")
    with pytest.raises(RunError, match="model.mask.run has no learnt mask") as caught:
        _retrain(folder, gene_store.schema)
    assert "\n" not in str(caught.value)


def test_a_run_on_other_windows_is_refused(finished, gene_store):
    folder, _ = finished()
    with pytest.raises(RunError, match=r"trained on .*128.*, this model gets .*96"):
        _retrain(folder, gene_store.schema, window=96)


def test_a_run_that_needs_signals_is_refused_without(finished, gene_store):
    folder, _ = finished()
    with pytest.raises(RunError, match="model.mask.run needs the input 'signals'"):
        _retrain(folder, gene_store.schema, use_signals=False)


def test_a_retrained_run_is_no_source(finished, gene_store, tmp_path):
    folder, _ = finished()
    model = _retrain(folder, gene_store.schema)
    other = tmp_path / "again"
    shutil.copytree(folder, other)
    model.save(other / "model.keras")
    with pytest.raises(RunError, match="no learnt mask"):
        _retrain(other, gene_store.schema)
