"""Version folders: what is in them, whose numbers they are, and what is refused."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf import __version__
from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.joint import evaluate_joint
from seqexp_tf.genome.alphabet import decode
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving import export
from seqexp_tf.serving.card import read_card
from seqexp_tf.serving.example import example_of
from seqexp_tf.serving.export import export_run
from seqexp_tf.serving.readme import REQUESTS
from seqexp_tf.training.run import Run


def test_probabilities_of_the_trained_model(joint_run, joint_version, signatures):
    assert joint_version.name == "1"
    rng = np.random.default_rng(0)
    inputs = {
        "sequence": np.eye(5, dtype=np.float32)[rng.integers(0, 5, (3, 300))],
        "expression": rng.choice([0, 0.5, 1], (3, 300)).astype(np.float32),
    }
    outputs = signatures(joint_version)["serving_default"](**inputs)
    assert set(outputs) == {"expression", "sequence"}
    assert outputs["sequence"].sum(axis=-1) == pytest.approx(1.0, abs=1e-5)
    logits = joint_run.load_model().predict_on_batch(inputs)
    probability = 1 / (1 + np.exp(-np.asarray(logits["expression_logits"])))
    # Trained in bfloat16, served in float32: two digits of the mantissa differ.
    assert outputs["expression"] == pytest.approx(probability, abs=0.02)


def test_the_card_says_what_was_exported(joint_run, joint_version):
    card = read_card(joint_version)
    assert (card.name, card.task, card.architecture) == ("joint", "joint", "cnn")
    assert (card.window, card.expression_value, card.genes) == (128, 0.5, None)
    assert card.seqexp_tf == __version__
    assert card.model_sha256 == joint_run.model_sha256
    assert card.dataset.fingerprint == joint_run.dataset["fingerprint"]


def test_an_export_is_no_run(joint_version):
    for folder in (joint_version, joint_version.parent):
        with pytest.raises(RunError, match="an export, not a run; give the run it"):
            Run.open(folder)


def test_the_card_of_a_model_of_genes_says_what_to_read(gene_run, gene_version):
    card = read_card(gene_version)
    assert (card.task, card.window, card.expression_value) == ("expression", 128, None)
    assert set(card.inputs) == {"sequence", "signals", "features", "blocked"}
    genes = card.genes
    assert (genes.signals, genes.features) == (("open",), ("half_life",))
    assert (genes.blocked, genes.given) == ("blacklist", "")
    assert (genes.mask, genes.promoter) == ("hard", 8)
    assert genes.details == gene_run.schema.expression


@pytest.mark.parametrize("both", [False, True])
def test_the_example_is_about_the_dna_that_is_sent(
    gene_run, gene_version, gene_folder, both
):
    pipeline = replace(gene_run.config.pipeline, window=64, reverse_complement=both)
    run = replace(gene_run, config=replace(gene_run.config, pipeline=pipeline))
    store = RecordStore.open(gene_folder)
    example = example_of(run, store, read_card(gene_version).signatures)
    sent = example.inputs["serve_sequence"]
    (dna,) = sent["dna"]
    assert dna == decode(store.read("test", 0)["sequence"][32:96])
    place = store.windows("test").iloc[0]
    first, last = place.start + 33, place.end - 32
    assert f"{place.contig}:{first:,}-{last:,} (" in example.record
    assert sent["average_strands"].tolist() == [both]


@pytest.mark.parametrize("task", ["joint", "gene"])
def test_examples_are_of_the_first_test_record(task, request, signatures):
    version = request.getfixturevalue(f"{task}_version")
    store = RecordStore.open(request.getfixturevalue(f"{task}_run").dataset["folder"])
    record = store.read("test", 0)
    names = {path.stem for path in (version / REQUESTS).iterdir()}
    assert names == read_card(version).signatures.keys() - {"serving_default"}
    for name in names:
        asked = json.loads((version / REQUESTS / f"{name}.json").read_text())
        assert asked["signature_name"] == name
        assert asked["inputs"]["dna"] == [
            "".join("ACGTN"[i] for i in record["sequence"])
        ]
        inputs = {k: tf.constant(v).numpy() for k, v in asked["inputs"].items()}
        answer = signatures(version)[name](**inputs)
        assert np.isfinite(answer.get("expression", 0.0)).all()
    if task == "joint":
        labels = np.array(asked["inputs"]["expression"])[0]
        assert (labels[32:96] == 0.5).all()
        known = record["expression"][0]
        np.testing.assert_array_equal(labels[:32], known[:32])
    else:
        signals = np.array(asked["inputs"]["signals"])[0, :, 0]
        np.testing.assert_allclose(signals, record["signals"][0], rtol=1e-5)
        np.testing.assert_allclose(
            asked["inputs"]["features"][0], record["features"], rtol=1e-5
        )


def test_two_exports_at_once(joint_run, tmp_path, monkeypatch):
    """Both are whole, and neither takes the other's number."""
    barrier = threading.Barrier(2)
    claim = export._claim

    def together(*arguments):
        barrier.wait()
        return claim(*arguments)

    monkeypatch.setattr(export, "_claim", together)
    with ThreadPoolExecutor(2) as pool:
        versions = list(
            pool.map(lambda _: export_run(joint_run, tmp_path / "NAME"), range(2))
        )
    assert sorted(path.name for path in versions) == ["1", "2"]
    assert sorted(path.name for path in (tmp_path / "NAME").iterdir()) == ["1", "2"]
    for version in versions:
        assert (version / "saved_model.pb").is_file()
        assert (version / "README.md").is_file()
        assert version.stat().st_mode & 0o555 == 0o555
    assert (tmp_path / "models.config").read_text().count("NAME") == 2


