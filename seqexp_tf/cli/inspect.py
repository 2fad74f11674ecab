"""``seqexp-tf inspect``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import DATASET, FILE


@click.command()
@click.argument("dataset", type=DATASET)
@click.option("--split", default="train", show_default=True, help="Split to look in.")
@click.option(
    "--index",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Record to show.",
)
@click.option(
    "--fasta", type=FILE, help="Check every stored sequence against this genome."
)
def command(dataset: Path | str, split: str, index: int, fasta: Path | None) -> None:
    """Show what a dataset holds, and one of its records.

    \b
    Example:
      seqexp-tf inspect /tmp/yeast --split test --index 7
      seqexp-tf inspect /tmp/yeast --fasta genome.fa.gz
    """
    from seqexp_tf.records.inspection import check_sequences, describe
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.records.verify import require_shards

    store = RecordStore.open(dataset)
    click.echo(describe(store, split=split, index=index))
    require_shards(store)
    if fasta is not None:
        checked = check_sequences(store, fasta)
        click.echo(f"{checked:,} stored sequences equal {fasta} at every base")
