"""Files of what a joint model predicts."""

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError
from seqexp_tf.genome.alphabet import ALPHABET
from seqexp_tf.genome.tracks import bigwig_writer
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.prediction.alleles import EFFECTS, allele_windows
from seqexp_tf.prediction.joint import Bases, Progress, predict_bases, predict_regions
from seqexp_tf.prediction.model import PredictionModel
from seqexp_tf.prediction.outputs import (
    ALLELE_COLUMNS,
    NUMBER,
    TEXT,
    WHOLE,
    allele_table,
    output_format,
    refuse_bigwig,
    table_writer,
    writing,
)
from seqexp_tf.prediction.pieces import in_pieces
from seqexp_tf.prediction.reference import Reference
from seqexp_tf.records.regions import Region
from seqexp_tf.records.spans import merge

_STRANDS = ("plus", "minus")
_LETTERS = np.array(list(ALPHABET), dtype=object)
_BASE_COLUMNS = {"position": WHOLE, "base": TEXT, "plus": NUMBER, "minus": NUMBER}


def write_sequences(
    model: PredictionModel,
    sequences: Reference,
    out: Path,
    *,
    batch_size: int,
    progress: Progress,
) -> list[Path]:
    """Writes p(expressed) of every base of the sequences of a FASTA.

    Columns: sequence, position (0-based), base, plus, minus; a row a base.

    Args:
        model: of task ``joint``.
        sequences: the FASTA.
        out: ``.parquet`` or ``.tsv``.
        batch_size: windows at once.
        progress: called with numbers of windows; each sequence has two.

    Raises:
        ConfigError: a bigWig.
        InputError: a sequence longer than the window.
    """
    refuse_bigwig(out, what="predictions of a FASTA")
    for name, length in sequences.sizes.items():
        if length > model.window:
            raise InputError(
                f"{sequences.path}: sequence {name!r} has {length:,} bases, more than "
                f"the model's window of {model.window:,}; cut it, or give the file as "
                "--genome with the regions in --bed"
            )
    with table_writer(out, {"sequence": TEXT, **_BASE_COLUMNS}) as table:
        for names in in_pieces(sequences.sizes, max(batch_size // 2, 1)):
            dna = [sequences.fetch(n, 0, sequences.sizes[n]) for n in names]
            found = predict_bases(model, dna, batch_size=batch_size, progress=progress)
            for name, bases, values in zip(names, dna, found, strict=True):
                table.write(_bases({"sequence": name}, 0, bases, values))
    return [out]


def write_regions(
    model: PredictionModel,
    bases: Bases,
    regions: Iterable[tuple[str, Region]],
    out: Path,
    *,
    batch_size: int,
    progress: Progress,
) -> list[Path]:
    """Writes p(expressed) of every base of some regions.

    A table has the columns region, contig, position (0-based), base, plus and minus, a
    row a base, regions in the order given. A bigWig becomes two, ``STEM.plus.bw`` and
    ``STEM.minus.bw``, of the union of the regions.

    Args:
        model: of task ``joint``.
        bases: the genome.
        regions: name and place.
        out: the file.
        batch_size: windows at once.
        progress: called with numbers of windows; see ``wanted_regions``.

    Returns:
        What was written.
    """
    predicted = predict_regions(
        model,
        bases,
        wanted_regions(regions, out),
        batch_size=batch_size,
        progress=progress,
    )
    if output_format(out) != "bigwig":
        columns = {"region": TEXT, "contig": TEXT, **_BASE_COLUMNS}
        with table_writer(out, columns) as table:
            for part in predicted:
                fixed = {"region": part.name, "contig": part.region.contig}
                table.write(_bases(fixed, part.region.start, part.dna, part.values))
        return [out]
    paths = [out.with_name(f"{out.stem}.{s}{out.suffix}") for s in _STRANDS]
    with writing(out), ExitStack() as stack:
        writers = [
            stack.enter_context(bigwig_writer(path, bases.sizes)) for path in paths
        ]
        for part in predicted:
            for writer, values in zip(writers, part.values, strict=True):
                writer.add(part.region.contig, part.region.start, values)
    return paths


def wanted_regions(
    regions: Iterable[tuple[str, Region]], out: Path
) -> list[tuple[str, Region]]:
    """Returns regions as they go to a file: merged, in genome order, for a bigWig."""
    regions = list(regions)
    if output_format(out) != "bigwig":
        return regions
    return [(str(r), r) for r in merge(region for _, region in regions)]


def write_variants(
    model: PredictionModel,
    bases: Bases,
    alleles: Iterable[tuple[str, Allele]],
    out: Path,
    *,
    batch_size: int,
    progress: Progress,
) -> list[Path]:
    """Writes what alleles change in the expression around them, a row an allele.

    Columns: contig, position (1-based), id, ref, alt as in the VCF; for each strand
    ``log_odds`` and ``expressed`` of ``AlleleWindows.effects``, and the expected
    number of expressed bases of the window with the reference.

    Args:
        model: of task ``joint``.
        bases: the genome.
        alleles: contig, as the genome names it, and checked allele.
        out: ``.parquet`` or ``.tsv``.
        batch_size: windows at once; an allele has four.
        progress: called with numbers of windows.
    """
    refuse_bigwig(out, what="effects of variants")
    names = [f"{what}_{s}" for what in (*EFFECTS, "reference") for s in _STRANDS]
    columns = {**ALLELE_COLUMNS, **dict.fromkeys(names, NUMBER)}
    with table_writer(out, columns) as table:
        for piece in in_pieces(alleles, max(batch_size // 4, 1)):
            windows = [
                allele_windows(bases, contig, allele, window=model.window)
                for contig, allele in piece
            ]
            found = predict_bases(
                model,
                [dna for w in windows for dna in (w.reference, w.alternative)],
                batch_size=batch_size,
                progress=progress,
            )
            rows = [
                {
                    **window.effects(before, after),
                    "reference": before.sum(axis=1, dtype=np.float64),
                }
                for window, before, after in zip(
                    windows, found[::2], found[1::2], strict=True
                )
            ]
            frame = allele_table([allele for _, allele in piece])
            for what in rows[0]:
                values = np.stack([row[what] for row in rows]).astype(np.float32)
                for index, strand in enumerate(_STRANDS):
                    frame[f"{what}_{strand}"] = values[:, index]
            table.write(frame)
    return [out]


def _bases(
    fixed: dict[str, str], start: int, dna: np.ndarray, values: np.ndarray
) -> pd.DataFrame:
    plus, minus = values
    return pd.DataFrame(
        {
            **fixed,
            "position": np.arange(start, start + dna.size),
            "base": _LETTERS[dna],
            "plus": plus,
            "minus": minus,
        }
    )
