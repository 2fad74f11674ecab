"""Exports: version folders that TF Serving loads, and what a client needs beside."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from seqexp_tf import __version__
from seqexp_tf.errors import RunError
from seqexp_tf.layers.cpu import all_for_cpu
from seqexp_tf.models.mask_config import MaskConfig
from seqexp_tf.models.seq2exp_config import BLACKLIST, Seq2ExpConfig
from seqexp_tf.models.shape import expression_shape
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import INCOMPLETE
from seqexp_tf.serving.card import CARD, DatasetCard, GenesCard, ModelCard
from seqexp_tf.serving.example import Example, as_json, example_of
from seqexp_tf.serving.gene_signatures import gene_signatures
from seqexp_tf.serving.joint_signatures import joint_signatures
from seqexp_tf.serving.model_server import (
    BATCHING,
    MODELS,
    OWN_BATCHING,
    batching_parameters,
    versions,
    write_server_files,
)
from seqexp_tf.serving.readme import README, REQUESTS, Asked, readme
from seqexp_tf.serving.signature import Signature
from seqexp_tf.serving.warmup import WARM_UP, can_write_requests, write_requests
from seqexp_tf.training.config import model_config
from seqexp_tf.training.run import Run

_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def export_run(
    run: Run,
    folder: str | os.PathLike,
    *,
    store: RecordStore | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> Path:
    """Writes the next version of a model as a SavedModel with its card and README.

    Everything is float32 and the batch is free; weights are computed with in float32
    whatever the precision of training. ``joint_signatures`` and ``gene_signatures``
    say which signatures there are. Beside the model folder come ``models.config`` and
    ``batching.config``.

    Args:
        run: a finished run.
        folder: model folder; the SavedModel goes to its next version number, also
            where another export takes one at the same time.
        store: dataset whose first record becomes the examples; the run's own if not
            given.
        say: called with each line the user should read.

    Returns:
        The version folder.

    Raises:
        RunError: the run is unfinished, the folder cannot be written, or its name is
            none for a model.
        DatasetError: no dataset there.
    """
    require_tensorflow()
    folder = Path(os.path.abspath(folder))
    if not _NAME.fullmatch(folder.name):
        raise RunError(
            f"{folder}: {folder.name!r} is no name for a served model; choose an --out "
            "that ends in letters, digits, '_', '-' or '.'"
        )
    for place in (folder, folder.parent):
        if (place / "saved_model.pb").is_file():
            raise RunError(
                f"{folder}: {place} is a version of an exported model; choose "
                "--out MODELS/NAME, of which versions are made"
            )
    sha256 = run.model_sha256
    if store is None:
        store = RecordStore.open(Path(os.fspath(run.dataset["folder"])))
    run.check_dataset(store)
    model = in_float32(run.load_model())
    temporary = _temporary(folder)
    try:
        signatures = signatures_of(run, model)
        card = card_of(run, folder.name, sha256, signatures)
        _write_graph(model, signatures, temporary)
        example = example_of(run, store, card.signatures)
        _write_beside(temporary, card, example)
        version = _claim(temporary, folder)
    except (OSError, tf.errors.OpError) as error:
        raise _cannot_write(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if not can_write_requests():
        say(
            "no warm-up requests, which need `pip install 'seqexp-tf[serving]'`: the "
            "first answers of a server will be slow"
        )
    own = write_server_files(folder.parent)
    for name in (MODELS, BATCHING):
        path = folder.parent / name
        kept = path in own
        say(f"{path} is your own and stays as it is" if kept else f"Written: {path}")
    return version


def require_tensorflow() -> None:
    """Raises RunError under another backend of Keras than TensorFlow."""
    if keras.backend.backend() != "tensorflow":
        raise RunError(
            f"exports need the TensorFlow backend, not {keras.backend.backend()}; run "
            "the same command with KERAS_BACKEND=tensorflow: it loads the same weights"
        )


def signatures_of(run: Run, model: keras.Model) -> dict[str, Signature]:
    """Returns the signatures of a run's model in float32, by name."""
    if run.task == "joint":
        return joint_signatures(
            model,
            window=run.schema.window,
            expression_value=run.config.masking.expression_value,
        )
    return gene_signatures(model)


