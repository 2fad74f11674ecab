"""Per-base arrays of a whole genome, packed in flat files and memory-mapped.

Both routes of conversion (archive, raw files) first become this one form; shard
tasks then slice windows out of it in any process, holding no genome in memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class PackedArrays:
    """Named uint8 arrays over the same concatenated contigs.

    Attributes:
        folder: where the arrays lie, one ``NAME.u8`` each.
        contigs: (offset, length) of each contig in every array.
    """

    folder: Path
    contigs: dict[str, tuple[int, int]]

    def path(self, name: str) -> Path:
        """Returns the file of an array."""
        return self.folder / f"{name}.u8"

    def windows(
        self, name: str, contig: str, starts: np.ndarray, size: int
    ) -> np.ndarray:
        """Returns uint8 windows of one contig, shape ``(len(starts), size)``.

        Raises:
            IndexError: a window is not inside the contig.
        """
        offset, length = self.contigs[contig]
        if starts.min() < 0 or starts.max() + size > length:
            raise IndexError(f"{contig}: a window is outside 0-{length}")
        array = np.memmap(self.path(name), dtype=np.uint8, mode="r")
        block = array[offset : offset + length]
        return np.lib.stride_tricks.sliding_window_view(block, size)[starts]


def write_array(folder: Path, name: str, blocks: Iterable[np.ndarray]) -> None:
    """Writes uint8 blocks one after the other as ``NAME.u8``."""
    with (folder / f"{name}.u8").open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.uint8).data)
