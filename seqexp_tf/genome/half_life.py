"""The eight mRNA half-life features of a gene, from its structure and its DNA."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import UNKNOWN, decode, reverse_complement
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.fasta import PackedGenome

FEATURES = (
    "UTR5LEN_log10",
    "CDSLEN_log10",
    "INTRONLEN_log10",
    "UTR3LEN_log10",
    "UTR5GC",
    "CDSGC",
    "UTR3GC",
    "ORFEXONDENSITY",
)

PSEUDOCOUNT = 0.1
"""Added to a length in bases before its logarithm, so that zero is defined."""

_CODING = ("CDS", "stop_codon")
_UTRS = ("five_prime_UTR", "three_prime_UTR", "five_prime_utr", "three_prime_utr")
_PARTS = (*_CODING, *_UTRS, "UTR", "5UTR", "3UTR", "exon")


def half_life_features(
    annotation: pd.DataFrame,
    genome: PackedGenome,
    *,
    genes: Sequence[str] | None = None,
    path: str | Path = "annotation",
) -> pd.DataFrame:
    """Computes the features of the transcript with the longest CDS of each gene.

    Lengths are ``log10(bases + 0.1)`` of the 5' UTR, the coding sequence (stop codon
    included), all introns of the transcript together, and the 3' UTR, not yet
    standardised; the coding sequence is every exonic base from the first to the last
    coding one. GC is the share of G and C among the known bases. The density
    is the number of exons that hold coding bases per 1,000 bases of CDS, that is
    (exon junctions within the reading frame + 1) / kb.

    Nothing is NaN: an absent UTR or intron has length 0, hence -1 as logarithm, and
    an absent or wholly unknown (N) region has GC 0. Pseudocount, zero GC and density
    are those of the table published with EPInformer and Seq2Exp, where intronless
    FOXC1 (CDS of 1,662 bases) has density 0.6 = 1 / 1.662 kb. Where the annotation
    has no UTRs at all, as that of yeast at Ensembl, the UTR columns are constant.

    Where a transcript has no exon features, its CDS and UTR features, with the outer
    ones drawn out to the ends of the transcript, stand for them.

    Args:
        annotation: what ``read_annotation`` returned; contigs in any spelling.
        genome: the DNA; features on contigs that it lacks are ignored.
        genes: identifiers wanted, in this order; every gene with a CDS if None.
        path: the file of the annotation, for messages.

    Returns:
        gene, transcript, then ``FEATURES`` (float64); a row a gene.

    Raises:
        InputError: no CDS at all, a wanted gene that has none, or a feature that
            ends outside its contig.

    Reference:
        Su et al., Seq2Exp, ICLR 2025, appendix A.3; Agarwal & Shendure, Cell Reports
        2020, doi:10.1016/j.celrep.2020.107663; Spies et al., Genome Research 2013,
        doi:10.1101/gr.156919.113.
    """
    table = _on_genome(annotation, genome, path)
    parts = _by_transcript(table)
    coding = parts[parts.feature.isin(_CODING)]
    if not (coding.feature == "CDS").any():
        raise InputError(
            f"{path}: no CDS on the contigs of the genome; give an annotation with "
            "coding sequences, or take the features from the genes table"
        )
    chosen = _longest(coding)
    wanted = list(chosen) if genes is None else list(genes)
    for gene in wanted:
        if gene not in chosen:
            raise InputError(
                f"{path}: gene {gene!r} has no CDS; {nearest(gene, chosen)}; leave it "
                "out, or take the features from the genes table"
            )
    keys = [chosen[gene] for gene in wanted]
    rows = parts.groupby(["contig", "strand", "key"], sort=False).indices
    spans = parts[["start", "end"]].to_numpy(np.int64)
    kinds = parts.feature.to_numpy()
    values = [
        _features(key[0], key[1], kinds[rows[key]], spans[rows[key]], genome)
        for key in keys
    ]
    result = pd.DataFrame(
        np.array(values).reshape(-1, len(FEATURES)), columns=list(FEATURES)
    )
    result.insert(0, "transcript", pd.Series([key[2] for key in keys], dtype=object))
    result.insert(0, "gene", pd.Series(wanted, dtype=object))
    return result


def _on_genome(
    annotation: pd.DataFrame, genome: PackedGenome, path: str | Path
) -> pd.DataFrame:
    own = list(annotation.contig.unique())
    resolver = ContigNames(genome.sizes)
    names = {name: resolver.resolve(name, among=own) for name in own}
    table = annotation.assign(contig=annotation.contig.map(names))
    table = table[table.contig.notna() & table.strand.isin(["+", "-"])]
    outside = table[table.end > table.contig.map(genome.sizes)]
    if len(outside):
        contig, end = outside.contig.iloc[0], outside.end.iloc[0]
        raise InputError(
            f"{path}: a feature ends at {contig}:{end:,}, but {contig} has "
            f"{genome.sizes[contig]:,} bases; give the annotation of the same assembly"
        )
    return table


def _by_transcript(table: pd.DataFrame) -> pd.DataFrame:
    """Parts of transcripts and the transcripts themselves, keyed by transcript.

    A part that names several parents, as in GFF3, is there once for each.
    """
    parts = table[table.feature.isin(_PARTS)]
    key = parts.parent
    for other in (parts.transcript_id, parts.gene_id, parts.id):
        key = key.where(key.notna(), other)
    parts = parts.assign(key=key.fillna("").str.split(",")).explode("key")
    whole = table[table.id.isin(parts.key) & ~table.feature.isin(_PARTS)]
    whole = whole.assign(key=whole.id, feature="transcript")
    return pd.concat([parts, whole])


def _longest(coding: pd.DataFrame) -> dict[str, tuple[str, str, str]]:
    """Gene -> (contig, strand, transcript) of most coding bases, first on a tie."""
    gene = coding.gene_id.where(coding.gene_id.notna(), coding.key)
    sums = (
        coding.assign(gene=gene, length=coding.end - coding.start)
        .groupby(["gene", "contig", "strand", "key"], sort=False)["length"]
        .sum()
        .reset_index()
    )
    order = sums.sort_values("length", ascending=False, kind="stable")
    best = order.drop_duplicates("gene").sort_index()
    keys = zip(best.contig, best.strand, best.key, strict=True)
    return dict(zip(best.gene, keys, strict=True))


def _features(
    contig: str,
    strand: str,
    kinds: np.ndarray,
    spans: np.ndarray,
    genome: PackedGenome,
) -> list[float]:
    coding = np.isin(kinds, _CODING)
    exon, whole = kinds == "exon", kinds == "transcript"
    exons = _union(spans[exon | coding] if exon.any() else spans[~whole])
    if not exon.any() and whole.any():
        exons[0, 0] = min(exons[0, 0], spans[whole, 0].min())
        exons[-1, 1] = max(exons[-1, 1], spans[whole, 1].max())
    span, lengths = exons[-1, 1] - exons[0, 0], exons[:, 1] - exons[:, 0]
    mrna = np.concatenate([genome.fetch(contig, *exon) for exon in exons.tolist()])
    # Where the coding bases begin and end, and the exons do, along the mRNA.
    first, last = (
        int(np.clip(edge - exons[:, 0], 0, lengths).sum())
        for edge in (spans[coding, 0].min(), spans[coding, 1].max())
    )
    borders = np.cumsum(lengths)
    if strand == "-":
        mrna = reverse_complement(mrna)
        first, last = mrna.size - last, mrna.size - first
        borders = mrna.size - borders
    # GTF, and GFF3 made from it, leaves the stop codon out of the CDS.
    if not _is_stop(mrna[last - 3 : last]) and _is_stop(mrna[last : last + 3]):
        last += 3
    cds = last - first
    coding_exons = 1 + int(np.count_nonzero((borders > first) & (borders < last)))
    bases = np.array([first, cds, span - mrna.size, mrna.size - last])
    return [
        *np.log10(bases + PSEUDOCOUNT),
        *(_gc(part) for part in np.split(mrna, [first, last])),
        1000 * coding_exons / cds,
    ]


def _is_stop(codon: np.ndarray) -> bool:
    return decode(codon) in ("TAA", "TAG", "TGA")


def _union(spans: np.ndarray) -> np.ndarray:
    """Merges intervals that overlap or touch; ascending int64 ``(n, 2)``."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    ends = np.maximum.accumulate(spans[:, 1])
    new = np.flatnonzero(np.concatenate([[True], spans[1:, 0] > ends[:-1]]))
    last = np.append(new[1:], len(spans)) - 1
    return np.stack([spans[new, 0], ends[last]], axis=1)


def _gc(bases: np.ndarray) -> float:
    known = np.count_nonzero(bases != UNKNOWN)
    return np.count_nonzero((bases == 1) | (bases == 2)) / known if known else 0.0
