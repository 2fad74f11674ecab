"""Contact of every part of a window with a transcription start site (TSS)."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.contact_files import ContactFile, open_contact_file
from seqexp_tf.genome.contigs import ContigNames, nearest
from seqexp_tf.genome.power_law import PowerLaw, fit_power_law

_ROWS = 256  # of a block read at once
_BLOCKS = 64  # kept in memory
_STEP = 16  # widths of blocks are multiples of it
_FIT_BASES = 1_000_000


@dataclass(frozen=True)
class ContactValues:
    """What becomes of measured and of missing contacts.

    Attributes:
        transform: none, or log10(x + 1) of the contact.
        missing: where nothing was measured (a bin left out of the balancing, a TSS
            without any contact in the window, a contig that the matrix lacks): zero;
            ``power_law``, ABC's law with ``gamma`` and ``scale``; or ``fitted``, a
            law fitted to the matrix itself, which speaks its units whatever the
            balancing.
        gamma: exponent of the power law.
        scale: its scale; by ABC's line from gamma if None.
        pseudocount_distance: adds to every measured contact, also to zero, the
            law's value at its distance, but at most that at this distance, as ABC
            does (1,000,000 there); 0 adds nothing.
        factor: multiplies the contact before the transform. The rows of a balanced
            cooler sum to one, so that most of its values are far below one, where
            log10(x + 1) tells none from another.
    """

    transform: Literal["log10p1", "none"] = "log10p1"
    missing: Literal["zero", "power_law", "fitted"] = "zero"
    gamma: float = 0.87
    scale: float | None = None
    pseudocount_distance: int = 0
    factor: float = 1.0

    def __post_init__(self) -> None:
        for name, allowed in (
            ("transform", ("log10p1", "none")),
            ("missing", ("zero", "power_law", "fitted")),
        ):
            if getattr(self, name) not in allowed:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}; choose one of "
                    f"{', '.join(allowed)}"
                )
        if self.pseudocount_distance < 0:
            raise ConfigError(
                f"pseudocount_distance is {self.pseudocount_distance}; it must be 0 "
                "(none) or more"
            )
        if not 0 < self.factor < math.inf:
            raise ConfigError(f"factor is {self.factor}; it must be positive")
        PowerLaw(self.gamma, self.scale)


class ContactMap:
    """A Hi-C matrix, asked for contacts with one base; made by ``ContactMap.open``.

    Rows are read in blocks, which stay in memory, so ask for genes in genome order.
    The object pickles by path and may cross a fork; the handle never does.

    Attributes:
        path: the file.
        resolution: bases a bin.
        sizes: contig -> length in bases, of the contigs that the matrix has, named
            and sized as in the genome where one was given.
    """

    def __init__(self, path: Path, options: dict[str, Any]) -> None:
        self.path, self._options = path, options
        self._values: ContactValues = options["values"]
        self._handle: ContactFile | None = None
        self._process = -1
        self._law: PowerLaw | None = None
        self._width = 0
        self._blocks: dict[tuple[str, int], np.ndarray] = {}
        self._weights: dict[str, np.ndarray] = {}
        file = self._file()
        self.resolution = file.resolution
        genome = options["genome"]
        self._names = ContigNames(
            file.sizes if genome is None else genome, options["aliases"]
        )
        self._own = self._match(file.sizes)
        self.sizes = {name: self._names.sizes[name] for name in self._own}

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        resolution: int = 0,
        balance: str = "weight",
        genome: Mapping[str, int] | None = None,
        aliases: Mapping[str, str] | None = None,
        length_tolerance: int = 0,
        values: ContactValues | None = None,
    ) -> "ContactMap":
        """Opens a ``.cool``, ``.mcool`` or ``.hic`` file.

        Args:
            path: the file.
            resolution: bases a bin; 0 where the file has one resolution only.
            balance: a column of weights (cooler; those of hic2cool, KR, VC and
                VC_SQRT, divide) or a normalisation of a .hic file; "none" for counts.
            genome: contig -> length of the genome; names and lengths are checked.
            aliases: other contig name -> name in the genome.
            length_tolerance: bases by which contigs of the matrix may differ from
                the genome's, beyond the rounding to whole bins that is always
                allowed; for matrices written without their empty last bins.
            values: transform, missing contacts and pseudocount.

        Raises:
            InputError: an unreadable file, an absent resolution (those there are
                listed), no balancing weights, contigs of another assembly, no contig
                of the genome, or cooler or hictkpy not installed.
        """
        options = {
            "resolution": resolution,
            "balance": balance,
            "genome": None if genome is None else dict(genome),
            "aliases": dict(aliases or {}),
            "length_tolerance": length_tolerance,
            "values": values or ContactValues(),
        }
        return cls(Path(path), options)

    def __reduce__(self) -> tuple:
        return ContactMap, (self.path, self._options)

    def __enter__(self) -> "ContactMap":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; a later read opens it again."""
        if self._handle is not None and self._process == os.getpid():
            self._handle.close()
        self._handle = None

    def _file(self) -> ContactFile:
        if self._handle is None or self._process != os.getpid():
            self._handle = open_contact_file(
                self.path, self._options["resolution"], self._options["balance"]
            )
            self._process = os.getpid()
        return self._handle

    def _match(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """Genome contig -> own name; checks that the lengths agree."""
        found: dict[str, str] = {}
        for own, length in sizes.items():
            name = self._names.resolve(own, among=sizes)
            if name is None:
                continue
            if name in found:
                raise InputError(
                    f"{self.path}: {found[name]!r} and {own!r} both mean contig "
                    f"{name!r}; a matrix must name each contig once"
                )
            found[name] = own
            self._check_length(own, length, name)
        if not found:
            raise InputError(
                f"{self.path}: no contig of the genome: it has "
                f"{', '.join(list(sizes)[:5])}, the genome "
                f"{', '.join(list(self._names.sizes)[:5])}"
            )
        return found

    def _check_length(self, own: str, length: int, name: str) -> None:
        expected, step = self._names.sizes[name], self.resolution
        rounded = (expected // step * step, -(-expected // step) * step)
        difference = abs(length - expected)
        if length in rounded or difference <= self._options["length_tolerance"]:
            return
        remedy = "give the matrix of the same assembly"
        if length < expected and length % step == 0:
            remedy += (
                ", or, if it only leaves out the last bins, set length_tolerance = "
                f"{difference} or more"
            )
        raise InputError(
            f"{self.path}: contig {own!r} has {length:,} bases, but {name!r} has "
            f"{expected:,} in the genome; {remedy}"
        )

    def to_tss(
        self, contig: str, tss: int, start: int, end: int
    ) -> tuple[np.ndarray, int]:
        """Returns the contact of every bin of a window with the bin of the TSS.

        Args:
            contig: in any spelling.
            tss: 0-based position within the contig.
            start: first base of the window, 0-based; may lie before the contig.
            end: exclusive end of the window; may lie after the contig.

        Returns:
            Contacts after the transform, float32 ``(bins,)``, one for each bin of
            the genome's grid that overlaps ``[start, end)``; and the offset, the
            bases of the first bin that lie before ``start``: position p of the
            window is in bin ``(p + offset) // resolution``. Bins wholly outside the
            contig are zero, and nothing shifts for them.

        Raises:
            InputError: a contig that the matrix lacks or never balanced (unless
                ``missing`` fills it in), a TSS outside its contig, or unreadable data.
        """
        name = self._names.resolve(contig)
        if name is None or (name not in self._own and self._values.missing == "zero"):
            raise InputError(
                f"{self.path}: has no contig {contig!r}; {nearest(contig, self.sizes)}"
                '; leave its genes out, or set missing = "power_law"'
            )
        size, step = self._names.sizes[name], self.resolution
        if not 0 <= tss < size:
            raise InputError(
                f"{self.path}: TSS {contig}:{tss} (0-based) is outside the contig, "
                f"which is 0-{size}"
            )
        first, last = start // step, -(-end // step)
        values = np.zeros(max(0, last - first))
        low, high = max(first, 0), min(last, -(-size // step))
        if low < high:
            values[low - first : high - first] = self._contacts(name, tss, low, high)
        values *= self._values.factor
        if self._values.transform == "log10p1":
            values = np.log10(values + 1)
        return values.astype(np.float32), start - first * step

    def _contacts(self, name: str, tss: int, low: int, high: int) -> np.ndarray:
        """Contacts of bins within the contig, missing ones filled in."""
        options, step = self._values, self.resolution
        measured = np.full(high - low, np.nan)
        if name in self._own:
            self._read_row(self._own[name], tss // step, low, measured)
        # A TSS without a single contact was not measured, whatever its weight.
        if not np.nansum(measured) > 0:
            measured[:] = np.nan
        missing = np.isnan(measured)
        distance = (np.arange(low, high) + 0.5) * step - (tss + 0.5)
        if options.pseudocount_distance:
            law = self.power_law
            measured += np.minimum(law(distance), law(options.pseudocount_distance))
        if options.missing == "zero":
            measured[missing] = 0
        else:
            measured[missing] = self.power_law(distance[missing])
        return measured

    def _read_row(self, own: str, row: int, low: int, values: np.ndarray) -> None:
        """Puts the balanced contacts of bin ``row`` with bins from ``low`` on."""
        weights = self._weights_of(own)
        high = min(low + values.size, weights.size)
        if row >= weights.size or low >= high:
            return
        columns = np.arange(low, high)
        near, far = np.minimum(columns, row), np.maximum(columns, row)
        width = int((far - near).max())
        if width > self._width:
            self._width = -(-width // _STEP) * _STEP
            self._blocks.clear()
        counts = np.empty(columns.size)
        for block in np.unique(near // _ROWS).tolist():
            here = near // _ROWS == block
            band = self._block(own, block)
            counts[here] = band[near[here] - block * _ROWS, (far - near)[here]]
        values[: columns.size] = counts * weights[row] * weights[columns]

    def _weights_of(self, own: str) -> np.ndarray:
        if own not in self._weights:
            weights = self._file().weights(own)
            weights = np.where(np.isfinite(weights), weights, np.nan)
            if self._values.missing == "zero" and np.isnan(weights).all():
                raise InputError(
                    f"{self.path}: contig {own!r} has no value of "
                    f"{self._options['balance']!r}, so that nothing counts as "
                    'measured; choose another balance, or set missing = "power_law"'
                )
            self._weights[own] = weights
        return self._weights[own]

    def _block(self, own: str, block: int) -> np.ndarray:
        """Counts of ``_ROWS`` rows by distance in bins, ``(_ROWS, width + 1)``."""
        key = (own, block)
        if key not in self._blocks:
            if len(self._blocks) >= _BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[key] = self._band(own, block * _ROWS, self._width)
        return self._blocks[key]

    def _band(self, own: str, first: int, width: int) -> np.ndarray:
        last = min(first + _ROWS, self._weights_of(own).size)
        rows, columns, counts = self._file().pixels(own, first, last, width)
        band = np.zeros((_ROWS, width + 1), dtype=np.float32)
        band[rows - first, columns - rows] = counts
        return band

    @property
    def power_law(self) -> PowerLaw:
        """The law that stands in for missing contacts, fitted on first use."""
        if self._law is None:
            options = self._values
            if options.missing == "fitted":
                self._law = self._fit()
            else:
                self._law = PowerLaw(options.gamma, options.scale)
        return self._law

    def _fit(self) -> PowerLaw:
        """Fits to the mean contact from one bin to 1 Mb, over every contig."""
        width = max(3, _FIT_BASES // self.resolution)
        sums, pairs = np.zeros(width + 1), np.zeros(width + 1)
        for own in self._own.values():
            weights = self._weights_of(own)
            padded = np.concatenate([weights, np.full(width + _ROWS, np.nan)])
            for first in range(0, weights.size, _ROWS):
                index = np.arange(first, first + _ROWS)[:, None]
                factor = padded[index] * padded[index + np.arange(width + 1)]
                measured = np.isfinite(factor)
                factor[~measured] = 0
                sums += (self._band(own, first, width) * factor).sum(axis=0)
                pairs += measured.sum(axis=0)
        mean = sums[1:] / np.maximum(pairs[1:], 1)
        distance = np.arange(1, width + 1) * self.resolution
        try:
            return fit_power_law(distance, mean, minimum=self.resolution)
        except ConfigError as error:
            raise InputError(f'{self.path}: missing = "fitted": {error}') from error
