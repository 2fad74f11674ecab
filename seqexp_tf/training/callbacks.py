"""What happens at each validation: best model, checkpoint, history, early stop."""

import csv
import io
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import keras
from tqdm import tqdm

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import write_atomically
from seqexp_tf.training.checkpoints import (
    Metrics,
    Progress,
    last_checkpoint,
    save_checkpoint,
)
from seqexp_tf.training.plan import Plan
from seqexp_tf.training.run import CHECKPOINTS, HISTORY
from seqexp_tf.training.task import Task
from seqexp_tf.training.throughput import Throughput

TIMES = ("seconds", *Throughput.COLUMNS)
"""Columns of a history that no two fits have in common."""

FindFault = Callable[..., str]
"""Model and keyword ``step`` (from 0) to what in its batch made the loss not finite."""


class RunRecorder(keras.callbacks.Callback):
    """Keeps a run folder current after every validation.

    An epoch, as Keras calls it, is a period of the plan.

    Args:
        folder: the run folder.
        task: names what is recorded.
        plan: steps of the fit.
        patience: validations without improvement before training stops; 0 = never.
        progress: of the fit; kept up to date.
        find_fault: asked when the loss is not finite.
        writes: whether to write at all; of several workers, one does.
    """

    def __init__(
        self,
        folder: Path,
        *,
        task: Task,
        plan: Plan,
        patience: int,
        progress: Progress,
        find_fault: FindFault,
        writes: bool = True,
    ):
        super().__init__()
        self.folder = folder
        self.task = task
        self.plan = plan
        self.patience = patience
        self.find_fault = find_fault
        self.progress = progress
        self.writes = writes
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic() - self.progress.seconds

    def on_train_batch_end(self, batch, logs=None):
        self.progress.step += 1
        # JAX has not yet written the state of the step back into the optimizer.
        current = keras.backend.backend() == "tensorflow"
        bad = self.task.bad_step(self.model) if current else None
        if bad is None and not math.isfinite(logs["loss"]):
            bad = self.progress.step - 1
        if bad is not None:
            self._stop_at(bad, logs["loss"])

    def on_epoch_end(self, epoch, logs=None):
        finished = epoch + 1
        bad = self.task.bad_step(self.model)
        if bad is not None:
            self._stop_at(bad, logs["loss"])
        speed = {
            k: None if math.isnan(logs[k]) else round(logs[k], 4)
            for k in Throughput.COLUMNS
            if k in logs
        }
        columns = self.task.columns({k: logs[k] for k in logs if k not in speed})
        score = columns[self.task.monitored]
        if not math.isfinite(score):
            raise self._diverged(
                f"{self.task.name_period(finished, self.plan)}, "
                f"the {self.task.monitored_name} is {score}"
            )
        progress = self.progress
        progress.history.append(
            {
                **self.task.position(finished, self.plan),
                "seconds": round(self._seconds(), 1),
                **speed,
                **columns,
            }
        )
        progress.seconds = 0.0
        improved = score < progress.best
        if improved:
            progress.best, progress.best_epoch = score, finished
        if self.writes:
            # A kill in between leaves a history that resuming writes again.
            save_checkpoint(
                self.folder / CHECKPOINTS, self.model, progress, improved=improved
            )
            write_history(self.folder / HISTORY, progress.history)
        if self.stops_after(finished):
            self.model.stop_training = True

    def save(self, metrics: Metrics) -> Path | None:
        """Saves a checkpoint between two validations and returns it, if this writes.

        Args:
            metrics: of the period under way.
        """
        self.progress.seconds = self._seconds()
        if not self.writes:
            return None
        return save_checkpoint(
            self.folder / CHECKPOINTS, self.model, self.progress, metrics=metrics
        )

    def stops_after(self, finished: int) -> bool:
        """Whether patience has run out after so many validations."""
        return 0 < self.patience <= finished - self.progress.best_epoch

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _stop_at(self, step: int, loss: float) -> NoReturn:
        what = "gradient is not finite" if math.isfinite(loss) else f"loss is {loss}"
        fault = self.find_fault(self.model, step=step)
        raise self._diverged(
            f"{self.task.name_step(step, self.plan)}: the {what}"
            f"{fault and f'; {fault}'}"
        )

    def _diverged(self, what: str) -> RunError:
        finished = len(self.progress.history)
        kept = last_checkpoint(self.folder / CHECKPOINTS) is not None
        return RunError(
            f"{self.folder}: {what}; {self.task.name_kept(finished, self.plan)}: start "
            "again with a lower training.learning_rate"
            f"{' and another --out' if kept else ''}"
        )


class EpochReport(keras.callbacks.Callback):
    """One line a validation for the user, and a bar of batches on a terminal.

    Args:
        say: called with each line.
        show_bar: show a progress bar.
        task: names the figures.
        plan: steps of the fit.
    """

    def __init__(
        self, say: Callable[[str], None], show_bar: bool, *, task: Task, plan: Plan
    ):
        super().__init__()
        self.say = say
        self.show_bar = show_bar
        self.task = task
        self.plan = plan
        self._bar = None
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()
        self._bar = tqdm(
            total=self.params["steps"],
            desc=self.task.name_period(epoch + 1, self.plan),
            unit=" batches",
            leave=False,
            disable=not self.show_bar,
        )

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        self._bar.close()
        seconds = time.monotonic() - self._began
        speed = ""
        if not math.isnan(logs[Throughput.SPEED]):
            speed = (
                f"{logs[Throughput.SPEED]:,.0f} {self.task.examples}/s, "
                f"input wait {logs[Throughput.WAIT]:.1%}  "
            )
        self.say(
            f"{self.task.place(epoch + 1, self.plan)} {seconds:6.1f} s  {speed}"
            f"train {self.task.summary(logs, '')}  "
            f"validation {self.task.summary(logs, 'val_')}"
        )


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes one row a validation as CSV, atomically."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue().encode())
