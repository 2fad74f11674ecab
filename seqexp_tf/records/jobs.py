"""Shard tasks as files, so that any machine can do one knowing two addresses.

The job file holds what all tasks share; each task has a file of its own with its
windows. Both are small. What the tasks read lies on a disk that all machines see, or
is fetched from a remote store before the first task on a machine.
"""

import functools
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp_tf import __version__
from seqexp_tf.errors import DatasetError
from seqexp_tf.records.journal import entry_of, write_entry
from seqexp_tf.records.output import Output
from seqexp_tf.records.plan import ShardTask
from seqexp_tf.records.prepared import Source
from seqexp_tf.records.remote import (
    RemoteFile,
    filesystem,
    is_remote,
    known_copy,
    reaching,
)
from seqexp_tf.records.tasks import write_task
from seqexp_tf.records.tfrecord import write_atomically


@dataclass(frozen=True)
class Job:
    """What every task of a conversion shares.

    Attributes:
        source: makes the records.
        output: where shards go.
        level: of gzip.
        fingerprint: of the conversion.
    """

    source: Source
    output: Output
    level: int
    fingerprint: str


def stage_tasks(
    tasks: Sequence[ShardTask],
    output: Output,
    source: Source,
    *,
    level: int,
    fingerprint: str,
    progress: Callable[[str], None],
) -> list[tuple[str, str]]:
    """Writes the job and the tasks where other machines find them.

    Returns:
        For each task the places of the job file and of its own.
    """
    files = [_staged(path, output, progress) for path in source.files]
    remote = tuple(file for file in files if file is not None)
    scratch = output.scratch(fingerprint)

    def stage(name: str, content: object) -> str:
        path = scratch / name
        write_atomically(path, pickle.dumps(content))
        return output.stage(path)

    # Two layers: what the sources open when they are unpickled has to be there.
    job = pickle.dumps(Job(source, output, level, fingerprint))
    place = stage(f"job-{fingerprint[:16]}.pickle", (__version__, remote, job))
    return [(place, stage(f"{task.name}.task", task)) for task in tasks]


def _staged(
    path: Path, output: Output, progress: Callable[[str], None]
) -> RemoteFile | None:
    """What other machines need to know of an input; None where they see it anyway."""
    if (copy := known_copy(path)) is not None:
        return copy
    if not output.remote:
        return None
    progress(f"staging {path}")
    return RemoteFile(output.stage(path), path.absolute(), path.stat().st_size)


def do_task(job_place: str, task_place: str) -> str:
    """Writes the shard of a task, and its journal entry; returns the shard's name.

    Raises:
        DatasetError: another version of the package staged it, or the shard cannot
            be written.
        InputError: an input cannot be read.
    """
    job = _job(job_place)
    task: ShardTask = pickle.loads(_read(task_place))
    done = write_task(task, job.output, job.source, job.level)
    entry = entry_of(task.name, done.file, done.statistics)
    write_entry(job.output, job.fingerprint, entry)
    return task.name


@functools.lru_cache(maxsize=1)
def _job(place: str) -> Job:
    version, files, content = pickle.loads(_read(place))
    if version != __version__:
        raise DatasetError(
            f"{place}: staged by seqexp-tf {version}, but this worker has "
            f"{__version__}; install the same version on all machines"
        )
    for file in files:
        file.bring()
    return pickle.loads(content)


def _read(place: str) -> bytes:
    if not is_remote(place):
        try:
            return Path(place).read_bytes()
        except OSError as error:
            raise DatasetError(
                f"{place}: a worker cannot read it ({error.strerror}); --out must be a "
                "remote address, or a folder on a disk that all workers share"
            ) from None
    system, path = filesystem(place, DatasetError)
    with reaching(place, DatasetError):
        return system.cat_file(path)
