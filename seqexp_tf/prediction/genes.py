"""Models of genes asked with what a dataset holds of each gene, or with other DNA."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.evaluation.gene_tracks import gene_windows, require_genes
from seqexp_tf.genome.alphabet import UNKNOWN, decode
from seqexp_tf.models.shape import expression_shape
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import scored_batches
from seqexp_tf.pipeline.faults import damage_named
from seqexp_tf.pipeline.gene_example import INPUTS, PEAKS
from seqexp_tf.prediction.model import DNA, EXPRESSION, MASK, PredictionModel
from seqexp_tf.prediction.pieces import in_pieces
from seqexp_tf.records.expression_details import ExpressionDetails
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import require_whole

AVERAGE = "average_strands"
_SEQUENCE = "sequence"
_BASES_AT_ONCE = 1 << 17


@dataclass(frozen=True)
class GeneInputs:
    """What a model reads of one gene.

    Attributes:
        window: the bases it covers.
        dna: uint8 indices ``(window,)``, in the orientation of the window.
        arrays: everything else, by name.
        target: measured expression.
    """

    window: GeneWindow
    dna: np.ndarray
    arrays: Mapping[str, np.ndarray]
    target: float


@dataclass(frozen=True)
class GenePredictor:
    """A model of genes with a dataset that holds some.

    Attributes:
        model: of task ``expression``.
        store: of kind ``expression``.
        batch_size: genes predicted at once; nothing depends on it.
        average_strands: whether predictions are means over both strands.
    """

    model: PredictionModel
    store: RecordStore
    batch_size: int
    average_strands: bool = False

    @classmethod
    def open(
        cls,
        model: PredictionModel,
        store: RecordStore,
        *,
        batch_size: int | None = None,
        average_strands: bool = False,
    ) -> "GenePredictor":
        """Checks that a dataset has what a model reads.

        Args:
            model: of task ``expression``.
            store: the dataset.
            batch_size: as many as have 131,072 bases together, at most 32, if not
                given.
            average_strands: see ``GenePredictor``.

        Raises:
            DatasetError: another kind of dataset, or other signals or features.
        """
        require_genes(store)
        shape = expression_shape(store.schema)
        facts = [
            *(
                (f"its {name}", getattr(shape, name), getattr(model, name))
                for name in ("signals", "features")
                if name in model.inputs
            ),
            *_facts(store.schema.expression, model.details),
        ]
        for what, found, wanted in facts:
            if found != wanted:
                raise DatasetError(
                    f"{store.folder}: {what} is {found!r}, but {model.path} was "
                    f"trained on {wanted!r}; convert the data with the recipe of the "
                    "run"
                )
        if model.window > store.schema.window:
            raise DatasetError(
                f"{store.folder}: windows of {store.schema.window:,} bases, but "
                f"{model.path} reads {model.window:,}; convert with longer ones"
            )
        return cls(
            model=model,
            store=store,
            batch_size=batch_size or min(max(_BASES_AT_ONCE // model.window, 1), 32),
            average_strands=average_strands,
        )

    def windows(self, split: str) -> list[GeneWindow]:
        """Returns the windows the model reads of a split's genes, in stored order."""
        return [
            window.centre(self.model.window)
            for window in gene_windows(self.store, split)
        ]

    def genes(
        self, split: str, *, chosen: Collection[int] | None = None
    ) -> Iterator[GeneInputs]:
        """Yields what the model reads of a split's genes, in stored order.

        Args:
            split: of the dataset.
            chosen: numbers of the genes wanted, in stored order; None is all.

        Raises:
            DatasetError: no such split, or the dataset is damaged.
        """
        require_whole(self.store)
        with damage_named(self.store):
            yield from self._genes(split, chosen)

    def _genes(
        self, split: str, chosen: Collection[int] | None
    ) -> Iterator[GeneInputs]:
        windows = self.windows(split)
        names = tuple(name for name in INPUTS if name in self.model.inputs)
        batches = scored_batches(
            self.store,
            split,
            batch_size=self.batch_size,
            inputs=(_SEQUENCE, *names),
            pipeline=ExpressionPipelineConfig(window=self.model.window),
            given=self.model.given or PEAKS,
        )
        for inputs, targets, rows in batches.as_numpy_iterator():
            one_hot = inputs[_SEQUENCE]
            known = one_hot.any(axis=-1)
            bases = np.where(known, one_hot.argmax(axis=-1), UNKNOWN).astype(np.uint8)
            for index, row in enumerate(rows.tolist()):
                if chosen is None or row in chosen:
                    yield GeneInputs(
                        window=windows[row],
                        dna=bases[index],
                        arrays={name: inputs[name][index] for name in names},
                        target=float(targets[EXPRESSION][index]),
                    )

    def ask(
        self, genes: list[GeneInputs], *, mask: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns expression and mask of some genes, at most a batch.

        Args:
            genes: what the model reads.
            mask: whether the mask is wanted.

        Returns:
            float32 ``(genes,)`` in the unit of the target, and ``(genes, window)`` in
            the orientation of each window, or None.

        Raises:
            RunError: an answer that is not finite, naming the gene.
        """
        inputs = {
            DNA: np.array([decode(gene.dna).encode() for gene in genes], dtype=object),
            **{
                name: np.stack([gene.arrays[name] for gene in genes])
                for name in genes[0].arrays
            },
            AVERAGE: np.full(len(genes), self.average_strands),
        }
        answer = self.model.ask(inputs, [EXPRESSION, MASK] if mask else [EXPRESSION])
        expression, found = answer[EXPRESSION], answer.get(MASK)
        finite = np.isfinite(expression)
        if found is not None:
            finite &= np.isfinite(found).all(axis=1)
        if not finite.all():
            name = genes[int(finite.argmin())].window.gene
            raise RunError(
                f"gene {name}: the model's answer is not finite; the run is damaged or "
                "diverged, train again with a lower learning rate"
            )
        return expression, found

    def predict(
        self,
        split: str,
        *,
        progress: Callable[[int], object] = lambda genes: None,
    ) -> Iterator[GeneMask]:
        """Yields prediction and mask of each gene of a split, in stored order.

        Args:
            split: of the dataset.
            progress: called with the number of genes of each batch.
        """
        sizes = self.store.manifest["contigs"]
        for genes in in_pieces(self.genes(split), self.batch_size):
            expression, masks = self.ask(genes, mask=self.model.has_mask)
            for index, gene in enumerate(genes):
                part, inside = gene.window.on_contig(sizes[gene.window.contig])
                mask = None
                if masks is not None:
                    mask = gene.window.genomic(masks[index])[inside]
                yield GeneMask(
                    window=part,
                    mask=mask,
                    prediction=float(expression[index]),
                    target=gene.target,
                )
            progress(len(genes))


def _facts(
    found: ExpressionDetails, wanted: ExpressionDetails
) -> Iterator[tuple[str, object, object]]:
    """Yields what must be alike, with both values."""
    transforms = [
        {signal.name: signal.transform for signal in details.signals}
        for details in (found, wanted)
    ]
    yield ("the transform of signals", *transforms)
    yield "the bin of contacts", found.resolution, wanted.resolution
    yield "the transform of the target", found.target.transform, wanted.target.transform
    oriented = "whether windows follow the strand of their gene"
    yield oriented, found.oriented, wanted.oriented
