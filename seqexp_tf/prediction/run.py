"""Predictions from files to a file: what ``seqexp-tf predict`` does."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.evaluation.files import require_writable
from seqexp_tf.prediction.gene_files import write_gene_variants, write_genes
from seqexp_tf.prediction.genes import GenePredictor
from seqexp_tf.prediction.joint import Bases, StoredBases, count_windows
from seqexp_tf.prediction.joint_files import (
    wanted_regions,
    write_regions,
    write_sequences,
    write_variants,
)
from seqexp_tf.prediction.model import PredictionModel
from seqexp_tf.prediction.outputs import output_format
from seqexp_tf.prediction.reference import Reference, check_vcf, open_reference
from seqexp_tf.records.regions import STRANDS, Region
from seqexp_tf.records.spans import stored_spans
from seqexp_tf.records.store import RecordStore

if TYPE_CHECKING:
    from tqdm import tqdm

Counter = Callable[[int | None, str], "AbstractContextManager[tqdm]"]
"""Called with how many of what there are; gives a bar that counts them."""

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """A model and where its predictions go; each source of DNA is a method.

    Every method returns the files it wrote, which appear when they are whole.

    Attributes:
        model: any; see ``open_model``.
        out: the file; its suffix is the format.
        count: shows how far it is.
        say: called with lines the user should read.
        data: dataset; the one of the run if None.
        batch_size: windows at once; of a joint model 32, of genes as many as have
            131,072 bases together, if None.
        average_strands: for models of genes: means over both strands of the window.

    Raises:
        ConfigError: an unknown suffix, or an average over strands of a joint model.
        RunError: the folder of ``out`` cannot be made.
    """

    model: PredictionModel
    out: Path
    count: Counter
    say: Callable[[str], object] = field(default=lambda line: None)
    data: Path | None = None
    batch_size: int | None = None
    average_strands: bool = False

    def __post_init__(self) -> None:
        output_format(self.out)
        if self._joint and self.average_strands:
            raise ConfigError(
                f"{self.model.path}: a joint model, which predicts each strand; only "
                "predictions of genes are averaged over strands"
            )
        require_writable(self.out.parent)

    def fasta(self, path: Path) -> list[Path]:
        """Predicts sequences, each at most a window long, by a joint model."""
        self._require_joint("a FASTA of sequences")
        with open_reference(path, scratch=self.out.parent) as sequences:
            with self.count(len(STRANDS) * len(sequences.sizes), "windows") as bar:
                return write_sequences(
                    self.model,
                    sequences,
                    self.out,
                    batch_size=self._windows_at_once,
                    progress=bar.update,
                )

    def bed(self, path: Path, *, genome: Path) -> list[Path]:
        """Predicts regions of a genome by a joint model."""
        self._require_joint("regions of a BED")
        with open_reference(genome, scratch=self.out.parent) as reference:
            return self._regions(reference, reference.regions(path))

    def split(self, name: str) -> list[Path]:
        """Predicts the regions, or genes, of a split of the dataset."""
        store = self._store()
        if self._joint:
            regions = [(str(region), region) for region in stored_spans(store, name)]
            return self._regions(StoredBases(store), regions)
        predictor = self._genes(store)
        with self.count(store.count(name), "genes") as bar:
            return write_genes(predictor, name, self.out, progress=bar.update)

    def vcf(self, path: Path, *, genome: Path) -> list[Path]:
        """Predicts what variants change, of bases or of genes around them."""
        if self._joint:
            with open_reference(genome, scratch=self.out.parent) as reference:
                alleles = self._checked(path, reference)
                with self.count(2 * len(STRANDS) * alleles, "windows") as bar:
                    return write_variants(
                        self.model,
                        reference,
                        reference.alleles(path),
                        self.out,
                        batch_size=self._windows_at_once,
                        progress=bar.update,
                    )
        store = self._store()
        predictor = self._genes(store)
        source = store.manifest["recipe"]["source"]
        with open_reference(
            genome,
            scratch=self.out.parent,
            soft_masked=source.get("soft_masked", "keep"),
            aliases=source.get("aliases"),
        ) as reference:
            usable = self._checked(path, reference)
            with self.count(None, "genes") as bar:
                written, rows = write_gene_variants(
                    predictor,
                    reference,
                    reference.alleles(path),
                    self.out,
                    progress=bar.update,
                )
        self.say(
            f"{rows:,} effects of {usable:,} alleles, on genes whose windows hold them."
            if rows
            else f"None of the {usable:,} alleles lies in the window of a gene of "
            f"{store.folder}: nothing to predict."
        )
        return written

    @property
    def _joint(self) -> bool:
        return self.model.task == "joint"

    @property
    def _windows_at_once(self) -> int:
        return self.batch_size or _BATCH

    def _require_joint(self, source: str) -> None:
        if not self._joint:
            raise RunError(
                f"{self.model.path}: a model of genes, which reads more of a gene than "
                f"its DNA; it cannot predict {source}: give --split or --vcf"
            )

    def _store(self) -> RecordStore:
        folder = self.data or self.model.dataset
        if folder is None:
            raise RunError(
                f"{self.model.path}: an export does not hold its dataset; give --data"
            )
        return RecordStore.open(folder)

    def _genes(self, store: RecordStore) -> GenePredictor:
        return GenePredictor.open(
            self.model,
            store,
            batch_size=self.batch_size,
            average_strands=self.average_strands,
        )

    def _regions(self, bases: Bases, regions: list[tuple[str, Region]]) -> list[Path]:
        windows = sum(
            count_windows(self.model, bases.sizes[region.contig], region)
            for _, region in wanted_regions(regions, self.out)
        )
        with self.count(windows, "windows") as bar:
            return write_regions(
                self.model,
                bases,
                regions,
                self.out,
                batch_size=self._windows_at_once,
                progress=bar.update,
            )

    def _checked(self, vcf: Path, reference: Reference) -> int:
        alleles = check_vcf(vcf, reference)
        if alleles.symbolic:
            self.say(
                f"{vcf}: {alleles.symbolic:,} alleles without a sequence (<DEL>, *, "
                "breakends) are left out."
            )
        return alleles.usable
