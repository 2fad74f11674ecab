import matplotlib
import pandas as pd
import pytest

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.evaluation.curves import plot_curve, plot_curves
from seqexp_tf.evaluation.style import colour, new_figure, save_figure


def history(*outputs, epochs=5, scale=1.0):
    table = {"epoch": range(1, epochs + 1)}
    for output in outputs:
        for name in (output, f"val_{output}"):
            table[name] = [scale / epoch for epoch in range(1, epochs + 1)]
    return pd.DataFrame(table)


EVERYTHING = (
    "loss",
    "expression_loss",
    "sequence_loss",
    "expression_accuracy",
    "sequence_accuracy",
)


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes if ax.axison]


def test_five_panels_two_runs_and_a_legend():
    figure = plot_curves(
        {"cnn": history(*EVERYTHING), "transformer": history(*EVERYTHING, scale=0.5)}
    )
    assert titles(figure) == [
        "Total loss",
        "RNA loss",
        "DNA loss",
        "RNA accuracy",
        "DNA accuracy",
    ]
    total = figure.axes[0]
    assert [line.get_color() for line in total.lines] == [colour(0)] * 2 + [
        colour(1)
    ] * 2
    thin, thick = total.lines[:2]
    assert thin.get_linewidth() < thick.get_linewidth()
    (legend,) = (ax.get_legend() for ax in figure.axes if ax.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == [
        "training",
        "validation",
        "cnn",
        "transformer",
    ]


def test_accuracy_is_shown_in_percent():
    table = history("loss", "expression_accuracy")
    panel = plot_curves({"run": table}).axes[-1]
    assert panel.get_ylabel() == "% of scored positions"
    assert list(panel.lines[0].get_ydata()) == pytest.approx(
        list(100 * table["expression_accuracy"])
    )


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        (["loss"], ["Total loss"]),
        (["expression_loss"], ["RNA loss"]),
        (
            ["loss", "expression_loss", "expression_accuracy"],
            ["Total loss", "RNA loss", "RNA accuracy"],
        ),
        (["sequence_accuracy"], ["DNA accuracy"]),
    ],
)
def test_missing_columns_leave_their_panel_out(outputs, expected, tmp_path):
    figure = plot_curves({"run": history(*outputs)})
    assert titles(figure) == expected
    save_figure(figure, tmp_path / "curves")


def test_no_epoch_no_validation_and_an_empty_column():
    table = pd.DataFrame({"loss": [2.0, 1.0], "sequence_loss": [None, None]})
    figure = plot_curves({"run": table})
    assert titles(figure) == ["Total loss"]
    (line,) = figure.axes[0].lines
    assert list(line.get_xdata()) == [0, 1]


def test_one_epoch_is_a_dot():
    ax = new_figure(width=2, height=2).subplots()
    assert plot_curve({"run": history("loss", epochs=1)}, "loss", ax=ax) is ax
    assert {line.get_marker() for line in ax.lines} == {"o"}


def test_a_history_without_known_columns_is_refused():
    with pytest.raises(InputError, match=r"history of 'a' has columns \['lr'\]"):
        plot_curves({"a": pd.DataFrame({"lr": [1]})})
    with pytest.raises(InputError, match="at least one run"):
        plot_curves({})


def test_saved_figures_are_whole_repeatable_and_leave_no_trace(tmp_path):
    before = dict(matplotlib.rcParams)
    first = save_figure(
        plot_curves({"run": history(*EVERYTHING)}), tmp_path / "a/run.1"
    )
    second = save_figure(plot_curves({"run": history(*EVERYTHING)}), tmp_path / "b")
    assert [path.name for path in first] == ["run.1.png", "run.1.svg"]
    assert first[0].read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "RNA accuracy" in first[1].read_text()
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "run.1.png",
        "run.1.svg",
    ]
    assert dict(matplotlib.rcParams) == before


def test_a_figure_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "curves.png").mkdir()
    with pytest.raises(DatasetError, match=r"curves\.png: cannot write"):
        save_figure(plot_curves({"run": history("loss")}), tmp_path / "curves")
