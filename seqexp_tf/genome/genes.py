"""Genes and open reading frames of an annotation, on the contigs of a genome."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.annotation import read_annotation, sequence_regions
from seqexp_tf.genome.contigs import ContigNames

UTR_LENGTHS = (60, 150)
"""Bases of the 5' and 3' untranslated regions that ``with_utrs`` adds, as in yeast."""

_CODING = ("CDS", "stop_codon")
_SHOWN = 8


def annotation_of(
    path: str | Path, sizes: Mapping[str, int], *, contigs: Iterable[str]
) -> pd.DataFrame:
    """Reads a GFF3 or GTF file and puts it on the contigs of a genome.

    Args:
        path: the annotation, plain or gzip.
        sizes: contig -> length of the genome.
        contigs: those of ``sizes`` that the annotation has to cover, by a feature
            or by a ``##sequence-region`` line.

    Returns:
        The table of ``read_annotation`` for these contigs, named as in ``sizes``.

    Raises:
        InputError: what ``read_annotation`` refuses; a contig that the file lacks;
            the lengths of another assembly.
    """
    wanted = list(contigs)
    table = read_annotation(path)
    lengths = sequence_regions(path)
    own = dict.fromkeys([*lengths, *table.contig.unique()])
    resolver = ContigNames(sizes)
    names = {name: resolver.resolve(name, among=own) for name in own}
    missing = [name for name in wanted if name not in names.values()]
    # A file may declare the contigs of one genome and hold the features of another.
    foreign = not any(names[name] for name in table.contig.unique())
    if missing or foreign:
        raise InputError(
            f"{path}: no contig here is {_listing(missing or wanted)} of the dataset; "
            f"its features are on {_listing(list(table.contig.unique()))}; give the "
            "annotation of the same genome"
        )
    for name, length in lengths.items():
        expected = sizes.get(names[name] or "")
        if expected not in (None, length):
            raise InputError(
                f"{path}: contig {name!r} has {length:,} bases, but {names[name]} has "
                f"{expected:,} in the dataset; give the annotation of the same assembly"
            )
    table["contig"] = table.contig.map(names)
    table = table[table.contig.isin(wanted)].reset_index(drop=True)
    outside = table[table.end > table.contig.map(dict(sizes)).astype(float)]
    if len(outside):
        contig, end = outside.contig.iloc[0], outside.end.iloc[0]
        raise InputError(
            f"{path}: a feature ends at {contig}:{end:,}, but {contig} has "
            f"{sizes[contig]:,} bases; give the annotation of the same assembly"
        )
    return table


def open_reading_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the open reading frame of every coding transcript.

    It reaches from the first to the last coding base, introns included, and holds
    the stop codon where the file counts it as CDS (GFF3) or has it as a feature of
    its own (GTF).

    Args:
        table: what ``read_annotation`` returned.

    Returns:
        Columns contig, start, end (0-based half-open), strand, id (the transcript);
        in genome order.
    """
    coding = table[table.feature.isin(_CODING) & table.strand.isin(["+", "-"])]
    own = pd.Series(coding.index.astype(str), index=coding.index, dtype=object)
    key = coding.transcript_id
    for other in (coding.parent, coding.id, own):
        key = key.where(key.notna(), other)
    frames = (
        coding.assign(id=key)
        .groupby(["contig", "strand", "id"], sort=False)
        .agg(start=("start", "min"), end=("end", "max"))
        .reset_index()
    )
    order = ["contig", "start", "end", "strand", "id"]
    return frames[order].sort_values(order[:3], ignore_index=True)


def with_utrs(frames: pd.DataFrame) -> pd.DataFrame:
    """Returns reading frames widened by ``UTR_LENGTHS`` along their strand.

    Args:
        frames: contig, start, end (0-based half-open) and strand; others are kept.

    Returns:
        The same table; an end may lie past the end of its contig, a start at 0.
    """
    before, after = UTR_LENGTHS
    plus = frames.strand == "+"
    start = frames.start - plus.map({True: before, False: after})
    end = frames.end + plus.map({True: after, False: before})
    return frames.assign(start=start.clip(lower=0), end=end)


def gene_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns the genes of an annotation, or its reading frames where it has none.

    Args:
        table: what ``read_annotation`` returned.

    Returns:
        Columns contig, start, end (0-based half-open), strand (None if unknown) and
        label (the common name, else the identifier); in genome order.
    """
    # Sequence Ontology: gene, ncRNA_gene, pseudogene, transposable_element_gene...
    genes = table[table.feature.str.endswith("gene")]
    if genes.empty:
        genes = open_reading_frames(table).rename(columns={"id": "label"})
    else:
        label = genes.name
        for other in (genes.gene_id, genes.id):
            label = label.where(label.notna(), other)
        genes = genes.assign(label=label.where(label.notna(), ""))
    order = ["contig", "start", "end", "strand", "label"]
    return genes[order].sort_values(order[:3], ignore_index=True)


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
