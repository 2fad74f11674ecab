"""Nucleotides as indices: ``A C G T N`` are 0 to 4, stored as uint8."""

import numpy as np

BASES = "ACGT"
ALPHABET = "ACGTN"
UNKNOWN = 4
"""Index of N, and of every base that is not A, C, G or T."""

MASKED = 5
"""Index of a hidden base; its one-hot row of depth 5 is all zero."""

COMPLEMENT = np.array([3, 2, 1, 0, 4], dtype=np.uint8)
"""Complement of each index: ``COMPLEMENT[indices]``."""

_FROM_BYTE = np.full(256, UNKNOWN, dtype=np.uint8)
for _index, _base in enumerate(BASES):
    _FROM_BYTE[[ord(_base), ord(_base.lower())]] = _index
_FROM_BYTE[[ord("U"), ord("u")]] = BASES.index("T")

_TO_BYTE = np.frombuffer(ALPHABET.encode() + b".", dtype=np.uint8)


def encode(sequence: str | bytes) -> np.ndarray:
    """Returns the uint8 indices of a DNA string, shape ``(len(sequence),)``.

    Lower case counts as upper case and U as T; anything else becomes N.
    """
    raw = sequence.encode("ascii") if isinstance(sequence, str) else sequence
    return _FROM_BYTE[np.frombuffer(raw, dtype=np.uint8)]


def decode(indices: np.ndarray) -> str:
    """Returns the DNA string of uint8 indices; a masked base prints as ``.``."""
    return _TO_BYTE[np.asarray(indices)].tobytes().decode("ascii")


def reverse_complement(indices: np.ndarray) -> np.ndarray:
    """Returns the reverse complement along the last axis."""
    return COMPLEMENT[indices[..., ::-1]]
