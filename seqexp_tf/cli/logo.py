"""``seqexp-tf logo``"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from seqexp_tf.cli.options import FOLDER, batch_size, data, load_tensorflow, open_store
from seqexp_tf.errors import InputError, RunError

if TYPE_CHECKING:
    import pandas as pd

    from seqexp_tf.interpretation.nucleotides import NucleotidePrediction

_EXAMPLE = "--region chrIV:1,468,900-1,469,900"
_STRETCHES_A_FIGURE = 12


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--region",
    "regions",
    multiple=True,
    metavar="CONTIG:START-END",
    help="Region, 1-based inclusive, or a whole contig; may be repeated.",
)
@click.option("--strand", type=click.Choice(["+", "-"]), default="+", show_default=True)
@click.option(
    "--masks",
    type=click.Choice(["blockwise", "leave-one-out", "none"]),
    default="blockwise",
    show_default=True,
    help="Bases hidden while a base is predicted: a random group with it, it alone, "
    "or none.",
)
@click.option(
    "--labels",
    type=click.Choice(["visible", "hidden"]),
    default="visible",
    show_default=True,
    help="Whether the model sees the measured expression.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    help="Draw the K most certain stretches in place of every base.",
)
@click.option(
    "--length",
    type=click.IntRange(min=1),
    help="Bases in a stretch of --top; 1 ranks single positions.  [default: 50]",
)
@data
@click.option("--out", type=FOLDER, help="Folder for results; RUN/logos by default.")
@batch_size
def command(
    run: Path,
    regions: tuple[str, ...],
    strand: str,
    masks: str,
    labels: str,
    top: int | None,
    length: int | None,
    data: Path | None,
    out: Path | None,
    batch_size: int,
) -> None:
    """Draw sequence logos of predicted nucleotides.

    Every base is hidden while it is predicted. Letters are as high as their
    probability times the information of the position (2 bits less the entropy);
    the true bases stand underneath. A logo reads 5' to 3', so that coordinates
    descend on the minus strand. A page shows 2,048 bases. Written are PNG and SVG,
    a table of every base (TSV), and how often the most certain predictions are
    right.

    \b
    Example:
      seqexp-tf logo runs/cnn --region chrIV:1,468,900-1,469,900
      seqexp-tf logo runs/cnn --region chrIX:47,250-48,250 --strand - --top 3
    """
    if not regions:
        raise click.UsageError(f"no region; give one, for example {_EXAMPLE}")
    if length is not None and top is None:
        raise click.UsageError("--length goes with --top")
    length = length or 50
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.evaluation.predictor import JointPredictor
    from seqexp_tf.interpretation.certainty import require_room
    from seqexp_tf.records.regions import find_region
    from seqexp_tf.records.spans import stored_parts
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    trained.require_task("joint", verb="logo")
    masking = trained.config.masking
    if not masking.hides_sequence:
        raise RunError(
            f"{run}: trained with no base hidden (masking.sequence_fraction = 0), so "
            "it never learnt to predict nucleotides; train one with `fit --masking "
            "rna_dna`"
        )
    store = open_store(trained, data, out)
    found = [find_region(store, text) for text in regions]
    stored_parts(store, found)
    if top is not None:
        for region in found:
            require_room(region, top, length=length)
    folder = out or run / "logos"
    require_writable(folder)
    load_tensorflow()
    from seqexp_tf.interpretation.nucleotides import predict_nucleotides

    predictor = JointPredictor.open(trained, store, batch_size=batch_size)
    written: list[Path] = []
    for region in found:
        with tqdm(total=len(region), unit=" bases", leave=False, disable=None) as bar:
            prediction = predict_nucleotides(
                predictor,
                region,
                strand,
                masks=masks.replace("-", "_"),
                labels=labels,
                mask_fraction=masking.sequence_fraction,
                progress=bar.update,
            )
        if not prediction.known.any():
            raise InputError(f"{region}: every base is N; choose another region")
        click.echo(
            f"{region} ({strand}): {len(region):,} bases, "
            f"{prediction.information.mean():.3f} bits a base, the tallest letter is "
            f"right at {prediction.accuracy:.1%}"
        )
        written += _write(prediction, folder, top=top, length=length)
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")


def _write(
    prediction: "NucleotidePrediction", folder: Path, *, top: int | None, length: int
) -> list[Path]:
    from seqexp_tf.evaluation.style import save_figure
    from seqexp_tf.interpretation import certainty, logos

    stem = folder / _name(prediction)
    certain = certainty.plot_certainty(prediction)
    written = [_write_table(stem, prediction.table())]
    if top is None:
        parts = logos.pages(prediction)
        ceiling = logos.common_ceiling([prediction])
        for number, part in enumerate(
            tqdm(parts, unit=" pages", leave=False, disable=None), start=1
        ):
            name = stem.name if len(parts) == 1 else f"{stem.name}_page_{number}"
            figure = logos.plot_page(part, ceiling=ceiling)
            written += save_figure(figure, folder / name)
    else:
        stretches = certainty.most_certain(prediction, top, length=length)
        table = certainty.stretch_table(stretches)
        known = sum(int(item.known.sum()) for item in stretches)
        click.echo(
            f"Their {known:,} most certain, in stretches of {length}: right at "
            f"{table.correct.sum() / known:.1%}"
        )
        if length > 1:
            columns = ["rank", "start", "end", "information", "correct", "accuracy"]
            click.echo(
                table[columns].to_string(
                    index=False, float_format="{:.3f}".format, max_rows=25
                )
            )
        kind = f"{length}-mers" if length > 1 else "positions"
        stem = stem.with_name(f"{stem.name}_top_{kind}")
        written.append(_write_table(stem, table))
        # The logo of a single position says no more than its row in the table.
        for first in range(0, len(stretches) if length > 1 else 0, _STRETCHES_A_FIGURE):
            figure = logos.plot_stretches(
                stretches[first : first + _STRETCHES_A_FIGURE]
            )
            name = stem.name if first == 0 else f"{stem.name}_from_{first + 1}"
            written += save_figure(figure, folder / name)
    name = f"{_name(prediction)}_certainty"
    return written + save_figure(certain, folder / name)


def _name(prediction: "NucleotidePrediction") -> str:
    region = prediction.region
    parts = [
        re.sub(r"[^\w.-]", "_", region.contig),
        f"{region.start + 1}-{region.end}",
        {"+": "plus", "-": "minus"}[prediction.strand],
    ]
    # What is not the default is in the name, so that neither replaces the other.
    if prediction.masks != "blockwise":
        parts.append({"none": "unmasked"}.get(prediction.masks, prediction.masks))
    if prediction.labels == "hidden":
        parts.append("dna_only")
    return "_".join(parts)


def _write_table(stem: Path, table: "pd.DataFrame") -> Path:
    from seqexp_tf.evaluation.files import write_file

    text = table.to_csv(sep="\t", index=False, float_format="%.6g", lineterminator="\n")
    return write_file(stem.with_name(f"{stem.name}.tsv"), text.encode())
