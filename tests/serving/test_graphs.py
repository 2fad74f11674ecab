"""Graphs of exports: plain operations of float32 that run where only TensorFlow is."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from seqexp_tf.serving.card import FREE, read_card

BFLOAT16, HALF = 14, 19


def _metagraph(version: Path):
    model = saved_model_pb2.SavedModel.FromString(
        (version / "saved_model.pb").read_bytes()
    )
    (graph,) = model.meta_graphs
    return graph


@pytest.fixture(params=["joint", "gene"])
def version(request):
    return request.getfixturevalue(f"{request.param}_version")


def test_plain_operations(version):
    graph = _metagraph(version).graph_def
    functions = graph.library.function
    nodes = [*graph.node, *(node for f in functions for node in f.node_def)]
    operations = {node.op for node in nodes}
    own = {function.signature.name for function in functions}
    assert {"StatefulPartitionedCall", "Assert", "DecodePaddedRaw"} <= operations
    assert not {op for op in operations if "PyFunc" in op or "Xla" in op}
    for operation in operations - own:
        assert op_def_registry.get(operation) is not None, operation
    attributes = {key for node in nodes for key in node.attr}
    attributes |= {key for function in functions for key in function.attr}
    assert not {key for key in attributes if "XlaMustCompile" in key}
    low = {BFLOAT16, HALF}
    assert not {
        node.name for node in nodes if low & {v.type for v in node.attr.values()}
    }


def test_signatures_are_those_of_the_card(version):
    card = read_card(version)
    found = _metagraph(version).signature_def
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
