"""A model of genes applied to a dataset: predictions and masks, gene by gene."""

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.evaluation.gene_tracks import (
    GeneTracks,
    gene_windows,
    read_tracks,
    require_genes,
)
from seqexp_tf.layers.compiled_layer import compiled_layers
from seqexp_tf.models.seq2exp import KEPT_MASK
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import scored_batches
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.pipeline.gene_example import PEAKS
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import require_whole
from seqexp_tf.training.config import model_config
from seqexp_tf.training.run import Run

if TYPE_CHECKING:
    import keras

EXPRESSION, MASK = "expression", "mask"

_BASES_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class MaskPredictor:
    """A model of genes with the dataset that holds them.

    Attributes:
        model: output ``expression`` and, where it selects bases, ``mask``: the soft
            mask where there is one, also of a model that goes by a threshold.
        store: a dataset of kind ``expression``.
        pipeline: how the model's windows are read.
        batch_size: genes predicted at once; nothing depends on it.
        given: the channel that a model reads as its mask, where it does.
    """

    model: "keras.Model"
    store: RecordStore
    pipeline: ExpressionPipelineConfig
    batch_size: int
    given: str = PEAKS

    @classmethod
    def open(
        cls,
        run: Run,
        store: RecordStore | None = None,
        *,
        batch_size: int | None = None,
    ) -> "MaskPredictor":
        """Opens the best model of a run, with the run's own dataset by default.

        Args:
            run: of task ``expression``.
            store: the dataset.
            batch_size: genes at once; as many as have 131,072 bases together, at
                most 32, if not given.

        Raises:
            RunError: the fit has not finished, the run is of another task, or the
                dataset does not fit it.
            DatasetError: no dataset there, or one of another kind.
        """
        run.require_task("expression", verb="elements")
        if store is None:
            store = RecordStore.open(Path(os.fspath(run.dataset["folder"])))
        require_genes(store)
        run.check_dataset(store)
        pipeline = run.config.pipeline
        window = pipeline.window or store.schema.window
        return cls(
            model=with_soft_mask(run.load_model()),
            store=store,
            pipeline=pipeline,
            batch_size=batch_size or min(max(_BASES_AT_ONCE // window, 1), 32),
            given=model_config(run.config).mask.channel,
        )

    @property
    def window(self) -> int:
        """Bases the model reads."""
        return self.pipeline.window or self.store.schema.window

    @property
    def has_mask(self) -> bool:
        """Whether the model selects bases."""
        return MASK in self.model.output

    def genes(self, split: str) -> list[GeneWindow]:
        """Returns the windows the model reads of a split's genes, in stored order."""
        return [
            window.centre(self.window) for window in gene_windows(self.store, split)
        ]

    def predict(
        self,
        split: str,
        *,
        chosen: Collection[int] | None = None,
        tracks: bool = False,
        progress: Callable[[int], None] = lambda genes: None,
    ) -> Iterator[GeneMask]:
        """Yields prediction and mask of each gene of a split, in stored order.

        Args:
            split: of the dataset.
            chosen: numbers of the genes wanted, in stored order; None is all.
            tracks: whether signals and channels are read, too.
            progress: called with the number of genes of each batch.

        Raises:
            RunError: the model predicts a value that is not finite; names the gene.
            DatasetError: the dataset is damaged.
        """
        require_whole(self.store)
        with damage_named(self.store):
            yield from self._predict(split, chosen, tracks, progress)

    def _predict(
        self,
        split: str,
        chosen: Collection[int] | None,
        tracks: bool,
        progress: Callable[[int], None],
    ) -> Iterator[GeneMask]:
        windows = self.genes(split)
        read = read_tracks(self.store, split, chosen=chosen) if tracks else None
        batches = scored_batches(
            self.store,
            split,
            batch_size=self.batch_size,
            inputs=tuple(tensor.name for tensor in self.model.inputs),
            pipeline=self.pipeline,
            given=self.given,
        )
        for inputs, targets, rows in batches.as_numpy_iterator():
            target = targets[EXPRESSION]
            if chosen is not None:
                kept = np.isin(rows, list(chosen))
                if not kept.any():
                    continue
                inputs = {name: values[kept] for name, values in inputs.items()}
                rows, target = rows[kept], target[kept]
            with compiled_layers():
                answer = self.model.predict_on_batch(inputs)
            for index, row in enumerate(rows.tolist()):
                yield self._gene(
                    windows[row],
                    mask=answer[MASK][index] if self.has_mask else None,
                    prediction=float(answer[EXPRESSION][index]),
                    target=float(target[index]),
                    tracks=None if read is None else next(read),
                )
            progress(len(rows))

    def _gene(
        self,
        window: GeneWindow,
        *,
        mask: np.ndarray | None,
        prediction: float,
        target: float,
        tracks: GeneTracks | None,
    ) -> GeneMask:
        part, inside = window.on_contig(self.store.manifest["contigs"][window.contig])
        finite = np.isfinite(prediction)
        if mask is not None:
            mask = np.asarray(mask, dtype=np.float32)
            finite &= np.isfinite(mask).all()
            mask = window.genomic(mask)[inside]
        if not finite:
            raise RunError(
                f"gene {window.gene}: the model's answer is not finite; the run is "
                "damaged or diverged, train again with a lower learning rate"
            )
        signals: dict[str, np.ndarray] = {}
        channels: dict[str, np.ndarray] = {}
        if tracks is not None:
            cut = (self.store.schema.window - self.window) // 2
            middle = slice(cut, cut + self.window)
            signals, channels = (
                {
                    name: window.genomic(values[middle])[inside]
                    for name, values in arrays.items()
                }
                for arrays in (tracks.signals, tracks.channels)
            )
        return GeneMask(
            window=part,
            mask=mask,
            signals=signals,
            channels=channels,
            prediction=prediction,
            target=target,
        )


def with_soft_mask(model: "keras.Model") -> "keras.Model":
    """Returns a model of genes whose ``mask`` is the soft one, where it learns one.

    That is the mask before any threshold, with its fixed regions.
    """
    import keras

    if KEPT_MASK not in {layer.name for layer in model.layers}:
        return model
    outputs = {**model.output, MASK: model.get_layer(KEPT_MASK).output}
    soft = keras.Model(model.inputs, outputs)
    soft.jit_compile = model.jit_compile
    return soft
