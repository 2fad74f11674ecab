"""A genome FASTA for the length of a prediction, and what is checked against it."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.genome.alphabet import UNKNOWN, decode, encode
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.fasta import PackedGenome, pack_fasta
from seqexp_tf.genome.intervals import bed_lines
from seqexp_tf.genome.vcf import Allele, read_alleles
from seqexp_tf.records.regions import Region


@dataclass(frozen=True)
class Reference:
    """A genome and its contigs under any usual spelling.

    Attributes:
        path: the FASTA, for messages.
        genome: its bases.
        aliases: other name -> name in the FASTA.
    """

    path: Path
    genome: PackedGenome
    aliases: dict[str, str] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """Contig -> length, as the FASTA names and orders them."""
        return self.genome.sizes

    @cached_property
    def _names(self) -> ContigNames:
        return ContigNames(self.sizes, self.aliases)

    def contig(self, name: str, *, place: str) -> str:
        """Returns the FASTA's name of a contig.

        Raises:
            InputError: there is none, with ``place`` and the nearest names.
        """
        found = self._names.resolve(name)
        if found is None:
            raise InputError(
                f"{place}: {self.path} has no contig {name!r}; "
                f"{nearest(name, self.sizes)}"
            )
        return found

    def fetch(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns indices of ``[start, end)``, uint8; N outside the contig."""
        size = self.sizes[contig]
        first, last = min(max(start, 0), size), max(min(end, size), 0)
        bases = np.full(max(end - start, 0), UNKNOWN, dtype=np.uint8)
        if first < last:
            bases[first - start : last - start] = self.genome.fetch(contig, first, last)
        return bases

    def regions(self, bed: Path) -> list[tuple[str, Region]]:
        """Returns name and place of every interval of a BED, in file order.

        An interval without a name is called by its place.

        Raises:
            InputError: an unknown contig, an empty interval, one that leaves its
                contig, or none at all; with the line.
        """
        found = []
        for place, (name, start, end, label, _, _), _ in bed_lines(bed):
            contig = self.contig(name, place=place)
            size = self.sizes[contig]
            if start == end:
                raise InputError(f"{place}: {name}:{start}-{end} holds no base")
            if end > size:
                raise InputError(
                    f"{place}: {name}:{start}-{end} (0-based half-open) goes past the "
                    f"end of the contig, which has {size:,} bases in {self.path}; end "
                    "it there, or give --genome the assembly of the BED"
                )
            region = Region(contig, start, end)
            found.append((label or str(region), region))
        if not found:
            raise InputError(f"{bed}: holds no interval; expected BED lines")
        return found

    def check(self, allele: Allele) -> str:
        """Returns the contig of an allele whose reference bases are the genome's.

        N, on either side, agrees with every base.

        Raises:
            InputError: an unknown contig, a position outside it, or other bases; with
                the line.
        """
        contig = self.contig(allele.contig, place=allele.place)
        start, size = allele.position - 1, self.sizes[contig]
        end = start + len(allele.reference)
        if end > size:
            raise InputError(
                f"{allele.place}: {allele.contig}:{allele.position} with REF "
                f"{allele.reference!r} goes past the end of the contig, which has "
                f"{size:,} bases in {self.path}; give --genome the assembly of the VCF"
            )
        claimed = encode(allele.reference)
        bases = self.genome.fetch(contig, start, end)
        differs = (claimed != bases) & (claimed != UNKNOWN) & (bases != UNKNOWN)
        if differs.any():
            raise InputError(
                f"{allele.place}: {allele.contig}:{allele.position} has REF "
                f"{allele.reference!r}, but {self.path} has {decode(bases)!r} there; "
                "is it of another assembly, or of the other strand?"
            )
        return contig

    def alleles(self, vcf: Path) -> Iterator[tuple[str, Allele]]:
        """Yields contig and allele of a VCF, checked; those without sequence left out.

        Raises:
            InputError: see ``check`` and ``read_alleles``.
        """
        for allele in read_alleles(vcf):
            if not allele.symbolic:
                yield self.check(allele), allele


@dataclass(frozen=True)
class AlleleCount:
    """What a VCF holds.

    Attributes:
        usable: alternative alleles that are sequences.
        symbolic: those that are not, which are left out.
    """

    usable: int
    symbolic: int


def check_vcf(vcf: Path, reference: Reference) -> AlleleCount:
    """Checks a whole VCF against a genome before anything is predicted.

    Raises:
        InputError: see ``Reference.check``; or no allele that is a sequence.
    """
    usable = symbolic = 0
    for allele in read_alleles(vcf):
        if allele.symbolic:
            symbolic += 1
        else:
            reference.check(allele)
            usable += 1
    if not usable:
        raise InputError(
            f"{vcf}: holds no alternative allele of bases"
            + (f", only {symbolic:,} symbolic ones" if symbolic else "")
        )
    return AlleleCount(usable, symbolic)


@contextmanager
def open_reference(
    fasta: Path,
    *,
    scratch: Path,
    soft_masked: Literal["keep", "N"] = "keep",
    aliases: dict[str, str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Reference]:
    """Gives a FASTA as a genome of one byte a base, in a folder that goes afterwards.

    Args:
        fasta: plain, gzip or bgzip.
        scratch: folder in which the temporary one is made.
        soft_masked: keep lower-case letters as bases, or turn them into N.
        aliases: other name -> name in the FASTA.
        progress: called with the number of bytes of each chunk.

    Raises:
        InputError: see ``pack_fasta``.
        RunError: the folder cannot be written in.
    """
    try:
        temporary = tempfile.TemporaryDirectory(prefix=".genome.", dir=scratch)
    except OSError as error:
        raise RunError(
            f"{scratch}: cannot write here ({error.strerror}); choose another --out"
        ) from None
    with temporary as folder:
        genome = pack_fasta(fasta, folder, soft_masked=soft_masked, progress=progress)
        yield Reference(Path(fasta), genome, aliases or {})
