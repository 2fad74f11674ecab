"""Where genes, distal elements and runs of N lie on a contig."""

from dataclasses import dataclass

import numpy as np

from seqexp_tf.simulate.config import SimulationConfig
from seqexp_tf.simulate.motifs import FAMILIES

PROMOTER = 180
"""Bases upstream of a TSS kept for its promoter."""

_EDGE = 250
_RUNS_PER_CONTIG = 2
_ENHANCER_SHARE = 0.62


@dataclass(frozen=True)
class Gene:
    """A transcription unit, TSS to terminator; 0-based half-open coordinates.

    ``utr5`` and ``utr3`` are lengths in bp; the bases between them are the coding
    sequence, start codon to stop codon, a multiple of 3.
    """

    name: str
    contig: str
    start: int
    end: int
    strand: str
    family: str
    silent: bool
    utr5: int
    utr3: int

    @property
    def tss(self) -> int:
        """Position of the first transcribed base."""
        return self.start if self.strand == "+" else self.end - 1

    def interval(self, offset: int, length: int) -> tuple[int, int]:
        """Returns genome start and end of ``length`` bases ``offset`` from the TSS.

        Offsets run with transcription: negative is upstream.
        """
        if self.strand == "+":
            return self.tss + offset, self.tss + offset + length
        return self.tss + 1 - offset - length, self.tss + 1 - offset

    @property
    def cds(self) -> tuple[int, int]:
        """Genome start and end of the coding sequence, stop codon included."""
        return self.interval(self.utr5, self.end - self.start - self.utr5 - self.utr3)


@dataclass(frozen=True)
class Region:
    """A distal open region: an ``enhancer``, or a ``decoy`` that acts on nothing."""

    name: str
    kind: str
    contig: str
    start: int
    end: int
    family: str

    @property
    def centre(self) -> int:
        return (self.start + self.end) // 2


@dataclass(frozen=True)
class Layout:
    """The parts of one contig, left to right, none overlapping."""

    contig: str
    length: int
    genes: tuple[Gene, ...]
    regions: tuple[Region, ...]
    unknown: tuple[tuple[int, int], ...]


def contig_sizes(config: SimulationConfig) -> dict[str, int]:
    """Returns contig name to length in bp: ``chr1`` is the longest."""
    if config.contigs == 1:
        return {"chr1": config.contig_length}
    factors = np.linspace(1.25, 0.75, config.contigs)
    return {
        f"chr{number}": round(config.contig_length * factor)
        for number, factor in enumerate(factors, start=1)
    }


def lay_out(
    contig: str, length: int, *, config: SimulationConfig, rng: np.random.Generator
) -> Layout:
    """Walks along a contig, placing gap, distal element and gene in turn."""
    genes: list[Gene] = []
    regions: list[Region] = []
    unknown: list[tuple[int, int]] = []
    runs = sorted(rng.uniform(0.1, 0.9, _RUNS_PER_CONTIG) * length)
    cursor = int(rng.integers(_EDGE, 3 * _EDGE))
    while True:
        strand = "+" if rng.random() < 0.5 else "-"
        size = 400 + round(1100 * rng.beta(2.6, 1.1))
        cursor += int(rng.integers(15, 60))
        run = region = None
        if runs and cursor >= runs[0]:
            run = (cursor, cursor + int(rng.integers(100, 500)))
            cursor = run[1] + 40
        elif rng.random() < config.distal:
            enhancer = rng.random() < _ENHANCER_SHARE
            region = Region(
                name=f"{contig}_r{len(regions) + 1:03d}",
                kind="enhancer" if enhancer else "decoy",
                contig=contig,
                start=cursor,
                end=cursor + int(rng.integers(100, 301)),
                family=FAMILIES[rng.integers(len(FAMILIES))] if enhancer else "",
            )
            cursor = region.end + 40
        start = cursor + (PROMOTER if strand == "+" else 0)
        end = start + size
        cursor = end + (PROMOTER if strand == "-" else 0)
        if cursor + _EDGE > length:
            break
        if run:
            runs.pop(0)
            unknown.append(run)
        if region:
            regions.append(region)
        utr5 = int(rng.integers(20, 80))
        utr3 = int(rng.integers(80, 170))
        genes.append(
            Gene(
                name=f"{contig}_g{len(genes) + 1:03d}",
                contig=contig,
                start=start,
                end=end,
                strand=strand,
                family=FAMILIES[rng.integers(len(FAMILIES))],
                silent=bool(rng.random() < config.silent),
                utr5=utr5,
                utr3=utr3 + (size - utr5 - utr3) % 3,
            )
        )
    return Layout(contig, length, tuple(genes), tuple(regions), tuple(unknown))
