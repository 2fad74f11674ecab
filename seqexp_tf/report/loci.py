"""Which regions a report opens."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.records.regions import Region, find_region, read_slice
from seqexp_tf.records.store import RecordStore

EXAMPLES: dict[str, int] = {
    "chrIV:1,468,900-1,469,900": 1_531_933,
    "chrIX:47,250-48,250": 439_888,
}
"""The example loci of *S. cerevisiae* (R64), with the length of their contig, by
which the genome is known."""

_LENGTH = 1_000
_DRAWN = 2
_TRIED = 50


@dataclass(frozen=True, kw_only=True)
class Locus:
    """A region with the reason why it is shown.

    Attributes:
        region: where it lies.
        origin: for the reader, such as "example locus, test split".
    """

    region: Region
    origin: str


def choose_loci(store: RecordStore, texts: Sequence[str], *, split: str) -> list[Locus]:
    """Returns the example loci, or a draw where there are none, then those asked for.

    The draw has a fixed seed and takes windows of the split, cut to their middle
    thousand bases, in which a measured border lies in the middle half; it knows the
    labels alone, never how well a model does.

    Args:
        store: the dataset.
        texts: regions as a browser writes them, 1-based inclusive.
        split: where to draw from.

    Raises:
        InputError: a text is no region of the dataset, or of more than a window.
        DatasetError: no window lies on a region.
    """
    asked = [_checked(store, text) for text in texts]
    chosen = [(region, "example locus") for region in _examples(store)]
    if not chosen:
        chosen = [(region, "drawn") for region in _draw(store, split)]
    known = {region for region, _ in chosen}
    chosen += [
        (region, "asked for") for region in dict.fromkeys(asked) if region not in known
    ]
    return [
        Locus(region=region, origin=f"{why}, {_split_of(store, region)}")
        for region, why in chosen
    ]


def _checked(store: RecordStore, text: str) -> Region:
    region = find_region(store, text)
    window = store.schema.window
    if len(region) > window:
        raise InputError(
            f"region {region}: {len(region):,} bases, more than the model's window "
            f"of {window:,}; choose a shorter one"
        )
    read_slice(store, region)
    return region


def _examples(store: RecordStore) -> list[Region]:
    found = []
    for text, length in EXAMPLES.items():
        try:
            region = _checked(store, text)
        except (InputError, DatasetError):
            continue
        if store.manifest["contigs"][region.contig] == length:
            found.append(region)
    return found


def _draw(store: RecordStore, split: str) -> list[Region]:
    table = store.windows(split).drop_duplicates(["contig", "start", "end"])
    order = np.random.default_rng(0).permutation(len(table))[:_TRIED]
    with_border: list[Region] = []
    others: list[Region] = []
    for row in table.iloc[order].itertuples():
        cut = max(row.end - row.start - _LENGTH, 0) // 2
        region = Region(row.contig, row.start + cut, row.end - cut)
        if any(_touch(region, other) for other in with_border):
            continue
        (with_border if _has_border(store, region) else others).append(region)
        if len(with_border) == _DRAWN:
            break
    return with_border or others[:_DRAWN]


def _has_border(store: RecordStore, region: Region) -> bool:
    quarter = len(region) // 4
    middle = Region(region.contig, region.start + quarter, region.end - quarter)
    genome = read_slice(store, middle)
    return bool(genome.valid.all() and (np.diff(genome.expression) != 0).any())


def _touch(one: Region, other: Region) -> bool:
    return (
        one.contig == other.contig and one.start < other.end and other.start < one.end
    )


def _split_of(store: RecordStore, region: Region) -> str:
    """Names the splits whose windows lie on a region: a model has seen ``train``."""
    table = store.windows()
    here = table[
        (table.contig == region.contig)
        & (table.start < region.end)
        & (table.end > region.start)
    ]
    found = set(here.split)
    return " and ".join(name for name in store.splits if name in found) + " split"
