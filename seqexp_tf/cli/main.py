"""The ``seqexp-tf`` command: a verb a module, loaded only when it is used."""

import importlib
import logging
import sys

import click

from seqexp_tf.config import nearest
from seqexp_tf.errors import SeqExpError

_NAME = "seqexp-tf"
_VERBS = {
    "demo": "Simulate, convert, fit, evaluate and export in a few minutes.",
    "simulate": "Write a genome with planted regulatory grammar.",
    "download": "Download the input files of a recipe.",
    "peaks": "Call peaks of fragments or of a signal with MACS3.",
    "convert": "Turn genome files into a dataset of TFRecords.",
    "verify": "Check a dataset against its manifest.",
    "inspect": "Show what a dataset holds, and one of its records.",
    "lr": "Find a learning rate before a training.",
    "fit": "Train a model on a dataset.",
    "evaluate": "Score a run beside random baselines.",
    "benchmark": "Train and compare models over seeds, with tables and tests.",
    "logo": "Draw the nucleotides a model expects, and the true ones.",
    "curves": "Draw the learning curves of runs over each other.",
    "report": "Show everything about a run on one HTML page.",
    "borders": "Find where expression begins and ends, from DNA alone.",
    "mutagenesis": "Map what every mutation of a region changes.",
    "tracks": "Write predicted expression for a genome browser.",
    "elements": "Write the regulatory elements a model has learnt for each gene.",
    "predict": "Predict sequences, regions, variants or a split, here or by a server.",
    "export": "Write a SavedModel that TF Serving loads.",
    "doctor": "Check the installation and time one step on each device.",
}


class _Verbs(click.Group):
    """Lists every verb without importing any."""

    def list_commands(self, context):
        return list(_VERBS)

    def get_command(self, context, name):
        if name not in _VERBS:
            if context.resilient_parsing:  # The shell asks for completions.
                return None
            hint = nearest(name, list(_VERBS))
            raise click.UsageError(f"no verb {name!r}{hint}", context)
        return importlib.import_module(f"seqexp_tf.cli.{name}").command

    def format_commands(self, context, formatter):
        with formatter.section("Verbs"):
            formatter.write_dl(list(_VERBS.items()))


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="seqexp-tf")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Learn from real genomes how DNA sequence drives gene expression.

    \b
    First minutes:
      seqexp-tf demo
    Your own genome:
      seqexp-tf convert RECIPE.toml --out DATASET
      seqexp-tf fit --preset cnn --data DATASET --out RUN
      seqexp-tf evaluate RUN
      seqexp-tf export RUN --out models/yeast

    `seqexp-tf VERB --help` shows what a verb does, with an example.
    """
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("absl").setLevel(logging.ERROR)
    # It tells of every kind of device that is not there.
    logging.getLogger("jax").setLevel(logging.WARNING)


def main() -> None:
    """Runs the command line: one line for an error, and a non-zero exit."""
    debug = "--debug" in sys.argv[1:]
    try:
        # click returns the code of an Exit here instead of raising it.
        code = cli(standalone_mode=False, prog_name=_NAME)
    except SeqExpError as error:
        if debug:
            raise
        _stop(f"Error: {error}", 1)
    except click.exceptions.NoArgsIsHelpError as error:
        _stop(error.format_message(), error.exit_code)
    except click.UsageError as error:
        _stop(_usage(error), error.exit_code)
    except OSError as error:
        if debug:
            raise
        place = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or " ".join(str(error).split())
        _stop(f"Error: {place}{reason}; --debug shows where", 1)
    except (click.Abort, KeyboardInterrupt):
        _stop("Stopped.", 130)
    sys.exit(code or 0)


def _usage(error: click.UsageError) -> str:
    """Returns ``seqexp-tf VERB: what is wrong; remedy``, in one line."""
    command = error.ctx.command_path if error.ctx else _NAME
    text = " ".join(error.format_message().split()).rstrip(".?")
    text = text.replace(". Did you mean", "; did you mean")
    return f"{command}: {text[:1].lower()}{text[1:]}; see `{command} --help`"


def _stop(message: str, code: int) -> None:
    click.echo(message, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
