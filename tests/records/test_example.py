"""The Example wire format against TensorFlow's own."""

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seqexp_tf.records.example import decode_example, encode_example

tf = pytest.importorskip("tensorflow")

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.one_of(
    st.binary(max_size=300), st.integers(0, 40_000).map(bytes), INT64, st.just(b"")
)
FEATURES = st.dictionaries(st.text(max_size=20), VALUES, min_size=1, max_size=12)


def _by_tensorflow(features):
    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    return tf.train.Example(
        features=tf.train.Features(
            feature={name: feature(value) for name, value in features.items()}
        )
    )


@settings(max_examples=150)
@given(FEATURES)
def test_same_message_as_tensorflow(features):
    message = encode_example(features)
    assert tf.train.Example.FromString(message) == _by_tensorflow(features)
    assert decode_example(message) == features


@settings(max_examples=150)
@given(FEATURES)
def test_same_bytes_as_tensorflow(features):
    # Where one name begins another, the Python library puts the longer one first.
    features = {f"{name}|": value for name, value in features.items()}
    by_name = sorted(features)
    assume(not any(b.startswith(a) for a, b in pairwise(by_name)))
    expected = _by_tensorflow(features).SerializeToString(deterministic=True)
    assert encode_example(features) == expected


def test_literal_bytes():
    # example.features (1) { feature (1) { key (1): "a" value (2): int64 (3) [-1] } }
    minus_one = b"\xff" * 9 + b"\x01"
    body = b"\x0a\x01a\x12\x0e\x1a\x0c\x0a\x0a" + minus_one
    assert encode_example({"a": -1}) == b"\x0a\x15\x0a\x13" + body
    assert decode_example(b"\x0a\x15\x0a\x13" + body) == {"a": -1}


def test_tensorflow_parses_it():
    message = encode_example({"x": b"\x01\x02", "start": -5, "end": 2**40})
    parsed = tf.io.parse_single_example(
        message,
        {
            "x": tf.io.FixedLenFeature([], tf.string),
            "start": tf.io.FixedLenFeature([], tf.int64),
            "end": tf.io.FixedLenFeature([], tf.int64),
        },
    )
    assert parsed["x"].numpy() == b"\x01\x02"
    assert parsed["start"].numpy() == -5
    assert parsed["end"].numpy() == 2**40


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_noise_is_refused_with_one_error(noise):
    try:
        decode_example(noise)
    except ValueError:
        pass


@settings(max_examples=100)
@given(st.data())
def test_a_cut_message_is_refused(data):
    message = encode_example({"x": b"abc" * 60, "start": 7})
    cut = data.draw(st.integers(1, len(message) - 1))
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        decode_example(message[:cut])


def test_other_lists_are_refused():
    floats = tf.train.Example(
        features=tf.train.Features(
            feature={
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=[1.0])),
            }
        )
    )
    with pytest.raises(ValueError, match=r"not a tf\.train\.Example"):
        decode_example(floats.SerializeToString())
