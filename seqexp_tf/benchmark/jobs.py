"""The runs of a benchmark: what each is, what it needs, how far it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqexp_tf.benchmark.suite import Suite, SuiteModel
from seqexp_tf.config import read_toml
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.models.seq2exp_config import check_shape
from seqexp_tf.models.shape import expression_shape
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import model_config, read_preset, read_run_config
from seqexp_tf.training.expression_config import ExpressionRunConfig
from seqexp_tf.training.run import CONFIG, MODEL


@dataclass(frozen=True)
class Job:
    """One model trained on one dataset with one seed.

    Attributes:
        model: row of the suite.
        seed: of the training.
        store: the dataset.
        folder: the run folder.
        config: the whole configuration of the run.
        needs: run folders that have to be finished before.
    """

    model: SuiteModel
    seed: int
    store: RecordStore
    folder: Path
    config: ExpressionRunConfig
    needs: tuple[Path, ...]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.store.manifest["name"]

    @property
    def state(self) -> str:
        """``finished``, ``begun`` or ``new``."""
        if (self.folder / MODEL).is_file():
            return "finished"
        return "begun" if (self.folder / CONFIG).is_file() else "new"


def plan_jobs(
    suite: Suite,
    stores: Sequence[RecordStore],
    out: Path,
    *,
    beside: Path,
    overrides: Sequence[str] = (),
) -> list[Job]:
    """Returns the runs of a suite, in the order they can be trained.

    Runs lie in ``OUT/DATASET/MODEL/SEED``; one seed of all models comes before the
    next, so that an early look at the tables shows them all.

    Args:
        suite: what to compare.
        stores: datasets of kind ``expression``, of different names.
        out: folder of the benchmark.
        beside: folder that ``config`` of a model starts from.
        overrides: of every model, after the suite's own.

    Raises:
        ConfigError: a configuration is wrong, or names are not unique.
        DatasetError: a dataset without the split of the suite.
    """
    names = [store.manifest["name"] for store in stores]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--data: two datasets are called {name!r}")
    jobs = []
    for store in stores:
        if store.schema.kind != "expression":
            raise DatasetError(
                f"{store.folder}: a dataset of kind {store.schema.kind!r}; a benchmark "
                'compares models of genes and needs kind "expression"'
            )
        store.count(suite.split)
        runs = out / store.manifest["name"]
        absolute = str(runs.resolve())
        for seed in suite.seeds:
            for model in suite.in_order():
                filled = [
                    text.replace("{out}", absolute).replace("{seed}", str(seed))
                    for text in (*suite.overrides, *model.overrides, *overrides)
                ]
                jobs.append(
                    Job(
                        model=model,
                        seed=seed,
                        store=store,
                        folder=runs / model.name / str(seed),
                        config=_config(
                            model, [*filled, f"training.seed={seed}"], beside
                        ),
                        needs=tuple(runs / n / str(seed) for n in model.needs),
                    )
                )
    return jobs


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raises ConfigError, naming the model, where one does not fit its dataset."""
    for job in jobs:
        shape = expression_shape(job.store.schema, job.config.pipeline.window)
        try:
            check_shape(model_config(job.config), shape)
        except ConfigError as error:
            raise ConfigError(
                f"model {job.model.name} on {job.store.folder}: {error}"
            ) from None


def _config(
    model: SuiteModel, overrides: Sequence[str], beside: Path
) -> ExpressionRunConfig:
    if model.preset is not None:
        tables = read_preset(model.preset)
    else:
        tables = read_toml(beside / model.config)
    config = read_run_config(tables, overrides, origin=f"model {model.name}")
    if config.task != "expression":
        raise ConfigError(
            f"model {model.name}: {config.model['architecture']} is a joint model; a "
            "benchmark compares models of genes"
        )
    return config
