"""Where a fit is logged besides its own files: TensorBoard, Weights & Biases."""

import contextlib
import importlib.util
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import keras

from seqexp_tf.config import to_dict
from seqexp_tf.errors import RunError
from seqexp_tf.training.callbacks import RunRecorder
from seqexp_tf.training.config import AnyRunConfig

TENSORBOARD = "tensorboard"
_WANDB_ID = "wandb_id"
_FIRST, _LAST = 3, 6


def require_wandb(project: str | None) -> None:
    """Raises RunError where a project is given and its package is missing."""
    if project is not None and importlib.util.find_spec("wandb") is None:
        raise RunError(
            f"training.wandb_project is {project!r}, but wandb is not installed: "
            'pip install "seqexp-tf[wandb]", or leave it out'
        )


@contextlib.contextmanager
def loggers(
    config: AnyRunConfig,
    recorder: RunRecorder,
    *,
    profile: bool,
    say: Callable[[str], None],
) -> Iterator[list[keras.callbacks.Callback]]:
    """Gives the callbacks that log a fit, as long as it lasts.

    Args:
        config: of the run.
        recorder: of the run; goes before them.
        profile: trace a few steps, too.
        say: called with where the trace is.
    """
    folder = recorder.folder
    found = [keras.callbacks.TensorBoard(folder / TENSORBOARD)]
    with contextlib.ExitStack() as during:
        trace = Profile(folder / TENSORBOARD / "train", say) if profile else None
        if trace:
            found.append(trace)
        if (project := config.training.wandb_project) is not None:
            run = during.enter_context(_wandb_run(project, config, folder))
            found.append(WandbLog(run, recorder))
        yield found
    if trace:
        trace.tell()


class Profile(keras.callbacks.Callback):
    """Traces steps 3 to 6 of a fit for TensorBoard's profiler.

    Keras' own does so under JAX only from Python 3.12 on.

    Args:
        folder: of TensorBoard's logs.
        say: called with where the trace is, or why there is none.
    """

    def __init__(self, folder: Path, say: Callable[[str], None]):
        super().__init__()
        self.folder = folder
        self.say = say
        self._step = 0
        self._runs = False

    def on_train_batch_begin(self, batch, logs=None):
        self._step += 1
        if self._step == _FIRST:
            self._start(str(self.folder))
            self._runs = True

    def on_train_batch_end(self, batch, logs=None):
        if self._step >= _LAST:
            self._end()

    def on_train_end(self, logs=None):
        self._end()

    def tell(self) -> None:
        """Says where the trace is, or why there is none."""
        if self._step < _FIRST:
            self.say(
                f"Note: no trace: it begins with step {_FIRST}, and there were only "
                f"{self._step} to train"
            )
        else:
            self.say(f"Trace for TensorBoard's profiler: {self.folder}")

    def _start(self, folder: str) -> None:
        if keras.backend.backend() == "jax":
            import jax

            jax.profiler.start_trace(folder)
            return
        import tensorflow as tf

        tf.profiler.experimental.start(folder)

    def _end(self) -> None:
        if not self._runs:
            return
        self._runs = False
        if keras.backend.backend() == "jax":
            import jax

            jax.profiler.stop_trace()
        else:
            import tensorflow as tf

            tf.profiler.experimental.stop()


class WandbLog(keras.callbacks.Callback):
    """Logs each row of the history to Weights & Biases.

    Args:
        run: of ``wandb.init``.
        recorder: has the history; goes before this.
    """

    def __init__(self, run, recorder: RunRecorder):
        super().__init__()
        self.run = run
        self.recorder = recorder

    def on_epoch_end(self, epoch, logs=None):
        progress = self.recorder.progress
        self.run.log(progress.history[-1], step=progress.step)


@contextlib.contextmanager
def _wandb_run(project: str, config: AnyRunConfig, folder: Path) -> Iterator:
    """Begins a run, or goes on with the one of the same folder."""
    import wandb

    path = folder / _WANDB_ID
    if not path.exists():
        path.write_text(uuid.uuid4().hex)
    try:
        run = wandb.init(
            project=project,
            id=path.read_text(),
            resume="allow",
            name=folder.name,
            dir=str(folder),
            config=to_dict(config),
        )
    except wandb.Error as error:
        raise RunError(
            f"training.wandb_project={project}: {str(error).splitlines()[0]}; "
            "`wandb login`, or set WANDB_MODE=offline"
        ) from None
    with run:
        yield run
