"""Train, validation and test: whole contigs, folds of contigs, or intervals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.contigs import nearest
from seqexp_tf.genome.files import text_lines

NAMES = ("train", "validation", "test")
WHOLE = np.iinfo(np.int64).max
"""End of an interval that reaches to the end of its contig."""

_STEPS = 2000
_CANDIDATES = 1000

Resolve = Callable[[str], str | None]


@dataclass(frozen=True)
class Splits:
    """Which part of the genome belongs to which split.

    Attributes:
        intervals: contig -> (start, end, split), 0-based half-open, sorted and
            disjoint; `WHOLE` as end stands for the end of the contig.
    """

    intervals: Mapping[str, tuple[tuple[int, int, str], ...]]

    @property
    def assignment(self) -> dict[str, str]:
        """Contig -> split, for the contigs that lie in one split as a whole."""
        return {
            contig: parts[0][2]
            for contig, parts in self.intervals.items()
            if len(parts) == 1 and parts[0][:2] == (0, WHOLE)
        }

    def contigs(self, split: str) -> list[str]:
        """The contigs of which at least a part is in ``split``."""
        return [
            contig
            for contig, parts in self.intervals.items()
            if any(part[2] == split for part in parts)
        ]

    def assign(self, windows: pd.DataFrame) -> tuple[np.ndarray, dict[str, int]]:
        """Gives each window the split it lies wholly inside.

        Args:
            windows: columns contig, start, end (0-based half-open).

        Returns:
            Split names, object (len(windows),), None where dropped; and reason ->
            number of windows dropped for it.
        """
        names = np.full(len(windows), None, dtype=object)
        crossing = np.zeros(len(windows), dtype=bool)
        begin, end = windows["start"].to_numpy(), windows["end"].to_numpy()
        for contig, rows in windows.groupby("contig", sort=False).indices.items():
            parts = self.intervals.get(contig)
            if not parts:
                continue
            starts, ends = (np.array([part[i] for part in parts]) for i in (0, 1))
            splits = np.array([part[2] for part in parts], dtype=object)
            # The last part that starts before the window ends is the only one which
            # can hold the whole window.
            part = np.searchsorted(starts, end[rows], side="left") - 1
            touches = (part >= 0) & (ends[part] > begin[rows])
            inside = touches & (starts[part] <= begin[rows]) & (ends[part] >= end[rows])
            names[rows[inside]] = splits[part[inside]]
            crossing[rows] = touches & ~inside
        dropped = {
            "crosses a split border": int(crossing.sum()),
            "in no split": int(sum(name is None for name in names) - crossing.sum()),
        }
        return names, {reason: count for reason, count in dropped.items() if count}


def _whole_contigs(chosen: Mapping[str, Sequence[str]], order: Sequence[str]) -> Splits:
    """Splits of whole contigs, in the order of the genome; none may be empty."""
    of = {contig: split for split, contigs in chosen.items() for contig in contigs}
    for split, contigs in chosen.items():
        if not contigs:
            raise ConfigError(
                f"split {split!r} gets no contig of {len(order)}; name its contigs in "
                "[splits] of the recipe, use fewer folds, or split by intervals"
            )
    return Splits({name: ((0, WHOLE, of[name]),) for name in order if name in of})


def split_by_contig(
    sizes: Mapping[str, int],
    *,
    train: Sequence[str] | None = None,
    validation: Sequence[str] | None = None,
    test: Sequence[str] | None = None,
    validation_fraction: float | None = 0.1,
    test_fraction: float | None = 0.1,
    resolve: Resolve | None = None,
) -> Splits:
    """Puts whole contigs into train, validation and test.

    Where test or validation contigs are not named, they are chosen, test first, among
    the contigs left: the set whose length comes nearest the wanted fraction of all
    bases (to about 1/2000 of it; of equally near sets the one with fewer contigs),
    never the largest contig left. No chance is involved. Where train is not named it
    takes the rest; where it is, contigs that nobody takes are in no split.

    Args:
        sizes: contig -> length in bases.
        train: contig names, or None for the rest.
        validation: contig names, or None to choose by ``validation_fraction``.
        test: contig names, or None to choose by ``test_fraction``.
        validation_fraction: wanted share of all bases; None for no such split.
        test_fraction: likewise.
        resolve: turns any spelling of a contig into its name in ``sizes``, or None.

    Raises:
        ConfigError: unknown contig, a contig in two splits, a fraction outside (0, 1),
            fractions that leave nothing to train on, or a split left empty.
    """
    named = {"train": train, "validation": validation, "test": test}
    fractions = {"test": test_fraction, "validation": validation_fraction}
    taken: dict[str, str] = {}
    for split, contigs in named.items():
        for text in contigs or ():
            name = resolve(text) if resolve else text
            if name is None or name not in sizes:
                raise ConfigError(
                    f"split {split!r}: no contig {text!r}; {nearest(text, sizes)}"
                )
            if name in taken:
                raise ConfigError(
                    f"contig {name!r} is in split {taken[name]!r} and again in "
                    f"{split!r}; a contig belongs to one"
                )
            taken[name] = split
    absent = []
    to_choose = [
        split
        for split, fraction in fractions.items()
        if named[split] is None and fraction is not None
    ]
    for split in to_choose:
        if not 0 < fractions[split] < 1:
            raise ConfigError(
                f"{split}_fraction = {fractions[split]}: expected between 0 and 1"
            )
    if train is None and sum(fractions[split] for split in to_choose) >= 1:
        raise ConfigError(
            f"test_fraction = {test_fraction}, validation_fraction = "
            f"{validation_fraction}: together they must be less than 1, for the rest "
            "is trained on"
        )
    for split, fraction in fractions.items():
        if split in to_choose:
            reserve = len(to_choose) - 1 - to_choose.index(split)
            left = {name: size for name, size in sizes.items() if name not in taken}
            if left and (train is None or len(left) > reserve + 1):
                del left[max(left, key=left.__getitem__)]
            target = fraction * sum(sizes.values())
            for name in _nearest_subset(left, target, keep=reserve):
                taken[name] = split
        elif named[split] is None:
            absent.append(split)
    if train is None:
        for name in sizes:
            taken.setdefault(name, "train")
    chosen = {
        split: [name for name, owner in taken.items() if owner == split]
        for split in NAMES
        if split not in absent
    }
    return _whole_contigs(chosen, list(sizes))


def _nearest_subset(
    lengths: Mapping[str, int], target: float, *, keep: int
) -> list[str]:
    """Contigs whose total length is nearest ``target``, leaving at least ``keep``.

    The nearer of two answers: a subset sum on rounded lengths, best for a few large
    contigs, and longest-first filling, best for very many small ones.
    """
    order = sorted(lengths, key=lambda name: (-lengths[name], name))
    if len(order) <= keep:
        return []
    filled: list[str] = []
    total = 0
    for name in order:
        if total + lengths[name] <= target and len(filled) < len(order) - keep:
            filled.append(name)
            total += lengths[name]
    single = min(order, key=lambda name: abs(lengths[name] - target))
    summed = _subset_sum(lengths, order[:_CANDIDATES], target, len(order) - keep)
    answers = [answer for answer in (summed, filled, [single]) if answer]
    return min(
        answers,
        key=lambda names: (
            abs(sum(lengths[name] for name in names) - target),
            len(names),
        ),
    )


def _subset_sum(
    lengths: Mapping[str, int], order: Sequence[str], target: float, most: int
) -> list[str]:
    """At most ``most`` contigs nearest ``target``, or none where none comes near.

    Lengths are rounded to ``target / _STEPS``; dynamic programming over the fewest
    contigs that make each total.
    """
    limit = 2 * _STEPS
    needed = np.full(limit + 1, np.inf)
    needed[0] = 0
    used = np.zeros((len(order), limit + 1), dtype=bool)
    steps = [round(lengths[name] * _STEPS / target) for name in order]
    for row, step in enumerate(steps):
        if 0 < step <= limit:
            with_it = np.full(limit + 1, np.inf)
            with_it[step:] = needed[: limit + 1 - step] + 1
            used[row] = with_it < needed
            needed = np.minimum(needed, with_it)
    totals = np.flatnonzero(needed <= most)[1:]
    if not totals.size:
        return []
    distance = np.abs(totals - _STEPS)
    total = int(totals[np.lexsort((needed[totals], distance))[0]])
    chosen = []
    for row in reversed(range(len(order))):
        if used[row, total]:
            chosen.append(order[row])
            total -= steps[row]
    return chosen


def folds(sizes: Mapping[str, int], *, k: int, fold: int) -> Splits:
    """Splits whole contigs by one of k folds of about equal length.

    Contigs go, longest first, to the fold with the fewest bases so far (longest
    processing time rule). Fold ``fold`` is test, the next one (cyclic) validation and
    the others train, so that over all k folds each contig is tested once.

    Raises:
        ConfigError: k below 3, fold outside 0 to k - 1, fewer contigs than folds.

    Reference: Graham 1969, doi:10.1137/0117039.
    """
    if k < 3:
        raise ConfigError(
            f"splits.folds is {k}; it must be 3 or more: train, validation, test"
        )
    if not 0 <= fold < k:
        raise ConfigError(f"splits.fold is {fold}; it must be from 0 to {k - 1}")
    if len(sizes) < k:
        raise ConfigError(f"splits.folds is {k}; there are only {len(sizes)} contigs")
    bases = [0] * k
    members: list[list[str]] = [[] for _ in range(k)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        lightest = min(range(k), key=lambda index: (bases[index], index))
        members[lightest].append(name)
        bases[lightest] += sizes[name]
    following = (fold + 1) % k
    rest = [members[index] for index in range(k) if index not in (fold, following)]
    chosen = {
        "train": [name for group in rest for name in group],
        "validation": members[following],
        "test": members[fold],
    }
    return _whole_contigs(chosen, list(sizes))


def split_from_file(path: str | Path, *, resolve: Resolve | None = None) -> Splits:
    """Reads splits from a TSV: contig, split, or (BED) contig, start, end, split.

    Starts are 0-based, ends exclusive. Comment lines and a heading that begins with
    ``contig`` or ``chrom`` are skipped; touching intervals of one split are joined.

    Args:
        path: the file, plain or gzip.
        resolve: turns any spelling of a contig into the reference's, or None.

    Raises:
        ConfigError: a malformed line, unknown split or contig, or overlapping
            intervals of different splits.
        InputError: an unreadable file.
    """
    found: dict[str, list[tuple[int, int, str]]] = {}
    for number, line in text_lines(path):
        fields = line.split()
        if not fields or line.startswith("#") or fields[0] in ("contig", "chrom"):
            continue
        contig, part = _split_row(f"{path}: line {number}", fields, resolve)
        found.setdefault(contig, []).append(part)
    if not found:
        raise ConfigError(f"{path}: no split in it; expected CONTIG [START END] SPLIT")
    return Splits(
        {contig: _joined(path, contig, parts) for contig, parts in found.items()}
    )


def _split_row(
    where: str, fields: list[str], resolve: Resolve | None
) -> tuple[str, tuple[int, int, str]]:
    if len(fields) not in (2, 4):
        raise ConfigError(
            f"{where}: {len(fields)} columns, expected CONTIG SPLIT or CONTIG START "
            "END SPLIT"
        )
    contig = resolve(fields[0]) if resolve else fields[0]
    if contig is None:
        raise ConfigError(f"{where}: no contig {fields[0]!r} in the genome")
    split = fields[-1]
    if split not in NAMES:
        raise ConfigError(f"{where}: split {split!r}: expected {', '.join(NAMES)}")
    start, end = 0, WHOLE
    if len(fields) == 4:
        if not (fields[1].isdecimal() and fields[2].isdecimal()):
            raise ConfigError(
                f"{where}: start {fields[1]!r} and end {fields[2]!r} must be whole "
                "numbers"
            )
        start, end = int(fields[1]), int(fields[2])
        if start >= end:
            raise ConfigError(
                f"{where}: start {start}, end {end}: expected start < end"
            )
    return contig, (start, end, split)


def _joined(
    path: str | Path, contig: str, parts: list[tuple[int, int, str]]
) -> tuple[tuple[int, int, str], ...]:
    joined: list[tuple[int, int, str]] = []
    for start, end, split in sorted(parts):
        if joined and start <= joined[-1][1]:
            before = joined[-1]
            if split == before[2]:
                joined[-1] = (before[0], max(before[1], end), split)
                continue
            if start < before[1]:
                raise ConfigError(
                    f"{path}: {contig}:{start} (0-based) is in {before[2]!r} and in "
                    f"{split!r}; intervals of different splits must not overlap"
                )
        joined.append((start, end, split))
    return tuple(joined)
