"""What a client must know of an exported model: ``assets.extra/seqexp.json``."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from seqexp_tf.config import build, to_dict
from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.records.expression_details import ExpressionDetails

CARD = "assets.extra/seqexp.json"
"""The card's place in a version folder; servers leave the folder alone."""

CARD_FORMAT = 1
FREE = -1
"""Stands in a shape for a dimension of any size."""


@dataclass(frozen=True)
class TensorCard:
    """One input or output of a signature.

    Attributes:
        dtype: ``float32``, ``int32``, ``bool`` or ``string``.
        shape: sizes, ``FREE`` where any will do; the batch comes first.
        description: one sentence for a reader.
    """

    dtype: Literal["float32", "int32", "bool", "string"]
    shape: tuple[int, ...]
    description: str


@dataclass(frozen=True)
class SignatureCard:
    """One signature.

    Attributes:
        description: one sentence for a reader.
        inputs: by name, every one of them required.
        outputs: by name, all float32.
    """

    description: str
    inputs: dict[str, TensorCard]
    outputs: dict[str, TensorCard]


@dataclass(frozen=True)
class DatasetCard:
    """The dataset a model was trained on.

    Attributes:
        name: of the dataset.
        fingerprint: hash of its inputs and recipe.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True)
class GenesCard:
    """How the inputs of a model of genes are made.

    The TSS is at index ``window // 2`` of every array.

    Attributes:
        signals: names along the last axis of ``signals``, in order; the contact
            last, where the model reads it.
        features: names along the last axis of ``features``, in order.
        blocked: the channel of a dataset that is ``blocked``, empty without one.
        given: the channel that is ``given``, empty without one.
        mask: kind of the mask, ``none`` without one; see ``MaskConfig``.
        promoter: bases in the middle that the mask always keeps.
        details: transforms of signals, features and target, the bins of contacts,
            and whether windows follow the strand of their gene. It lists what the
            dataset holds; a model may read less.
    """

    signals: tuple[str, ...]
    features: tuple[str, ...]
    blocked: str
    given: str
    mask: str
    promoter: int
    details: ExpressionDetails


@dataclass(frozen=True)
class ModelCard:
    """An exported model.

    Attributes:
        name: under which a server is to offer it: the name of the model folder.
        task: ``joint`` or ``expression``.
        architecture: name in the registry.
        window: most bases of a sequence.
        inputs: names of the arrays the model reads, in order.
        signatures: by name.
        seqexp_tf: version of this package that wrote the export.
        model_sha256: hash of the run's ``model.keras``.
        dataset: what it was trained on.
        expression_value: what a joint model sees in place of a hidden label; None
            for a model of genes.
        genes: of a model of genes; None for a joint model.
        format: version of this layout.
    """

    name: str
    task: Literal["joint", "expression"]
    architecture: str
    window: int
    inputs: tuple[str, ...]
    signatures: dict[str, SignatureCard]
    seqexp_tf: str
    model_sha256: str
    dataset: DatasetCard
    expression_value: float | None = None
    genes: GenesCard | None = None
    format: int = CARD_FORMAT

    def to_json(self) -> str:
        """Returns the text of the file."""
        return json.dumps(to_dict(self), indent=1) + "\n"


def read_card(version: str | os.PathLike) -> ModelCard:
    """Returns the card of an exported version, ``MODELS/NAME/1``.

    Raises:
        RunError: no such file, or none that this version reads.
    """
    path = Path(version) / CARD
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise RunError(
            f"{path}: no such file; give a version folder that "
            "`seqexp-tf export RUN --out MODELS/NAME` wrote"
        ) from None
    except ValueError as error:
        raise RunError(f"{path}: not JSON: {error}") from None
    found = content.get("format") if isinstance(content, dict) else None
    if isinstance(found, int) and found > CARD_FORMAT:
        raise RunError(
            f"{path}: format {found} is newer than the {CARD_FORMAT} this seqexp-tf "
            "reads; upgrade seqexp-tf"
        )
    try:
        return build(ModelCard, content, origin=str(path))
    except ConfigError as error:
        raise RunError(f"{error}; export the run again") from None
