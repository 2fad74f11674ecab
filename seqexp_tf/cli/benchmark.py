"""``seqexp-tf benchmark``"""

import sys
from pathlib import Path

import click

from seqexp_tf.cli.options import DATASET, FOLDER, load_tensorflow, overrides, say
from seqexp_tf.errors import ConfigError, RunError


@click.command()
@click.argument("suite", required=False)
@click.option(
    "--data",
    type=DATASET,
    multiple=True,
    help="Dataset folder; may be repeated, to compare on several.",
)
@click.option("--out", type=FOLDER, help="Folder for runs and tables.")
@overrides
@click.option("--dry-run", is_flag=True, help="List the runs and how far they are.")
@click.option("--list-suites", is_flag=True, help="List the built-in suites.")
def command(
    suite: str | None,
    data: tuple[Path, ...],
    out: Path | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    list_suites: bool,
) -> None:
    """Train and compare models over seeds, with tables and tests.

    SUITE is a file, or one of --list-suites: models (a preset or configuration each),
    seeds, and tables. Every model is trained with every seed, as a run folder
    OUT/DATASET/MODEL/SEED like that of `fit`, and evaluated. After a kill the same
    command goes on: finished runs are kept, the one begun is resumed. A run that
    fails does not stop the others.

    Written to OUT: runs.tsv (a line a run), the tables of the suite (mean and
    standard deviation over seeds) as TSV and Markdown, and paired.tsv: each model
    less the best baseline, tested over genes and over seeds. --set overrides a value
    of every model.

    \b
    Example:
      seqexp-tf benchmark yeast_small --data /tmp/yeast --out runs/benchmark
      seqexp-tf benchmark seq2exp --data k562 --data gm12878 --out runs/paper \\
          --dry-run
    """
    from seqexp_tf.benchmark.jobs import check_jobs, plan_jobs
    from seqexp_tf.benchmark.suite import read_suite, suites
    from seqexp_tf.evaluation.files import require_writable
    from seqexp_tf.records.store import RecordStore

    if list_suites:
        for name in suites():
            click.echo(name)
        return
    if suite is None:
        raise click.UsageError("give a suite; --list-suites lists the built-in ones")
    if not data or out is None:
        raise ConfigError("benchmark needs --data DATASET and --out DIR")
    chosen, beside = read_suite(suite)
    stores = [RecordStore.open(folder) for folder in data]
    jobs = plan_jobs(chosen, stores, out, beside=beside, overrides=overrides)
    check_jobs(jobs)
    if dry_run:
        for job in jobs:
            click.echo(f"{job.state:<8}  {job.folder}")
        left = sum(job.state != "finished" for job in jobs)
        click.echo(f"{len(jobs)} runs, {left} to train")
        return
    require_writable(out)
    load_tensorflow()
    from seqexp_tf.benchmark.execute import execute
    from seqexp_tf.benchmark.paired import paired_tests, write_tests
    from seqexp_tf.benchmark.results import read_results, write_results

    failed = execute(jobs, chosen.split, say=say, show_bar=sys.stderr.isatty())
    results = read_results(jobs, chosen.split)
    if not results.predictions:
        raise RunError(f"{out}: no run has finished: {next(iter(failed.values()))}")
    written = write_results(chosen, results, out)
    written += write_tests(paired_tests(chosen, results), out)
    for path in written:
        if path.suffix == ".md":
            click.echo(path.read_text())
    click.echo("Written:")
    for path in written:
        click.echo(f"  {path}")
    if failed:
        folder, message = next(iter(failed.items()))
        raise RunError(
            f"{len(failed)} of {len(jobs)} runs failed, the first of them {folder}: "
            f"{message}"
        )
