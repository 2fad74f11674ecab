"""``seqexp-tf tracks``"""

from pathlib import Path

import click
from tqdm import tqdm

from seqexp_tf.cli.options import (
    FOLDER,
    batch_size,
    data,
    load_tensorflow,
    open_store,
    regions,
)


@click.command()
@click.argument("run", type=FOLDER)
@regions
@click.option("--split", help="Predict this split.  [default: test]")
@click.option(
    "--labels",
    type=click.Choice(["hidden", "visible"]),
    default="hidden",
    show_default=True,
    help="Whether the model sees the measured expression.",
)
@data
@click.option("--out", type=FOLDER, help="Folder for results; RUN/tracks by default.")
@batch_size
def command(
    run: Path,
    regions: tuple[str, ...],
    split: str | None,
    labels: str,
    data: Path | None,
    out: Path | None,
    batch_size: int,
) -> None:
    """Write predicted expression for a genome browser.

    Every base of the regions, or of a split, is predicted on both strands: from DNA
    alone, or with --labels visible also from the measured expression. Written are
    a bigWig of p(expressed) for each strand and two BED files of the regions called
    expressed, those of p > 0.5 and segments that do not flicker around it; their
    score is 1000 x mean p. IGV and pyGenomeTracks open them as they are. Bases
    without a window in the dataset are left out.

    \b
    Example:
      seqexp-tf tracks runs/cnn --split test
      seqexp-tf tracks runs/cnn --region chrIV:1,468,900-1,470,947 --out tracks
    """
    if regions and split:
        raise click.UsageError("give either --region or --split")
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.records.regions import find_region
    from seqexp_tf.records.spans import (
        merge,
        stored_parts,
        stored_spans,
        uncovered,
    )
    from seqexp_tf.report.wording import listing
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    trained.require_task("joint", verb="tracks")
    store = open_store(trained, data, out)
    name = "regions" if regions else split or "test"
    if regions:
        asked = [find_region(store, text) for text in regions]
        parts = stored_parts(store, asked)
    else:
        parts = stored_spans(store, name)
        asked = [find_region(store, contig) for contig in {p.contig: 0 for p in parts}]
    folder = out or run / "tracks"
    require_writable(folder)
    load_tensorflow()
    from seqexp_tf.evaluation.predictor import JointPredictor
    from seqexp_tf.evaluation.profile_prediction import count_windows
    from seqexp_tf.interpretation.tracks import write_tracks

    predictor = JointPredictor.open(trained, store, batch_size=batch_size)
    with tqdm(
        total=count_windows(predictor, parts),
        unit=" windows",
        leave=False,
        disable=None,
    ) as bar:
        files = write_tracks(
            predictor,
            parts,
            folder / f"{name}_{labels}",
            labels=labels,
            progress=bar.update,
        )
    click.echo(f"{sum(map(len, parts)):,} bases predicted on both strands.")
    stored = stored_spans(store)
    gaps = merge(gap for region in asked for gap in uncovered(region, stored))
    if gaps:
        named = listing([str(gap) for gap in gaps], most=5)
        click.echo(
            f"Left out, for the dataset has no window there: {named} "
            f"({sum(map(len, gaps)):,} bases)."
        )
    click.echo("Written:")
    for path in files.paths:
        click.echo(f"  {path}")
