"""Which devices and processes share a fit, and what each of them gets of a batch."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

import keras

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.training import hardware
from seqexp_tf.training.cluster import VARIABLE, Cluster, read_cluster

if TYPE_CHECKING:
    import tensorflow as tf

Strategy = Literal["auto", "single", "mirrored", "multiworker"]


class Distribution:
    """The replicas of a model, in one process or in several.

    A global batch is cut into as many equal parts as there are replicas, in order:
    first those of the first worker. So what one device would train on is what all
    replicas together do.

    Args:
        strategy: of TensorFlow; None for one device.
        cluster: the processes; None for one.

    Attributes:
        workers: index of this process and number of processes.
        chief: whether this process writes the run folder.
    """

    def __init__(
        self,
        strategy: "tf.distribute.Strategy | None" = None,
        cluster: Cluster | None = None,
    ):
        self.strategy = strategy
        self.cluster = cluster
        self.workers = (cluster.index, len(cluster.workers)) if cluster else (0, 1)
        self.chief = self.workers[0] == 0

    @property
    def replicas(self) -> int:
        """Number of replicas in all processes."""
        return self.strategy.num_replicas_in_sync if self.strategy else 1

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns the scope a model is built, compiled and restored in."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def describe(self) -> str:
        """Returns what is shared, for the log; empty for one device."""
        if self.strategy is None:
            return ""
        index, workers = self.workers
        mine = f", worker {index} of {workers}" if workers > 1 else ""
        return f", {self.replicas} replicas{mine}"

    def spread(self, batches: "tf.data.Dataset") -> "tf.distribute.DistributedDataset":
        """Returns this worker's part of batches, cut into those of its replicas."""
        import tensorflow as tf

        from seqexp_tf.pipeline.reader import ready

        local = self.replicas // self.workers[1]

        def cut(values: tf.Tensor) -> tf.Tensor:
            return tf.reshape(values, (local, -1, *values.shape[1:]))

        if local > 1:
            batches = batches.map(
                lambda *batch: tf.nest.map_structure(cut, batch)
            ).unbatch()
        batches = ready(batches)
        return self.strategy.distribute_datasets_from_function(lambda _: batches)

    def part(self) -> dict[str, tuple[int, int]]:
        """Returns by which option a task gives this worker's part of batches."""
        return {"worker": self.workers} if self.strategy else {}

    def largest(self, value: int) -> int:
        """Returns the largest value that any worker has; all of them must ask."""
        if self.cluster is None:
            return value
        import tensorflow as tf

        mine = self.strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant([value], tf.int64)
        )
        return int(tf.reduce_max(self.strategy.gather(mine, axis=0)))

    def wait(self) -> None:
        """Returns when all workers have called this."""
        self.largest(0)

    def check_alike(self, values: Mapping[str, int]) -> None:
        """Raises RunError unless all workers have the same values.

        Args:
            values: not negative, by what they are.
        """
        for name, value in values.items():
            if self.largest(value) != value or -self.largest(-value) != value:
                raise RunError(
                    f"worker {self.workers[0]} of {self.workers[1]} has another {name} "
                    "than the others; give all workers the same command and folders "
                    "on a file system they share"
                )

    @contextlib.contextmanager
    def losses_named(self, folder: os.PathLike) -> Iterator[None]:
        """Turns the failure of another worker into a RunError that names it."""
        if self.cluster is None:
            yield
            return
        import tensorflow as tf

        try:
            yield
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.FailedPreconditionError,
            tf.errors.InternalError,
        ) as error:
            lost = self.cluster.lost()
            what = (
                f"lost another worker (no answer from {', '.join(lost)})"
                if lost
                else f"cannot go on with the others, which all answer ({_cause(error)})"
            )
            raise RunError(
                f"{folder}: worker {self.workers[0]} {what}; "
                "start all workers again with --resume"
            ) from None


def open_distribution(
    strategy: Strategy,
    *,
    batch_size: int,
    streams: int,
    environment: Mapping[str, str] = os.environ,
    say: Callable[[str], None] = lambda line: None,
) -> Distribution:
    """Returns the distribution of a ``training.strategy``.

    ``mirrored`` takes all GPUs, or all CPUs where TensorFlow was told to see several.
    To be called before TensorFlow computes anything, which several workers need.

    Args:
        strategy: ``single``; ``mirrored``; ``multiworker``, by ``TF_CONFIG``; or
            ``auto``: multiworker where ``TF_CONFIG`` names several workers, mirrored
            over several GPUs, otherwise single.
        batch_size: examples in a global batch.
        streams: parts of a batch that are read apart.
        environment: holds ``TF_CONFIG``.
        say: told which workers are waited for.

    Raises:
        ConfigError: ``TF_CONFIG`` is malformed or missing, or a batch cannot be cut
            into equal parts.
        RunError: the backend is not TensorFlow, or the workers do not find each other.
    """
    if keras.backend.backend() != "tensorflow":
        if strategy in ("auto", "single"):
            return Distribution()
        raise RunError(
            f"training.strategy={strategy} needs the TensorFlow backend; set "
            "KERAS_BACKEND=tensorflow or training.strategy=single"
        )
    cluster = None
    if strategy in ("auto", "multiworker"):
        cluster = read_cluster(environment)
    if strategy == "multiworker" and cluster is None:
        raise ConfigError(
            f"training.strategy=multiworker needs {VARIABLE} to name two workers or "
            "more; set it for each process, or training.strategy=auto"
        )
    if strategy == "auto" and cluster is None:
        strategy = "mirrored" if len(hardware.gpus()) > 1 else "single"
    if strategy == "single":
        return Distribution()
    if cluster is not None:
        _check_streams(streams, len(cluster.workers))
        cluster.gather(say)
        opened = _multiworker()
    else:
        opened = _mirrored()
    if batch_size % opened.num_replicas_in_sync:
        raise ConfigError(
            f"training.batch_size is {batch_size}; it must be a multiple of the "
            f"{opened.num_replicas_in_sync} replicas"
        )
    return Distribution(opened, cluster)


# One strategy of each a process: they number what they exchange from one on.
@functools.cache
def _mirrored() -> "tf.distribute.Strategy":
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or (
        tf.config.list_logical_devices("CPU")
    )
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@functools.cache
def _multiworker() -> "tf.distribute.Strategy":
    import tensorflow as tf

    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except (RuntimeError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(
            f"{VARIABLE}: cannot join the workers ({reason}); start each once, in a "
            "process of its own"
        ) from None


def _check_streams(streams: int, workers: int) -> None:
    if streams % workers:
        raise ConfigError(
            f"pipeline.streams is {streams}, but {VARIABLE} names {workers} workers; "
            f"set pipeline.streams to {workers} or a multiple of it, so that each "
            "reads shards of its own, and training.batch_size to a multiple of that"
        )


def _cause(error: "tf.errors.OpError") -> str:
    """Returns the line of an error's text that says what happened, not where."""
    places = ("Graph execution error", "Detected at", "<stack traces", '  File "')
    lines = [line for line in error.message.splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(places)]
    return causes[0][:120] if causes else type(error).__name__
