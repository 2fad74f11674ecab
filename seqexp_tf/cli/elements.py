"""``seqexp-tf elements``"""

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from tqdm import tqdm

from seqexp_tf.cli.options import FILE, FOLDER, data, load_tensorflow, open_store, say

if TYPE_CHECKING:
    import pandas as pd

    from seqexp_tf.evaluation.gene_masks import GeneMask
    from seqexp_tf.evaluation.links import Links
    from seqexp_tf.interpretation.learnt_elements import LearntElements, Scoring
    from seqexp_tf.models.mask_config import MaskConfig
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.run import Run

ALL = "all"

_NOTED = 5


@click.command()
@click.argument("run", type=FOLDER)
@click.option("--split", help='Genes of this split, or "all".  [default: test]')
@click.option(
    "--gene",
    "genes",
    multiple=True,
    metavar="NAME",
    help="Only this gene, by identifier or name, of any split; may be repeated.",
)
@click.option(
    "--threshold",
    type=float,
    help="Select bases whose mask is at least this.  [default: that of a hard mask]",
)
@click.option(
    "--fraction",
    type=float,
    help="Select this share of the bases outside the promoter, the highest.  "
    "[default: 0.1]",
)
@click.option(
    "--max-gap",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="Join elements at most so many bases apart.",
)
@click.option(
    "--min-length",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Leave out shorter elements.",
)
@click.option(
    "--links",
    type=FILE,
    help="Known elements to score the mask against: BED, or a table with genes.",
)
@click.option(
    "--peaks",
    type=FILE,
    help="With --links: also rank by these peaks, such as of MACS3; BED, narrowPeak.",
)
@click.option(
    "--exclude-promoter",
    is_flag=True,
    help="With --links: leave out the bases around the TSS that are always kept.",
)
@click.option(
    "--exclude",
    type=click.IntRange(min=0),
    default=0,
    metavar="BASES",
    help="With --links: leave out so many bases around each TSS.",
)
@click.option(
    "--block",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="With --links: draw blocks of so many bases for intervals; 0 draws genes.",
)
@click.option("--plot", is_flag=True, help="With --gene: draw the locus of each gene.")
@click.option(
    "--annotation",
    type=FILE,
    metavar="GFF3",
    help="With --plot: GFF3 or GTF whose genes are drawn.",
)
@data
@click.option("--out", type=FOLDER, help="Folder for results; RUN/elements by default.")
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Genes at once.  [default: as many as have 131,072 bases]",
)
def command(
    run: Path,
    split: str | None,
    genes: tuple[str, ...],
    threshold: float | None,
    fraction: float | None,
    max_gap: int,
    min_length: int,
    links: Path | None,
    peaks: Path | None,
    exclude_promoter: bool,
    exclude: int,
    block: int,
    plot: bool,
    annotation: Path | None,
    data: Path | None,
    out: Path | None,
    batch_size: int | None,
) -> None:
    """Write the regulatory elements that a model has learnt for each gene.

    Selected bases, joined to elements, as BED (name: gene, score: 1000 x mean mask)
    and as a table with the distance to the TSS (negative upstream); the mask as a
    bigWig, of every base the largest over genes; a table of genes with their mask
    ratio; and a JSON summary. With --gene, also a bigWig of that gene's own mask
    and, with --plot, a figure of its locus.

    The promoter that a model keeps whatever its mask says is not counted or ranked:
    it is listed beside what was learnt, of kind "promoter" (BED: GENE:promoter).

    --links scores the mask against known elements: average precision beside that of
    each signal, of signals times contact as in ABC, of distance (with upstream bases
    first, too), of peaks (--peaks, and channels of the dataset) and of chance, over
    bases and over candidate element-gene pairs, with 95 % intervals of a bootstrap
    over genes, and how much and how many times better the mask is. Takes BED (its
    elements count for every gene), tables of ABC or ENCODE-rE2G, and elements.tsv of
    a simulation.

    \b
    Example:
      seqexp-tf elements runs/seq2exp --links sim/elements.tsv --peaks macs3.narrowPeak
      seqexp-tf elements runs/seq2exp --gene MYC --plot --annotation genes.gff3
    """
    if genes and split:
        raise click.UsageError("give either --gene or --split")
    if threshold is not None and fraction is not None:
        raise click.UsageError("give either --threshold or --fraction")
    if plot and not genes:
        raise click.UsageError("--plot goes with --gene")
    if annotation is not None and not plot:
        raise click.UsageError("--annotation goes with --plot")
    if (exclude_promoter or exclude or block or peaks) and links is None:
        raise click.UsageError("--peaks, --exclude and --block go with --links")
    if peaks is not None and peaks.resolve() == links.resolve():
        raise click.UsageError(f"--peaks and --links are both {peaks}; give two files")
    from seqexp_tf.evaluation.files import require_writable, write_file
    from seqexp_tf.evaluation.gene_tracks import find_genes, require_genes
    from seqexp_tf.evaluation.tables import finite
    from seqexp_tf.interpretation.element_files import (
        GenomeMaximum,
        summarise,
        write_elements_bed,
        write_gene_bigwig,
        write_table,
    )
    from seqexp_tf.interpretation.elements import model_selection
    from seqexp_tf.interpretation.learnt_elements import learnt_elements
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    mask = _mask_of(trained)
    selection = model_selection(
        mask,
        threshold=threshold,
        fraction=fraction,
        max_gap=max_gap,
        min_length=min_length,
    )
    store = open_store(trained, data, out)
    require_genes(store)
    sizes = store.manifest["contigs"]
    splits = store.splits if genes or split == ALL else (split or "test",)
    chosen = {name: set(range(store.count(name))) for name in splits}
    if genes:
        chosen = find_genes(store, genes, splits=splits)
    scoring = None
    if links is not None:
        excluded = max(mask.promoter if exclude_promoter else 0, exclude)
        total = sum(map(len, chosen.values())) * _window(trained, store)
        scoring = _scoring(
            links, peaks, store, excluded=excluded, bases=total, block=block
        )
    drawn = _drawn_genes(annotation, store, chosen)
    folder = out or run / "elements"
    require_writable(folder)
    load_tensorflow()
    from seqexp_tf.evaluation.mask_predictor import MaskPredictor

    predictor = MaskPredictor.open(trained, store, batch_size=batch_size)
    stem = "selected" if genes else split or "test"
    written: list[Path] = []
    with (
        GenomeMaximum(sizes, folder) as maximum,
        tqdm(
            total=sum(map(len, chosen.values())),
            unit=" genes",
            leave=False,
            disable=None,
        ) as bar,
    ):

        def each(gene: "GeneMask", elements: "pd.DataFrame") -> None:
            maximum.add(gene)
            if genes:
                path = folder / f"{_file_name(gene)}.mask.bw"
                write_gene_bigwig(path, gene, sizes)
                written.append(path)
            if plot:
                known = None if scoring is None else scoring.links
                written.extend(
                    _draw(gene, elements, drawn, known, mask.promoter, folder)
                )

        found = learnt_elements(
            itertools.chain.from_iterable(
                predictor.predict(
                    name,
                    chosen=rows,
                    tracks=plot or scoring is not None,
                    progress=bar.update,
                )
                for name, rows in chosen.items()
            ),
            selection,
            sizes=sizes,
            scoring=scoring,
            each=each,
        )
        paths = {
            kind: folder / f"{stem}.{kind}"
            for kind in ("elements.bed", "elements.tsv", "genes.tsv", "mask.bw", "json")
        }
        maximum.write(paths["mask.bw"])
    write_elements_bed(paths["elements.bed"], found.elements)
    write_table(paths["elements.tsv"], found.elements)
    write_table(paths["genes.tsv"], found.genes)
    about = {
        "model_sha256": trained.model_sha256,
        "dataset": {
            "name": store.manifest["name"],
            "fingerprint": store.fingerprint,
            "split": stem,
        },
    }
    summary = summarise(found.genes, found.elements)
    document = {
        **about,
        "selection": dataclasses.asdict(selection),
        **summary,
        "genes_without_mask": list(found.empty),
    }
    text = json.dumps(finite(document), indent=1, allow_nan=False) + "\n"
    write_file(paths["json"], text.encode())
    written = [*paths.values(), *written]
    _note_empty(found.empty)
    click.echo(f"Selected: {selection.describe()}")
    click.echo(describe(summary, promoter=mask.promoter))
    if scoring is not None:
        written += _write_scores(found, scoring, store, folder / stem, about)
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def describe(summary: dict[str, float], *, promoter: int) -> str:
    """Returns a summary in one line for a terminal."""
    outside = " outside the promoters that are always kept" if promoter else ""
    text = (
        f"{_counted(summary['elements'], 'element')} of "
        f"{_counted(summary['genes'], 'gene')}, {summary['selected_fraction']:.2%} of "
        f"the bases{outside}; mask ratio {summary['mask_ratio']:.2%}, mean mask "
        f"{summary['mask_mean']:.3f}{', promoters included' * bool(promoter)}"
    )
    if summary["elements"]:
        text += (
            f"; median length {summary['median_length']:,.0f} bp, median distance to "
            f"the TSS {summary['median_distance']:,.0f} bp"
        )
    return text


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _mask_of(trained: "Run") -> "MaskConfig":
    """Returns the mask of a model; refuses one that has none."""
    from seqexp_tf.errors import RunError
    from seqexp_tf.training.config import model_config

    trained.require_task("expression", verb="elements")
    mask = model_config(trained.config).mask
    if mask.kind == "none":
        raise RunError(
            f"{trained.folder}: this model selects no bases (model.mask.kind = "
            '"none"); elements need one with a mask, such as the preset seq2exp_soft'
        )
    return mask


