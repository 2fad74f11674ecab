"""``tf.train.Example`` messages, written and read without TensorFlow.

Conversion workers and ``inspect`` start in a fraction of a second because they
speak the protocol buffer wire format of this one message themselves. Keys are
written in sorted order, so equal records are equal bytes; TensorFlow parses
them like any other Example (tested against ``tf.train.Example``).
"""

from collections.abc import Mapping
from functools import lru_cache

_FIRST = b"\x0a"
_SECOND = b"\x12"
_THIRD = b"\x1a"
"""Tags of fields 1, 2 and 3, all length-delimited."""

_BYTES_LIST, _INT64_LIST = _FIRST, _THIRD


def encode_example(features: Mapping[str, bytes | int]) -> bytes:
    """Returns the serialised Example of ``features``.

    Args:
        features: bytes (stored as a BytesList of one value) or int (an
            Int64List of one value) by feature name.
    """
    parts = []
    for name in sorted(features):
        kind, value = _BYTES_LIST, features[name]
        if not isinstance(value, bytes):
            kind, value = _INT64_LIST, _varint(int(value) & 0xFFFFFFFFFFFFFFFF)
        parts += (_head(name, kind, len(value)), value)
    return b"".join((_FIRST, _varint(sum(map(len, parts))), *parts))


def decode_example(message: bytes) -> dict[str, bytes | int]:
    """Returns the features of a serialised Example made by ``encode_example``.

    Raises:
        ValueError: the bytes are not such a message.
    """
    features: dict[str, bytes | int] = {}
    try:
        for _, body in _fields(message):
            for _, entry in _fields(body):
                (_, name), (_, feature) = _fields(entry)
                ((kind, values),) = _fields(feature)
                ((_, value),) = _fields(values)
                features[name.decode()] = (
                    value if kind == _BYTES_LIST[0] else _read_int64(kind, value)
                )
    except (ValueError, IndexError):
        raise ValueError("not a tf.train.Example of this package") from None
    return features


@lru_cache(maxsize=4096)
def _head(name: str, kind: bytes, size: int) -> bytes:
    """Everything of a feature that comes before its ``size`` bytes of value.

    Sizes repeat from record to record, so this is computed once a feature.
    """
    head = b""
    for before in (_FIRST, kind, _field(_FIRST, name.encode()) + _SECOND, _FIRST):
        head = before + _varint(len(head) + size) + head
    return head


def _field(tag: bytes, payload: bytes) -> bytes:
    return tag + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_int64(kind: int, data: bytes) -> int:
    value, end = _read_varint(data, 0)
    if kind != _INT64_LIST[0] or end != len(data) or value >> 64:
        raise ValueError
    return value - (1 << 64) if value >> 63 else value


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _fields(data: bytes) -> list[tuple[int, bytes]]:
    """Splits a message into (tag, payload); every field is length-delimited."""
    fields, position, end = [], 0, len(data)
    while position < end:
        tag, size = data[position], data[position + 1]
        position += 2
        if size > 0x7F:
            size, position = _read_varint(data, position - 1)
        if tag & 7 != 2 or position + size > end:
            raise ValueError
        fields.append((tag, data[position : position + size]))
        position += size
    return fields
