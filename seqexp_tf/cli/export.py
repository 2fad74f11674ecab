"""``seqexp-tf export``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import FOLDER, data, load_tensorflow, open_store, say
from seqexp_tf.errors import ConfigError


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--out",
    type=FOLDER,
    metavar="MODELS/NAME",
    help="Model folder; RUN/export/ARCHITECTURE by default.",
)
@data
def command(run: Path, out: Path | None, data: Path | None) -> None:
    """Write a model that TF Serving loads.

    Each export becomes the next version folder (1, 2, ...) of MODELS/NAME, with a
    README of examples made from the first test record, and what a client must know
    as JSON. It runs in any process with TensorFlow, without this package. MODELS gets
    models.config and batching.config, which TF Serving starts from.

    \b
    Signatures:
      serving_default    the arrays that the model reads
      serve_sequence     DNA strings and labels, or signals
      serve_mutagenesis  joint models: what each mutation of a stretch changes
      serve_elements     models with a mask: the bases they select

    \b
    Example:
      seqexp-tf export runs/cnn --out models/yeast_cnn
      docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD/models:/models:ro" \\
          tensorflow/serving --model_config_file=/models/models.config
      saved_model_cli show --dir models/yeast_cnn/1 --all
    """
    load_tensorflow()
    from seqexp_tf.serving.export import export_run
    from seqexp_tf.training.run import Run

    if out is not None and (not out.parts or out.parts[-1] == ".."):
        raise ConfigError(
            f"{out}: the folder names the model; choose --out MODELS/NAME"
        )
    trained = Run.open(run)
    folder = out or run / "export" / trained.config.model["architecture"]
    store = None if data is None else open_store(trained, data, out)
    click.echo(export_run(trained, folder, store=store, say=say))
