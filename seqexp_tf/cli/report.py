"""``seqexp-tf report``"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.core import ParameterSource
from tqdm import tqdm

from seqexp_tf.cli.options import (
    FILE,
    FOLDER,
    batch_size,
    data,
    load_tensorflow,
    open_store,
    say,
)


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="CONTIG:START-END",
    help="Region to add, 1-based inclusive, up to a window; may be repeated.",
)
@click.option(
    "--gene",
    "genes",
    multiple=True,
    metavar="NAME",
    help="Gene whose locus to add, for a model of genes; may be repeated.",
)
@click.option(
    "--annotation",
    type=FILE,
    metavar="GFF3",
    help="Genes to draw, and reading frames to compare with.",
)
@click.option(
    "--no-maps",
    is_flag=True,
    help="Leave out mutagenesis maps: minutes a region on models with attention.",
)
@data
@click.option("--out", type=FILE, help="The page; RUN/report.html by default.")
@batch_size
def command(
    run: Path,
    regions: tuple[str, ...],
    genes: tuple[str, ...],
    annotation: Path | None,
    no_maps: bool,
    data: Path | None,
    out: Path | None,
    batch_size: int,
) -> None:
    """Show everything about a run on one HTML page.

    Scores beside random predictors, expression from DNA alone, calibration before
    and after temperature scaling, learning curves, the run's configuration, dataset
    and environment; and for single regions borders, mutagenesis maps and sequence
    logos. The page is one file that needs no network, on a laptop or a phone.

    It opens the two example loci on the yeast genome, two stretches drawn from the
    test split on any other, and every --region. What `evaluate --calibrate` and
    `borders` left in RUN is used where it is of this model, dataset and annotation;
    what is missing is computed and not kept.

    Of a model of genes: scores beside simple predictors, learning curves, the
    elements it has learnt (as `elements` left them; with --links, their precision
    and recall), and the loci of the genes of highest, median and lowest expression
    and of every --gene.

    \b
    Example:
      seqexp-tf report runs/cnn
      seqexp-tf report runs/cnn --region chrIV:1,000,001-1,001,000 \\
        --annotation yeast.gff3 --out cnn.html
      seqexp-tf report runs/seq2exp --gene MYC
    """
    from seqexp_tf.evaluation.files import write_file
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    if trained.task == "joint" and genes:
        raise click.UsageError("--gene goes with models of genes; give --region")
    if trained.task == "expression" and (regions or no_maps):
        raise click.UsageError(
            "--region and --no-maps go with joint models; give --gene"
        )
    trained.require_finished()
    store = open_store(trained, data, out)
    path = out or run / "report.html"
    _require_writable(path)
    load_tensorflow()
    from seqexp_tf.report.page import render

    again = ["seqexp-tf", "report", str(run)]
    for option, value in (("--annotation", annotation), ("--data", data)):
        again += [] if value is None else [option, str(value)]
    again += ["--no-maps"] if no_maps else []
    again += [] if out is None else ["--out", str(out)]
    for option, texts in (("--region", regions), ("--gene", genes)):
        again += [part for text in texts for part in (option, text)]
    if trained.task == "expression":
        from seqexp_tf.report.gene_collect import prepare_gene_report
        from seqexp_tf.report.gene_compose import make_gene_page

        source = click.get_current_context().get_parameter_source("batch_size")
        inputs = prepare_gene_report(
            trained,
            store,
            genes=genes,
            annotation=annotation,
            # The default suits windows of a few thousand bases alone.
            batch_size=None if source is ParameterSource.DEFAULT else batch_size,
        )
        page = make_gene_page(inputs, command=again, step=_step)
    else:
        from seqexp_tf.report.collect import prepare_report
        from seqexp_tf.report.compose import make_page

        inputs = prepare_report(
            trained,
            store,
            regions=regions,
            annotation=annotation,
            maps=not no_maps,
            batch_size=batch_size,
        )
        page = make_page(inputs, command=again, step=_step)
    html = render(page).encode()
    write_file(path, html)
    click.echo(f"Written: {path} ({len(html) / 1e6:.1f} MB)")


def _require_writable(path: Path) -> None:
    """Raises RunError now rather than when everything is computed."""
    import tempfile

    from seqexp_tf.errors import RunError
    from seqexp_tf.evaluation.files import require_writable

    require_writable(path.parent)
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise RunError(
            f"{path.parent}: cannot write a file here ({error.strerror}); choose "
            "another place with --out"
        ) from None


@contextlib.contextmanager
def _step(what: str, total: int) -> Iterator[Callable[[int], None]]:
    say(what)
    with tqdm(total=total, leave=False, disable=None) as bar:
        yield bar.update
