"""What happens between epochs: best model, checkpoint, history, early stop."""

import csv
import io
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from tqdm import tqdm

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import write_atomically
from seqexp_tf.training.checkpoints import save_checkpoint
from seqexp_tf.training.run import HISTORY

MONITORED = "val_loss"

OUTPUTS = {"expression": "RNA", "sequence": "DNA"}
"""Outputs of a joint model, and what they are called in a line for the user."""


class RunRecorder(keras.callbacks.Callback):
    """Keeps a run folder current after every epoch.

    Args:
        folder: the run folder.
        patience: epochs without improvement before training stops; 0 = never.
        state: loop state of a resumed run, empty for a new one.
        hidden: what the model is asked for; the history leaves out the rest.
    """

    def __init__(
        self,
        folder: Path,
        patience: int,
        state: dict[str, Any],
        *,
        hidden: Sequence[str] = OUTPUTS,
    ):
        super().__init__()
        self.folder = folder
        self.patience = patience
        self.hidden = hidden
        self.best = state.get("best", math.inf)
        self.best_epoch = state.get("best_epoch", 0)
        self.history: list[dict[str, Any]] = state.get("history", [])
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise self._diverged(f"step {batch + 1}: the loss is {logs['loss']}")

    def on_epoch_end(self, epoch, logs=None):
        finished = epoch + 1
        loss = logs[MONITORED]
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss is {loss}")
        seconds = round(time.monotonic() - self._began, 1)
        self.history.append(
            {"epoch": finished, "seconds": seconds, **_history_row(logs, self.hidden)}
        )
        write_history(self.folder / HISTORY, self.history)
        improved = loss < self.best
        if improved:
            self.best, self.best_epoch = loss, finished
        state = {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": self.history,
        }
        save_checkpoint(
            self.folder / "checkpoints",
            self.model,
            state,
            epoch=finished,
            improved=improved,
        )
        if self.patience and finished - self.best_epoch >= self.patience:
            self.model.stop_training = True

    def _diverged(self, what: str) -> RunError:
        epochs = len(self.history)
        kept = f"the {epochs} epochs before are kept" if epochs else "nothing to keep"
        return RunError(
            f"{self.folder}: epoch {epochs + 1}, {what}; {kept}: start again with a "
            "lower training.learning_rate and another --out"
        )


class EpochReport(keras.callbacks.Callback):
    """One line an epoch for the user, and a bar of batches on a terminal.

    Args:
        say: called with each line.
        show_bar: show a progress bar.
        hidden: what the model is asked for; the rest is not spoken of.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        show_bar: bool,
        *,
        hidden: Sequence[str] = OUTPUTS,
    ):
        super().__init__()
        self.say = say
        self.show_bar = show_bar
        self.hidden = hidden
        self._bar = None
        self._began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.monotonic()
        self._bar = tqdm(
            total=self.params["steps"],
            desc=f"epoch {epoch + 1}",
            unit=" batches",
            leave=False,
            disable=not self.show_bar,
        )

    def on_train_batch_end(self, batch, logs=None):
        self._bar.update(1)

    def on_epoch_end(self, epoch, logs=None):
        self._bar.close()
        digits = len(str(self.params["epochs"]))
        seconds = time.monotonic() - self._began
        self.say(
            f"epoch {epoch + 1:>{digits}}/{self.params['epochs']} {seconds:6.1f} s  "
            f"train {self._summary(logs, '')}  "
            f"validation {self._summary(logs, 'val_')}"
        )

    def _summary(self, logs: dict[str, float], prefix: str) -> str:
        parts = [f"loss {logs[prefix + 'loss']:.4f}"]
        for name in self.hidden:
            accuracy = logs[f"{prefix}{name}_logits_accuracy"]
            parts.append(f"{OUTPUTS[name]} accuracy {accuracy:.4f}")
        return " ".join(parts)


def _history_row(logs: dict[str, float], hidden: Sequence[str]) -> dict[str, float]:
    """The columns of a history, under the names of the outputs.

    Keras' own loss of each output weights a smaller last batch wrongly; the
    cross-entropy metrics take its place.
    """
    row = {}
    for name, value in logs.items():
        output, _, metric = name.removeprefix("val_").partition("_logits_")
        if metric == "loss" or (metric and output not in hidden):
            continue
        row[name.replace("_logits", "").replace("cross_entropy", "loss")] = value
    return row


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes one row an epoch as CSV, atomically."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, buffer.getvalue().encode())
