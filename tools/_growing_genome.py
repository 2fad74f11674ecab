"""Genomes of any size, to see whether time a window depends on their number."""

from pathlib import Path

import numpy as np

from seqexp_tf.config import build
from seqexp_tf.genome.alphabet import decode
from seqexp_tf.genome.tracks import bigwig_writer
from seqexp_tf.records.recipe import JointRecipe

WINDOW, STRIDE, STRANDS = 2048, 1024, 2
_CONTIGS = 8
_RUN = 50
"""Bases of equal coverage, on average."""


def growing_recipe(folder: Path, windows: int, *, compression: str) -> JointRecipe:
    """Writes a genome with about ``windows`` windows; returns its recipe.

    Bases are random; coverage is constant over runs of 50 bases on average.
    """
    folder.mkdir()
    rng = np.random.default_rng(windows)
    size = WINDOW + STRIDE * (windows // (_CONTIGS * STRANDS))
    sizes = {f"chr{number}": size for number in range(1, _CONTIGS + 1)}
    with (folder / "genome.fa").open("wb") as fasta:
        for name in sizes:
            bases = rng.integers(0, 4, size, dtype=np.uint8)
            fasta.write(f">{name}\n{decode(bases)}\n".encode())
    for strand in ("plus", "minus"):
        with bigwig_writer(folder / f"{strand}.bw", sizes) as writer:
            for name in sizes:
                borders = rng.random(size, dtype=np.float32) < 1 / _RUN
                levels = rng.gamma(0.5, 4.0, int(borders.sum()) + 1)
                values = levels.astype(np.float32)[np.cumsum(borders)]
                writer.add(name, 0, values)
    return build(
        JointRecipe,
        {
            "kind": "joint",
            "name": f"growing_{windows}",
            "source": {
                "root": str(folder),
                "genome": {
                    "fasta": "genome.fa",
                    "coverage_plus": "plus.bw",
                    "coverage_minus": "minus.bw",
                    "threshold": 2.0,
                },
            },
            "windows": {"size": WINDOW, "stride": STRIDE},
            "splits": {"validation": ["chr7"], "test": ["chr8"]},
            "output": {"compression": compression},
        },
        origin="growing",
    )
