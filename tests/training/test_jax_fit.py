"""A fit under JAX: the same data and folder, and weights that TensorFlow reads."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from keras.ops import convert_to_numpy

from seqexp_tf.serving.export import export_run
from seqexp_tf.training.run import Run
from seqexp_tf.training.task import task_of

CADUCEUS = {"encoder": "caduceus", "blocks": 1, "state": 4}
RUNS = {
    "joint": {
        "model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]},
        "training": {"epochs": 2, "batch_size": 8, "precision": "float32"},
    },
    "expression": {
        "model": {
            "architecture": "seq2exp",
            "width": 8,
            "center": 32,
            "head": [8],
            "generator": CADUCEUS,
            "predictor": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
            "mask": {"promoter": 16},
        },
        "training": {
            "epochs": 2,
            "batch_size": 8,
            "warmup_steps": 5,
            "precision": "float32",
        },
    },
}

FITS = f"""
import sys
import keras, numpy as np
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.task import task_of
from seqexp_tf.training.trainer import fit
assert keras.backend.backend() == "jax"
out, datasets = sys.argv[1], dict(zip(("joint", "expression"), sys.argv[2:]))
for kind, tables in {RUNS!r}.items():
    store, config = RecordStore.open(datasets[kind]), read_run_config(tables)
    run = fit(config, store, f"{{out}}/{{kind}}", say=print)
    model = run.load_model()
    batches = task_of(config).validation_batches(model, store)
    inputs = next(batches.take(1).as_numpy_iterator())[0]
    outputs = model.predict_on_batch(inputs)
    np.savez(f"{{out}}/{{kind}}.npz", **outputs)
"""


@pytest.fixture(scope="module")
def trained(run_under, joint_folder, gene_folder, tmp_path_factory):
    """Returns the folder with both runs, and what was said."""
    folder = tmp_path_factory.mktemp("jax")
    return folder, run_under("jax", FITS, folder, joint_folder, gene_folder)


def test_the_device_is_said_first(trained):
    assert trained[1].startswith("jax on CPU")


@pytest.mark.parametrize("kind", list(RUNS))
def test_both_backends_say_the_same(trained, joint_store, gene_store, tmp_path, kind):
    run = Run.open(trained[0] / kind)
    assert len(pd.read_csv(run.folder / "history.csv")) == 2
    model = run.load_model()
    store = {"joint": joint_store, "expression": gene_store}[kind]
    batches = task_of(run.config).validation_batches(model, store)
    inputs = next(batches.take(1).as_numpy_iterator())[0]
    with np.load(trained[0] / f"{kind}.npz") as wanted:
        outputs = model(inputs, training=False)
        assert set(wanted) == set(outputs)
        for name, values in wanted.items():
            found = convert_to_numpy(outputs[name])
            np.testing.assert_allclose(found, values, atol=1e-4)
        version = export_run(run, tmp_path / "models")
        serve = tf.saved_model.load(version).signatures["serving_default"]
        served = serve(**{name: tf.constant(x) for name, x in inputs.items()})
        if kind == "joint":
            probability = 1 / (1 + np.exp(-wanted["expression_logits"]))
            np.testing.assert_allclose(served["expression"], probability, atol=1e-4)
        else:
            for name in ("expression", "mask"):
                np.testing.assert_allclose(served[name], wanted[name], atol=1e-4)
