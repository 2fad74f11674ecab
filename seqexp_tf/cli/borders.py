"""``seqexp-tf borders``"""

import json
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
    regions,
    say,
)
from seqexp_tf.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from seqexp_tf.evaluation.predictor import JointPredictor
    from seqexp_tf.records.regions import Region
    from seqexp_tf.training.run import Run


@click.command()
@click.argument("run", type=FOLDER)
@regions
@click.option("--split", help="Evaluate this split.  [default: test]")
@click.option(
    "--annotation",
    type=FILE,
    metavar="GFF3",
    help="GFF3 or GTF: its ORFs become a baseline, its genes arrows under a figure.",
)
@click.option(
    "--visible",
    is_flag=True,
    help="With --region: draw the prediction with every label visible, too, though "
    "training scores hidden labels alone.",
)
@data
@click.option("--out", type=FOLDER, help="Folder for results; RUN/borders by default.")
@batch_size
def command(
    run: Path,
    regions: tuple[str, ...],
    split: str | None,
    annotation: Path | None,
    visible: bool,
    data: Path | None,
    out: Path | None,
    batch_size: int,
) -> None:
    """Find where expression begins and ends, from DNA alone.

    Every base of a split is predicted on both strands with all labels hidden.
    Accuracy, ROC AUC, average precision, loss, calibration error and the F1 of the
    borders of expressed regions (within 0, 10, 50 and 100 bases) are given by contig
    and strand, beside the majority class and, with --annotation, "an annotated ORF
    says expressed". Calls are those of p > 0.5 (model) and, as these flicker where
    p is near 0.5, the likeliest stretches when a change is as rare as in training
    (segments). Written are JSON, TSV and Markdown, a TSV by window, BED of the
    regions called expressed, and curves as PNG and SVG.

    With --region, one figure a region: what was measured, its reconstruction with
    half of the window's labels hidden and as many bases masked as in training, and the
    prediction from DNA alone (its segments are the bars on top), with a table of
    every base and one of the expressed regions.

    \b
    Example:
      seqexp-tf borders runs/cnn --annotation genes.gff3.gz
      seqexp-tf borders runs/cnn --region chrIV:1,468,900-1,470,947 \\
          --region chrIX:47,250-49,297 --annotation genes.gff3.gz
    """
    if regions and split:
        raise click.UsageError("give either --region or --split")
    if visible and not regions:
        raise click.UsageError("--visible goes with --region")
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.genome.genes import annotation_of, open_reading_frames
    from seqexp_tf.records.regions import find_region
    from seqexp_tf.records.spans import stored_parts, stored_spans
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    trained.require_task("joint", verb="borders")
    store = open_store(trained, data, out)
    split = split or "test"
    if regions:
        wanted = [find_region(store, text) for text in regions]
        stored_parts(store, wanted)
    else:
        wanted = stored_spans(store, split)
    features = frames = None
    if annotation is not None:
        contigs = dict.fromkeys(region.contig for region in wanted)
        sizes = store.manifest["contigs"]
        features = annotation_of(annotation, sizes, contigs=contigs)
        frames = open_reading_frames(features)
        if frames.empty and not regions:
            raise InputError(
                f"{annotation}: no CDS feature on {', '.join(contigs)}; give an "
                "annotation with coding genes"
            )
    if not trained.config.masking.hides_expression:
        say(
            f"Note: {run} was trained with no label hidden; what it predicts of hidden "
            "labels means little"
        )
    folder = out or run / "borders"
    require_writable(folder)
    load_tensorflow()
    from seqexp_tf.evaluation.predictor import JointPredictor

    predictor = JointPredictor.open(trained, store, batch_size=batch_size)
    if regions:
        written = _draw(trained, predictor, wanted, features, visible, folder)
    else:
        written = _evaluate(trained, predictor, split, wanted, frames, folder / split)
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def _evaluate(
    trained: "Run",
    predictor: "JointPredictor",
    split: str,
    spans: list["Region"],
    frames: "pd.DataFrame | None",
    stem: Path,
) -> list[Path]:
    from seqexp_tf.evaluation.borders import bed_table
    from seqexp_tf.evaluation.profile_plots import plot_profiles
    from seqexp_tf.evaluation.profile_prediction import count_windows
    from seqexp_tf.evaluation.profile_tables import to_text, write_tables
    from seqexp_tf.evaluation.profiles import evaluate_profiles
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.genome.intervals import write_bed

    with tqdm(
        total=count_windows(predictor, spans),
        unit=" windows",
        leave=False,
        disable=None,
    ) as bar:
        evaluation = evaluate_profiles(
            predictor,
            split,
            frames=frames,
            progress=bar.update,
        )
    click.echo(to_text(evaluation))
    written = write_tables(evaluation, stem, model_sha256=trained.model_sha256)
    for name, found in evaluation.regions.items():
        path = stem.with_name(f"{stem.name}_{name}.bed")
        write_bed(path, bed_table(found))
        written.append(path)
    return written + save_figure(plot_profiles(evaluation), stem)


def _draw(
    trained: "Run",
    predictor: "JointPredictor",
    found: list["Region"],
    features: "pd.DataFrame | None",
    visible: bool,
    folder: Path,
) -> list[Path]:
    from seqexp_tf.evaluation.border_plots import (
        plot_borders,
        scored_positions,
        summary,
    )
    from seqexp_tf.evaluation.files import write_file
    from seqexp_tf.evaluation.reconstruction import PREDICTIONS, reconstruct
    from seqexp_tf.evaluation.segmentation import measured_switch_cost
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.evaluation.tables import finite
    from seqexp_tf.genome.genes import gene_table
    from seqexp_tf.records.regions import STRANDS

    genes = None if features is None else gene_table(features)
    switch_cost = measured_switch_cost(predictor.store)
    written: list[Path] = []
    for region in tqdm(found, unit=" regions", leave=False, disable=None):
        strands = [
            reconstruct(
                predictor,
                region,
                strand,
                sequence_fraction=trained.config.masking.sequence_fraction,
                visible=visible,
                switch_cost=switch_cost,
            )
            for strand in STRANDS
        ]
        for strand in strands:
            click.echo(f"{region} ({strand.strand}): {summary(strand)}")
            click.echo(f"  {scored_positions(strand)}")
        contig = re.sub(r"[^\w.-]", "_", region.contig)
        stem = folder / f"{contig}_{region.start + 1}-{region.end}"
        document = {
            "strands": [strand.to_dict() for strand in strands],
            "definitions": PREDICTIONS,
        }
        text = json.dumps(finite(document), indent=1, allow_nan=False) + "\n"
        contents = {
            "json": text,
            "tsv": _tsv([strand.table() for strand in strands]),
            "regions.tsv": _tsv([strand.regions() for strand in strands]),
        }
        for suffix, content in contents.items():
            path = stem.with_name(f"{stem.name}.{suffix}")
            written.append(write_file(path, content.encode()))
        written += save_figure(plot_borders(strands, genes=genes), stem)
    return written


def _tsv(tables: "list[pd.DataFrame]") -> str:
    import pandas as pd

    return pd.concat(tables).to_csv(
        sep="\t", index=False, float_format="%.6g", lineterminator="\n"
    )
