"""What a record holds: the contract between conversion and every reader."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from seqexp_tf.config import build, to_dict
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.genome.alphabet import COMPLEMENT
from seqexp_tf.records.expression_details import ExpressionDetails

SCHEMA_VERSION = 1

COORDINATES = ("contig", "start", "end", "strand")
"""Stored in every record: bytes, int64, int64 (0-based half-open), bytes."""

NUCLEOTIDES = "A C G T N = 0 1 2 3 4"


@dataclass(frozen=True)
class Feature:
    """One array of a record, stored as its raw little-endian bytes.

    Attributes:
        name: key in the Example.
        dtype: numpy name of the element type.
        shape: shape in one record.
        axes: name of each axis; ``position`` runs along the window, 5' to 3'
            of the window's strand.
        description: one sentence for a reader.
        encoding: meaning of the values, for example ``A C G T N = 0 1 2 3 4``.
        unit: physical unit, empty when there is none.
        tracks: a name for each index of the ``track`` axis.
        strand_permutation: which track takes each one's place when the window
            is read from the other strand, along the ``track`` axis.
        splits: splits whose records hold the feature; empty means all.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    description: str
    encoding: str = ""
    unit: str = ""
    tracks: tuple[str, ...] = ()
    strand_permutation: tuple[int, ...] = ()
    splits: tuple[str, ...] = ()

    @cached_property
    def bytes(self) -> int:
        """Size of the array in one record."""
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def in_split(self, split: str) -> bool:
        """Whether records of ``split`` hold the feature."""
        return not self.splits or split in self.splits

    def reverse(self, values: np.ndarray) -> np.ndarray:
        """Returns ``values`` (records first) as read from the other strand."""
        for axis, axis_name in enumerate(self.axes, start=1):
            if axis_name == "position":
                values = np.flip(values, axis)
            elif axis_name == "track" and self.strand_permutation:
                values = np.take(values, self.strand_permutation, axis)
        if self.encoding == NUCLEOTIDES:
            values = COMPLEMENT[values]
        return values

    def from_bytes(self, raw: bytes) -> np.ndarray:
        """Returns the array of one record."""
        return np.frombuffer(raw, dtype=self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Schema:
    """Every feature of a dataset, and how its shards are stored.

    Attributes:
        kind: the reader the dataset is for, for example ``joint``.
        window: length of a window in bases.
        features: the arrays of a record, besides ``COORDINATES``.
        compression: ``none`` or ``gzip``.
        version: version of this layout.
        identifiers: texts stored in every record (bytes), besides ``COORDINATES``;
            columns of the window table of the same names.
        expression: what a dataset of kind ``expression`` also says; else None.
    """

    kind: str
    window: int
    features: tuple[Feature, ...]
    compression: str
    version: int = SCHEMA_VERSION
    identifiers: tuple[str, ...] = ()
    expression: ExpressionDetails | None = None
    by_name: Mapping[str, Feature] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.features})

    def of_split(self, split: str) -> tuple[Feature, ...]:
        """Returns the features that records of ``split`` hold."""
        return tuple(feature for feature in self.features if feature.in_split(split))

    def record_bytes(self, split: str) -> int:
        """Size of the arrays of one record of ``split`` before compression."""
        return sum(feature.bytes for feature in self.of_split(split))

    def to_json(self) -> str:
        """Returns the text of ``schema.json``."""
        content = {
            "version": self.version,
            "kind": self.kind,
            "window": self.window,
            "compression": self.compression,
            "coordinates": {
                "contig": "bytes",
                "start": "int64, 0-based",
                "end": "int64, exclusive",
                "strand": "bytes, + or -; arrays are already in its orientation",
                **dict.fromkeys(self.identifiers, "bytes"),
            },
            "features": [
                {key: value for key, value in asdict(feature).items() if value != ""}
                for feature in self.features
            ],
        }
        if self.expression is not None:
            content["expression"] = to_dict(self.expression)
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, *, path: Path) -> "Schema":
        """Reads ``schema.json``.

        Raises:
            DatasetError: not a schema, or one of a newer version.
        """
        try:
            content = json.loads(text)
            version = content["version"]
            if version > SCHEMA_VERSION:
                raise DatasetError(
                    f"{path}: schema version {version} is newer than the "
                    f"{SCHEMA_VERSION} this seqexp-tf reads; upgrade seqexp-tf"
                )
            features = tuple(
                Feature(**{key: _tuple(value) for key, value in entry.items()})
                for entry in content["features"]
            )
            details = content.get("expression")
            if details is not None:
                details = build(ExpressionDetails, details, origin="expression")
            return cls(
                kind=content["kind"],
                window=content["window"],
                features=features,
                compression=content["compression"],
                version=version,
                identifiers=tuple(
                    name for name in content["coordinates"] if name not in COORDINATES
                ),
                expression=details,
            )
        except (ValueError, KeyError, TypeError, ConfigError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else error
            raise DatasetError(
                f"{path}: not a dataset schema: {reason}; convert again with "
                "--overwrite"
            ) from None


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value
