"""The plan of a conversion: which windows go to which shard.

It is fixed before anything is written, from the recipe and the inputs alone.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.contigs import ContigNames
from seqexp_tf.genome.splits import Splits, folds, split_by_contig, split_from_file
from seqexp_tf.records.joint_inputs import PreparedJoint
from seqexp_tf.records.recipe import JointRecipe
from seqexp_tf.records.store import SPLITS


@dataclass(frozen=True)
class ShardTask:
    """The windows of one shard.

    Attributes:
        name: file name.
        split: split the windows belong to.
        windows: contig, start, end, strand by record.
    """

    name: str
    split: str
    windows: pd.DataFrame


@dataclass(frozen=True)
class Plan:
    """Everything a conversion will write.

    Attributes:
        tasks: the shards, split by split, in order.
        dropped: windows left out, by reason.
    """

    tasks: tuple[ShardTask, ...]
    dropped: dict[str, int]

    def of_split(self, split: str) -> list[ShardTask]:
        """Returns the shards of one split, in order."""
        return [task for task in self.tasks if task.split == split]

    @property
    def records(self) -> dict[str, int]:
        """Number of records by shard name."""
        return {task.name: len(task.windows) for task in self.tasks}


def plan_shards(recipe: JointRecipe, prepared: PreparedJoint) -> Plan:
    """Deals the windows out to splits and shards.

    Raises:
        ConfigError: the splits cannot be made, or one has no window.
    """
    splits = assign_splits(recipe, prepared.sizes, prepared.names)
    assigned, reasons = splits.assign(prepared.windows)
    dropped = dict(prepared.dropped)
    for reason, count in reasons.items():
        dropped[reason] = dropped.get(reason, 0) + count
    suffix = ".gz" if recipe.output.compression == "gzip" else ""
    tasks = []
    for split in SPLITS:
        windows = prepared.windows[assigned == split].reset_index(drop=True)
        if windows.empty:
            raise ConfigError(
                f"{recipe.name}: split {split} has no window of "
                f"{recipe.windows.size:,} bases; give it contigs that have some: "
                f"{', '.join(prepared.windows.contig.unique()[:8])}"
            )
        stored = len(windows) * prepared.source.schema.record_bytes(split)
        wanted = math.ceil(stored / (recipe.output.shard_mb * 1e6))
        count = min(max(wanted, recipe.output.min_shards), len(windows))
        edges = np.linspace(0, len(windows), count + 1).astype(int)
        tasks += [
            ShardTask(
                f"{split}-{index:05d}-of-{count:05d}.tfrecord{suffix}",
                split,
                windows.iloc[edges[index] : edges[index + 1]].reset_index(drop=True),
            )
            for index in range(count)
        ]
    return Plan(tuple(tasks), dropped)


def assign_splits(
    recipe: JointRecipe, sizes: dict[str, int], names: ContigNames
) -> Splits:
    """Returns which part of the genome is train, validation and test."""
    config = recipe.splits
    if config.file is not None:
        return split_from_file(recipe.source.path(config.file), resolve=names.resolve)
    if config.folds is not None:
        return folds(sizes, k=config.folds, fold=config.fold)
    return split_by_contig(
        sizes,
        train=config.train,
        validation=config.validation,
        test=config.test,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        resolve=names.resolve,
    )


def window_table(plan: Plan) -> bytes:
    """Returns ``windows.parquet``: a row a record, in the order of the shards."""
    table = pd.concat(
        [
            task.windows.assign(
                split=task.split, shard=task.name, row=np.arange(len(task.windows))
            )
            for task in plan.tasks
        ],
        ignore_index=True,
    )
    start, end = table.start.astype(str), table.end.astype(str)
    table["id"] = table.contig + ":" + start + "-" + end + ":" + table.strand
    order = ["split", "shard", "row", "contig", "start", "end", "strand", "id"]
    buffer = io.BytesIO()
    table[order].to_parquet(buffer, index=False)
    return buffer.getvalue()
