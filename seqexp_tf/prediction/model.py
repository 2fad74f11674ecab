"""A trained model as predictions see it: DNA strings in, arrays out.

Whether it is a run, an export or behind a server, it is asked through the signature
``serve_sequence``, so that all of them give the same numbers.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from seqexp_tf.errors import RunError
from seqexp_tf.records.expression_details import ExpressionDetails
from seqexp_tf.serving.card import ModelCard, SignatureCard, read_card
from seqexp_tf.serving.client import Client
from seqexp_tf.training.run import CONFIG, Run

SIGNATURE = "serve_sequence"
DNA, EXPRESSION, MASK = "dna", "expression", "mask"

Answer = Callable[[Mapping[str, np.ndarray], Sequence[str]], dict[str, np.ndarray]]
"""From inputs, and the names of the outputs wanted, to outputs; batch first."""


@dataclass(frozen=True)
class PredictionModel:
    """A model that answers.

    Attributes:
        path: the run or export, for messages.
        task: ``joint`` or ``expression``.
        window: most bases of a sequence.
        inputs: names of what it reads.
        outputs: names of what it says.
        answer: asks it.
        given: the channel that a model of genes reads as its mask; empty where none.
        signals: names of the signals that a model of genes reads, in order.
        features: likewise.
        details: of the dataset it was trained on; None of a joint model.
        dataset: folder of the dataset it was trained on, where that is known.
    """

    path: Path
    task: str
    window: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    answer: Answer
    given: str = ""
    signals: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    details: ExpressionDetails | None = None
    dataset: Path | None = None

    @property
    def has_mask(self) -> bool:
        """Whether it says which bases it selects."""
        return MASK in self.outputs

    def ask(
        self, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Returns outputs, checked to be of the batch asked for.

        Raises:
            RunError: an answer of another shape, or no answer.
        """
        found = self.answer(inputs, outputs)
        count = len(inputs[DNA])
        for name in outputs:
            values = found.get(name)
            if values is None or values.dtype != np.float32 or len(values) != count:
                what = "no such output" if values is None else _described(values)
                raise RunError(
                    f"{self.path}: asked for {name!r} of {count:,} sequences, the "
                    f"model answers with {what}; is another model under that name?"
                )
        return {name: found[name] for name in outputs}


def open_model(
    path: str | os.PathLike, *, server: Client | None = None
) -> PredictionModel:
    """Opens a run or an export.

    Args:
        path: a run folder, a folder of exported versions (the last one is taken) or
            one version.
        server: asks this instead; the run or export only says what the model is.

    Raises:
        RunError: neither, or an unfinished run.
    """
    path = Path(path)
    asked = None if server is None else _asked(server)
    if (path / CONFIG).is_file():
        return _of_run(Run.open(path), asked)
    version = _version(path)
    return _model(version, read_card(version), asked or _loaded(version))


def _version(path: Path) -> Path:
    if (path / "saved_model.pb").is_file():
        return path
    from seqexp_tf.serving.model_server import versions

    found = versions(path)
    if not found:
        what = "neither a run nor an export" if path.is_dir() else "no such folder"
        raise RunError(
            f"{path}: {what}; give a run, or an export that `seqexp-tf export RUN "
            "--out MODELS/NAME` wrote"
        )
    return path / str(found[-1])


def _of_run(run: Run, asked: Answer | None) -> PredictionModel:
    from seqexp_tf.serving.export import (
        card_of,
        in_float32,
        require_tensorflow,
        signatures_of,
    )

    require_tensorflow()
    signatures = signatures_of(run, in_float32(run.load_model()))
    card = card_of(run, run.folder.name, run.model_sha256, signatures)
    answer = asked or _traced(signatures[SIGNATURE], run.folder)
    dataset = Path(os.fspath(run.dataset["folder"]))
    return replace(_model(run.folder, card, answer), dataset=dataset)


def _model(path: Path, card: ModelCard, answer: Answer) -> PredictionModel:
    signature: SignatureCard = card.signatures[SIGNATURE]
    genes = card.genes
    return PredictionModel(
        path=path,
        task=card.task,
        window=card.window,
        inputs=tuple(signature.inputs),
        outputs=tuple(signature.outputs),
        answer=answer,
        given=genes.given if genes else "",
        signals=genes.signals if genes else (),
        features=genes.features if genes else (),
        details=genes.details if genes else None,
    )


def _asked(server: Client) -> Answer:
    def answer(inputs, outputs):
        return server.predict(inputs, signature=SIGNATURE, outputs=outputs)

    return answer


def _traced(signature: Any, path: Path) -> Answer:
    import tensorflow as tf

    from seqexp_tf.layers.compiled_layer import compiled_layers

    function = tf.function(signature.of_arguments, autograph=False)
    # State-space models are several times faster compiled; servers cannot do that.
    with compiled_layers():
        concrete = function.get_concrete_function(**signature.specs)
    return _checked(concrete, path)


def _loaded(version: Path) -> Answer:
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(version))
    except (OSError, tf.errors.OpError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{version}: cannot load: {reason}; export again") from None
    answer = _checked(model.signatures[SIGNATURE], version)

    def kept(inputs, outputs):
        # The object owns the variables of its signatures.
        assert model is not None
        return answer(inputs, outputs)

    return kept


def _checked(function: Callable, path: Path) -> Answer:
    import tensorflow as tf

    def answer(inputs, outputs):
        tensors = {name: tf.constant(values) for name, values in inputs.items()}
        try:
            found = function(**tensors)
        except tf.errors.OpError as error:
            reason = error.message.splitlines()[0]
            raise RunError(f"{path}: cannot predict: {reason}") from None
        return {name: found[name].numpy() for name in outputs if name in found}

    return answer


def _described(values: np.ndarray) -> str:
    return f"{values.dtype} of shape {values.shape}"
