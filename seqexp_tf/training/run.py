"""A run folder: what a fit leaves behind and every later verb reads."""

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqexp_tf.errors import RunError
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.compatibility import check_schema
from seqexp_tf.training.config import AnyRunConfig, read_run_config

CONFIG = "config.toml"
DATASET = "dataset.json"
SCHEMA = "schema.json"
HISTORY = "history.csv"
CHECKPOINTS = "checkpoints"
MODEL = "model.keras"

CONFIG_SHA256 = "config_sha256"
"""Key of ``dataset.json``: hash of the configuration that the fit began with."""

SCHEMA_SHA256 = "schema_sha256"
"""Key of ``dataset.json``: hash of the run's ``schema.json``."""

FIXED_MASKS = "fixed_masks"
"""Key of ``dataset.json``: recipe of the masks that validation windows carry."""


@dataclass(frozen=True)
class Run:
    """A run on disk.

    Attributes:
        folder: the run folder.
        config: the resolved configuration.
        schema: schema of the dataset it was trained on.
        dataset: where that dataset was, its name, fingerprint, statistics of the
            training split and, of a joint one, the recipe of its fixed masks.
    """

    folder: Path
    config: AnyRunConfig
    schema: Schema
    dataset: dict[str, Any]

    @classmethod
    def open(cls, folder: str | os.PathLike) -> "Run":
        """Opens a run.

        Raises:
            RunError: not a run folder.
        """
        folder = Path(folder)
        for name in (CONFIG, DATASET, SCHEMA):
            if not (folder / name).is_file():
                if [*folder.glob("saved_model.pb"), *folder.glob("*/saved_model.pb")]:
                    raise RunError(
                        f"{folder}: an export, not a run; give the run it was made of"
                    )
                what = f"{name} is missing" if folder.is_dir() else "no such folder"
                raise RunError(
                    f"{folder}: not a run, {what}; make one with "
                    "`seqexp-tf fit --preset NAME --data DIR --out RUN`"
                )
        try:
            dataset = json.loads((folder / DATASET).read_text())
        except ValueError as error:
            raise RunError(f"{folder / DATASET}: not JSON: {error}") from None
        if not isinstance(dataset, dict):
            raise RunError(f"{folder / DATASET}: not what a fit writes there")
        schema = (folder / SCHEMA).read_bytes()
        found = hashlib.sha256(schema).hexdigest()
        if found != dataset.get(SCHEMA_SHA256, found):
            raise RunError(
                f"{folder / SCHEMA}: edited since the fit began; put the dataset's own "
                "schema.json back"
            )
        schema = Schema.from_json(schema.decode(), path=folder / SCHEMA)
        return cls(folder, read_run_config(folder / CONFIG), schema, dataset)

    @property
    def model_path(self) -> Path:
        """The best model of a finished fit.

        Raises:
            RunError: the fit has not written one yet.
        """
        self.require_finished()
        return self.folder / MODEL

    def require_finished(self) -> None:
        """Raises RunError unless the fit has written its best model."""
        if not (self.folder / MODEL).is_file():
            raise RunError(
                f"{self.folder}: the fit has not finished, {MODEL} is missing; go on "
                f"with `seqexp-tf fit --resume --out {self.folder}`"
            )

    @property
    def model_sha256(self) -> str:
        """Hash of the best model's file, by which results name their model.

        Raises:
            RunError: the fit has not written one yet.
        """
        return hashlib.sha256(self.model_path.read_bytes()).hexdigest()

    def trained_on(self, store: RecordStore) -> bool:
        """Returns whether the run learnt from a dataset of the same content."""
        return store.fingerprint == self.dataset["fingerprint"]

    def load_model(self):
        """Returns the best Keras model, uncompiled."""
        import keras

        import seqexp_tf.layers  # noqa: F401  Registers them.
        from seqexp_tf.layers.cpu import all_for_cpu
        from seqexp_tf.training.hardware import compiles

        try:
            model = keras.saving.load_model(self.model_path, compile=False)
        except (ValueError, TypeError, OSError) as error:
            path = self.model_path
            if not zipfile.is_zipfile(path):
                raise RunError(
                    f"{path}: damaged, no whole archive; remove it, and `seqexp-tf fit "
                    f"--resume --out {self.folder}` makes it again"
                ) from None
            first_line = str(error).splitlines()[0]
            raise RunError(f"{path}: cannot load: {first_line}") from None
        model.jit_compile = compiles()
        return all_for_cpu(model)

    @property
    def task(self) -> str:
        """What the model learnt: ``joint`` or ``expression``."""
        return self.config.task

    def require_task(self, task: str, *, verb: str) -> None:
        """Raises RunError unless the model is of the task that a verb is for."""
        if self.task != task:
            raise RunError(
                f"{self.folder}: a run of task {self.task!r}; `seqexp-tf {verb}` is "
                f"for task {task!r}"
            )

    def require_unedited(self) -> None:
        """Raises RunError where config.toml is not the one that the fit began with."""
        path = self.folder / CONFIG
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != self.dataset.get(CONFIG_SHA256, found):
            raise RunError(
                f"{path}: edited since the fit began, so that no model would be of "
                "this configuration; undo that, or begin another run with it "
                f"(`seqexp-tf fit {path} --out RUN`)"
            )

    def check_dataset(self, store: RecordStore) -> None:
        """Raises RunError unless the run's model can read ``store``."""
        check_schema(store.schema, self.schema, folder=store.folder, run=self.folder)


def describe_dataset(store: RecordStore) -> dict[str, Any]:
    """Returns what a run remembers of its dataset."""
    masks = store.manifest["recipe"].get("masks")
    return {
        "folder": str(store.folder.resolve()),
        "name": store.manifest["name"],
        "fingerprint": store.fingerprint,
        "train_statistics": {
            name: counts.tolist() for name, counts in store.statistics("train").items()
        },
        **({} if masks is None else {FIXED_MASKS: masks}),
    }
