"""The sequence of a contig: background, coding composition and planted sites."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from seqexp_tf.genome.alphabet import UNKNOWN, encode, reverse_complement
from seqexp_tf.simulate.layout import PROMOTER, Gene, Layout, Region
from seqexp_tf.simulate.motifs import (
    INITIATOR,
    PIONEER,
    TATA,
    TERMINATOR,
    Motif,
    activators,
)

TATA_OFFSET = -31
_INITIATOR_OFFSET = -2
_SITE_SLOTS = (-170, -150, -130, -110, -90, -70)
_SITE_COUNTS = (0.2, 0.45, 0.35)
_STOPS = ("TAA", "TAG", "TGA")
_UTR = (0.36, 0.17, 0.15, 0.32)
# Purine first, G/C-rich third base: the period of 3 that marks coding sequence.
_CODON_POSITIONS = (
    {"A": 0.30, "C": 0.14, "G": 0.38, "T": 0.18},
    {"A": 0.31, "C": 0.23, "G": 0.17, "T": 0.29},
    {"A": 0.19, "C": 0.32, "G": 0.29, "T": 0.20},
)
_CODONS = ["".join(c) for c in product("ACGT", repeat=3) if "".join(c) not in _STOPS]
_CODON_INDICES = np.array([encode(codon) for codon in _CODONS])
_CODON_WEIGHTS = np.array(
    [
        np.prod([p[b] for p, b in zip(_CODON_POSITIONS, codon, strict=True)])
        for codon in _CODONS
    ]
)
_CODON_WEIGHTS /= _CODON_WEIGHTS.sum()


@dataclass(frozen=True)
class Site:
    """One planted motif instance; 0-based half-open genome coordinates.

    ``kind`` is ``tata``, ``initiator``, ``promoter_motif``, ``reversed_motif``,
    ``enhancer_motif``, ``pioneer`` or ``terminator``; ``parent`` names the gene or
    region that holds it; ``match`` is the site's score by :meth:`Motif.match`.
    """

    kind: str
    parent: str
    motif: Motif
    start: int
    end: int
    strand: str
    match: float


def synthesise(layout: Layout, rng: np.random.Generator) -> tuple[np.ndarray, list]:
    """Returns the contig's uint8 indices and the list of planted :class:`Site`."""
    sequence = _background(layout.length, rng)
    sites: list[Site] = []
    for gene in layout.genes:
        sites += _write_gene(sequence, gene, rng)
    for region in layout.regions:
        sites += _write_region(sequence, region, rng)
    for start, end in layout.unknown:
        sequence[start:end] = UNKNOWN
    return sequence, sites


def _background(length: int, rng: np.random.Generator) -> np.ndarray:
    """A/T-rich bases whose GC content drifts over kilobases, with short runs."""
    anchors = np.arange(0, length + 5000, 5000)
    gc = np.interp(
        np.arange(length), anchors, rng.uniform(0.26, 0.42, size=anchors.size)
    )
    strong = rng.random(length) < gc
    second = rng.random(length) < 0.5
    bases = np.where(strong, np.where(second, 1, 2), np.where(second, 0, 3))
    copied = rng.random(length) < 0.2
    source = np.maximum.accumulate(np.where(copied, 0, np.arange(length)))
    return bases[source].astype(np.uint8)


def _coding(length: int, rng: np.random.Generator) -> np.ndarray:
    inner = rng.choice(len(_CODONS), size=length // 3 - 2, p=_CODON_WEIGHTS)
    return np.concatenate(
        [
            encode("ATG"),
            _CODON_INDICES[inner].reshape(-1),
            encode(_STOPS[rng.integers(3)]),
        ]
    )


def _write_gene(
    sequence: np.ndarray, gene: Gene, rng: np.random.Generator
) -> list[Site]:
    cds_start, cds_end = gene.cds
    unit = np.concatenate(
        [
            _background(PROMOTER, rng),
            rng.choice(4, size=gene.utr5, p=_UTR),
            _coding(cds_end - cds_start, rng),
            rng.choice(4, size=gene.utr3, p=_UTR),
        ]
    ).astype(np.uint8)
    sites: list[Site] = []

    def plant(kind: str, motif: Motif, offset: int, *, reverse: bool = False) -> None:
        site = motif.sample(rng)
        place = slice(PROMOTER + offset, PROMOTER + offset + len(motif))
        unit[place] = reverse_complement(site) if reverse else site
        start, end = gene.interval(offset, len(motif))
        strand = "-" if (gene.strand == "+") == reverse else "+"
        sites.append(
            Site(kind, gene.name, motif, start, end, strand, motif.match(site))
        )

    count = rng.choice(3, p=_SITE_COUNTS) + 1
    slots = rng.permutation(_SITE_SLOTS)[:count]
    for slot in sorted(int(slot) for slot in slots):
        library = activators(gene.family)
        motif = library[rng.integers(len(library))]
        offset = slot + int(rng.integers(0, 9))
        if gene.silent:
            plant("reversed_motif", motif, offset, reverse=True)
        else:
            plant("promoter_motif", motif, offset)
    if gene.silent:
        # A chance TATA box here would belie the planted truth.
        box = slice(PROMOTER + TATA_OFFSET, PROMOTER + TATA_OFFSET + len(TATA))
        unit[box] = rng.integers(1, 3, size=len(TATA))
    else:
        plant("tata", TATA, TATA_OFFSET)
    plant("initiator", INITIATOR, _INITIATOR_OFFSET)
    plant("terminator", TERMINATOR, gene.end - gene.start - len(TERMINATOR))

    start, end = gene.interval(-PROMOTER, unit.size)
    sequence[start:end] = unit if gene.strand == "+" else reverse_complement(unit)
    return sites


def _write_region(
    sequence: np.ndarray, region: Region, rng: np.random.Generator
) -> list[Site]:
    if region.kind == "enhancer":
        library = activators(region.family)
        count = int(rng.integers(3, 6))
        chosen = [library[i] for i in rng.integers(len(library), size=count)]
        planted = [("enhancer_motif", motif) for motif in chosen]
    else:
        planted = [("pioneer", PIONEER)] * int(rng.integers(1, 4))
    planted.append(("pioneer", PIONEER))
    planted = [planted[i] for i in rng.permutation(len(planted))]

    sites = []
    room = (region.end - region.start) // len(planted)
    for number, (kind, motif) in enumerate(planted):
        start = region.start + number * room
        start += int(rng.integers(0, room - len(motif) + 1))
        site = motif.sample(rng)
        reverse = rng.random() < 0.5
        sequence[start : start + len(motif)] = (
            reverse_complement(site) if reverse else site
        )
        sites.append(
            Site(
                kind,
                region.name,
                motif,
                start,
                start + len(motif),
                "-" if reverse else "+",
                motif.match(site),
            )
        )
    return sites
