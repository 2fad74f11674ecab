"""``tf.train.Example`` messages, written and read without TensorFlow.

Conversion workers and ``inspect`` start in a fraction of a second because they
speak the protocol buffer wire format of this one message themselves. Keys are
written in sorted order, so equal records are equal bytes; TensorFlow parses
them like any other Example (tested against ``tf.train.Example``).
"""

from collections.abc import Mapping

import numpy as np

_LENGTH_DELIMITED = 2


def encode_example(features: Mapping[str, bytes | int]) -> bytes:
    """Returns the serialised Example of ``features``.

    Args:
        features: bytes (stored as a BytesList of one value) or int (an
            Int64List of one value) by feature name.
    """
    body = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, _encode_value(features[name])))
        for name in sorted(features)
    )
    return _field(1, body)


def decode_example(message: bytes) -> dict[str, bytes | int]:
    """Returns the features of a serialised Example made by ``encode_example``.

    Raises:
        ValueError: the bytes are not such a message.
    """
    features: dict[str, bytes | int] = {}
    for _, body in _fields(message):
        for _, entry in _fields(body):
            parts = dict(_fields(entry))
            try:
                features[parts[1].decode()] = _decode_value(parts[2])
            except (KeyError, AttributeError, UnicodeDecodeError):
                raise ValueError("not a tf.train.Example") from None
    return features


def _varint(value: int) -> bytes:
    encoded = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, payload: bytes) -> bytes:
    tag = _varint(number << 3 | _LENGTH_DELIMITED)
    return b"".join((tag, _varint(len(payload)), payload))


def _encode_value(value: bytes | int) -> bytes:
    if isinstance(value, bytes):
        return _field(1, _field(1, value))
    return _field(3, _field(1, _varint(int(value))))


def _decode_value(feature: bytes) -> bytes | int:
    ((kind, values),) = _fields(feature)
    ((_, value),) = _fields(values)
    if kind == 1:
        return value
    number, _ = _read_varint(value, 0)
    return int(np.uint64(number).astype(np.int64))


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        if position >= len(data) or shift > 63:
            raise ValueError("not a tf.train.Example")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    fields, position = [], 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        if tag & 7 != _LENGTH_DELIMITED:
            raise ValueError("not a tf.train.Example")
        size, position = _read_varint(data, position)
        if position + size > len(data):
            raise ValueError("not a tf.train.Example")
        fields.append((tag >> 3, data[position : position + size]))
        position += size
    return fields
