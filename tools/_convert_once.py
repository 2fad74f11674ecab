"""One conversion in a process of its own, for ``bench_convert.py``.

Its argument is JSON: ``method`` (``local``, ``beam`` or ``peer``), ``recipe``, ``out``,
``workers`` and, for the peer, ``dataset``, whose windows it writes. It prints JSON.

The peer writes as baskerville's data scripts do: an Example a window, the sequence
one-hot and the tracks as float16, compressed by ZLIB, 256 windows a file.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.contigs import ContigNames
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import JointRecipe, Recipe, read_recipe
from seqexp_tf.records.store import RecordStore

WINDOWS_A_FILE = 256


def write_like_baskerville(recipe: Recipe, dataset: Path, out: Path) -> int:
    """Writes the windows of ``dataset`` from the same files; returns how many."""
    import tensorflow as tf

    windows = RecordStore.open(dataset).windows()
    out.mkdir(parents=True)
    path = recipe.source.path
    if isinstance(recipe, JointRecipe):
        genome = recipe.source.genome
        fasta, tracks = genome.fasta, [genome.coverage_plus, genome.coverage_minus]
        swap = -1
    else:
        fasta = recipe.source.fasta
        tracks, swap = [signal.path for signal in recipe.signals.values()], 1
    packed = pack_fasta(path(fasta), out / "genome")
    read_bases = _reader(packed.sizes, packed.fetch, UNKNOWN)
    readers = []
    for name in tracks:
        track = BigWigTrack(path(name))
        readers.append(_reader(track.sizes, track.values, 0))
    one_hot = np.concatenate([np.eye(4), np.full((1, 4), 0.25)]).astype(np.float16)
    options = tf.io.TFRecordOptions(compression_type="ZLIB")
    for first in range(0, len(windows), WINDOWS_A_FILE):
        file = str(out / f"{first // WINDOWS_A_FILE}.tfr")
        with tf.io.TFRecordWriter(file, options) as writer:
            rows = windows.iloc[first : first + WINDOWS_A_FILE]
            for row in rows.itertuples(index=False):
                place = (row.contig, row.start, row.end)
                sequence = one_hot[read_bases(*place)]
                target = np.stack([read(*place) for read in readers], axis=1)
                target = np.nan_to_num(target).astype(np.float16)
                if row.strand == "-":
                    sequence, target = sequence[::-1, ::-1], target[::-1, ::swap]
                fields = {"sequence": sequence, "target": target}
                features = {
                    name: tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[array.tobytes()])
                    )
                    for name, array in fields.items()
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(example.SerializeToString())
    return len(windows)


def _reader(
    sizes: dict[str, int], read: Callable[[str, int, int], np.ndarray], outside: int
) -> Callable[[str, int, int], np.ndarray]:
    """Reads windows that may hang over the ends of their contigs."""
    names = ContigNames(sizes)

    def window(contig: str, start: int, end: int) -> np.ndarray:
        own = names.resolve(contig)
        low, high = max(start, 0), min(end, sizes[own])
        values = read(own, low, high)
        return np.pad(values, (low - start, end - high), constant_values=outside)

    return window


def once(job: dict) -> dict:
    """Does what a job says; returns windows, bytes, and seconds of wall and CPU."""
    recipe, out = read_recipe(job["recipe"]), Path(job["out"])
    if job["method"] == "peer":
        import tensorflow  # noqa: F401  as of the others, the import is not timed
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    if job["method"] == "peer":
        count = write_like_baskerville(recipe, Path(job["dataset"]), out)
        files = list(out.glob("*.tfr"))
    else:
        beam_args = [] if job["method"] == "beam" else None
        summary = convert(recipe, out, workers=job["workers"], beam_args=beam_args)
        count = sum(summary.written.values())
        files = list(out.glob("*.tfrecord*"))
    return {
        "windows": count,
        "bytes": sum(file.stat().st_size for file in files),
        "wall": time.perf_counter() - wall,
        "cpu": sum(os.times()[:4]) - cpu,
    }


if __name__ == "__main__":
    print(json.dumps(once(json.loads(sys.argv[1]))))
