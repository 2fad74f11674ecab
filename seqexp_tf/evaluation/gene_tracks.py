"""Windows, signals and channels of genes, out of the records of a dataset."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.evaluation.gene_masks import GeneWindow
from seqexp_tf.evaluation.rankings import Scale
from seqexp_tf.genome.contigs import nearest
from seqexp_tf.records.expression_details import (
    CONTACT,
    ExpressionDetails,
    SignalDetails,
)
from seqexp_tf.records.schema import Schema
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard

KIND = "expression"


@dataclass(frozen=True)
class GeneTracks:
    """What a record holds of every base, in the record's orientation.

    Attributes:
        signals: name -> float32 ``(window,)`` as stored; contact expanded, last.
        channels: name -> bool ``(window,)``.
    """

    signals: dict[str, np.ndarray]
    channels: dict[str, np.ndarray]


def require_genes(store: RecordStore) -> None:
    """Raises DatasetError unless a dataset has a gene a record."""
    if store.schema.kind != KIND:
        raise DatasetError(
            f"{store.folder}: a dataset of kind {store.schema.kind!r}; a model of "
            f"genes needs one of kind {KIND!r}: give it with --data"
        )


def gene_windows(store: RecordStore, split: str) -> list[GeneWindow]:
    """Returns the whole windows of a split's genes, in stored order."""
    table = store.windows(split)
    names = table.name.where(table.name.notna() & (table.name != ""), table.gene)
    columns = zip(
        *(table[name] for name in ("gene", "contig", "start", "end", "strand")),
        *(names, table.gene_strand, table.tss),
        strict=True,
    )
    return [
        GeneWindow(
            gene=gene,
            name=name,
            contig=contig,
            start=int(start),
            end=int(end),
            strand=strand,
            gene_strand=gene_strand,
            tss=int(tss),
            split=split,
        )
        for gene, contig, start, end, strand, name, gene_strand, tss in columns
    ]


def find_genes(
    store: RecordStore, names: Collection[str], *, splits: Collection[str]
) -> dict[str, set[int]]:
    """Returns the numbers of named genes by split, in stored order.

    Args:
        store: a dataset of genes.
        names: identifiers or common names.
        splits: where to look.

    Raises:
        InputError: a gene that is not there, with the nearest name.
    """
    found: dict[str, set[int]] = {}
    missing = set(names)
    known: dict[str, None] = {}
    for split in splits:
        for number, window in enumerate(gene_windows(store, split)):
            own = dict.fromkeys((window.name, window.gene))
            known |= own
            if own.keys() & set(names):
                found.setdefault(split, set()).add(number)
                missing -= own.keys()
    if missing:
        name = min(missing)
        raise InputError(
            f"gene {name!r}: {store.folder} has no such gene in "
            f"{', '.join(splits)}; {nearest(name, known)}"
        )
    return found


def read_tracks(
    store: RecordStore, split: str, *, chosen: Collection[int] | None = None
) -> Iterator[GeneTracks]:
    """Yields the tracks of each gene of a split, in stored order.

    Args:
        store: a dataset of genes.
        split: of the dataset.
        chosen: numbers of the records wanted, in stored order; None is all.

    Raises:
        DatasetError: a shard is damaged.
    """
    number = 0
    for path in store.paths(split):
        for record in read_shard(path, compression=store.schema.compression):
            if chosen is None or number in chosen:
                fields = store.decode(record, split=split, origin=path)
                yield _tracks(fields, store.schema)
            number += 1


def _tracks(fields: dict, schema: Schema) -> GeneTracks:
    signals, channels = (
        dict(zip(schema.by_name[name].tracks, fields[name], strict=True))
        if name in fields
        else {}
        for name in ("signals", "channels")
    )
    if CONTACT in fields:
        position = np.arange(schema.window) + int(fields["contact_offset"])
        signals[CONTACT] = fields[CONTACT][position // schema.expression.resolution]
    return GeneTracks(
        signals, {name: values.astype(bool) for name, values in channels.items()}
    )


def measured_scales(details: ExpressionDetails) -> dict[str, Scale]:
    """Returns what undoes the transform of each signal, and of contact.

    What was clipped stays so; a z-score without a logarithm is undone to the bigWig's
    own values.
    """
    scales: dict[str, Scale] = {
        signal.name: _undo(signal) for signal in details.signals
    }
    if "log10" in details.contact:
        scales[CONTACT] = lambda stored: 10.0**stored - 1
    return scales


def _undo(signal: SignalDetails) -> Scale:
    steps = [step.split()[0] for step in signal.transform.split(", ")]

    def undo(stored: np.ndarray) -> np.ndarray:
        for step in reversed(steps):
            if step == "zscore":
                stored = stored * signal.sd + signal.mean
            elif step == "log1p":
                stored = np.expm1(stored)
        return stored

    return undo