def _window(trained: "Run", store: "RecordStore") -> int:
    return trained.config.pipeline.window or store.schema.window


def _scoring(
    links: Path,
    peaks: Path | None,
    store: "RecordStore",
    *,
    excluded: int,
    bases: int,
    block: int,
) -> "Scoring":
    from seqexp_tf.errors import InputError
    from seqexp_tf.evaluation.gene_tracks import measured_scales
    from seqexp_tf.evaluation.links import read_links
    from seqexp_tf.evaluation.rankings import Rankings
    from seqexp_tf.genome.contigs import ContigNames
    from seqexp_tf.interpretation.learnt_elements import Scoring, thinning
    from seqexp_tf.models.shape import expression_shape
    from seqexp_tf.records.contig_inputs import read_channel

    known = read_links(
        links, sizes=store.manifest["contigs"], genes=store.windows()[["gene", "name"]]
    )
    for reason, count in known.skipped.items():
        say(f"Note: {links}: {count:,} links left aside: {reason}")
    shape = expression_shape(store.schema)
    intervals = {}
    if peaks is not None:
        table, _ = read_channel(peaks, ContigNames(store.manifest["contigs"]))
        if table.empty:
            raise InputError(f"{peaks}: no peak in it; call peaks with other options")
        intervals[peaks.name] = dict(iter(table.groupby("contig")))
    methods = 5 + 2 * len(shape.signals) + len(shape.channels)
    return Scoring(
        links=known,
        rankings=Rankings(
            measured=measured_scales(store.schema.expression), peaks=intervals
        ),
        excluded=excluded,
        every=thinning(bases, methods),
        block=block,
    )


