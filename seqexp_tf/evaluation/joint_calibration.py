"""Calibration of both outputs of a joint model, before and after rescaling."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.calibration import (
    TOP_LABEL,
    ExpressionReliability,
    NucleotideReliability,
    TopLabelReliability,
    plot_reliability,
)
from seqexp_tf.evaluation.metrics import binary_cross_entropy, nucleotide_scores
from seqexp_tf.evaluation.predictor import EXPRESSION, SEQUENCE
from seqexp_tf.evaluation.selection import chunks, select_labels, select_logits
from seqexp_tf.genome.alphabet import ALPHABET, BASES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Curves = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Calibration:
    """Reliability at hidden labels and selected bases.

    Attributes:
        expression: curve of ``expressed``; empty where no label was hidden.
        nucleotides: curves of ``A``, ``C``, ``G``, ``T``; empty where no base was
            selected.
        top_label: curve of the most probable base; likewise.
        loss: mean cross-entropy (nats) by output.
    """

    expression: Curves
    nucleotides: Curves
    top_label: Curves
    loss: Mapping[str, float]

    @property
    def bins(self) -> int:
        """Bins of probability of every curve."""
        curves = {**self.expression, **self.nucleotides}
        return len(next(iter(curves.values()))["counts"])

    def to_dict(self) -> dict[str, Any]:
        """Returns the curves and the scores, for a JSON file."""
        return {
            "scores": self.scores(),
            "expression": self.expression,
            "nucleotides": self.nucleotides,
            "top_label": self.top_label,
        }

    def scores(self) -> dict[str, dict[str, float]]:
        """Returns by output the figures to report.

        ``ece`` and ``brier`` of expression; of nucleotides ``ece`` (the mean over
        A, C, G, T), ``ece_A`` ... ``ece_T``, ``ece_top_label`` and ``brier`` (the
        sum over the four); ``loss`` of both.
        """
        scores = {}
        for curve in self.expression.values():
            scores[EXPRESSION] = {"ece": curve["ece"], "brier": curve["brier"]}
        if self.nucleotides:
            curves = self.nucleotides
            scores[SEQUENCE] = {
                "ece": float(np.mean([curve["ece"] for curve in curves.values()])),
                **{f"ece_{base}": curve["ece"] for base, curve in curves.items()},
                "ece_top_label": self.top_label[TOP_LABEL]["ece"],
                "brier": float(sum(curve["brier"] for curve in curves.values())),
            }
        return {
            output: {**values, "loss": self.loss[output]}
            for output, values in scores.items()
        }


class JointReliability:
    """Gathers a ``Calibration`` batch by batch, in bounded memory.

    Args:
        outputs: those judged, of ``expression_logits`` and ``sequence_logits``.
        temperatures: by output, what its logits are divided by; 1 if not named.
        bins: equal-width bins of probability.
    """

    def __init__(
        self,
        outputs: tuple[str, ...] = (EXPRESSION, SEQUENCE),
        *,
        temperatures: Mapping[str, float] | None = None,
        bins: int = 10,
    ):
        self.outputs = outputs
        self.temperatures = temperatures or {}
        self._expression = ExpressionReliability(bins=bins)
        self._nucleotides = NucleotideReliability(bins=bins)
        self._top_label = TopLabelReliability(bins=bins)
        self._loss = dict.fromkeys(outputs, 0.0)
        self._positions = dict.fromkeys(outputs, 0)

    def update(
        self,
        output: str,
        labels: np.ndarray,
        logits: np.ndarray,
        mask: np.ndarray | None = None,
    ) -> None:
        """Adds one batch of an output; nothing where the output is not judged.

        Arguments and errors as ``BinaryMetrics.update`` (``expression_logits``) and
        ``NucleotideMetrics.update`` (``sequence_logits``).
        """
        if output not in self.outputs:
            return
        binary = output == EXPRESSION
        classes, scored = (2, 2) if binary else (len(ALPHABET), len(BASES))
        true, selected = select_labels(labels, mask, classes=classes, scored=scored)
        scores = select_logits(logits, selected, classes=None if binary else classes)
        temperature = self.temperatures.get(output, 1.0)
        for label, logit in chunks(true, scores):
            logit = logit.astype(np.float64) / temperature
            if binary:
                self._expression.update(label, logit)
                loss = binary_cross_entropy(label, logit)
            else:
                self._nucleotides.update(label, logit)
                self._top_label.update(label, logit)
                loss, _ = nucleotide_scores(label, logit)
            self._loss[output] += float(np.sum(loss))
            self._positions[output] += len(label)

    def result(self) -> Calibration:
        """Returns what was gathered; NaN where there was no position."""
        expression, nucleotides = EXPRESSION in self.outputs, SEQUENCE in self.outputs
        return Calibration(
            expression=self._expression.result() if expression else {},
            nucleotides=self._nucleotides.result() if nucleotides else {},
            top_label=self._top_label.result() if nucleotides else {},
            loss={
                output: total / self._positions[output]
                if self._positions[output]
                else float("nan")
                for output, total in self._loss.items()
            },
        )


_NAMES = {
    "ece": "ECE",
    "ece_top_label": "ECE of the top base",
    "brier": "Brier score",
    "loss": "loss",
}


def describe_scaling(
    before: Calibration, after: Calibration, temperatures: Mapping[str, float]
) -> str:
    """Returns lines for a terminal: each score before and after."""
    lines = []
    titles = {EXPRESSION: "Expression", SEQUENCE: "Nucleotides"}
    later = after.scores()
    for output, scores in before.scores().items():
        changes = [
            f"{_NAMES[key]} {value:.4f} -> {later[output][key]:.4f}"
            for key, value in scores.items()
            if key in _NAMES
        ]
        temperature = temperatures.get(output, 1.0)
        lines.append(f"{titles[output]}, T = {temperature:.4f}: {', '.join(changes)}")
    return "\n".join(lines) + "\n"


def plot_calibration(
    before: Calibration, after: Calibration, temperatures: Mapping[str, float]
) -> "Figure":
    """Draws reliability as predicted and after temperature scaling, side by side.

    Args:
        before: at temperature 1.
        after: the same positions, logits divided by ``temperatures``.
        temperatures: by output.

    Returns:
        A new figure, a row an output.
    """
    rows = []
    if before.expression:
        rows.append((EXPRESSION, "Expression", before.expression, after.expression))
    if before.nucleotides:
        rows.append(
            (
                SEQUENCE,
                "Nucleotides",
                {**before.nucleotides, **before.top_label},
                {**after.nucleotides, **after.top_label},
            )
        )
    with style.context():
        figure = style.new_figure(width=7.2, height=3.7 * len(rows))
        axes = figure.subplots(len(rows), 2, squeeze=False)
        for (output, title, *pair), (left, right) in zip(rows, axes, strict=True):
            for curves, ax in zip(pair, (left, right), strict=True):
                plot_reliability(curves, ax=ax)
            left.set_title(f"{title}, as predicted")
            right.set_title(f"{title}, T = {temperatures.get(output, 1.0):.3f}")
    return figure
