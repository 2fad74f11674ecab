"""The shape of a dataset's inputs, and that it needs no TensorFlow."""

import dataclasses
import subprocess
import sys

import pytest

from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.models.shape import ExpressionShape, expression_shape


def test_the_shape_of_a_dataset(expression_store):
    shape = expression_shape(expression_store.schema)
    assert shape == ExpressionShape(
        window=200,
        signals=("dnase", "k27ac", "contact"),
        features=("gc",),
        channels=("peaks",),
    )
    assert expression_shape(expression_store.schema, 60) == dataclasses.replace(
        shape, window=60
    )


@pytest.mark.parametrize(
    "window, wrong", [(-2, "200 bases"), (61, "must be even"), (202, "200 bases")]
)
def test_windows_that_records_cannot_give(expression_store, window, wrong):
    with pytest.raises(ConfigError, match=f"pipeline.window is {window}; .*{wrong}"):
        expression_shape(expression_store.schema, window)


def test_another_kind(joint_store):
    with pytest.raises(DatasetError, match="a dataset of kind 'joint'; a model of gen"):
        expression_shape(joint_store.schema)


def test_shape_and_records_need_no_tensorflow():
    code = (
        "import sys, seqexp_tf.models.shape, seqexp_tf.records.convert; "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
