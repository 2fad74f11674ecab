"""What variants change in the predicted expression of the genes around them.

Signals, features and contacts of a gene stay as the dataset has them; the DNA alone
changes. An indel moves what lies on its side of the TSS outwards or inwards, so that
the TSS stays where models expect it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.gene_masks import GeneWindow
from seqexp_tf.genome.alphabet import UNKNOWN, encode, reverse_complement
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.prediction.genes import GeneInputs, GenePredictor
from seqexp_tf.prediction.pieces import in_pieces
from seqexp_tf.prediction.reference import Reference

ALLELES_AT_ONCE = 1 << 16
"""Alleles whose genes are looked up together; a pass over the dataset each."""


@dataclass(frozen=True)
class GeneEffect:
    """One allele in the window of one gene.

    Attributes:
        allele: of the VCF.
        window: of the gene, as the model reads it.
        reference: predicted expression with the reference, in the unit of the target.
        alternative: likewise with the alternative.
    """

    allele: Allele
    window: GeneWindow
    reference: float
    alternative: float


def gene_effects(
    predictor: GenePredictor,
    reference: Reference,
    alleles: Iterable[tuple[str, Allele]],
    *,
    progress: Callable[[int], object] = lambda genes: None,
) -> Iterator[GeneEffect]:
    """Yields the effect of each allele on each gene in whose window it lies.

    Args:
        predictor: the model and its genes, of every split.
        reference: the genome, the one that the dataset was made from.
        alleles: contig, as the genome names it, and checked allele.
        progress: called with numbers of genes that are done.

    Yields:
        In the order of the alleles and, of one allele, of the dataset.

    Raises:
        InputError: the genome is not that of the dataset.
        RunError: see ``GenePredictor.ask``.
    """
    places = _Places(predictor, reference)
    for piece in in_pieces(alleles, ALLELES_AT_ONCE):
        hits = places.hits(piece)
        found: list[tuple[int, GeneEffect]] = []
        for split in predictor.store.splits:
            genes = hits.get(split, {})
            for gene, number in _chosen(predictor, split, genes):
                places.require_same_dna(gene)
                effects = _effects(
                    predictor,
                    reference,
                    places.contigs[gene.window.contig],
                    gene,
                    [piece[index][1] for index in genes[number]],
                )
                found += zip(genes[number], effects, strict=True)
                progress(1)
        found.sort(key=lambda item: item[0])
        yield from (effect for _, effect in found)


class _Places:
    """Where the genes of a dataset lie on a genome."""

    def __init__(self, predictor: GenePredictor, reference: Reference) -> None:
        self._reference = reference
        self._folder = predictor.store.folder
        sizes: Mapping[str, int] = predictor.store.manifest["contigs"]
        self.contigs = {}
        for name in sizes:
            contig = reference.contig(name, place=str(self._folder))
            if reference.sizes[contig] != sizes[name]:
                raise InputError(
                    f"{reference.path}: contig {contig!r} has "
                    f"{reference.sizes[contig]:,} bases, but {sizes[name]:,} in "
                    f"{self._folder}; give the genome the dataset was made from"
                )
            self.contigs[name] = contig
        self._windows: dict[str, tuple[np.ndarray, np.ndarray, list[tuple]]] = {}
        by_contig: dict[str, list[tuple[int, int, str, int]]] = {}
        for split in predictor.store.splits:
            for number, window in enumerate(predictor.windows(split)):
                entry = (window.start, window.end, split, number)
                by_contig.setdefault(self.contigs[window.contig], []).append(entry)
        for contig, entries in by_contig.items():
            starts, ends, *_ = zip(*entries, strict=True)
            self._windows[contig] = np.array(starts), np.array(ends), entries

    def hits(self, alleles: list[tuple[str, Allele]]) -> dict[str, dict[int, list]]:
        """Returns by split and number of a gene the alleles in its window."""
        found: dict[str, dict[int, list[int]]] = {}
        for index, (contig, allele) in enumerate(alleles):
            if contig not in self._windows:
                continue
            starts, ends, entries = self._windows[contig]
            first, replaced, _ = allele.trimmed()
            # What is put in lies between two bases, which both have to be inside.
            inside = (starts < first + len(replaced)) & (ends > first)
            for place in np.flatnonzero(inside).tolist():
                _, _, split, number = entries[place]
                found.setdefault(split, {}).setdefault(number, []).append(index)
        return found

    def require_same_dna(self, gene: GeneInputs) -> None:
        """Raises InputError unless the genome has the DNA that the dataset stores."""
        window = gene.window
        contig = self.contigs[window.contig]
        dna = _oriented(window, self._reference.fetch(contig, window.start, window.end))
        differs = (dna != gene.dna) & (dna != UNKNOWN) & (gene.dna != UNKNOWN)
        if differs.any():
            raise InputError(
                f"{self._reference.path}: the window of gene {window.gene} differs "
                f"from that of {self._folder} at {np.count_nonzero(differs):,} bases; "
                "give the genome the dataset was made from"
            )


def alternative_dna(
    reference: Reference, contig: str, window: GeneWindow, allele: Allele
) -> np.ndarray:
    """Returns a gene's window with an alternative allele, uint8 ``(window,)``.

    An allele left of the TSS moves what lies to its left, any other what lies to its
    right; what moves in comes from the genome, N outside the contig. The result is in
    the orientation of the window.

    Args:
        reference: the genome.
        contig: as it names it.
        window: of a gene.
        allele: one that touches the window.
    """
    first, replaced, inserted = allele.trimmed()
    last = first + len(replaced)
    bases = encode(inserted)
    room = len(replaced)
    if last <= window.tss:
        left = reference.fetch(contig, window.start - room, first)
        right = reference.fetch(contig, last, window.end)
        dna = np.concatenate([left, bases, right])[-len(window) :]
    else:
        left = reference.fetch(contig, window.start, first)
        right = reference.fetch(contig, last, window.end + room)
        dna = np.concatenate([left, bases, right])[: len(window)]
    return _oriented(window, dna)


def _chosen(
    predictor: GenePredictor, split: str, genes: Mapping[int, list]
) -> Iterator[tuple[GeneInputs, int]]:
    if genes:
        found = predictor.genes(split, chosen=genes)
        yield from zip(found, sorted(genes), strict=True)


def _effects(
    predictor: GenePredictor,
    reference: Reference,
    contig: str,
    gene: GeneInputs,
    alleles: list[Allele],
) -> Iterator[GeneEffect]:
    before = None
    for piece in in_pieces(alleles, max(predictor.batch_size - 1, 1)):
        changed = [
            replace(gene, dna=alternative_dna(reference, contig, gene.window, allele))
            for allele in piece
        ]
        # The reference goes along once, so that both are computed in one batch.
        asked = changed if before is not None else [gene, *changed]
        expression = predictor.ask(asked)[0].tolist()
        if before is None:
            before, *expression = expression
        for allele, after in zip(piece, expression, strict=True):
            yield GeneEffect(allele, gene.window, before, after)


def _oriented(window: GeneWindow, dna: np.ndarray) -> np.ndarray:
    return dna if window.strand == "+" else reverse_complement(dna)
