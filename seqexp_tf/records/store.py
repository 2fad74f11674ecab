"""A dataset folder: manifest, schema, window table and shards.

``RecordStore.open(folder)`` needs no other argument: what the arrays are, how
they are stored and where each window lies is in the folder itself.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.config import nearest
from seqexp_tf.errors import DatasetError
from seqexp_tf.records.example import decode_example
from seqexp_tf.records.remote import is_remote
from seqexp_tf.records.schema import COORDINATES, Schema
from seqexp_tf.records.tfrecord import read_shard

MANIFEST_VERSION = 1
MANIFEST = "manifest.json"
SCHEMA = "schema.json"
WINDOWS = "windows.parquet"
JOURNAL = "conversion.jsonl"
"""Shards finished so far; replaced by the manifest when all are."""

SPLITS = ("train", "validation", "test")

_MANIFEST_KEYS = {
    "contigs", "created_by", "files", "fingerprint", "name", "recipe", "splits",
    "windows",
}  # fmt: skip


@dataclass(frozen=True)
class Shard:
    """One TFRecord file, as the manifest describes it.

    Attributes:
        name: file name in the dataset folder.
        records: number of records.
        bytes: size as stored.
        sha256: hash as stored.
    """

    name: str
    records: int
    bytes: int
    sha256: str


def parse_manifest(content: bytes, origin: str) -> dict[str, Any]:
    """Returns the content of a ``manifest.json``; ``origin`` is its place.

    Raises:
        DatasetError: it is no manifest, or one of a newer version.
    """
    try:
        manifest = json.loads(content)
        newer = manifest["manifest_version"] > MANIFEST_VERSION
        missing = _MANIFEST_KEYS - set(manifest)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else error
        raise DatasetError(
            f"{origin}: not a dataset manifest: {reason}; convert again with "
            "--overwrite"
        ) from None
    if newer:
        raise DatasetError(
            f"{origin}: manifest version {manifest['manifest_version']} is newer than "
            f"the {MANIFEST_VERSION} this seqexp-tf reads; upgrade seqexp-tf"
        )
    if missing:
        raise DatasetError(
            f"{origin}: not a dataset manifest: lacks {min(missing)!r}; convert again "
            "with --overwrite"
        )
    for split, entry in manifest["splits"].items():
        if not _is_split(entry):
            raise DatasetError(
                f"{origin}: not a dataset manifest: the entry of split {split!r} is "
                "damaged; convert again with --overwrite"
            )
    return manifest


def _is_split(content: Any) -> bool:
    """Whether a split's entry has every field, of the right type."""
    try:
        shards = [Shard(**entry) for entry in content["shards"]]
        statistics = [np.asarray(v, dtype=int) for v in content["statistics"].values()]
        numbers = [content["records"]]
        numbers += [n for shard in shards for n in (shard.records, shard.bytes)]
    except (TypeError, KeyError, ValueError, AttributeError):
        return False
    return bool(statistics) and all(type(number) is int for number in numbers)


