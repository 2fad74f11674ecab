"""Puts layout, DNA, effects and signals together."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqexp_tf.simulate import signals
from seqexp_tf.simulate.config import SimulationConfig
from seqexp_tf.simulate.dna import synthesise
from seqexp_tf.simulate.effects import Loops, element_table, gene_table, plant_loops
from seqexp_tf.simulate.layout import contig_sizes, lay_out


@dataclass(frozen=True)
class Simulation:
    """A simulated genome, its truth and its measured tracks.

    Coordinates are 0-based half-open. Every mapping is keyed by contig; per-base
    arrays have shape ``(contig length,)``.

    Attributes:
        config: What it was made from.
        sizes: Contig length in bp.
        sequence: uint8, ``A C G T N`` = 0 to 4.
        genes: A row a gene; columns as in :func:`effects.gene_table`.
        elements: A row an element and gene; as in :func:`effects.element_table`.
        coverage_plus: RNA coverage of the plus strand in RPM, float32.
        coverage_minus: RNA coverage of the minus strand in RPM, float32.
        accessibility: Fragments over each base, float32.
        h3k27ac: Fragments over each base, float32.
        loops: Strength of each planted loop, keyed by its two 2-kb bins.
        contacts: Raw counts, int32, shape ``(bins, bins)``, 2-kb bins.
        weights: Balancing weights, float64, shape ``(bins,)``; NaN where masked.
    """

    config: SimulationConfig
    sizes: dict[str, int]
    sequence: dict[str, np.ndarray]
    genes: pd.DataFrame
    elements: pd.DataFrame
    coverage_plus: dict[str, np.ndarray]
    coverage_minus: dict[str, np.ndarray]
    accessibility: dict[str, np.ndarray]
    h3k27ac: dict[str, np.ndarray]
    loops: dict[str, Loops]
    contacts: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def simulate(config: SimulationConfig | None = None) -> Simulation:
    """Simulates a genome; the same config gives the same arrays.

    Args:
        config: Size, seed and rates; the defaults where omitted.
    """
    config = config or SimulationConfig()
    sizes = contig_sizes(config)
    sequence, loops, contacts, weights = {}, {}, {}, {}
    plus, minus, opened, acetylated = {}, {}, {}, {}
    genes, elements = [], []
    for number, (contig, length) in enumerate(sizes.items()):
        layout = lay_out(contig, length, config=config, rng=config.rng(number, 0))
        sequence[contig], sites = synthesise(layout, config.rng(number, 1))
        loops[contig] = plant_loops(layout, config.rng(number, 2))
        truth = element_table(layout, sites, loops[contig])
        table = gene_table(layout, truth, config=config, rng=config.rng(number, 3))
        plus[contig], minus[contig] = signals.rna_coverage(
            layout, table, config.rng(number, 4)
        )
        opened[contig] = signals.accessibility(layout, table, config.rng(number, 5))
        acetylated[contig] = signals.h3k27ac(
            layout, table, truth, config.rng(number, 6)
        )
        contacts[contig] = signals.contact_counts(
            layout, loops[contig], config.rng(number, 7)
        )
        weights[contig] = signals.balancing_weights(contacts[contig])
        genes.append(table)
        elements.append(truth)
    return Simulation(
        config=config,
        sizes=sizes,
        sequence=sequence,
        genes=pd.concat(genes, ignore_index=True),
        elements=pd.concat(elements, ignore_index=True),
        coverage_plus=plus,
        coverage_minus=minus,
        accessibility=opened,
        h3k27ac=acetylated,
        loops=loops,
        contacts=contacts,
        weights=weights,
    )
