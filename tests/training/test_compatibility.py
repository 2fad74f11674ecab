"""Another dataset is taken only where the model reads it alike."""

from dataclasses import replace
from pathlib import Path

import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.training.compatibility import check_schema

HERE, RUN = Path("data"), Path("run")


def _check(theirs, ours):
    check_schema(theirs, ours, folder=HERE, run=RUN)


def _details(schema, **changes):
    return replace(schema, expression=replace(schema.expression, **changes))


def _array(schema, name, **changes):
    features = tuple(
        replace(f, **changes) if f.name == name else f for f in schema.features
    )
    return replace(schema, features=features)


def test_the_same_data_are_taken(gene_store, joint_store):
    _check(gene_store.schema, gene_store.schema)
    _check(joint_store.schema, joint_store.schema)
    other_target = replace(gene_store.schema.expression.target, mean=9.0)
    _check(_details(gene_store.schema, target=other_target), gene_store.schema)


def test_every_difference_is_named(gene_store, joint_store):
    ours = gene_store.schema
    signal = ours.expression.signals[0]
    target = ours.expression.target
    feature = ours.expression.features[0]
    without = tuple(f for f in ours.features if f.name != "signals")
    cases = {
        "dataset of kind 'joint'": joint_store.schema,
        "windows of 64 bases": replace(ours, window=64),
        "tracks of signals is": _array(ours, "signals", tracks=("closed",)),
        "dtype of signals is None": replace(ours, features=without),
        "strand of their gene is True": _details(ours, oriented=True),
        "the features is": _details(ours, features=(replace(feature, name="gc"),)),
        "transform of signals": _details(
            ours, signals=(replace(signal, transform="none"),)
        ),
        "transform of the target is 'log1p'": _details(
            ours, target=replace(target, transform="log1p")
        ),
        "bin of contacts is 5000": _details(ours, resolution=5000),
        "channels among the run's is": _array(ours, "channels", tracks=("peaks",)),
    }
    for message, theirs in cases.items():
        with pytest.raises(RunError) as caught:
            _check(theirs, ours)
        said = str(caught.value)
        assert said.startswith("data: ") and message in said
        assert "but run was trained on" in said
        assert "\n" not in said
