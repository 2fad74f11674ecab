"""Exports: the same numbers in a process that has only TensorFlow."""

import json

import keras
import numpy as np
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.joint import evaluate_joint
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import fit


@pytest.fixture(scope="module")
def run(joint_folder, tmp_path_factory):
    config = read_run_config(
        {
            "model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]},
            "training": {"epochs": 2, "batch_size": 8, "precision": "bfloat16"},
        }
    )
    folder = tmp_path_factory.mktemp("runs") / "run"
    return fit(config, RecordStore.open(joint_folder), folder)


def test_a_process_without_the_package_gets_the_same(run, tmp_path, served):
    version = export_run(run, tmp_path / "models" / "small")
    assert version == tmp_path / "models" / "small" / "1"
    rng = np.random.default_rng(0)
    inputs = {
        "sequence": np.eye(5, dtype=np.float32)[rng.integers(0, 5, (3, 300))],
        "expression": rng.choice([0, 0.5, 1], (3, 300)).astype(np.float32),
    }
    outputs = served(version, inputs)
    assert set(outputs) == {"expression", "sequence"}
    assert outputs["expression"].dtype == outputs["sequence"].dtype == np.float32
    assert outputs["sequence"].sum(axis=-1) == pytest.approx(1.0, abs=1e-5)

    logits = run.load_model().predict_on_batch(inputs)
    probability = 1 / (1 + np.exp(-np.asarray(logits["expression_logits"])))
    # Trained in bfloat16, served in float32: two digits of the mantissa differ.
    assert outputs["expression"] == pytest.approx(probability, abs=0.02)


def test_versions_count_up(run, tmp_path):
    assert export_run(run, tmp_path).name == "1"
    assert export_run(run, tmp_path).name == "2"
    assert not list(tmp_path.glob("*.incomplete"))


def test_an_unfinished_run_is_refused(run, tmp_path):
    for name in ("config.toml", "dataset.json", "schema.json"):
        (tmp_path / name).write_bytes((run.folder / name).read_bytes())
    with pytest.raises(RunError, match="has not finished"):
        export_run(Run.open(tmp_path), tmp_path / "export")


def test_an_unwritable_folder_is_refused(run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write the export"):
        export_run(run, tmp_path / "file" / "models")


def test_evaluation_does_not_depend_on_batch_size(run, joint_store):
    tables = [
        evaluate_joint(
            run.load_model(),
            joint_store,
            "test",
            masking=run.config.masking,
            train_statistics=run.dataset["train_statistics"],
            batch_size=size,
        ).table
        for size in (3, 32)
    ]
    first, second = (json.loads(table.to_json()) for table in tables)
    assert first["populations"].keys() == {"masked", "mask_token", "all"}
    for population, content in first["populations"].items():
        for modality in ("rna", "dna"):
            if modality not in content:
                continue
            for predictor, metrics in content[modality].items():
                other = second["populations"][population][modality][predictor]
                assert metrics == pytest.approx(other, abs=1e-3, nan_ok=True)


def test_a_regime_without_dna_masks_has_no_masked_dna_row(run, joint_store):
    table = evaluate_joint(
        run.load_model(),
        joint_store,
        "test",
        masking=MaskingConfig(sequence_fraction=0),
        train_statistics=run.dataset["train_statistics"],
    ).table
    assert set(table.model["masked"]) == {"rna"}


def test_a_dataset_of_another_schema_is_refused(run, joint_store):
    fields = {f.name: f for f in joint_store.schema.features}
    changed = dict(fields["sequence"].__dict__, encoding="A C T G N = 0 1 2 3 4")
    features = (type(fields["sequence"])(**changed), *joint_store.schema.features[1:])
    schema = type(joint_store.schema)("joint", 128, features, "gzip")
    other = RecordStore(joint_store.folder, schema, joint_store.manifest)
    with pytest.raises(RunError, match="encoding of sequence"):
        run.check_dataset(other)


def test_a_model_reloads_with_keras_alone(run):
    model = keras.saving.load_model(run.model_path, compile=False)
    assert set(model.output) == {"expression_logits", "sequence_logits"}
