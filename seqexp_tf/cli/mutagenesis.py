"""``seqexp-tf mutagenesis``"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from seqexp_tf.cli.options import (
    FILE,
    FOLDER,
    batch_size,
    data,
    load_tensorflow,
    open_store,
)

if TYPE_CHECKING:
    import pandas as pd

    from seqexp_tf.records.regions import Region

_TOP = 10


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--region",
    required=True,
    metavar="CONTIG:START-END",
    help="Bases to mutate, 1-based inclusive; at most a window.",
)
@click.option("--strand", type=click.Choice(["+", "-"]), default="+", show_default=True)
@click.option(
    "--labels",
    type=click.Choice(["half", "hidden"]),
    default="half",
    show_default=True,
    help="Measured labels not shown to the model: those of the window's central "
    "half, or all.",
)
@click.option(
    "--whole-window",
    is_flag=True,
    help="Compare the expression of the whole window, not of the region alone.",
)
@click.option(
    "--target",
    metavar="CONTIG:START-END",
    help="Signed effects (table, lowest strip of the influence figure) are sums over "
    "these bases, such as a gene; without it over all bases compared.",
)
@click.option(
    "--zoom",
    metavar="CONTIG:START-END",
    help="Draw each map, and the strips above it, a second time of this part of "
    "--region alone; the first map, the table and the npz stay those of the whole "
    "region.",
)
@click.option(
    "--annotation",
    type=FILE,
    metavar="GFF3",
    help="GFF3 or GTF whose genes name positions and become arrows in the figures.",
)
@data
@click.option(
    "--out", type=FOLDER, help="Folder for results; RUN/mutagenesis by default."
)
@batch_size
def command(
    run: Path,
    region: str,
    strand: str,
    labels: str,
    whole_window: bool,
    target: str | None,
    zoom: str | None,
    annotation: Path | None,
    data: Path | None,
    out: Path | None,
    batch_size: int,
) -> None:
    """Map what every mutation of a region changes.

    Each base of the region is mutated to the three others, in a window centred on
    it in which no base is masked. An entry of the map is the largest change that
    mutating base i makes in p(expressed) at base j: the absolute difference of
    log-odds, and |ln ratio|. Written are both maps with the base that made each
    change (npz), a table of every base with its mean and largest influence and
    signed effects (TSV), and figures (PNG and SVG). Positions are those of the
    genome and bases those of the plus strand, whatever the strand.

    Of a convolutional model only what a mutation can reach is computed, which
    changes nothing but the time; any other model sees every mutant whole.

    \b
    Example:
      seqexp-tf mutagenesis runs/cnn --region chrIV:1,468,900-1,469,900 \\
          --annotation genes.gff3.gz --zoom chrIV:1,469,700-1,469,900
    """
    from seqexp_tf.evaluation.files import require_writable, write_file
    from seqexp_tf.genome.genes import annotation_of, gene_table
    from seqexp_tf.interpretation.mutation_map import (
        MEASURES,
        read_map,
        require_within,
    )
    from seqexp_tf.records.regions import find_region
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    trained.require_task("joint", verb="mutagenesis")
    store = open_store(trained, data, out)
    mutated, part, sum_over = (
        None if text is None else find_region(store, text)
        for text in (region, zoom, target)
    )
    if part is not None:
        require_within("zoom", part, mutated, "the mutated region")
    folder = out or run / "mutagenesis"
    genes = None
    if annotation is not None:
        sizes = store.manifest["contigs"]
        genes = gene_table(annotation_of(annotation, sizes, contigs=[mutated.contig]))
    load_tensorflow()
    from seqexp_tf.evaluation.predictor import JointPredictor
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.interpretation.influence import influence_table, most_influential
    from seqexp_tf.interpretation.mutagenesis import write_mutagenesis
    from seqexp_tf.interpretation.mutation_plots import plot_influence, plot_map

    predictor = JointPredictor.open(trained, store, batch_size=batch_size)
    window = predictor.window_around(mutated)
    require_writable(folder)
    stem = folder / _name(mutated, strand, labels, whole_window, sum_over)
    with tqdm(total=len(mutated), unit=" bases", leave=False, disable=None) as bar:
        path = write_mutagenesis(
            stem.with_name(f"{stem.name}.npz"),
            predictor,
            mutated,
            strand,
            labels=labels,
            recorded=window if whole_window else None,
            target=sum_over,
            progress=bar.update,
        )
    found = read_map(path)
    table = influence_table(found, genes=genes)
    text = table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    written = [path, write_file(stem.with_name(f"{stem.name}.tsv"), text.encode())]
    written += save_figure(
        plot_influence(found, genes=genes), folder / f"{stem.name}_influence"
    )
    for measure in MEASURES:
        name = f"{stem.name}_{measure}"
        written += save_figure(plot_map(found, measure, genes=genes), folder / name)
        if part is not None:
            figure = plot_map(found, measure, zoom=part, genes=genes)
            name = f"{name}_zoom_{part.start + 1}-{part.end}"
            written += save_figure(figure, folder / name)
    click.echo(_summary(most_influential(table, _TOP), mutated, strand))
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def _summary(top: "pd.DataFrame", region: "Region", strand: str) -> str:
    columns = ["position", "base", "log_odds_mean", "log_odds_max", "log_odds_to"]
    if "place" in top:
        columns.append("place")
    rows = top[columns].rename(
        columns={
            "log_odds_mean": "mean",
            "log_odds_max": "max",
            "log_odds_to": "to",
        }
    )
    listed = rows.to_string(index=False, float_format="{:.3f}".format)
    return (
        f"{region} ({strand}): bases of most influence, |log-odds difference|\n{listed}"
    )


def _name(
    region: "Region",
    strand: str,
    labels: str,
    whole_window: bool,
    target: "Region | None",
) -> str:
    parts = [
        re.sub(r"[^\w.-]", "_", region.contig),
        f"{region.start + 1}-{region.end}",
        {"+": "plus", "-": "minus"}[strand],
    ]
    # What is not the default is in the name, so that neither replaces the other.
    if labels == "hidden":
        parts.append("dna_only")
    if whole_window:
        parts.append("whole_window")
    if target is not None:
        parts.append(f"target_{target.start + 1}-{target.end}")
    return "_".join(parts)
