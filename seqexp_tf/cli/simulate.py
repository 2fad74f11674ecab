"""``seqexp-tf simulate``: a genome with planted grammar, as real files."""

from pathlib import Path

import click

from seqexp_tf.cli.options import FOLDER


@click.command(name="simulate")
@click.argument("out", type=FOLDER)
@click.option("--seed", type=int, default=0, show_default=True, help="Random seed.")
@click.option(
    "--contigs", type=int, default=6, show_default=True, help="Number of contigs."
)
@click.option(
    "--contig-length",
    type=int,
    default=120_000,
    show_default=True,
    help="Mean contig length in bp.",
)
@click.option(
    "--noise",
    type=float,
    default=0.35,
    show_default=True,
    help="Standard deviation of the noise on natural-log expression.",
)
@click.option(
    "--no-contacts",
    is_flag=True,
    help="Leave out contacts.cool, which needs the optional package cooler.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier simulation in OUT.")
def command(
    out: Path,
    seed: int,
    contigs: int,
    contig_length: int,
    noise: float,
    no_contacts: bool,
    overwrite: bool,
) -> None:
    """Simulate a small genome whose DNA and contacts decide expression.

    Writes genome, annotation, stranded RNA coverage, accessibility, H3K27ac,
    contacts, the joint archive and the truth (elements.tsv, genes.tsv, truth.bed)
    into the folder OUT. The same options give the same files.

    \b
    Example:
      seqexp-tf simulate sim/ --seed 1 --contigs 6 --contig-length 120000
    """
    from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

    simulation = simulate(
        SimulationConfig(
            seed=seed, contigs=contigs, contig_length=contig_length, noise=noise
        )
    )
    write_simulation(simulation, out, contacts=not no_contacts, overwrite=overwrite)
    genes, elements = simulation.genes, simulation.elements
    kinds = elements.drop_duplicates("element")["kind"].value_counts()
    click.echo(
        f"{out}: {len(simulation.sizes)} contigs, "
        f"{sum(simulation.sizes.values()):,} bp, {len(genes)} genes "
        f"({int(genes['expressed'].sum())} expressed), "
        f"{kinds.get('enhancer', 0)} enhancers, {kinds.get('decoy', 0)} decoys"
    )