def card_of(
    run: Run, name: str, sha256: str, signatures: dict[str, Signature]
) -> ModelCard:
    """Returns what a client must know of a run's model, under a name."""
    inputs = tuple(signatures["serving_default"].card.inputs)
    genes = None
    window, expression_value = run.schema.window, None
    if run.task == "joint":
        expression_value = run.config.masking.expression_value
    else:
        genes = _genes(run, inputs)
        window = expression_shape(run.schema, run.config.pipeline.window).window
    return ModelCard(
        name=name,
        task=run.task,
        architecture=run.config.model["architecture"],
        window=window,
        inputs=inputs,
        signatures={key: signature.card for key, signature in signatures.items()},
        seqexp_tf=__version__,
        model_sha256=sha256,
        dataset=DatasetCard(run.dataset["name"], run.dataset["fingerprint"]),
        expression_value=expression_value,
        genes=genes,
    )


def _genes(run: Run, inputs: tuple[str, ...]) -> GenesCard:
    config: Seq2ExpConfig = model_config(run.config)
    mask: MaskConfig = config.mask
    shape = expression_shape(run.schema, run.config.pipeline.window)
    return GenesCard(
        signals=shape.signals if "signals" in inputs else (),
        features=shape.features if "features" in inputs else (),
        blocked=BLACKLIST if "blocked" in inputs else "",
        given=mask.channel if "given" in inputs else "",
        mask=mask.kind,
        promoter=0 if mask.kind == "none" else mask.promoter,
        details=run.schema.expression,
    )


def _write_graph(
    model: keras.Model, signatures: dict[str, Signature], folder: Path
) -> None:
    # Keras' own ExportArchive traces each signature twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    functions = {
        name: tf.function(
            signature.of_arguments, autograph=False
        ).get_concrete_function(**signature.specs)
        for name, signature in signatures.items()
    }
    tf.saved_model.save(module, folder, signatures=functions)


def _write_beside(version: Path, card: ModelCard, example: Example) -> None:
    """Writes what clients and servers need besides the graph into a version folder."""
    path = version / CARD
    path.parent.mkdir(exist_ok=True)
    path.write_text(card.to_json(), encoding="utf-8")
    (version / OWN_BATCHING).write_text(batching_parameters(card.window))
    served = tf.saved_model.load(version).signatures
    asked = []
    requests = version / REQUESTS
    requests.mkdir()
    for name, inputs in example.inputs.items():
        if name == "serving_default":
            continue
        request = {"signature_name": name, "inputs": as_json(inputs)}
        (requests / f"{name}.json").write_text(json.dumps(request) + "\n")
        outputs = served[name](**{key: tf.constant(x) for key, x in inputs.items()})
        asked.append(Asked(name, request, _in_order(outputs, card, name)))
    text = readme(card, record=example.record, asked=asked)
    (version / README).write_text(text, encoding="utf-8")
    if can_write_requests():
        write_requests(version / WARM_UP, card.name, example.inputs)


def _in_order(
    outputs: dict[str, tf.Tensor], card: ModelCard, name: str
) -> dict[str, np.ndarray]:
    return {key: outputs[key].numpy() for key in card.signatures[name].outputs}


def _temporary(folder: Path) -> Path:
    """Makes a folder of its own for an export that is not whole yet."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(suffix=INCOMPLETE, dir=folder))
        # mkdtemp makes the folder private; give it the rights a plain one would have.
        mask = os.umask(0)
        os.umask(mask)
        made.chmod(0o777 & ~mask)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    return made


def _claim(temporary: Path, folder: Path) -> Path:
    """Gives a whole export the next version number and returns its folder."""
    while True:
        version = folder / str(max(versions(folder), default=0) + 1)
        try:
            # Unlike os.replace of a file, this fails where another export has just
            # taken the number, because its folder is not empty.
            os.rename(temporary, version)
        except OSError:
            if not version.exists():
                raise
        else:
            return version


def _cannot_write(folder: Path, error: Exception) -> RunError:
    reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
    return RunError(
        f"{folder}: cannot write the export: {reason}; choose another --out"
    )


def in_float32(trained: keras.Model) -> keras.Model:
    """Returns a copy with the same weights and the policy float32 in every layer."""
    model = type(trained).from_config(_with_float32_policies(trained.get_config()))
    model.set_weights(trained.get_weights())
    return all_for_cpu(model)


def _with_float32_policies(config: Any) -> Any:
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {key: _with_float32_policies(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(_with_float32_policies(value) for value in config)
    return config
