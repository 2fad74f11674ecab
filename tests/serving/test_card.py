"""The card of an export: read as written, and refused when it is none."""

import dataclasses
import json

import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.records.expression_details import (
    ExpressionDetails,
    FeatureDetails,
    SignalDetails,
    TargetDetails,
)
from seqexp_tf.serving.card import (
    CARD,
    DatasetCard,
    GenesCard,
    ModelCard,
    SignatureCard,
    TensorCard,
    read_card,
)

DNA = TensorCard("string", (-1,), "DNA")
LEVEL = TensorCard("float32", (-1,), "expression")
GENES = GenesCard(
    signals=("open", "contact"),
    features=("half_life",),
    blocked="blacklist",
    given="",
    mask="soft",
    promoter=20,
    details=ExpressionDetails(
        oriented=True,
        target=TargetDetails("cage", "log1p", "TPM", 1.5, 0.5),
        signals=(SignalDetails("open", "log1p", 0.5, 1.0, 0.0, 3.25),),
        features=(FeatureDetails("half_life", False, 0.0, 1.0),),
        resolution=5000,
    ),
)
MODEL = ModelCard(
    name="yeast",
    task="expression",
    architecture="seq2exp",
    window=128,
    inputs=("sequence", "signals"),
    signatures={"serve_sequence": SignatureCard("x", {"dna": DNA}, {"y": LEVEL})},
    seqexp_tf="0.1.0",
    model_sha256="ab",
    dataset=DatasetCard("genes", "cd"),
    genes=GENES,
)


def _write(folder, text):
    path = folder / CARD
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return folder


@pytest.mark.parametrize(
    "card",
    [MODEL, dataclasses.replace(MODEL, genes=None, expression_value=0.5)],
)
def test_read_as_written(tmp_path, card):
    assert read_card(_write(tmp_path, card.to_json())) == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; give a version folder"),
        ("{", "not JSON"),
        ("[]", "must be a table"),
        ('{"format": 2}', "format 2 is newer than the 1"),
        (json.dumps({**json.loads(MODEL.to_json()), "windw": 1}), '"windw"; did you'),
    ],
)
def test_what_is_no_card_is_refused(tmp_path, text, message):
    if text is not None:
        _write(tmp_path, text)
    with pytest.raises(RunError, match=message):
        read_card(tmp_path)
