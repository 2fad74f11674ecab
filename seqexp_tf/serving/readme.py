"""The README of an export: examples from a real record, and its signatures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from seqexp_tf.serving.card import FREE, ModelCard

README = "README.md"
REQUESTS = "assets.extra/requests"
"""Folder of a request for each signature but ``serving_default``, as JSON."""

_SHOWN = 3
_LETTERS = 24


@dataclass(frozen=True)
class Asked:
    """A request and its answer, of a batch of one.

    Attributes:
        name: of the signature.
        request: what is sent to the REST interface.
        answer: output -> array.
    """

    name: str
    request: Mapping[str, Any]
    answer: Mapping[str, np.ndarray]


def readme(card: ModelCard, *, record: str, asked: list[Asked]) -> str:
    """Returns the text of the README.

    Args:
        card: of the model.
        record: what the examples are about, in words.
        asked: examples, that of ``serve_sequence`` among them.
    """
    from jinja2 import Environment, StrictUndefined

    source = resources.files("seqexp_tf.serving") / "templates" / README
    environment = Environment(
        undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False
    )
    environment.filters["sizes"] = _sizes
    level = next(one for one in asked if one.name == "serve_sequence").answer
    return environment.from_string(source.read_text(encoding="utf-8")).render(
        card=card,
        about=_about(card),
        record=record,
        requests=REQUESTS,
        examples=[
            {
                "name": one.name,
                "description": card.signatures[one.name].description,
                "request": _object(
                    {
                        "signature_name": json.dumps(one.name),
                        "inputs": _object(
                            {k: _short(v) for k, v in one.request["inputs"].items()},
                            indent=2,
                        ),
                    }
                ),
                "answer": _object(
                    {
                        "outputs": _object(
                            {k: _short(v.tolist()) for k, v in one.answer.items()},
                            indent=2,
                        )
                    }
                ),
            }
            for one in asked
        ],
        printed=_short(level["expression"][0].tolist()).replace(",", ""),
    )


def _about(card: ModelCard) -> str:
    what = {
        "joint": "A joint model of DNA and expression",
        "expression": "A model of the expression of genes",
    }[card.task]
    return (
        f"{what} (`{card.architecture}`), windows of {card.window:,} bases, trained on "
        f"the dataset {card.dataset.name} ({card.dataset.fingerprint[:12]}) and "
        f"exported by seqexp-tf {card.seqexp_tf}."
    )


def _object(entries: Mapping[str, str], indent: int = 0) -> str:
    """Returns JSON of values that are text already."""
    space = " " * indent
    lines = ",\n".join(f'{space} "{key}": {text}' for key, text in entries.items())
    return f"{{\n{lines}\n{space}}}"


def _short(value: Any) -> str:
    """Returns JSON, with an ellipsis for most of what is long."""
    if isinstance(value, list):
        parts = [_short(item) for item in value[:_SHOWN]]
        if len(value) > 2 * _SHOWN:
            parts += ["...", *(_short(item) for item in value[-_SHOWN:])]
        else:
            parts += [_short(item) for item in value[_SHOWN:]]
        return f"[{', '.join(parts)}]"
    if isinstance(value, str):
        if len(value) > 2 * _LETTERS:
            value = f"{value[:_LETTERS]}...{value[-_LETTERS:]}"
        return json.dumps(value)
    if isinstance(value, float):
        return "NaN" if np.isnan(value) else f"{value:.4g}"
    return json.dumps(value)


def _sizes(shape: tuple[int, ...]) -> str:
    sizes = ["any" if size == FREE else str(size) for size in shape[1:]]
    return f"({', '.join(['batch', *sizes])})"
