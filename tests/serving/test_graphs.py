"""Graphs of exports: plain operations of float32 that run where only TensorFlow is."""

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.models import registry
from seqexp_tf.serving.card import FREE, read_card
from seqexp_tf.serving.export import _write_graph
from seqexp_tf.serving.joint_signatures import joint_signatures


@pytest.fixture(params=["joint", "gene"])
def version(request):
    return request.getfixturevalue(f"{request.param}_version")


def test_plain_operations(version, operations):
    found = operations(version)
    assert {"StatefulPartitionedCall", "Assert", "DecodePaddedRaw"} <= found


@pytest.mark.parametrize("name", ["transformer", "hybrid"])
def test_other_joint_models(name, operations, signatures, tmp_path):
    options = {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 8}
    if name == "hybrid":
        options |= {"filters": 4, "segment": 4}
    model = registry.build(name, registry.read_config(name, options, origin="test"))
    made = joint_signatures(model, window=32, expression_value=0.5)
    _write_graph(model, made, tmp_path)
    operations(tmp_path)
    inputs = {
        "dna": np.array(["ACGT" * 8, "TTA"]),
        "expression": np.full((2, 32), 0.5, np.float32),
    }
    answer = signatures(tmp_path)["serve_sequence"](**inputs)
    wanted = made["serve_sequence"]({k: tf.constant(x) for k, x in inputs.items()})
    for key, values in answer.items():
        np.testing.assert_allclose(values, wanted[key], atol=1e-5)


def test_signatures_are_those_of_the_card(version, metagraph):
    card = read_card(version)
    found = metagraph(version).signature_def
    assert set(found) == {"__saved_model_init_op", *card.signatures}
    for name, signature in card.signatures.items():
        for given, wanted in (
            (found[name].inputs, signature.inputs),
            (found[name].outputs, signature.outputs),
        ):
            assert given.keys() == wanted.keys()
            for key, tensor in wanted.items():
                assert tf.dtypes.as_dtype(given[key].dtype).name == tensor.dtype
                sizes = [dim.size for dim in given[key].tensor_shape.dim]
                assert len(sizes) == len(tensor.shape)
                for size, listed in zip(sizes, tensor.shape, strict=True):
                    assert size in (FREE, listed)
        assert {tensor.dtype for tensor in signature.outputs.values()} == {"float32"}
    dna = {"joint": {"serve_sequence", "serve_mutagenesis"},
           "expression": {"serve_sequence", "serve_elements"}}  # fmt: skip
    assert set(card.signatures) == {"serving_default", *dna[card.task]}


def test_a_process_without_the_package_gets_the_same(
    joint_version, gene_version, signatures, served
):
    rng = np.random.default_rng(0)
    asked = {
        (version, name): _inputs(signature, name, rng)
        for version in (joint_version, gene_version)
        for name, signature in read_card(version).signatures.items()
    }
    answers = served(asked)
    assert answers.keys() == asked.keys()
    for (version, name), found in answers.items():
        wanted = signatures(version)[name](**asked[version, name])
        for key, values in wanted.items():
            assert found[key].dtype == np.float32
            np.testing.assert_allclose(found[key], values, atol=1e-5, rtol=1e-5)


def _inputs(signature, name, rng):
    texts = ["".join(rng.choice(list("ACGTn"), size)) for size in (128, 90)]
    values = {
        "dna": np.array(texts),
        "expression": rng.choice([0, 0.5, 1], (2, 128)).astype(np.float32),
        "first": np.array([3, 4], np.int32),
        "last": np.array([5, 8], np.int32),
        "average_strands": np.array([True, False]),
        "threshold": np.array([0.2, 0.3], np.float32),
    }
    found = {}
    for key, tensor in signature.inputs.items():
        shape = [2, *(128 if size == FREE else size for size in tensor.shape[1:])]
        drawn = rng.random(shape).astype(np.float32)
        known = key in values and name != "serving_default"
        found[key] = values[key] if known else drawn
    return found
