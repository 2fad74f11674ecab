"""Shard tasks: they depend on nothing but their windows and the packed inputs.

So any number of workers, here or on other machines, gives the same bytes.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.example import encode_example
from seqexp_tf.records.output import Output
from seqexp_tf.records.plan import ShardTask
from seqexp_tf.records.prepared import Source
from seqexp_tf.records.tfrecord import WrittenFile

_CHUNK_BYTES = 16 << 20
"""Arrays held at once by a shard task, before they are encoded."""


@dataclass(frozen=True)
class WrittenShard:
    """A finished task.

    Attributes:
        task: what was to be written.
        file: what was stored.
        statistics: counts over the records of the shard.
    """

    task: ShardTask
    file: WrittenFile
    statistics: dict[str, list[int]]


def write_task(
    task: ShardTask, output: Output, source: Source, level: int
) -> WrittenShard:
    """Writes one shard to ``output``; ``level`` is that of gzip."""
    totals: dict[str, np.ndarray] = {}
    rows = max(1, _CHUNK_BYTES // source.schema.record_bytes(task.split))

    def encoded() -> Iterator[bytes]:
        for first in range(0, len(task.windows), rows):
            windows = task.windows.iloc[first : first + rows]
            arrays = source.records(windows, task.split)
            for name, counts in source.statistics(arrays).items():
                totals[name] = totals.get(name, 0) + counts
            for index, window in enumerate(windows.itertuples(index=False)):
                fields: dict[str, bytes | int] = {
                    name: array[index].tobytes() for name, array in arrays.items()
                }
                fields["contig"] = window.contig.encode()
                fields["start"] = window.start
                fields["end"] = window.end
                fields["strand"] = window.strand.encode()
                for name in source.schema.identifiers:
                    fields[name] = getattr(window, name).encode()
                yield encode_example(fields)

    file = output.write_shard(
        task.name,
        encoded(),
        compression=source.schema.compression,
        level=level,
    )
    statistics = {name: counts.tolist() for name, counts in totals.items()}
    return WrittenShard(task, file, statistics)


def run_tasks(
    tasks: Sequence[ShardTask],
    output: Output,
    source: Source,
    *,
    level: int,
    workers: int,
) -> Iterator[WrittenShard]:
    """Yields each shard once it is written on this machine, in any order.

    Raises:
        DatasetError: the disk is full, or a worker was killed.
    """
    if workers == 1 or len(tasks) <= 1:
        for task in tasks:
            yield write_task(task, output, source, level)
        return
    # Spawned, not forked: a fork would copy locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(workers, len(tasks)), context, initializer=_start_worker
    ) as pool:
        futures = [
            pool.submit(write_task, task, output, source, level) for task in tasks
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool:
            raise DatasetError(
                f"{output}: a worker process was killed (out of memory? a script "
                "without the `__main__` guard?); run the same command to go on, with "
                "fewer --workers"
            ) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    # Ctrl-C reaches every process of a terminal; the parent acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # An orphan would go on writing while the conversion is run again.
    multiprocessing.parent_process().join()
    os._exit(1)
