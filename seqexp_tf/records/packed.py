"""Per-base arrays of a whole genome, packed in flat files and memory-mapped.

Both routes of conversion (archive, raw files) first become this one form; shard
tasks then slice windows out of it in any process, holding no genome in memory.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqexp_tf.records.tfrecord import write_atomically

_INDEX = "packed.json"


@dataclass(frozen=True)
class PackedArrays:
    """Named uint8 arrays over the same concatenated contigs.

    Attributes:
        folder: where the arrays lie, one ``NAME.u8`` each.
        names: the arrays.
        contigs: (offset, length) of each contig in every array.
    """

    folder: Path
    names: tuple[str, ...]
    contigs: dict[str, tuple[int, int]]

    def block(self, name: str, contig: str, start: int, end: int) -> np.ndarray:
        """Returns a read-only uint8 view of ``[start, end)`` of a contig."""
        offset, length = self.contigs[contig]
        if not 0 <= start <= end <= length:
            raise IndexError(f"{contig}:{start}-{end} is outside 0-{length}")
        array = np.memmap(self.folder / f"{name}.u8", dtype=np.uint8, mode="r")
        return array[offset + start : offset + end]

    def windows(
        self, name: str, contig: str, starts: np.ndarray, size: int
    ) -> np.ndarray:
        """Returns uint8 windows of shape ``(len(starts), size)``."""
        lowest = int(starts.min())
        block = self.block(name, contig, lowest, int(starts.max()) + size)
        return np.lib.stride_tricks.sliding_window_view(block, size)[starts - lowest]

    def save(self) -> None:
        """Marks the arrays as complete."""
        content = {"names": self.names, "contigs": self.contigs}
        write_atomically(self.folder / _INDEX, json.dumps(content).encode())

    @classmethod
    def load(cls, folder: Path) -> "PackedArrays":
        """Opens arrays that ``save`` marked complete."""
        content = json.loads((folder / _INDEX).read_text())
        contigs = {name: tuple(place) for name, place in content["contigs"].items()}
        return cls(folder, tuple(content["names"]), contigs)


def write_array(folder: Path, name: str, blocks: Iterable[np.ndarray]) -> None:
    """Writes uint8 blocks one after the other as ``NAME.u8``."""
    with (folder / f"{name}.u8").open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.uint8).data)
