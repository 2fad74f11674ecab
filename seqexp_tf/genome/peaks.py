"""Peaks of a signal, called by MACS3, and the narrowPeak files they come in."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError, InputError
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.files import atomic_path, text_lines
from seqexp_tf.genome.intervals import bed_lines, bed_table
from seqexp_tf.genome.tracks import BigWigTrack

Format = Literal["BEDPE", "BAMPE", "BED", "BAM"]

TOP_FRACTION = 0.02
"""Share of all bases that a peak caller's default cutoff on a signal lets through."""

_TEXT = ("BEDPE", "BED")
_BLOCK = 1 << 20  # bases read at once
_LEVELS = 1 << 22  # values gathered before equal ones are summed
_COLUMNS = ("signal", "p_value", "q_value")


@dataclass(frozen=True)
class PeakCall:
    """What a call of peaks wrote.

    Attributes:
        path: the narrowPeak file, without header, in the order of MACS3.
        log: JSON beside it: the command, its version and the settings.
        peaks: number of peaks.
        bases: bases in any peak.
    """

    path: Path
    log: Path
    peaks: int
    bases: int


def read_narrowpeak(path: str | Path) -> pd.DataFrame:
    """Reads peaks with their summits, plain or gzip.

    Returns:
        The columns of ``read_bed``, then signal, p_value and q_value (-log10; -1 or
        0 where not given) and summit (0-based position in the contig; the middle of
        the peak where the file gives none); in file order.

    Raises:
        InputError: a malformed line, a summit outside its peak, or no peak at all.

    Reference: the ENCODE narrowPeak (BED6+4) format description.
    """
    rows, others = [], []
    for place, row, fields in bed_lines(path):
        if len(fields) < 10:
            raise InputError(
                f"{place}: {len(fields)} columns, expected 10 (narrowPeak); a BED "
                "file has no summits"
            )
        try:
            values, offset = [float(text) for text in fields[6:9]], int(fields[9])
        except ValueError as error:
            raise InputError(
                f"{place}: {' '.join(fields[6:10])!r}: expected three numbers and the "
                "offset of the summit, a whole number"
            ) from error
        start, end = row[1:3]
        if not -1 <= offset < end - start:
            raise InputError(
                f"{place}: summit offset {offset} is outside the peak of {end - start} "
                "bases"
            )
        rows.append(row)
        others.append((*values, (start + end) // 2 if offset < 0 else start + offset))
    if not rows:
        raise InputError(f"{path}: no peak; call peaks again with a lower cutoff")
    table = bed_table(rows)
    for name, column in zip(
        (*_COLUMNS, "summit"), zip(*others, strict=True), strict=True
    ):
        table[name] = np.array(column, np.int64 if name == "summit" else np.float64)
    return table


def genome_size(path: str | Path) -> int:
    """Counts the known bases (no N) of a FASTA, plain or gzip: MACS3's genome size.

    A file named ``.fai`` or ``.sizes`` gives its second column instead, N included.

    Raises:
        InputError: an unreadable file, or no known base.
    """
    path = Path(path)
    if path.suffix in (".fai", ".sizes"):
        size = _listed_size(path)
    else:
        with tempfile.TemporaryDirectory() as folder:
            genome = pack_fasta(path, folder)
        size = sum(genome.sizes.values()) - genome.unknown - genome.ambiguous
    if not size:
        raise InputError(f"{path}: no known base; give the genome's FASTA")
    return size


def _listed_size(path: Path) -> int:
    size = 0
    for number, line in text_lines(path):
        fields = line.split()
        if len(fields) < 2 or not fields[1].isdecimal():
            raise InputError(
                f"{path}: line {number}: {line!r}: expected a contig and its length"
            )
        size += int(fields[1])
    return size


def call_peaks(
    fragments: str | Path,
    out: str | Path,
    *,
    genome_size: int,
    format: Format = "BEDPE",
    q_value: float = 0.05,
    extra: Sequence[str] = (),
) -> PeakCall:
    """Calls peaks of sequenced fragments or reads: ``macs3 callpeak``.

    Args:
        fragments: BEDPE as MACS3 means it (contig, start, end of each fragment,
            plain or gzip), BAMPE, BED or BAM.
        out: the narrowPeak file to write, beside its log ``OUT.json``.
        genome_size: effective size of the genome in bases.
        format: of the fragments.
        q_value: false discovery rate.
        extra: more arguments of ``macs3 callpeak``, for example ``--nomodel
            --shift -75 --extsize 150`` for reads of DNase-seq.

    Raises:
        InputError: macs3 is not installed or fails, no fragment, or no peak.
        ConfigError: another format, or a q value outside (0, 1).

    Reference:
        Zhang et al., Genome Biology 2008, doi:10.1186/gb-2008-9-9-r137.
    """
    if format not in get_args(Format):
        raise ConfigError(
            f"format = {format!r}: expected one of {', '.join(get_args(Format))}"
        )
    if not 0 < q_value < 1:
        raise ConfigError(f"q_value = {q_value}: expected a number between 0 and 1")
    fragments = Path(fragments)
    _check_fragments(fragments, format)
    options = ("-f", format, "-g", str(genome_size), "-q", f"{q_value:g}")
    options += ("-n", "peaks", *extra)
    command = ["macs3", "callpeak", "-t", str(fragments), *options]
    with tempfile.TemporaryDirectory() as folder:
        _run([*command[1:], "--outdir", folder], fragments)
        made = Path(folder) / "peaks_peaks.narrowPeak"
        if not made.is_file():
            raise InputError(
                f"{fragments}: macs3 wrote no narrowPeak file; leave out of its "
                f"arguments what changes the output ({' '.join(extra)})"
            )
        return _finish(
            made,
            Path(out),
            fragments,
            {"command": command, "genome_size": genome_size},
            remedy="raise the q value, or check format and genome size",
        )


def call_signal_peaks(
    signal: str | Path,
    out: str | Path,
    *,
    cutoff: float | None = None,
    min_length: int = 200,
    max_gap: int = 30,
) -> PeakCall:
    """Calls peaks of a bigWig: ``macs3 bdgpeakcall``.

    Args:
        signal: the bigWig; bases without data count as 0.
        out: the narrowPeak file to write, beside its log ``OUT.json``.
        cutoff: values of at least this are in peaks; if None, the lowest value that
            at most 2 % of the bases of the file reach (the highest value of all
            where more do).
        min_length: shortest peak in bases.
        max_gap: bases below the cutoff that a peak may span.

    Raises:
        InputError: macs3 is not installed or fails, no bigWig, a signal without a
            value over 0, or no peak.
        ConfigError: a negative length or gap, or a cutoff of 0 or less.
    """
    if min_length < 1 or max_gap < 0:
        raise ConfigError(
            f"min_length = {min_length}, max_gap = {max_gap}: expected 1 or more and "
            "0 or more"
        )
    if cutoff is not None and not cutoff > 0:
        raise ConfigError(f"cutoff = {cutoff}: expected a number over 0")
    signal = Path(signal)
    _macs3()
    with tempfile.TemporaryDirectory() as folder, BigWigTrack(signal) as track:
        levels = _write_bedgraph(track, Path(folder) / "signal.bdg")
        if cutoff is None:
            cutoff = _default_cutoff(signal, *levels)
        arguments = ("bdgpeakcall", "-i", "signal.bdg", "-c", f"{cutoff:.9g}")
        arguments += ("-l", str(min_length), "-g", str(max_gap))
        arguments += ("--no-trackline", "-o", "peaks.narrowPeak")
        _run(arguments, signal, folder)
        return _finish(
            Path(folder) / "peaks.narrowPeak",
            Path(out),
            signal,
            {"command": ["macs3", *arguments], "cutoff": cutoff},
            remedy=f"lower the cutoff ({cutoff:g}) or the shortest length",
        )


def _macs3() -> str:
    """The program: beside this Python, or on the path."""
    places = (str(Path(sys.executable).parent), os.environ.get("PATH", ""))
    found = shutil.which("macs3", path=os.pathsep.join(places))
    if found is None:
        raise InputError('macs3 is not installed: pip install "seqexp-tf[peaks]"')
    return found


def _run(
    arguments: Sequence[str], source: Path, folder: str | Path | None = None
) -> None:
    done = subprocess.run(
        [_macs3(), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise InputError(
            f"{source}: macs3 {arguments[0]} failed: "
            f"{lines[-1] if lines else f'exit status {done.returncode}'}; check its "
            f"format and arguments (macs3 {arguments[0]} --help)"
        )


def _check_fragments(path: Path, format: str) -> None:
    """MACS3 passes over text it cannot read, so its first interval is checked here."""
    if format not in _TEXT:
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        return
    if next(bed_lines(path), None) is None:
        raise InputError(
            f"{path}: no fragment; expected contig, start and end on each line"
        )


def _finish(
    made: Path, out: Path, source: Path, settings: dict[str, Any], *, remedy: str
) -> PeakCall:
    """Checks the peaks and moves them and their log into place."""
    text = made.read_text(encoding="utf-8")
    if not text.strip():
        raise InputError(f"{source}: macs3 found no peak; {remedy}")
    table = read_narrowpeak(made)
    bases = int(sum(_covered(rows) for _, rows in table.groupby("contig")))
    log = out.with_name(f"{out.name}.json")
    settings |= {
        "macs3": version("macs3"),
        "input": source.name,
        "peaks": len(table),
        "bases": bases,
    }
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    with atomic_path(log) as temporary:
        temporary.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return PeakCall(path=out, log=log, peaks=len(table), bases=bases)


def _covered(peaks: pd.DataFrame) -> int:
    """Bases in any of the peaks of a contig."""
    ordered = peaks.sort_values("start")
    reached = ordered.end.cummax().shift(fill_value=0)
    starts = np.maximum(ordered.start, reached)
    return int(np.maximum(ordered.end - starts, 0).sum())


def _write_bedgraph(track: BigWigTrack, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Writes every base, zeros too; returns the values and the bases of each.

    MACS3 would join what lies on both sides of a gap.
    """
    levels: list[np.ndarray] = []
    bases: list[np.ndarray] = []
    with path.open("w", encoding="utf-8") as stream:
        for contig, size in track.sizes.items():
            for start in range(0, size, _BLOCK):
                values = track.values(contig, start, min(start + _BLOCK, size))
                values[np.isnan(values)] = 0
                first = np.flatnonzero(np.diff(values, prepend=np.nan))
                ends = np.append(first[1:], values.size)
                table = pd.DataFrame(
                    {"start": first + start, "end": ends + start, "v": values[first]}
                )
                table.insert(0, "contig", contig)
                table.to_csv(
                    stream,
                    sep="\t",
                    header=False,
                    index=False,
                    float_format="%.9g",
                    lineterminator="\n",
                )
                levels.append(values[first])
                bases.append((ends - first).astype(np.float64))
                if sum(map(len, levels)) > _LEVELS:
                    levels, bases = _sum_by_level(levels, bases)
    (values,), (counts,) = _sum_by_level(levels, bases)
    return values, counts


def _sum_by_level(
    levels: list[np.ndarray], bases: list[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    unique, inverse = np.unique(np.concatenate(levels), return_inverse=True)
    return [unique], [np.bincount(inverse, weights=np.concatenate(bases))]


def _default_cutoff(path: Path, levels: np.ndarray, bases: np.ndarray) -> float:
    positive = levels > 0
    if not positive.any():
        raise InputError(f"{path}: no value over 0; give a signal with peaks")
    reaching = np.cumsum(bases[::-1])[::-1]
    few = positive & (reaching <= TOP_FRACTION * bases.sum())
    return float(levels[few][0] if few.any() else levels[-1])
