"""Alleles of a VCF file, one at a time."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqexp_tf.errors import InputError
from seqexp_tf.genome.files import text_lines

_BASES = re.compile(r"[ACGTURYSWKMBDHVN]+", re.IGNORECASE)
_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT")


@dataclass(frozen=True)
class Allele:
    """One alternative allele of one line of a VCF.

    Attributes:
        place: ``FILE: line N``, for messages.
        contig: as the file spells it.
        position: 1-based, as the file has it.
        identifier: None where the file has ``.``.
        reference: the bases replaced, upper case.
        alternative: what replaces them, upper case.
        symbolic: whether the alternative is no sequence: ``<DEL>``, ``*``, ``.`` or a
            breakend.
    """

    place: str
    contig: str
    position: int
    identifier: str | None
    reference: str
    alternative: str
    symbolic: bool = False

    def trimmed(self) -> tuple[int, str, str]:
        """Returns 0-based start, reference and alternative without what they share.

        The beginning they share goes first, then the end, so that an indel stays where
        the file has it, after its first base. Either may become empty: then bases are
        only taken out, or only put in before the start. An alternative equal to the
        reference is returned whole.
        """
        reference, alternative = self.reference, self.alternative
        if reference == alternative:
            return self.position - 1, reference, alternative
        before = _shared(reference, alternative)
        reference, alternative = reference[before:], alternative[before:]
        after = _shared(reference[::-1], alternative[::-1])
        return (
            self.position - 1 + before,
            reference[: len(reference) - after],
            alternative[: len(alternative) - after],
        )


def read_alleles(path: str | Path) -> Iterator[Allele]:
    """Yields every alternative allele of a VCF, plain or bgzip, in file order.

    Raises:
        InputError: no VCF, or a malformed line, with its number.

    Reference: The Variant Call Format Specification, version 4.5.
    """
    header = False
    for number, line in text_lines(path):
        place = f"{path}: line {number}"
        if line.startswith("##"):
            continue
        if line.startswith("#"):
            _check_header(place, line)
            header = True
        elif line.strip():
            if not header:
                raise InputError(
                    f"{place}: not a VCF: no line of columns that begins with "
                    f"{_COLUMNS[0]} comes first"
                )
            yield from _alleles(place, line)
    if not header:
        raise InputError(
            f"{path}: not a VCF: it ends without a line of columns that begins with "
            f"{_COLUMNS[0]}"
        )


def _check_header(place: str, line: str) -> None:
    found = tuple(line.split("\t")[: len(_COLUMNS)])
    if found != _COLUMNS:
        raise InputError(
            f"{place}: columns {' '.join(found)[:60]!r}; expected "
            f"{' '.join(_COLUMNS)!r}, separated by tabs"
        )


def _alleles(place: str, line: str) -> Iterator[Allele]:
    fields = line.split("\t", len(_COLUMNS))
    if len(fields) < len(_COLUMNS):
        raise InputError(
            f"{place}: {len(fields)} columns, expected at least {len(_COLUMNS)}, "
            "separated by tabs"
        )
    contig, text, identifier, reference, alternatives = fields[: len(_COLUMNS)]
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{place}: POS {text!r} must be a whole number from 1")
    position = int(text)
    if not _BASES.fullmatch(reference):
        raise InputError(f"{place}: REF {reference!r} is no sequence of bases")
    for alternative in alternatives.split(","):
        symbolic = alternative in ("*", ".") or any(c in alternative for c in "<[].")
        if not symbolic and not _BASES.fullmatch(alternative):
            raise InputError(
                f"{place}: ALT {alternative!r} is no sequence of bases, nor <NAME>, "
                "* or a breakend"
            )
        if not symbolic and position < 1:
            raise InputError(f"{place}: POS {text}; positions count from 1")
        yield Allele(
            place=place,
            contig=contig,
            position=position,
            identifier=None if identifier in (".", "") else identifier,
            reference=reference.upper(),
            alternative=alternative.upper(),
            symbolic=symbolic,
        )


def _shared(first: str, second: str) -> int:
    count = 0
    for left, right in zip(first, second, strict=False):
        if left != right:
            break
        count += 1
    return count