def test_a_number_is_taken_once(tmp_path):
    folders = [tmp_path / f"{index}.incomplete" for index in range(16)]
    for folder in folders:
        folder.mkdir()
        (folder / "saved_model.pb").touch()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda folder: export._claim(folder, tmp_path), folders))
    assert sorted(int(path.name) for path in found) == list(range(1, 17))


def test_an_unfinished_run_is_refused(joint_run, tmp_path):
    for name in ("config.toml", "dataset.json", "schema.json"):
        (tmp_path / name).write_bytes((joint_run.folder / name).read_bytes())
    with pytest.raises(RunError, match="has not finished"):
        export_run(Run.open(tmp_path), tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_an_unwritable_folder_is_refused(joint_run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot write the export: Not a directory"):
        export_run(joint_run, tmp_path / "file" / "models")


def test_what_fails_leaves_nothing(joint_run, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_write_beside", fail)
    with pytest.raises(RunError, match="cannot write the export: No space left"):
        export_run(joint_run, tmp_path / "NAME")
    assert not list((tmp_path / "NAME").iterdir())


@pytest.mark.parametrize("inside", ["", "1"])
def test_a_folder_inside_a_version_is_refused(joint_run, tmp_path, inside):
    (tmp_path / "NAME" / "1").mkdir(parents=True)
    (tmp_path / "NAME" / "1" / "saved_model.pb").touch()
    with pytest.raises(RunError, match="is a version of an exported model; choose"):
        export_run(joint_run, tmp_path / "NAME" / "1" / inside)
    assert [path.name for path in tmp_path.iterdir()] == ["NAME"]


@pytest.mark.parametrize("name", ["a model", "a:b", "ü"])
def test_a_name_that_no_server_takes_is_refused(joint_run, tmp_path, name):
    with pytest.raises(RunError, match="is no name for a served model"):
        export_run(joint_run, tmp_path / name)


def test_another_backend_is_refused(joint_run, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RunError, match="KERAS_BACKEND=tensorflow"):
        export_run(joint_run, tmp_path / "NAME")


def test_a_dataset_that_is_gone_is_refused(joint_run, tmp_path):
    gone = {**joint_run.dataset, "folder": str(tmp_path / "gone")}
    run = Run(joint_run.folder, joint_run.config, joint_run.schema, gone)
    with pytest.raises(DatasetError, match="gone: no such folder; .*--data DIR"):
        export_run(run, tmp_path / "NAME")


def test_another_dataset_is_refused(joint_run, gene_store, tmp_path):
    with pytest.raises(RunError, match="dataset of kind 'expression'"):
        export_run(joint_run, tmp_path / "NAME", store=gene_store)


def test_evaluation_does_not_depend_on_batch_size(joint_run, joint_store):
    tables = [
        evaluate_joint(
            joint_run.load_model(),
            joint_store,
            "test",
            masking=joint_run.config.masking,
            train_statistics=joint_run.dataset["train_statistics"],
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


def test_a_regime_without_dna_masks_has_no_masked_dna_row(joint_run, joint_store):
    table = evaluate_joint(
        joint_run.load_model(),
        joint_store,
        "test",
        masking=MaskingConfig(sequence_fraction=0),
        train_statistics=joint_run.dataset["train_statistics"],
    ).table
    assert set(table.model["masked"]) == {"rna"}


def test_a_dataset_of_another_schema_is_refused(joint_run, joint_store):
    fields = {f.name: f for f in joint_store.schema.features}
    changed = dict(fields["sequence"].__dict__, encoding="A C T G N = 0 1 2 3 4")
    features = (type(fields["sequence"])(**changed), *joint_store.schema.features[1:])
    schema = type(joint_store.schema)("joint", 128, features, "gzip")
    other = RecordStore(joint_store.folder, schema, joint_store.manifest)
    with pytest.raises(RunError, match="encoding of sequence"):
        joint_run.check_dataset(other)


def test_a_model_reloads_with_keras_alone(joint_run):
    model = keras.saving.load_model(joint_run.model_path, compile=False)
    assert set(model.output) == {"expression_logits", "sequence_logits"}
