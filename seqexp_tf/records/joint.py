"""The ``joint`` kind: windows of DNA with the expression of every base."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.records.masks import MaskingConfig, draw_masks
from seqexp_tf.records.packed import PackedArrays
from seqexp_tf.records.schema import NUCLEOTIDES, Feature, Schema

EVALUATION_SPLITS = ("validation", "test")
"""Splits whose records carry a fixed mask."""


def joint_schema(
    window: int,
    *,
    channels: tuple[str, ...],
    compression: Literal["none", "gzip"],
    expressed: str,
) -> Schema:
    """Returns the schema of a joint dataset.

    Args:
        window: bases in a window.
        channels: names of the extra per-base masks.
        compression: of the shards.
        expressed: where the labels come from, for example ``coverage > 2``.
    """
    base = {"dtype": "uint8", "shape": (window,), "axes": ("position",)}
    tracks = {"dtype": "uint8", "axes": ("track", "position")}
    features = [
        Feature(
            "sequence",
            **base,
            description="nucleotides of the window's strand",
            encoding=NUCLEOTIDES,
        ),
        Feature(
            "expression",
            **tracks,
            shape=(2, window),
            description=expressed,
            encoding="0 = not expressed, 1 = expressed",
            tracks=("window strand", "opposite strand"),
            strand_permutation=(1, 0),
        ),
        Feature(
            "valid",
            **base,
            description="1 where the labels are measured; 0 never counts",
        ),
    ]
    if channels:
        features.append(
            Feature(
                "channels",
                **tracks,
                shape=(len(channels), window),
                description="1 inside an interval of the track's BED",
                tracks=channels,
            )
        )
    fixed = {**base, "splits": EVALUATION_SPLITS}
    features += [
        Feature(
            "expression_mask",
            **fixed,
            description="fixed evaluation mask: 1 where the label is hidden",
        ),
        Feature(
            "sequence_mask",
            **fixed,
            description="fixed evaluation mask: 1 where the base is selected",
        ),
        Feature(
            "sequence_masked",
            **fixed,
            description="nucleotides as the model sees them",
            encoding="A C G T N = 0 1 2 3 4, mask token = 5",
        ),
    ]
    return Schema("joint", window, tuple(features), compression)


@dataclass(frozen=True)
class JointSource:
    """Everything a shard task needs to make records; cheap to send to a worker.

    Attributes:
        arrays: packed ``sequence``, ``plus``, ``minus``, ``valid`` and, for each
            channel, ``channel.NAME``.
        schema: of the dataset.
        masks: fixed evaluation masks.
        seed: seed of the masks.
    """

    arrays: PackedArrays
    schema: Schema
    masks: MaskingConfig
    seed: int

    @property
    def files(self) -> tuple[Path, ...]:
        """What ``records`` reads."""
        names = ["sequence", "plus", "minus", "valid"]
        if "channels" in self.schema.by_name:
            channels = self.schema.by_name["channels"].tracks
            names += [f"channel.{name}" for name in channels]
        return tuple(self.arrays.path(name) for name in names)

    def records(self, windows: pd.DataFrame, split: str) -> dict[str, np.ndarray]:
        """Returns the arrays of ``windows`` (one split), records first."""
        starts, strands = windows.start.to_numpy(), windows.strand.to_numpy()
        places = windows.groupby("contig", sort=False).indices
        values = {
            feature.name: np.empty((len(windows), *feature.shape), feature.dtype)
            for feature in self.schema.of_split(split)
        }
        for contig, rows in places.items():
            for name, part in self._gather(contig, starts[rows]).items():
                values[name][rows] = part
        minus = strands == "-"
        for name in ("sequence", "expression", "valid", "channels"):
            if name in values:
                feature = self.schema.by_name[name]
                values[name][minus] = feature.reverse(values[name][minus])
        if split in EVALUATION_SPLITS:
            self._draw(values, windows)
        return values

    def statistics(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns counts that baselines and reports need, to be summed up."""
        valid = records["valid"].astype(bool)
        expressed = records["expression"][:, 0]
        return {
            "bases_ACGTN": np.bincount(
                records["sequence"][valid], minlength=UNKNOWN + 1
            ),
            "labels_01": np.bincount(expressed[valid], minlength=2),
        }

    def results(
        self, statistics: Mapping[str, Mapping[str, np.ndarray]]
    ) -> tuple[list[str], list[str]]:
        """Returns the share of expressed bases, and a warning where it says nothing."""
        shares = {
            split: counts["labels_01"][1] / max(counts["labels_01"].sum(), 1)
            for split, counts in statistics.items()
        }
        listed = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        warnings = []
        if not 0 < shares["train"] < 1:
            warnings.append(
                "every training label is the same; check source.genome.threshold and "
                "the coverage"
            )
        return [f"expressed bases: {listed}"], warnings

    def _gather(self, contig: str, starts: np.ndarray) -> dict[str, np.ndarray]:
        """Windows of one contig, on the forward strand."""

        def cut(name: str) -> np.ndarray:
            return self.arrays.windows(name, contig, starts, self.schema.window)

        values = {
            "sequence": cut("sequence"),
            "expression": np.stack([cut("plus"), cut("minus")], axis=1),
            "valid": cut("valid"),
        }
        if "channels" in self.schema.by_name:
            names = self.schema.by_name["channels"].tracks
            values["channels"] = np.stack(
                [cut(f"channel.{name}") for name in names], axis=1
            )
        return values

    def _draw(self, values: dict[str, np.ndarray], windows: pd.DataFrame) -> None:
        for row, window in enumerate(windows.itertuples(index=False)):
            masks = draw_masks(
                values["sequence"][row],
                self.masks,
                seed=self.seed,
                contig=window.contig,
                start=window.start,
                strand=window.strand,
            )
            for name in ("expression_mask", "sequence_mask", "sequence_masked"):
                values[name][row] = getattr(masks, name)
