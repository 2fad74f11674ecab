"""Calibration in a report: before and after temperature scaling."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seqexp_tf.evaluation import style
from seqexp_tf.evaluation.calibration import plot_base_distribution, plot_reliability
from seqexp_tf.evaluation.joint_calibration import EXPRESSION, SEQUENCE, Calibration
from seqexp_tf.report.collect import Report
from seqexp_tf.report.page import Block, Missing, Picture, Section, Table
from seqexp_tf.report.pictures import light
from seqexp_tf.report.wording import number

_SCORES = {
    "ece": "calibration error (ECE)",
    "ece_top_label": "ECE of the likeliest base",
    "brier": "Brier score",
    "loss": "loss",
}
_MODALITIES = {EXPRESSION: "RNA", SEQUENCE: "DNA"}


def calibration_section(report: Report) -> Section:
    """Returns scores and reliability diagrams, or why there are none."""
    blocks: list[Block] = []
    if report.scaling is None:
        blocks.append(
            Missing(
                what="Calibration",
                why=report.unscored
                or "the dataset has no validation split to fit temperatures on.",
            )
        )
    else:
        before, after, temperatures = report.scaling
        blocks.append(_table(before, after, temperatures, split=report.inputs.split))
        blocks += _diagrams(before, after, temperatures, split=report.inputs.split)
    masked = (report.metrics or {}).get("populations", {}).get("masked", {})
    if "dna" in masked:
        blocks.append(
            light(
                plot_base_distribution(masked["dna"]["model"]),
                alt="Shares of true and predicted bases",
                caption=(
                    "Shares of the four bases at selected positions: true, and as the "
                    "likeliest base of the model. Where the sequence says little, the "
                    "likeliest base is one of the frequent ones."
                ),
            )
        )
    return Section(
        id="calibration",
        title="Calibration",
        lead="Whether a predicted probability is as often right as it says.",
        blocks=tuple(blocks),
    )


def _table(
    before: Calibration,
    after: Calibration,
    temperatures: Mapping[str, float],
    *,
    split: str,
) -> Table:
    old, new = before.scores(), after.scores()
    rows, worse = [], []
    for output, name in _MODALITIES.items():
        if output not in old:
            continue
        rows.append((f"{name} temperature", "1", f"{temperatures[output]:.3f}"))
        for key, label in _SCORES.items():
            if key in old[output]:
                cells = (number(scores[output][key]) for scores in (old, new))
                rows.append((f"{name} {label}", *cells))
                if new[output][key] > old[output][key]:
                    worse.append(f"{name} {label}")
    return Table(
        caption="Before and after temperature scaling",
        heading=("Score", "As predicted", "Scaled"),
        rows=tuple(rows),
        note=(
            "Logits are divided by a temperature that minimises the loss on "
            f"validation; the scores are of hidden positions of {split}. ECE: mean "
            "distance of the true frequency from the predicted probability over "
            f"{before.bins} bins, of nucleotides the mean of four. Scaling changes no "
            "likeliest class; all other results on this page are of the model as it "
            "predicts." + _remark(worse)
        ),
    )


def _remark(worse: Sequence[str]) -> str:
    if not worse:
        return ""
    return (
        f" Scaling made these worse: {', '.join(worse)}. One temperature lowers the "
        "loss on validation, which need not lower every error on other data; where "
        "they matter, use the predictions as they are."
    )


def _diagrams(
    before: Calibration,
    after: Calibration,
    temperatures: Mapping[str, float],
    *,
    split: str,
) -> Iterator[Picture]:
    if before.expression:
        temperature = f"T = {temperatures[EXPRESSION]:.3f}"
        curves = {
            "as predicted": before.expression["expressed"],
            temperature: after.expression["expressed"],
        }
        yield _diagram(curves, title="Expression", split=split)
    if before.nucleotides:
        temperature = f"T = {temperatures[SEQUENCE]:.3f}"
        for calibration, title in ((before, "as predicted"), (after, temperature)):
            curves = {**calibration.nucleotides, **calibration.top_label}
            yield _diagram(curves, title=f"Nucleotides, {title}", split=split)


def _diagram(
    curves: Mapping[str, Mapping[str, Any]], *, title: str, split: str
) -> Picture:
    with style.context():
        figure = plot_reliability(curves)
        figure.axes[0].set_title(title)
    return light(
        figure,
        alt=f"Reliability diagram: {title}",
        caption=(
            f"{title}: true frequency by predicted probability at hidden positions of "
            f"{split}. On the diagonal a probability means what it says; markers grow "
            "with the positions in a bin."
        ),
    )