@dataclass(frozen=True)
class RecordStore:
    """A complete dataset on disk.

    Attributes:
        folder: the dataset folder.
        schema: features of a record.
        manifest: the whole content of ``manifest.json``.
    """

    folder: Path
    schema: Schema
    manifest: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "RecordStore":
        """Opens a dataset; one at a remote address is copied into the cache first.

        Raises:
            DatasetError: no dataset there, an unfinished conversion, or one
                written by a newer version.
            InputError: a remote one cannot be reached.
        """
        if is_remote(folder):
            from seqexp_tf.records.mirror import mirror

            folder = mirror(os.fspath(folder))
        folder = Path(folder)
        path = folder / MANIFEST
        if not path.is_file():
            if (folder / JOURNAL).is_file():
                raise DatasetError(
                    f"{folder}: the conversion has not finished; run the same "
                    "`seqexp-tf convert` command again to go on"
                )
            if not folder.exists():
                raise DatasetError(
                    f"{folder}: no such folder; say where the dataset is (--data DIR), "
                    "or make one with `seqexp-tf convert RECIPE --out DIR`"
                )
            raise DatasetError(
                f"{folder}: not a dataset, {MANIFEST} is missing; make one with "
                "`seqexp-tf convert RECIPE --out DIR`"
            )
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
        manifest = parse_manifest(content, str(path))
        schema_path = folder / SCHEMA
        if not schema_path.is_file():
            raise DatasetError(
                f"{schema_path}: missing; convert again with --overwrite"
            )
        schema = Schema.from_json(schema_path.read_text(), path=schema_path)
        return cls(folder, schema, manifest)

    @property
    def fingerprint(self) -> str:
        """Hash of the inputs and the recipe the dataset was made from."""
        return self.manifest["fingerprint"]

    @property
    def splits(self) -> tuple[str, ...]:
        """Splits that hold records."""
        return tuple(self.manifest["splits"])

    def count(self, split: str) -> int:
        """Returns the number of records of a split."""
        return self._split(split)["records"]

    def statistics(self, split: str) -> dict[str, np.ndarray]:
        """Returns the counts gathered while the split was written."""
        return {
            name: np.asarray(counts)
            for name, counts in self._split(split)["statistics"].items()
        }

    def shards(self, split: str) -> tuple[Shard, ...]:
        """Returns the shards of a split, in order."""
        return tuple(Shard(**entry) for entry in self._split(split)["shards"])

    def paths(self, split: str) -> list[Path]:
        """Returns the shard files of a split, in order."""
        return [self.folder / shard.name for shard in self.shards(split)]

    def windows(self, split: str | None = None) -> pd.DataFrame:
        """Returns split, shard, row, contig, start, end, strand and id by record.

        The schema's identifiers, and columns of the kind, follow.

        Raises:
            DatasetError: the table is missing or damaged.
        """
        path = self.folder / WINDOWS
        try:
            table = pd.read_parquet(path)
        except FileNotFoundError:
            raise DatasetError(
                f"{path}: missing; convert again with --overwrite"
            ) from None
        except (OSError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise DatasetError(
                f"{path}: cannot be read ({reason}); convert again with --overwrite"
            ) from None
        if split is None:
            return table
        self._split(split)
        return table[table.split == split].reset_index(drop=True)

    def read(self, split: str, index: int) -> dict[str, Any]:
        """Returns one record of a split as coordinates and numpy arrays."""
        position = index
        for shard in self.shards(split):
            if position < shard.records:
                path = self.folder / shard.name
                compression = self.schema.compression
                for row, record in enumerate(read_shard(path, compression=compression)):
                    if row == position:
                        return self.decode(record, split=split, origin=path)
            position -= shard.records
        raise DatasetError(
            f"{self.folder}: {split} has {self.count(split):,} records; "
            f"there is no record {index}"
        )

    def records(self, split: str) -> Iterator[dict[str, Any]]:
        """Yields the records of a split as ``read`` returns them, in stored order."""
        for path in self.paths(split):
            for record in read_shard(path, compression=self.schema.compression):
                yield self.decode(record, split=split, origin=path)

    def decode(
        self, record: bytes, *, split: str, origin: str | Path
    ) -> dict[str, Any]:
        """Returns a serialised record as coordinates and numpy arrays.

        Raises:
            DatasetError: the record does not hold what the schema says.
        """
        try:
            fields = decode_example(record)
        except ValueError as error:
            raise DatasetError(f"{origin}: {error}") from None
        features = self.schema.of_split(split)
        identifiers = self.schema.identifiers
        expected = {*COORDINATES, *identifiers, *(f.name for f in features)}
        if fields.keys() != expected:
            raise DatasetError(
                f"{origin}: record holds {sorted(fields)}, "
                f"the schema says {sorted(expected)}"
            )
        values: dict[str, Any] = {
            "contig": fields["contig"].decode(),
            "start": fields["start"],
            "end": fields["end"],
            "strand": fields["strand"].decode(),
            **{name: fields[name].decode() for name in identifiers},
        }
        for feature in features:
            raw = fields[feature.name]
            if len(raw) != feature.bytes:
                raise DatasetError(
                    f"{origin}: {feature.name} has {len(raw)} bytes, "
                    f"the schema says {feature.bytes}"
                )
            values[feature.name] = feature.from_bytes(raw)
        return values

    def _split(self, split: str) -> dict[str, Any]:
        try:
            return self.manifest["splits"][split]
        except KeyError:
            raise DatasetError(
                f"{self.folder}: no split {split!r}{nearest(split, list(self.splits))}"
            ) from None
