"""``seqexp-tf verify``"""

from pathlib import Path

import click
from tqdm import tqdm

from seqexp_tf.cli.options import DATASET


@click.command()
@click.argument("dataset", type=DATASET)
@click.option(
    "--full", is_flag=True, help="Read every byte: hashes, checksums, every record."
)
def command(dataset: Path | str, full: bool) -> None:
    """Check a dataset against its manifest.

    The quick check compares presence and size of every shard. --full also finds
    flipped bits, and decodes every record against the schema. Every problem is
    named; the exit code is 1 if there is any.

    \b
    Example:
      seqexp-tf verify /tmp/yeast --full
    """
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.records.verify import verify

    store = RecordStore.open(dataset)
    total = sum(store.count(split) for split in store.splits)
    # None shows the bar on a terminal only.
    hidden = None if full else True
    with tqdm(total=total, unit=" records", disable=hidden, leave=False) as bar:
        outcome = verify(dataset, full=full, progress=bar.update)
    for problem in outcome.problems:
        click.echo(problem, err=True)
    if outcome.problems:
        raise click.exceptions.Exit(1)
    depth = "every record" if full else "sizes and counts; --full reads every byte"
    click.echo(
        f"{dataset}: {outcome.shards} shards, {outcome.records:,} records, "
        f"all well ({depth})"
    )
