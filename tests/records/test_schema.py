"""The schema: strand reversal, round trip, versions."""

import json
from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.joint import joint_schema
from seqexp_tf.records.schema import NUCLEOTIDES, SCHEMA_VERSION, Feature, Schema

SCHEMA = joint_schema(
    4, channels=("peaks",), compression="gzip", expressed="1 where coverage > 2"
)


def test_reverse_of_each_kind_of_feature():
    sequence = np.array([[0, 1, 4, 3]], dtype=np.uint8)
    assert SCHEMA.by_name["sequence"].reverse(sequence).tolist() == [[0, 4, 2, 3]]
    tracks = np.array([[[1, 2, 3, 4], [5, 6, 7, 8]]], dtype=np.uint8)
    assert SCHEMA.by_name["expression"].reverse(tracks).tolist() == [
        [[8, 7, 6, 5], [4, 3, 2, 1]]
    ]
    # Channels are strandless: turned round, but none takes another's place.
    assert SCHEMA.by_name["channels"].reverse(tracks[:, :1]).tolist() == [
        [[4, 3, 2, 1]]
    ]
    assert SCHEMA.by_name["valid"].reverse(tracks[0]).tolist() == [
        [4, 3, 2, 1],
        [8, 7, 6, 5],
    ]


def test_reverse_twice_is_the_identity():
    rng = np.random.default_rng(1)
    for feature in SCHEMA.features:
        values = rng.integers(0, 4, (3, *feature.shape)).astype(feature.dtype)
        back = feature.reverse(feature.reverse(values))
        assert back.dtype == values.dtype
        np.testing.assert_array_equal(back, values)


def test_splits_and_sizes():
    assert [f.name for f in SCHEMA.of_split("train")] == [
        "sequence",
        "expression",
        "valid",
        "channels",
    ]
    assert SCHEMA.record_bytes("train") == 4 + 8 + 4 + 4
    assert SCHEMA.record_bytes("test") == 20 + 12


def test_bytes_follow_the_dtype():
    feature = Feature("x", "float32", (2, 3), ("track", "position"), "values")
    assert feature.bytes == 24
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    np.testing.assert_array_equal(feature.from_bytes(values.tobytes()), values)


def test_json_round_trip():
    text = SCHEMA.to_json()
    assert Schema.from_json(text, path=Path("schema.json")) == SCHEMA
    entry = json.loads(text)["features"][0]
    assert entry["encoding"] == NUCLEOTIDES
    assert "unit" not in entry


@pytest.mark.parametrize(
    "change, message",
    [
        ({"version": SCHEMA_VERSION + 1}, "is newer than the 1 this seqexp-tf reads"),
        ({"version": "x"}, "not a dataset schema"),
        ({"features": [{"name": "x", "colour": 1}]}, "not a dataset schema"),
        ({"features": None}, "not a dataset schema"),
    ],
)
def test_schemas_that_are_refused(change, message):
    text = json.dumps({**json.loads(SCHEMA.to_json()), **change})
    with pytest.raises(DatasetError, match=rf"^d/schema\.json: .*{message}"):
        Schema.from_json(text, path=Path("d/schema.json"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", ""), ("[]", ""), ("{", ""), ("3", ""), ("{}", "lacks 'version';")],
)
def test_text_that_is_no_schema(text, reason):
    with pytest.raises(DatasetError, match=f"not a dataset schema: .*{reason}"):
        Schema.from_json(text, path=Path("schema.json"))
