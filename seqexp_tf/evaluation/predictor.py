"""A joint model applied to any region of the genome it has a dataset of."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from seqexp_tf.errors import DatasetError, InputError, RunError
from seqexp_tf.evaluation.metrics import sigmoid
from seqexp_tf.genome.alphabet import MASKED, UNKNOWN
from seqexp_tf.genome.windows import centred_tiles
from seqexp_tf.records.regions import (
    GenomeSlice,
    Region,
    StrandedSequence,
    find_region,
    read_slice,
)
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import Run

if TYPE_CHECKING:
    import keras

Labels = Literal["visible", "hidden"]
"""Whether a model is shown the measured expression around what it predicts."""

EXPRESSION, SEQUENCE = "expression_logits", "sequence_logits"

_ONE_HOT = np.vstack([np.eye(UNKNOWN + 1), np.zeros(UNKNOWN + 1)]).astype(np.float32)


@dataclass(frozen=True)
class JointPredictor:
    """A joint model with the dataset that holds its genome.

    A base is predicted from a window that lies on a grid fixed by the contig alone
    (stride of half a window; the last window ends with the contig), namely the one
    whose centre is nearest. So a base has one prediction, whatever the region asked
    for and the batch size.

    Attributes:
        model: inputs ``sequence`` and ``expression``; outputs ``expression_logits``
            and ``sequence_logits``.
        store: a dataset of kind ``joint``.
        window: bases in a window.
        expression_value: what the model sees in place of a hidden label.
        batch_size: windows predicted at once.
        temperatures: by output, what its logits are divided by; 1 if not named.
    """

    model: "keras.Model"
    store: RecordStore
    window: int
    expression_value: float = 0.5
    batch_size: int = 32
    temperatures: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        run: Run,
        store: RecordStore | None = None,
        *,
        batch_size: int = 32,
        temperatures: Mapping[str, float] | None = None,
    ) -> "JointPredictor":
        """Opens the best model of a run, with the run's own dataset by default.

        Raises:
            RunError: the fit has not finished, or the dataset is of another schema
                or window size.
            DatasetError: no dataset there.
        """
        if store is None:
            store = RecordStore.open(Path(os.fspath(run.dataset["folder"])))
        run.check_dataset(store)
        return cls(
            model=run.load_model(),
            store=store,
            window=store.schema.window,
            expression_value=run.config.masking.expression_value,
            batch_size=batch_size,
            temperatures=temperatures or {},
        )

    def region(self, text: str) -> Region:
        """Returns the region a browser's text names; see ``find_region``."""
        return find_region(self.store, text)

    def require(self, output: str, *, purpose: str) -> None:
        """Raises RunError unless the model has an output, e.g. a DNA head."""
        if output not in self.model.output_names:
            raise RunError(
                f"the model has no output {output!r}, which {purpose} need; it has "
                f"{', '.join(self.model.output_names)}"
            )

    def window_around(self, region: Region) -> Region:
        """Returns the window centred on a region, moved to lie within its contig.

        Raises:
            InputError: the region is longer than a window, or its contig shorter.
        """
        length = self.store.manifest["contigs"][region.contig]
        self._check_contig(region.contig, length)
        if len(region) > self.window:
            raise InputError(
                f"region {region}: {len(region):,} bases, more than the model's window "
                f"of {self.window:,}; choose a shorter one"
            )
        start = (region.start + region.end - self.window) // 2
        start = min(max(start, 0), length - self.window)
        return Region(region.contig, start, start + self.window)

    def tiles(self, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Returns the windows of the contig's grid that predict a region.

        Returns:
            starts: int64 ``(tiles,)``, of windows of ``window`` bases.
            owner: int64 ``(n,)``, for each base of the region the index of its
                window in ``starts``.
        """
        length = self.store.manifest["contigs"][region.contig]
        self._check_contig(region.contig, length)
        return centred_tiles(
            length, window=self.window, start=region.start, end=region.end
        )

    def read(self, region: Region) -> GenomeSlice:
        """Returns the genome under every window that predicts a region."""
        starts, _ = self.tiles(region)
        return read_slice(
            self.store,
            Region(region.contig, int(starts[0]), int(starts[-1]) + self.window),
        )

    def inputs(
        self,
        sequences: Sequence[StrandedSequence],
        *,
        hidden: np.ndarray | bool = False,
        masked: np.ndarray | bool = False,
    ) -> dict[str, np.ndarray]:
        """Returns what the model reads for sequences of one length.

        Args:
            sequences: each of ``n`` bases.
            hidden: True where the label is hidden; broadcasts to ``(batch, n)``. A
                label that was not measured is always hidden.
            masked: True where the base becomes the mask token, likewise.

        Returns:
            ``sequence`` float32 ``(batch, n, 5)``, ``expression`` ``(batch, n)``.
        """
        bases = np.stack([item.sequence for item in sequences])
        labels = np.stack([item.expression for item in sequences])
        valid = np.stack([item.valid for item in sequences])
        shown = np.where(valid & ~np.asarray(hidden), labels, self.expression_value)
        return {
            "sequence": _ONE_HOT[np.where(masked, MASKED, bases)],
            "expression": shown.astype(np.float32),
        }

    def logits(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs of the model, divided by their temperatures.

        Args:
            inputs: see ``inputs``; any number of windows.

        Raises:
            RunError: the model answers with infinity or NaN.
        """
        count = len(inputs["sequence"])
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        for first in range(0, count, self.batch_size):
            batch = {
                name: values[first : first + self.batch_size]
                for name, values in inputs.items()
            }
            answer = self.model.predict_on_batch(batch)
            for name, values in parts.items():
                values.append(np.asarray(answer[name], dtype=np.float32))
        logits = {name: np.concatenate(values) for name, values in parts.items()}
        for name, values in logits.items():
            if not np.isfinite(values).all():
                raise RunError(
                    f"the model predicts {name} that are not finite; the run is "
                    "damaged or diverged, train again with a lower learning rate"
                )
            logits[name] = values / np.float32(self.temperatures.get(name, 1.0))
        return logits

    @property
    def outputs(self) -> list[str]:
        """Outputs of the model that this package knows."""
        return [n for n in (EXPRESSION, SEQUENCE) if n in self.model.output_names]

    def expression(
        self,
        region: Region,
        strand: str,
        *,
        labels: Labels,
        progress: Callable[[int], None] = lambda windows: None,
    ) -> np.ndarray:
        """Predicts the expression of every base of a region from the whole DNA.

        Args:
            region: of any length.
            strand: ``+`` or ``-``.
            labels: ``hidden`` predicts from DNA alone; ``visible`` also shows the
                measured labels, those of the base itself included.
            progress: called with the number of windows of each batch.

        Returns:
            p(expressed), float32 ``(n,)``, from left to right whatever the strand.
        """
        self.require(EXPRESSION, purpose="expression profiles")
        starts, owner = self.tiles(region)
        genome = self.read(region)
        result = np.empty(len(region), dtype=np.float32)
        for first, pieces in self._pieces(genome, starts, strand):
            logits = self.logits(self.inputs(pieces, hidden=labels == "hidden"))
            for index, (piece, values) in enumerate(
                zip(pieces, logits[EXPRESSION], strict=True), start=first
            ):
                at = np.flatnonzero(owner == index)
                values = piece.genomic(sigmoid(values.astype(float)))
                result[at] = values[region.start + at - starts[index]]
            progress(len(pieces))
        return result

    def _pieces(
        self, genome: GenomeSlice, starts: np.ndarray, strand: str
    ) -> Iterator[tuple[int, list[StrandedSequence]]]:
        for first in range(0, starts.size, self.batch_size):
            yield (
                first,
                [
                    genome.strand(strand, int(start), int(start) + self.window)
                    for start in starts[first : first + self.batch_size]
                ],
            )

    def _check_contig(self, contig: str, length: int) -> None:
        if length < self.window:
            raise DatasetError(
                f"{self.store.folder}: {contig} has {length:,} bases, fewer than the "
                f"model's window of {self.window:,}"
            )
