"""FASTA to a packed genome of one byte a base, and back."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from seqexp_tf.errors import ConfigError, DatasetError, InputError
from seqexp_tf.genome.alphabet import UNKNOWN, decode
from seqexp_tf.genome.contigs import nearest
from seqexp_tf.genome.files import atomic_path, open_bytes

_CHUNK = 1 << 22
_HEADER_LIMIT = 1 << 20
_FORMAT = 1

# A byte of sequence becomes its index in the low three bits, plus these flags.
_INDEX, _LOWER, _AMBIGUOUS, _INVALID = 7, 8, 16, 255


def _codes() -> bytes:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for letters, index in (("A", 0), ("C", 1), ("G", 2), ("TU", 3), ("N", UNKNOWN)):
        for letter in letters:
            table[ord(letter)] = index
            table[ord(letter.lower())] = index | _LOWER
    for letter in "RYSWKMBDHV":
        table[ord(letter)] = UNKNOWN | _AMBIGUOUS
        table[ord(letter.lower())] = UNKNOWN | _AMBIGUOUS | _LOWER
    return table.tobytes()


_CODES = _codes()


@dataclass(frozen=True)
class PackedGenome:
    """A genome on disk, one byte a base, read through a memory map.

    Attributes:
        directory: holds ``genome.bin`` (indices A C G T N = 0 to 4, contigs one
            after another) and ``genome.json``.
        sizes: contig -> length in bases, in file order.
        lower_case: letters written in lower case (soft-masked).
        unknown: letters written as N.
        ambiguous: other IUPAC codes, all of which became N.
        soft_masked: whether lower case was kept as bases or turned into N.
    """

    directory: Path
    sizes: dict[str, int]
    lower_case: int
    unknown: int
    ambiguous: int
    soft_masked: str

    @classmethod
    def open(cls, directory: str | Path) -> "PackedGenome":
        """Opens what `pack_fasta` wrote; `InputError` where it is not whole."""
        directory = Path(directory)
        path = directory / "genome.json"
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            if stored.pop("format") != _FORMAT:
                raise ValueError("another format version")
            genome = cls(directory=directory, **stored)
            total, found = sum(genome.sizes.values()), genome._bin.stat().st_size
        except FileNotFoundError as error:
            raise InputError(
                f"{directory}: no packed genome here ({Path(error.filename).name} is "
                "missing); pack the FASTA again"
            ) from error
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{path}: not a packed genome ({error}); pack the FASTA again"
            ) from error
        if total != found:
            raise InputError(
                f"{genome._bin}: {found} bytes, but genome.json says {total}; pack "
                "the FASTA again"
            )
        return genome

    def __reduce__(self) -> tuple:
        # By path, so that another process maps the file instead of receiving it.
        return PackedGenome.open, (self.directory,)

    @property
    def files(self) -> tuple[Path, Path]:
        """The files it consists of."""
        return self._bin, self.directory / "genome.json"

    @property
    def _bin(self) -> Path:
        return self.directory / "genome.bin"

    @cached_property
    def _bases(self) -> np.memmap:
        return np.memmap(self._bin, dtype=np.uint8, mode="r")

    @cached_property
    def _offsets(self) -> dict[str, int]:
        ends = np.cumsum(list(self.sizes.values())).tolist()
        return dict(zip(self.sizes, [0, *ends], strict=False))

    def fetch(self, contig: str, start: int, end: int) -> np.ndarray:
        """Returns indices of ``[start, end)``, forward strand, uint8 (end - start,).

        Raises:
            InputError: unknown contig, or an interval outside it.
        """
        size = self.sizes.get(contig)
        if size is None:
            raise InputError(
                f"{self.directory}: no contig {contig!r}; {nearest(contig, self.sizes)}"
            )
        if not 0 <= start <= end <= size:
            raise InputError(
                f"{self.directory}: {contig}:{start}-{end} (0-based half-open) is "
                f"outside the contig, which is 0-{size}"
            )
        offset = self._offsets[contig]
        return np.array(self._bases[offset + start : offset + end])


class _Packer:
    """State of one pass over a FASTA: the contig, the line and the counts."""

    def __init__(self, path: Path, output: BinaryIO, *, mask: bool) -> None:
        self.path, self.output, self.mask = path, output, mask
        self.sizes: dict[str, int] = {}
        self.lower_case = self.unknown = self.ambiguous = 0
        self.contig: str | None = None
        self.line = self.header_line = 1
        self.last = b"\n"

    def header(self, raw: bytes) -> None:
        """Takes a whole header line, from ``>`` up to its end."""
        if self.last != b"\n":
            raise InputError(
                f"{self.path}: line {self.line}: '>' inside a sequence line"
            )
        self.close_contig()
        words = raw[1:].decode("utf-8", errors="replace").split(maxsplit=1)
        if not words or raw[1:2].isspace():
            raise InputError(
                f"{self.path}: line {self.line}: a header without a contig name"
            )
        if words[0] in self.sizes:
            raise InputError(
                f"{self.path}: line {self.line}: contig {words[0]!r} appears twice; "
                "rename or remove one"
            )
        self.contig = words[0]
        self.sizes[self.contig] = 0
        self.header_line = self.line
        self.line += 1

    def close_contig(self) -> None:
        if self.contig is not None and not self.sizes[self.contig]:
            raise InputError(
                f"{self.path}: line {self.header_line}: contig {self.contig!r} has no "
                "sequence; add its bases or remove its header"
            )

    def sequence(self, raw: bytes) -> None:
        """Takes part of a sequence: any number of lines, whole or not."""
        if not raw:
            return
        if self.contig is None:
            text = raw.lstrip()
            if text:
                raise InputError(
                    f"{self.path}: not a FASTA: it begins with "
                    f"{text[:1].decode('latin-1')!r}, expected '>'"
                )
            self.line += raw.count(b"\n")
            self.last = raw[-1:]
            return
        bases = np.frombuffer(raw.translate(_CODES, b"\n\r"), dtype=np.uint8)
        if bases.size and bases.max() > 3:
            bases = self._count(bases, raw)
        try:
            self.output.write(bases.data)
        except OSError as error:
            # Not the FASTA's fault, as the reader around this would say.
            raise DatasetError(
                f"{self.output.name}: cannot write: {error.strerror}; free space or "
                "choose another output folder"
            ) from error
        self.sizes[self.contig] += bases.size
        self.line += raw.count(b"\n")
        self.last = raw[-1:]

    def _count(self, codes: np.ndarray, raw: bytes) -> np.ndarray:
        """Counts what is no plain base, and returns indices 0 to 4."""
        if codes.max() == _INVALID:
            self._invalid(raw)
        lower = (codes & _LOWER) != 0
        ambiguous = int(np.count_nonzero(codes & _AMBIGUOUS))
        bases = codes & _INDEX
        self.lower_case += int(np.count_nonzero(lower))
        self.ambiguous += ambiguous
        self.unknown += int(np.count_nonzero(bases == UNKNOWN)) - ambiguous
        if self.mask:
            bases[lower] = UNKNOWN
        return bases

    def _invalid(self, raw: bytes) -> None:
        line = self.line
        allowed = b"\n\r"
        for position, byte in enumerate(raw):
            if _CODES[byte] == _INVALID and byte not in allowed:
                line += raw.count(b"\n", 0, position)
                raise InputError(
                    f"{self.path}: line {line}: {chr(byte)!r} is no nucleotide "
                    "(expected A C G T U N or an IUPAC code)"
                )


def check_fasta(path: str | Path) -> None:
    """Looks at how a file begins; `InputError` where it cannot be a FASTA."""
    with open_bytes(path) as stream:
        head = stream.read(_HEADER_LIMIT).lstrip()
    if not head:
        raise InputError(f"{path}: the file is empty; expected a FASTA")
    if head[:1] != b">":
        raise InputError(
            f"{path}: not a FASTA: it begins with {head[:1].decode('latin-1')!r}, "
            "expected '>'"
        )


def pack_fasta(
    path: str | Path,
    directory: str | Path,
    *,
    soft_masked: Literal["keep", "N"] = "keep",
    progress: Callable[[int], None] | None = None,
) -> PackedGenome:
    """Reads a FASTA once, in constant memory, into a packed genome on disk.

    Plain, gzip and bgzip files are told apart by content. A contig is named by the
    first word of its header. U is read as T; IUPAC codes become N and are counted.

    Args:
        path: the FASTA.
        directory: where ``genome.bin`` and ``genome.json`` go; made if absent.
        soft_masked: keep lower-case letters as bases, or turn them into N.
        progress: called with the number of uncompressed bytes of each chunk read.

    Raises:
        InputError: no FASTA, empty file or contig, a contig named twice, a character
            that is no nucleotide (with its line), truncated gzip.
        ConfigError: another value of ``soft_masked``.
    """
    if soft_masked not in ("keep", "N"):
        raise ConfigError(f"soft_masked = {soft_masked!r}: expected 'keep' or 'N'")
    path, directory = Path(path), Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with atomic_path(directory / "genome.bin") as temporary:
        with temporary.open("wb") as output, open_bytes(path) as stream:
            packer = _Packer(path, output, mask=soft_masked == "N")
            _scan(stream, packer, progress)
        packer.close_contig()
        if not packer.sizes:
            raise InputError(f"{path}: the file is empty; expected a FASTA")
        # A description of the former genome must not outlive its bases.
        with suppress(FileNotFoundError):
            os.unlink(directory / "genome.json")
    description = {
        "format": _FORMAT,
        "sizes": packer.sizes,
        "lower_case": packer.lower_case,
        "unknown": packer.unknown,
        "ambiguous": packer.ambiguous,
        "soft_masked": soft_masked,
    }
    with atomic_path(directory / "genome.json") as temporary:
        temporary.write_text(json.dumps(description, indent=1), encoding="utf-8")
    return PackedGenome.open(directory)


def _scan(
    stream: BinaryIO, packer: _Packer, progress: Callable[[int], None] | None
) -> None:
    """Splits the stream into headers and sequence, chunk by chunk."""
    header = b""
    while chunk := stream.read(_CHUNK):
        position = 0
        while position < len(chunk):
            if not header:
                start = chunk.find(b">", position)
                stop = len(chunk) if start < 0 else start
                packer.sequence(chunk[position:stop])
                position = stop
                if start < 0:
                    break
            end = chunk.find(b"\n", position)
            header += chunk[position : len(chunk) if end < 0 else end]
            if end < 0:
                if len(header) > _HEADER_LIMIT:
                    raise InputError(
                        f"{packer.path}: line {packer.line}: a header without end; "
                        "not a FASTA"
                    )
                break
            packer.header(header)
            packer.last = b"\n"
            header, position = b"", end + 1
        if progress is not None:
            progress(len(chunk))
    if header:
        packer.header(header)


def write_fasta(
    path: str | Path, sequences: Mapping[str, np.ndarray], line: int = 60
) -> None:
    """Writes contigs (uint8 indices 0 to 4) as a plain FASTA, atomically."""
    with atomic_path(path) as temporary, temporary.open("wb") as output:
        for name, indices in sequences.items():
            indices = np.asarray(indices)
            if not name or name.split() != [name]:
                raise InputError(f"{path}: {name!r} cannot be the name of a contig")
            if not indices.size or indices.min() < 0 or indices.max() > UNKNOWN:
                raise InputError(
                    f"{path}: contig {name!r} is empty or has an index outside 0 to 4"
                )
            output.write(f">{name}\n".encode())
            step = line * max(1, _CHUNK // line)
            for start in range(0, indices.size, step):
                text = decode(indices[start : start + step])
                rows = (text[at : at + line] for at in range(0, len(text), line))
                output.write(("\n".join(rows) + "\n").encode("ascii"))
