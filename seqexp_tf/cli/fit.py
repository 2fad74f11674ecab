"""``seqexp-tf fit``"""

import sys
from pathlib import Path

import click

from seqexp_tf.cli.options import (
    DATASET,
    FOLDER,
    load_tensorflow,
    read_tables,
    run_tables,
    say,
)
from seqexp_tf.errors import ConfigError


@click.command()
@run_tables
@click.option("--data", type=DATASET, help="Dataset folder, or a remote address.")
@click.option("--out", type=FOLDER, help="Run folder.")
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of --out.")
@click.option("--require-gpu", is_flag=True, help="Refuse to train without a GPU.")
@click.option(
    "--profile", is_flag=True, help="Trace a few steps for TensorBoard's profiler."
)
@click.option(
    "--dry-run", is_flag=True, help="Print the configuration, checked, and end."
)
@click.option("--list-presets", is_flag=True, help="List the built-in configurations.")
def command(
    config: Path | None,
    preset: str | None,
    masking: str | None,
    data: Path | None,
    out: Path | None,
    overrides: tuple[str, ...],
    resume: bool,
    require_gpu: bool,
    profile: bool,
    dry_run: bool,
    list_presets: bool,
) -> None:
    """Train a model on a dataset.

    Give a run configuration (TOML) or a preset; `--preset cnn --dry-run` prints one
    to start from. The run folder holds the configuration, history.csv, TensorBoard
    logs, checkpoints and, at the end, model.keras: the epoch with the lowest
    validation loss.

    \b
    What a regime hides from the model (it replaces the [masking] table):
      rna        half of the expression labels, in one span; the DNA is in full view
      rna_dna    the same, and 15 % of the bases
      dna_alone  from half to all of the labels, drawn for each window, and
                 15 % of the bases: for expression from the DNA alone
    --set comes last: `--masking rna --set masking.expression_spans=4`. To train on
    a random part of the windows, `--set training.max_windows=20000`.

    A model of genes (presets seq2exp_..., caduceus..., mamba) needs a dataset of kind
    `expression` and masks nothing. It is validated every training.validate_every
    steps, and the one with the lowest validation MSE is kept; history.csv also holds
    Pearson, the mask ratio, and how the gradients of prediction and divergence on
    the mask head compare.

    A fit that was killed goes on with --resume from its last checkpoint, one every
    10 minutes unless training.checkpoint_minutes or training.checkpoint_every (steps)
    say otherwise, and ends with the same model as if nothing had happened. SIGTERM
    and Ctrl-C save one first; the exit code is then 143 or 130.

    Several GPUs of one machine are used without being told. For several machines, set
    TF_CONFIG for each process and pipeline.streams to a multiple of their number. The
    line of an epoch says how fast it was, and which share of the time went into waiting
    for input.

    \b
    Example:
      seqexp-tf fit --preset cnn --data /tmp/yeast --out runs/cnn \\
          --masking rna --set training.epochs=20
      seqexp-tf fit --preset seq2exp_soft_small --data /tmp/genes --out runs/soft
      seqexp-tf fit --resume --out runs/cnn
    """
    from seqexp_tf.config import dump, read_toml
    from seqexp_tf.training import config as configs

    if list_presets:
        for name in configs.presets():
            click.echo(name)
        return
    if resume and out is None:
        raise ConfigError("fit --resume needs --out RUN, the run to go on with")
    if resume and config is None and preset is None:
        from seqexp_tf.training.run import CONFIG, Run

        run = Run.open(out)
        data = data or Path(run.dataset["folder"])
        origin, tables = str(out / CONFIG), read_toml(out / CONFIG)
        if masking is not None:
            tables = configs.with_regime(tables, masking)
    else:
        origin, tables = read_tables(config, preset, masking)
    settings = configs.read_run_config(tables, overrides, origin=origin)
    if dry_run:
        click.echo(dump(settings), nl=False)
        return
    if data is None or out is None:
        given = {"--data DATASET": data, "--out RUN": out}
        needs = " and ".join(name for name, value in given.items() if value is None)
        hint = "; or leave out --config and --preset, to go on as RUN began"
        raise ConfigError(f"fit needs {needs}{hint if resume else ''}")

    load_tensorflow()
    from seqexp_tf.records.store import RecordStore
    from seqexp_tf.training.trainer import fit

    store = RecordStore.open(data)
    fit(
        settings,
        store,
        out,
        resume=resume,
        require_gpu=require_gpu,
        profile=profile,
        show_bar=sys.stderr.isatty(),
        say=say,
    )
