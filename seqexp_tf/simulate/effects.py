"""The known function: planted sites and loops to expression."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from seqexp_tf.simulate.config import SimulationConfig
from seqexp_tf.simulate.dna import Site
from seqexp_tf.simulate.layout import Gene, Layout, Region

FORMULA = (
    "ln(expression_noiseless) = baseline + sum(effect) over the gene's rows of kind "
    "promoter_motif (TATA match x motif strength x site match) and enhancer "
    "(enhancer_scale x sum(motif strength x site match) x contact, where the families "
    "agree and the promoter is not silent); contact = loop strength x (distance in "
    "bins) ** -decay"
)

BASELINE = -0.5
"""Natural-log expression (RPM) of a gene with no working element."""

ENHANCER_SCALE = 0.4
"""Share of a motif's strength that it keeps inside an enhancer."""

BIN = 2000
"""Contact bin in bp."""

DECAY = 0.75
"""Contact falls with distance as ``(distance / BIN) ** -DECAY``."""

_NEAREST, _FARTHEST = 2, 9
ADDITIVE = ("promoter_motif", "enhancer")
ELEMENT_COLUMNS = (
    "element kind parent motif contig start end strand strength gene contact effect"
).split()

Loops = dict[tuple[int, int], float]
"""Strength of each loop of one contig, keyed by its two bins, smaller first."""


def plant_loops(layout: Layout, rng: np.random.Generator) -> Loops:
    """Draws chromatin loops from distal regions to promoters 2 to 20 kb away.

    Most enhancers reach a working promoter of their own family; some reach only
    another family's, some none; half of the decoys loop too, without effect.
    """
    loops: Loops = {}
    for region in layout.regions:
        near = [
            gene
            for gene in layout.genes
            if _NEAREST <= abs(gene.tss // BIN - region.centre // BIN) <= _FARTHEST
        ]
        draw = rng.random()
        if region.kind == "enhancer":
            own = draw < 0.8
            near = [gene for gene in near if compatible(region, gene) == own]
            wanted = int(rng.integers(1, 3)) if draw < 0.9 else 0
        else:
            wanted = int(draw < 0.5)
        for index in rng.permutation(len(near))[:wanted]:
            pair = _pair(region, near[index])
            loops.setdefault(pair, float(rng.uniform(0.6, 1.0)))
    return loops


def contact(region: Region, gene: Gene, loops: Mapping) -> float:
    """Returns loop strength times distance decay, or 0 where no loop was planted."""
    low, high = _pair(region, gene)
    strength = loops.get((low, high), 0.0)
    return strength * (high - low) ** -DECAY if strength else 0.0


def compatible(region: Region, gene: Gene) -> bool:
    """Tells whether an enhancer can act on a promoter: a working one of its family."""
    return (
        region.kind == "enhancer" and region.family == gene.family and not gene.silent
    )


def _pair(region: Region, gene: Gene) -> tuple[int, int]:
    low, high = sorted((region.centre // BIN, gene.tss // BIN))
    return low, high


def element_table(layout: Layout, sites: Sequence[Site], loops: Loops) -> pd.DataFrame:
    """Tables every planted element, a row for each gene that it touches.

    ``strength`` belongs to the element alone: a site's match for TATA boxes,
    initiators, terminators and pioneer sites, motif strength times match for
    activator sites, the scaled sum over its sites for an enhancer. ``effect`` is
    the fall of ``gene``'s noiseless log expression when this one element is
    destroyed. ``contact`` is 1 inside a gene's own promoter; a distal element that
    loops to no promoter has an empty ``gene``.
    """
    tata = {site.parent: site.match for site in sites if site.kind == "tata"}
    rows: list[tuple] = []

    def strength(site: Site) -> float:
        return site.match * (site.motif.strength or 1.0)

    def add(name: str, site: Site, *, gene: str, contact: float, effect: float) -> None:
        place = (layout.contig, site.start, site.end, site.strand)
        label = (name, site.kind, site.parent, site.motif.name)
        rows.append((*label, *place, strength(site), gene, contact, effect))

    by_parent: dict[str, list[Site]] = {}
    for site in sites:
        by_parent.setdefault(site.parent, []).append(site)

    for gene in layout.genes:
        score = tata.get(gene.name, 0.0)
        own = by_parent[gene.name]
        working = sum(strength(site) for site in own if site.kind == "promoter_motif")
        for number, site in enumerate(own, start=1):
            effect = {"tata": score * working, "promoter_motif": score * strength(site)}
            add(
                f"{gene.name}.{number}",
                site,
                gene=gene.name,
                contact=1.0,
                effect=effect.get(site.kind, 0.0),
            )

    for region in layout.regions:
        own = by_parent[region.name]
        active = [site for site in own if site.kind == "enhancer_motif"]
        total = ENHANCER_SCALE * sum(strength(site) for site in active)
        touched = [
            (gene.name, value, compatible(region, gene))
            for gene in layout.genes
            if (value := contact(region, gene, loops))
        ]
        for gene_name, value, acts in touched or [("", 0.0, False)]:
            reach = value if acts else 0.0
            rows.append(
                (
                    *(region.name, region.kind, region.name, region.family),
                    *(region.contig, region.start, region.end, "."),
                    *(total, gene_name, value, total * reach),
                )
            )
            for number, site in enumerate(own, start=1):
                share = ENHANCER_SCALE * strength(site) if site in active else 0.0
                add(
                    f"{region.name}.{number}",
                    site,
                    gene=gene_name,
                    contact=value,
                    effect=share * reach,
                )
    return pd.DataFrame(rows, columns=ELEMENT_COLUMNS)


def gene_table(
    layout: Layout,
    elements: pd.DataFrame,
    *,
    config: SimulationConfig,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Tables the genes; expression is in reads per million (RPM).

    ``expression_noiseless`` is ``exp(BASELINE + promoter_strength +
    enhancer_effect)``; ``expression`` multiplies it by log-normal noise.
    """
    summed = (
        elements[elements["kind"].isin(ADDITIVE)]
        .groupby(["gene", "kind"])["effect"]
        .sum()
        .to_dict()
    )
    promoter = np.array([summed.get((g.name, ADDITIVE[0]), 0.0) for g in layout.genes])
    enhancer = np.array([summed.get((g.name, ADDITIVE[1]), 0.0) for g in layout.genes])
    noiseless = np.exp(BASELINE + promoter + enhancer)
    noisy = noiseless * np.exp(rng.normal(0.0, config.noise, size=len(noiseless)))
    return pd.DataFrame(
        {
            "gene": [g.name for g in layout.genes],
            "contig": layout.contig,
            "tss": [g.tss for g in layout.genes],
            "strand": [g.strand for g in layout.genes],
            "start": [g.start for g in layout.genes],
            "end": [g.end for g in layout.genes],
            "cds_start": [g.cds[0] for g in layout.genes],
            "cds_end": [g.cds[1] for g in layout.genes],
            "family": [g.family for g in layout.genes],
            "silent": [g.silent for g in layout.genes],
            "promoter_strength": promoter,
            "enhancer_effect": enhancer,
            "expression": noisy,
            "expression_noiseless": noiseless,
            "expressed": noisy > config.threshold,
        }
    )
