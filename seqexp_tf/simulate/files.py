"""Writes a simulation as the files a real experiment would leave."""

import gzip
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.files import atomic_path
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.genome.windows import overlaps, tile
from seqexp_tf.simulate.build import Simulation
from seqexp_tf.simulate.cool import require_cooler, write_cool
from seqexp_tf.simulate.effects import (
    BASELINE,
    BIN,
    DECAY,
    ENHANCER_SCALE,
    FORMULA,
)
from seqexp_tf.simulate.motifs import LIBRARY

VERSION = 1
"""Raised whenever one seed begins to give other files."""

WINDOW, STRIDE = 2048, 1024
MARKER = "simulation.json"


def write_simulation(
    simulation: Simulation,
    folder: str | Path,
    *,
    contacts: bool = True,
    overwrite: bool = False,
) -> Path:
    """Writes every file of a simulation; the folder appears only when whole.

    ``genome.fa.gz``, ``annotation.gff3``, ``rna.plus.bw``, ``rna.minus.bw``,
    ``accessibility.bw``, ``h3k27ac.bw``, ``contacts.cool``, ``genes.tsv``,
    ``elements.tsv``, ``truth.bed``, ``archive/`` (windows of 2,048 bp, stride 1,024,
    both strands, none over N) and ``simulation.json``. Tables, BED and bigWig are
    0-based half-open, GFF3 is 1-based inclusive. The same simulation gives the same
    bytes.

    Args:
        simulation: What :func:`simulate` returned.
        folder: Output folder; it may exist if empty.
        contacts: Whether to write ``contacts.cool``, which needs cooler.
        overwrite: Whether to replace an earlier simulation in ``folder``.

    Returns:
        The folder.

    Raises:
        ConfigError: ``folder`` holds something else, or cooler is missing.
    """
    folder = Path(folder)
    _check_output(folder, overwrite=overwrite)
    if contacts:
        require_cooler()
    folder.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _write_files(simulation, made, contacts=contacts)
        mask = os.umask(0)
        os.umask(mask)
        made.chmod(0o777 & ~mask)
        _replace_folder(made, folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return folder


def _check_output(folder: Path, *, overwrite: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: the output is a file; name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MARKER).is_file():
        raise ConfigError(
            f"{folder}: not empty and no earlier simulation ({MARKER} is missing); "
            "name a new folder"
        )
    if not overwrite:
        raise ConfigError(
            f"{folder}: already holds a simulation; name a new folder or use "
            "--overwrite"
        )


def _replace_folder(made: Path, folder: Path) -> None:
    """Puts the whole new folder in place; the old one goes last."""
    if folder.is_dir() and any(folder.iterdir()):
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
        os.replace(folder, old)
        try:
            os.replace(made, folder)
        except OSError:
            os.replace(old, folder)
            raise
        shutil.rmtree(old)
    else:
        os.replace(made, folder)


def _write_files(simulation: Simulation, folder: Path, *, contacts: bool) -> None:
    _write_genome(folder / "genome.fa.gz", simulation.sequence)
    _write_text(folder / "annotation.gff3", gff3(simulation))
    for name, values in (
        ("rna.plus.bw", simulation.coverage_plus),
        ("rna.minus.bw", simulation.coverage_minus),
        ("accessibility.bw", simulation.accessibility),
        ("h3k27ac.bw", simulation.h3k27ac),
    ):
        write_bigwig(folder / name, simulation.sizes, values)
    for name, table in (
        ("genes.tsv", simulation.genes),
        ("elements.tsv", simulation.elements),
    ):
        _write_text(
            folder / name,
            table.to_csv(sep="\t", index=False, lineterminator="\n"),
        )
    _write_text(folder / "truth.bed", truth_bed(simulation.elements))
    if contacts:
        with atomic_path(folder / "contacts.cool") as temporary:
            write_cool(temporary, simulation)
    _write_archive(simulation, folder / "archive")
    _write_text(
        folder / MARKER,
        json.dumps(_description(simulation), indent=2) + "\n",
    )


def _write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _write_genome(path: Path, sequence: Mapping[str, np.ndarray]) -> None:
    plain = path.with_suffix("")
    write_fasta(plain, sequence)
    with atomic_path(path) as temporary:
        # No time and no name in the gzip header, so that one seed gives one file.
        temporary.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    plain.unlink()


def gff3(simulation: Simulation) -> str:
    """Returns genes, mRNA, exon and CDS as GFF3, 1-based inclusive.

    Reference:
        Sequence Ontology, GFF3 specification 1.26.
    """
    lines = ["##gff-version 3"]
    lines += [
        f"##sequence-region {contig} 1 {length}"
        for contig, length in simulation.sizes.items()
    ]
    for gene in simulation.genes.itertuples():
        mrna = f"{gene.gene}.t1"
        for kind, start, end, phase, attributes in (
            ("gene", gene.start, gene.end, ".", f"ID={gene.gene};Name={gene.gene}"),
            ("mRNA", gene.start, gene.end, ".", f"ID={mrna};Parent={gene.gene}"),
            ("exon", gene.start, gene.end, ".", f"ID={mrna}.exon1;Parent={mrna}"),
            ("CDS", gene.cds_start, gene.cds_end, "0", f"ID={mrna}.cds;Parent={mrna}"),
        ):
            if kind == "gene":
                attributes += ";biotype=protein_coding"
            lines.append(
                f"{gene.contig}\tsimulation\t{kind}\t{start + 1}\t{end}\t.\t"
                f"{gene.strand}\t{phase}\t{attributes}"
            )
    return "\n".join(lines) + "\n"


def truth_bed(elements: pd.DataFrame) -> str:
    """Returns BED6+3 of every planted element, 0-based half-open, sorted.

    The name is the kind and the genes acted on, ``.`` for none; the score is the
    largest effect on a gene in thousandths of the genome's largest. Then follow the
    element's identifier, its motif or family, and its largest effect.
    """
    targets = elements["gene"].where(
        (elements["effect"] > 0) | (elements["gene"] == elements["parent"]), ""
    )
    top = elements["effect"].max()
    lines = []
    order = elements["contig"].drop_duplicates().tolist()
    table = elements.assign(target=targets, rank=elements["contig"].map(order.index))
    table = table.sort_values(["rank", "start", "end", "element"], kind="stable")
    for element, rows in table.groupby("element", sort=False):
        first = rows.iloc[0]
        genes = ",".join(name for name in rows["target"] if name) or "."
        effect = rows["effect"].max()
        fields = (
            *(first["contig"], first["start"], first["end"]),
            *(f"{first['kind']}:{genes}", round(1000 * effect / top)),
            *(first["strand"], element, first["motif"] or ".", f"{effect:.6g}"),
        )
        lines.append("\t".join(map(str, fields)))
    return "\n".join(lines) + "\n"


def _write_archive(simulation: Simulation, folder: Path) -> None:
    threshold = simulation.config.threshold
    valid = _each(simulation.sequence, lambda bases: bases != UNKNOWN)
    windows = tile(simulation.sizes, window=WINDOW, stride=STRIDE)
    unknown = pd.DataFrame(
        [
            (contig, start, end)
            for contig, mask in valid.items()
            for start, end in _runs(~mask)
        ],
        columns=["contig", "start", "end"],
    )
    regions = windows[~overlaps(windows, unknown)].reset_index(drop=True)
    write_archive(
        folder,
        sequence=simulation.sequence,
        expressed_plus=_each(simulation.coverage_plus, lambda v: v > threshold),
        expressed_minus=_each(simulation.coverage_minus, lambda v: v > threshold),
        valid=valid,
        regions=regions,
        meta={
            "encoding": "A0 C1 G2 T3 N4",
            "threshold_rpm": threshold,
            "source": f"simulation, seed {simulation.config.seed}",
        },
    )


def _each(
    arrays: Mapping[str, np.ndarray], function: Callable[[np.ndarray], np.ndarray]
) -> dict[str, np.ndarray]:
    return {contig: function(array) for contig, array in arrays.items()}


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _description(simulation: Simulation) -> dict[str, Any]:
    genes, elements = simulation.genes, simulation.elements
    counts = elements.drop_duplicates("element")["kind"].value_counts().sort_index()
    logs = np.log(genes[["expression", "expression_noiseless"]].to_numpy())
    return {
        "version": VERSION,
        "config": asdict(simulation.config),
        "formula": FORMULA,
        "constants": {
            "baseline": BASELINE,
            "enhancer_scale": ENHANCER_SCALE,
            "bin": BIN,
            "decay": DECAY,
        },
        "motifs": {
            motif.name: {
                "consensus": motif.consensus,
                "strength": motif.strength,
                "family": motif.family,
                "probabilities": motif.probabilities.round(6).tolist(),
            }
            for motif in LIBRARY.values()
        },
        "sizes": simulation.sizes,
        "genes": len(genes),
        "genes_expressed": int(genes["expressed"].sum()),
        "elements": {kind: int(count) for kind, count in counts.items()},
        "noise_ceiling_pearson": round(float(np.corrcoef(logs.T)[0, 1]), 6),
        "units": {
            "expression, rna": "reads per million",
            "accessibility, h3k27ac": "fragments over a base",
            "contacts": "read pairs in a pair of bins",
        },
    }