def _drawn_genes(
    annotation: Path | None, store: "RecordStore", chosen: dict[str, set[int]]
) -> "pd.DataFrame | None":
    """Returns the genes of an annotation on the contigs of those asked for."""
    if annotation is None:
        return None
    from seqexp_tf.genome.genes import annotation_of, gene_table

    contigs = dict.fromkeys(
        contig
        for split, rows in chosen.items()
        for contig in store.windows(split).contig.iloc[sorted(rows)]
    )
    sizes = store.manifest["contigs"]
    return gene_table(annotation_of(annotation, sizes, contigs=contigs))


def _draw(
    gene: "GeneMask",
    elements: "pd.DataFrame",
    drawn: "pd.DataFrame | None",
    links: "Links | None",
    promoter: int,
    folder: Path,
) -> list[Path]:
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.interpretation.locus_plot import plot_locus

    figure = plot_locus(
        gene,
        elements=elements,
        genes=drawn,
        known=None if links is None else links.positives(gene.window),
        promoter=promoter,
    )
    return save_figure(figure, folder / f"{_file_name(gene)}.locus")


def _file_name(gene: "GeneMask") -> str:
    return re.sub(r"[^\w.-]", "_", gene.window.name)


def _write_scores(
    found: "LearntElements",
    scoring: "Scoring",
    store: "RecordStore",
    stem: Path,
    about: dict[str, Any],
) -> list[Path]:
    from seqexp_tf.evaluation.element_plots import plot_element_scores
    from seqexp_tf.evaluation.element_tables import to_text, write_scores
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.models.shape import expression_shape

    links = scoring.links
    about |= {
        "links": str(links.path),
        "links_name_genes": links.by_gene,
        "links_left_aside": links.skipped,
        "bases_excluded_around_tss": scoring.excluded,
    }
    written = write_scores(
        found.scores, stem.with_name(f"{stem.name}.scores"), about=about
    )
    signals = expression_shape(store.schema).signals
    for scores in found.scores:
        click.echo()
        click.echo(to_text(scores))
        written += save_figure(
            plot_element_scores(scores, signals=signals),
            stem.with_name(f"{stem.name}.scores_{scores.unit}"),
        )
    if not links.by_gene:
        say(f"Note: {links.path} names no genes, so that pairs are not scored")
    return written


def _note_empty(genes: tuple[str, ...]) -> None:
    for gene in genes[:_NOTED]:
        say(f"Note: gene {gene}: the mask is zero outside the promoter; no element")
    if len(genes) > _NOTED:
        say(f"Note: and {len(genes) - _NOTED:,} more genes; see the summary")
