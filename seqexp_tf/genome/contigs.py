"""Contig names in every spelling, and the check that all inputs agree on them."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqexp_tf.errors import InputError

_MITOCHONDRION = {"m", "mt", "mito", "mtdna", "mitochondrion"}
_ROMAN = re.compile(r"(X{0,3})(IX|IV|V?I{0,3})")
_REFSEQ = re.compile(r"NC_(\d{6})(?:\.\d+)?")

_LISTED = 5
"""Options that a message names where none is like the one given."""

_Key = tuple[str, str | int]


def nearest(name: str, options: Iterable[str]) -> str:
    """Returns the end of an error message: the options most like ``name``."""
    options = list(options)
    close = difflib.get_close_matches(name, options, n=3, cutoff=0.5)
    close = close or [one for one in options if one.lower() == name.lower()]
    if close:
        return "nearest: " + ", ".join(close)
    if len(options) > _LISTED:
        return f"it has {', '.join(options[:_LISTED])}, ... ({len(options)} in all)"
    return f"it has {', '.join(options)}" if options else "there are none"


def _body(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def _roman(text: str) -> int | None:
    """Value of an upper-case numeral 1 to 39 (letters I, V, X), else None."""
    match = _ROMAN.fullmatch(text)
    if not text or match is None:
        return None
    tens, units = match.groups()
    values = {"IX": 9, "IV": 4}
    ones = values.get(units, 5 * units.count("V") + units.count("I"))
    return 10 * len(tens) + ones


def _refseq(name: str) -> tuple[str, _Key] | None:
    """Organism and key of a human or yeast RefSeq chromosome accession."""
    match = _REFSEQ.fullmatch(name)
    if match is None:
        return None
    number = int(match.group(1))
    if 1133 <= number <= 1148:
        return "yeast", ("number", number - 1132)
    if 1 <= number <= 22:
        return "human", ("number", number)
    others: dict[int, tuple[str, _Key]] = {
        23: ("human", ("name", "X")),
        24: ("human", ("name", "Y")),
        12920: ("human", ("mitochondrion", "")),
        1224: ("yeast", ("mitochondrion", "")),
    }
    return others.get(number)


def _x_is_ten(names: Iterable[str]) -> bool:
    """Whether X means ten among these names.

    It does where another numeral above five appears: I to V with X alone is a worm
    with a sex chromosome.
    """
    for name in names:
        accession = _refseq(name)
        if accession is not None and accession[0] == "yeast":
            return True
        body = _body(name)
        if body != "X" and (_roman(body) or 0) > 5:
            return True
    return False


def _key(name: str, *, x_is_ten: bool) -> _Key:
    """What a name means, the same for every spelling of it."""
    accession = _refseq(name)
    if accession is not None:
        return accession[1]
    body = _body(name)
    if body.lower() in _MITOCHONDRION:
        return ("mitochondrion", "")
    if body.isascii() and body.isdigit():
        return ("number", int(body))
    value = _roman(body)
    if value is not None and (body != "X" or x_is_ten):
        return ("number", value)
    return ("name", body)


class ContigNames:
    """The contigs of a reference, found under any usual spelling.

    Tried in this order: the exact name; a user alias; then, whatever the ``chr``
    prefix (any case), Arabic and Roman numerals (``4``, ``chr4``, ``IV``), the
    spellings of the mitochondrion (M, MT, Mito) and the RefSeq accessions of human
    and S. cerevisiae chromosomes, with or without version. X is read as ten only
    where the reference, or the file the name comes from, counts in Roman numerals
    beyond five; so human chrX never becomes chr10.

    Args:
        sizes: reference contig name -> length in bases; order is kept.
        aliases: other name -> reference name.

    Raises:
        InputError: an alias points to a name that the reference lacks.
    """

    def __init__(
        self, sizes: Mapping[str, int], aliases: Mapping[str, str] | None = None
    ) -> None:
        self.sizes = dict(sizes)
        self.aliases = dict(aliases or {})
        for alias, name in self.aliases.items():
            if name not in self.sizes:
                raise InputError(
                    f"contig alias {alias!r} = {name!r}: the reference has no contig "
                    f"{name!r}; {nearest(name, self.sizes)}"
                )
        self._x_is_ten = _x_is_ten(self.sizes)
        self._by_key: dict[_Key, str | None] = {}
        for name in self.sizes:
            key = _key(name, x_is_ten=self._x_is_ten)
            # Two reference names of one meaning are found by exact name only.
            self._by_key[key] = None if key in self._by_key else name
        self._organism = self._guess_organism()

    def _guess_organism(self) -> str | None:
        accessions = {found[0] for found in map(_refseq, self.sizes) if found}
        if accessions:
            return accessions.pop() if len(accessions) == 1 else None
        if self._x_is_ten:
            return "yeast"
        keys = self._by_key
        sexual = ("name", "X") in keys or ("name", "Y") in keys
        if sexual or any(("number", number) in keys for number in range(17, 23)):
            return "human"
        return None

    def resolve(self, name: str, *, among: Iterable[str] = ()) -> str | None:
        """Returns the reference name of ``name``, or None where there is none.

        Args:
            name: a contig name in any spelling.
            among: the names of the file it comes from, which tell what X means.
        """
        if name in self.sizes:
            return name
        if name in self.aliases:
            return self.aliases[name]
        accession = _refseq(name)
        if accession is not None and self._organism not in (None, accession[0]):
            return None
        key = _key(name, x_is_ten=self._x_is_ten or _x_is_ten(among))
        return self._by_key.get(key)


@dataclass(frozen=True)
class ContigInput:
    """The contigs of one input file.

    Attributes:
        label: what the file is, for example ``coverage.plus``.
        path: the file.
        sizes: own contig name -> length, or None where the format has no lengths.
    """

    label: str
    path: Path
    sizes: Mapping[str, int | None]


@dataclass(frozen=True)
class Preflight:
    """Contigs on which all inputs agree.

    Attributes:
        sizes: usable reference contigs and their lengths, in reference order.
        names: input label -> {reference contig: name in that input}.
        dropped: wanted reference contig -> why it is left out.
        missing: input label -> wanted reference contigs which it lacks.
        extra: input label -> own names which the reference lacks.
        counts: input label -> number of contigs in that input.
        paths: input label -> file.
    """

    sizes: dict[str, int]
    names: dict[str, dict[str, str]]
    dropped: dict[str, str]
    missing: dict[str, tuple[str, ...]]
    extra: dict[str, tuple[str, ...]]
    counts: dict[str, int]
    paths: dict[str, Path]

    def table(self) -> str:
        """Returns a text table: a row an input, contigs used, missing and extra."""
        rows = [("input", "file", "contigs", "used", "missing", "extra")]
        for label, path in self.paths.items():
            rows.append(
                (
                    label,
                    path.name,
                    str(self.counts[label]),
                    str(len(self.names[label])),
                    _listing(self.missing[label]),
                    _listing(self.extra[label]),
                )
            )
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = (
            "  ".join(
                cell.ljust(width) for cell, width in zip(row, widths, strict=True)
            )
            for row in rows
        )
        return "\n".join(line.rstrip() for line in lines)


def _listing(names: Sequence[str], limit: int = 5) -> str:
    if not names:
        return "-"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _match(resolver: ContigNames, source: ContigInput) -> dict[str, str]:
    """Maps reference contig -> own name for every own name that resolves."""
    matched: dict[str, str] = {}
    # The evidence about X is the same for all names: gathered once for big files.
    evidence = ("VI",) if _x_is_ten(source.sizes) else ()
    for own in source.sizes:
        name = resolver.resolve(own, among=evidence)
        if name is None:
            continue
        if name in matched:
            raise InputError(
                f"{source.path}: {matched[name]!r} and {own!r} both mean contig "
                f"{name!r}; a file must name each contig once"
            )
        matched[name] = own
    return matched


def preflight(
    reference: ContigInput,
    others: Sequence[ContigInput],
    *,
    contigs: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    on_missing: Literal["error", "drop"] = "error",
) -> Preflight:
    """Checks that every input has the wanted contigs, with the same lengths.

    Args:
        reference: the genome; its names become the names used everywhere.
        others: every other input.
        contigs: the contigs wanted, in any spelling; all of the reference if None.
        aliases: other name -> reference name, for names no rule covers.
        on_missing: what to do about a wanted contig that an input lacks.

    Raises:
        InputError: unknown or repeated wanted contig, a contig missing from an input
            (unless dropped), lengths that disagree, two names of one input for one
            contig, an input label used twice, or no contig left.
    """
    lengths: dict[str, int] = {}
    for name, length in reference.sizes.items():
        if length is None:
            raise InputError(f"{reference.path}: contig {name!r} has no length")
        lengths[name] = length
    resolver = ContigNames(lengths, aliases)
    wanted = _wanted(resolver, reference, contigs)

    inputs = [reference, *others]
    labels = [source.label for source in inputs]
    for label in labels:
        if labels.count(label) > 1:
            raise InputError(f"two inputs are labelled {label!r}; labels must differ")

    names: dict[str, dict[str, str]] = {}
    missing: dict[str, tuple[str, ...]] = {}
    extra: dict[str, tuple[str, ...]] = {}
    dropped: dict[str, str] = {}
    for source in inputs:
        if source is reference:
            matched = {name: name for name in lengths}
        else:
            matched = _match(resolver, source)
        names[source.label] = matched
        known = set(matched.values())
        extra[source.label] = tuple(own for own in source.sizes if own not in known)
        missing[source.label] = tuple(name for name in wanted if name not in matched)
        for name in wanted:
            if name in matched:
                _check_length(reference, source, name, matched[name])
            elif on_missing == "drop":
                dropped.setdefault(name, f"missing from {source.label} ({source.path})")
        if missing[source.label] and on_missing == "error":
            raise InputError(
                f"{source.path} ({source.label}): lacks contig "
                f"{_listing(missing[source.label])} of {reference.path}; its contigs: "
                f"{_listing(tuple(source.sizes))}; list the contigs to use, give an "
                'alias, or set on_missing = "drop"'
            )
    usable = {name: lengths[name] for name in wanted if name not in dropped}
    if not usable:
        reasons = "; ".join(f"{name} {why}" for name, why in list(dropped.items())[:3])
        raise InputError(f"{reference.path}: no contig is in all inputs: {reasons}")
    return Preflight(
        sizes=usable,
        names={
            label: {name: matched[name] for name in usable}
            for label, matched in names.items()
        },
        dropped=dropped,
        missing=missing,
        extra=extra,
        counts={source.label: len(source.sizes) for source in inputs},
        paths={source.label: Path(source.path) for source in inputs},
    )


def _wanted(
    resolver: ContigNames, reference: ContigInput, contigs: Sequence[str] | None
) -> list[str]:
    """Reference names of the wanted contigs, in reference order."""
    if contigs is None:
        return list(resolver.sizes)
    chosen: dict[str, str] = {}
    for text in contigs:
        name = resolver.resolve(text, among=contigs)
        if name is None:
            raise InputError(
                f"{reference.path}: has no contig {text!r}; "
                f"{nearest(text, resolver.sizes)}"
            )
        if name in chosen:
            raise InputError(
                f"contig {name!r} is wanted twice, as {chosen[name]!r} and {text!r}"
            )
        chosen[name] = text
    return [name for name in resolver.sizes if name in chosen]


def _check_length(
    reference: ContigInput, source: ContigInput, name: str, own: str
) -> None:
    expected, found = reference.sizes[name], source.sizes[own]
    if found is not None and found != expected:
        raise InputError(
            f"{source.path}: contig {own!r} has {found} bases, but {name!r} has "
            f"{expected} in {reference.path}: another assembly?"
        )
