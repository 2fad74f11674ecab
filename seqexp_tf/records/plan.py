"""The plan of a conversion: which windows go to which shard.

It is fixed before anything is written, from the recipe and the inputs alone.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqexp_tf.records.prepared import Prepared
from seqexp_tf.records.recipe import Recipe
from seqexp_tf.records.store import SPLITS


@dataclass(frozen=True)
class ShardTask:
    """The windows of one shard.

    Attributes:
        name: file name.
        split: split the windows belong to.
        windows: those columns of ``Prepared.windows``, by record.
    """

    name: str
    split: str
    windows: pd.DataFrame


@dataclass(frozen=True)
class Plan:
    """Everything a conversion will write.

    Attributes:
        tasks: the shards, split by split, in order.
        columns: columns of the window table, besides its own.
    """

    tasks: tuple[ShardTask, ...]
    columns: tuple[str, ...]

    def of_split(self, split: str) -> list[ShardTask]:
        """Returns the shards of one split, in order."""
        return [task for task in self.tasks if task.split == split]

    @property
    def records(self) -> dict[str, int]:
        """Number of records by shard name."""
        return {task.name: len(task.windows) for task in self.tasks}


def plan_shards(recipe: Recipe, prepared: Prepared) -> Plan:
    """Deals the windows of each split out to shards."""
    suffix = ".gz" if recipe.output.compression == "gzip" else ""
    tasks = []
    for split in SPLITS:
        windows = prepared.windows[prepared.splits == split].reset_index(drop=True)
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
    identifiers = prepared.source.schema.identifiers
    return Plan(tuple(tasks), (*identifiers, *prepared.columns))


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
    order += plan.columns
    buffer = io.BytesIO()
    table[order].to_parquet(buffer, index=False)
    return buffer.getvalue()
