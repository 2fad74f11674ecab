"""A synthetic genome with genes and base-resolution signals, to time conversion."""

from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.config import build
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.tracks import bigwig_writer
from seqexp_tf.records.expression_recipe import ExpressionRecipe

WINDOW = 200_000
SPACING = 168_000
"""Bases a gene: 18,377 genes on the 3.1 Gb of the human genome."""

FRAGMENTS = {"dnase": 30, "h3k27ac": 200, "atac": 80}
"""Signals, and the length of the fragments that pile up in them."""

SIGNALS = ("fold", "noise")
"""Sorts of signals that ``write_inputs`` makes."""

_CONTIGS = ("chr1", "chr2", "chr3")


def write_inputs(folder: Path, *, signal: str, genes: int, seed: int = 0) -> None:
    """Writes genome.fa, genes.tsv and a bigWig a signal.

    Args:
        folder: existing, empty.
        signal: ``fold``, fold change over a control, as from an experiment: about
            0.1 changes of value a base for DNase; or ``noise``, another random
            number at every base, which nothing can compress.
        genes: on three contigs together, clustered as on real chromosomes.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    size = max(WINDOW, genes * SPACING // len(_CONTIGS))
    sizes = dict.fromkeys(_CONTIGS, size)
    write_fasta(
        folder / "genome.fa",
        {name: rng.integers(0, 4, size).astype(np.uint8) for name in sizes},
    )
    # Clusters of genes: their windows overlap, others lie far apart.
    centres = rng.uniform(0, size, genes // 4 + 1)
    places = rng.choice(centres, genes) + rng.normal(0, SPACING / 2, genes)
    table = pd.DataFrame(
        {
            "gene": [f"gene{number}" for number in range(genes)],
            "contig": [_CONTIGS[number % 3] for number in range(genes)],
            "tss": np.clip(places, 0, size - 1).astype(int),
            "strand": rng.choice(["+", "-"], genes),
            "level": rng.gamma(1.0, 30.0, genes),
        }
    )
    table.to_csv(folder / "genes.tsv", sep="\t", index=False)
    for name, fragment in FRAGMENTS.items():
        with bigwig_writer(folder / f"{name}.bw", sizes) as writer:
            for contig in sorted(sizes):
                values = (
                    _fold_change(rng, size, fragment)
                    if signal == "fold"
                    else rng.gamma(2.0, 1.0, size)
                )
                writer.add(contig, 0, values.astype(np.float32))


def _fold_change(rng: np.random.Generator, size: int, fragment: int) -> np.ndarray:
    """Fragments over each base, 1.5 on average, relative to a flat control's."""
    rate = np.repeat(rng.gamma(0.3, 1.0, size // 500 + 1), 500)[:size]
    treated = _pile_up(rng, rate / rate.mean() * 1.5, fragment)
    control = _pile_up(rng, np.full(size, 9.0), 1000)
    return 9.0 * treated / np.maximum(control, 3.0)


def _pile_up(rng: np.random.Generator, depth: np.ndarray, fragment: int) -> np.ndarray:
    begun = rng.poisson(depth / fragment)
    change = begun.copy()
    change[fragment:] -= begun[:-fragment]
    return np.cumsum(change)


def expression_recipe(folder: Path, *, compression: str = "gzip") -> ExpressionRecipe:
    """Returns the recipe of what ``write_inputs`` wrote: windows of 200,000 bases."""
    return build(
        ExpressionRecipe,
        {
            "kind": "expression",
            "name": "synthetic_expression",
            "source": {
                "root": str(folder),
                "fasta": "genome.fa",
                "genes": "genes.tsv",
            },
            "signals": {
                name: {"path": f"{name}.bw", "transform": ["log1p"]}
                for name in FRAGMENTS
            },
            "target": {"column": "level", "transform": "log10p1"},
            "splits": {"validation": ["chr2"], "test": ["chr3"]},
            "output": {"compression": compression, "min_shards": 4},
        },
        origin="synthetic",
    )
