"""Exports of every kind of model of genes: plain graphs of float32."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.serving.export import export_run
from seqexp_tf.training.run import Run

CADUCEUS = {"encoder": "caduceus", "blocks": 1, "state": 4}
MODELS = {
    "packed": {"mask": {"kind": "packed", "promoter": 8, "kl_warmup_steps": 5}},
    "none": {"mask": {"kind": "none"}},
    "caduceus": {
        "model": {"predictor": CADUCEUS, "remat": True},
        "mask": {"kind": "soft", "promoter": 8, "apply": "token"},
    },
}


@pytest.fixture
def run(write_gene_run, gene_store, tmp_path):
    """Returns an untrained run and its model."""

    def write(name, **options):
        run = Run.open(write_gene_run(tmp_path / name, gene_store, **options))
        return run, run.load_model()

    return write


@pytest.mark.parametrize("name", list(MODELS))
def test_a_plain_graph_of_float32(run, gene_batch, operations, tmp_path, name):
    trained, model = run(name, policy="mixed_bfloat16", **MODELS[name])
    version = export_run(trained, tmp_path / "export")
    operations(version)
    loaded = tf.saved_model.load(version)
    assert ("serve_elements" in loaded.signatures) == (name != "none")
    serve = loaded.signatures["serving_default"]
    wanted = {"expression": (None,)}
    if name != "none":
        wanted["mask"] = (None, 128)
    found = {key: tuple(x.shape) for key, x in serve.structured_outputs.items()}
    assert found == wanted
    for genes in (1, 4):
        inputs = gene_batch(model, genes)
        served = serve(**{key: tf.constant(x) for key, x in inputs.items()})
        asked = model(inputs, training=False)
        for key in wanted:
            values = served[key].numpy()
            assert values.dtype == np.float32
            # Trained in bfloat16, served in float32.
            np.testing.assert_allclose(values, asked[key], atol=0.03)


def test_a_retrained_model_is_served_without_its_source(run, gene_batch, tmp_path):
    source, _ = run("source", policy="mixed_bfloat16", mask={"promoter": 8})
    mask = {"kind": "run", "run": str(source.folder), "promoter": 8, "fraction": 0.25}
    trained, model = run("again", policy="mixed_bfloat16", mask=mask)
    shutil.rmtree(source.folder)
    loaded = tf.saved_model.load(export_run(trained, tmp_path / "export"))
    inputs = gene_batch(model)
    answer = loaded.signatures["serving_default"](
        **{key: tf.constant(x) for key, x in inputs.items()}
    )
    mask = answer["mask"].numpy()
    assert set(np.unique(mask)) == {0.0, 1.0}
    np.testing.assert_array_equal(mask.sum(1), 32)
