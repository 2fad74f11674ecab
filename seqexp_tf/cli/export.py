"""``seqexp-tf export``"""

from pathlib import Path

import click

from seqexp_tf.cli.options import FOLDER, load_tensorflow


@click.command()
@click.argument("run", type=FOLDER)
@click.option(
    "--out", type=FOLDER, help="Model folder; RUN/export/ARCHITECTURE by default."
)
def command(run: Path, out: Path | None) -> None:
    """Write a SavedModel that TF Serving loads.

    Each export becomes the next version folder (1, 2, ...). The signature
    serving_default takes the model's inputs by their names and runs in any process
    with TensorFlow, without this package. Of a joint model it gives probabilities
    (`sequence`, `expression`), of a model of genes `expression` and, where it has
    one, the `mask`.

    \b
    Example:
      seqexp-tf export runs/cnn --out models/yeast_cnn
      saved_model_cli show --dir models/yeast_cnn/1 --all
    """
    load_tensorflow()
    from seqexp_tf.serving.export import export_run
    from seqexp_tf.training.run import Run

    trained = Run.open(run)
    folder = out or run / "export" / trained.config.model["architecture"]
    click.echo(export_run(trained, folder))
