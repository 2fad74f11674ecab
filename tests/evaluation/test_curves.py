from types import SimpleNamespace

import matplotlib
import pandas as pd
import pytest

from seqexp_tf.errors import DatasetError, InputError, RunError
from seqexp_tf.evaluation.curves import (
    curves_table,
    plot_curve,
    plot_curves,
    read_histories,
    read_history,
    write_curves,
)
from seqexp_tf.evaluation.style import colour, new_figure, save_figure
from seqexp_tf.records.masks import MaskingConfig


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
    training, validation = ax.lines
    assert training.get_markerfacecolor() == "none"
    assert validation.get_markerfacecolor() == colour(0)


def test_the_values_of_one_epoch_are_written_beside_it():
    table = pd.DataFrame({"epoch": [1], "loss": [1.23456], "val_loss": [0.5]})
    figure = plot_curves({"run": table})
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.235", "0.5"]
    (legend,) = figure.legends
    markers = [line.get_marker() for line in legend.get_lines()]
    assert markers[:2] == ["o", "o"]
    assert figure.axes[0].get_xticks().tolist() == [1]
    longer = plot_curves({"run": history("loss", epochs=2)})
    assert not longer.axes[0].texts


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


def a_run(folder, table, hidden=("expression", "sequence")):
    folder.mkdir(parents=True)
    table.to_csv(folder / "history.csv", index=False)
    masking = MaskingConfig(expression_fraction=0.5, sequence_fraction=0.25)
    config = SimpleNamespace(hidden=hidden, masking=masking)
    masks = {"expression_fraction": 0.5, "sequence_fraction": 0.1}
    dataset = {"fixed_masks": masks}
    return SimpleNamespace(folder=folder, config=config, task="joint", dataset=dataset)


def test_runs_of_other_lengths_and_regimes_overlay(tmp_path):
    both = a_run(tmp_path / "rna_dna", history(*EVERYTHING, epochs=7))
    rna = a_run(tmp_path / "rna", history(*EVERYTHING, epochs=3), ("expression",))
    histories = read_histories([both, rna])
    assert list(histories) == ["rna_dna", "rna"]
    assert "val_sequence_loss" not in histories["rna"]
    assert "accuracy" not in histories["rna"]
    axes = {ax.get_title(loc="left"): ax for ax in plot_curves(histories).axes}
    lengths = [len(line.get_xdata()) for line in axes["RNA loss"].lines]
    assert lengths == [7, 7, 3, 3]
    assert [line.get_color() for line in axes["DNA loss"].lines] == [colour(0)] * 2
    only = plot_curves(read_histories([rna]))
    assert titles(only) == ["Total loss", "RNA loss", "RNA accuracy"]


def test_total_accuracy_counts_every_scored_position(tmp_path):
    table = history(*EVERYTHING, epochs=1)
    table["expression_accuracy"], table["sequence_accuracy"] = 0.9, 0.3
    table["val_expression_accuracy"], table["val_sequence_accuracy"] = 0.6, 0.3
    run = a_run(tmp_path / "cnn", table)
    found = read_histories([run])
    # Two hidden labels to a selected base in training, five in the dataset's masks.
    assert found["cnn"].accuracy.tolist() == pytest.approx([0.7])
    assert found["cnn"].val_accuracy.tolist() == pytest.approx([0.55])
    shown = plot_curves(found)
    assert "Total accuracy" in titles(shown)
    assert shown.legends
    run.config.masking = MaskingConfig(
        expression_fraction=0.5, expression_fraction_max=1.0, sequence_fraction=0.25
    )
    drawn = read_histories([run])["cnn"]
    assert drawn.accuracy.tolist() == pytest.approx([0.75])
    assert drawn.val_accuracy.tolist() == pytest.approx([0.55])
    run.dataset = {}
    assert "val_accuracy" not in read_histories([run])["cnn"]


def test_the_table_holds_what_is_drawn(tmp_path):
    table = history("loss", epochs=2)
    other = pd.DataFrame({"epoch": [1], "loss": [3.0], "expression_loss": [2.0]})
    found = curves_table({"a": table, "b": other})
    assert list(found.columns) == ["run", "epoch", "metric", "training", "validation"]
    assert found.values.tolist()[:2] == [
        ["a", 1, "loss", 1.0, 1.0],
        ["a", 2, "loss", 0.5, 0.5],
    ]
    assert found.metric.tolist() == ["loss", "loss", "loss", "expression_loss"]
    assert found.training.tolist() == [1.0, 0.5, 3.0, 2.0]
    assert found.validation.isna().tolist() == [False, False, True, True]
    paths = write_curves({"a": table, "b": other}, tmp_path / "out")
    assert [path.name for path in paths] == ["curves.tsv", "curves.png", "curves.svg"]
    again = pd.read_csv(paths[0], sep="\t")
    pd.testing.assert_frame_equal(again, found)


def test_runs_of_one_name_are_told_apart(tmp_path):
    runs = [a_run(tmp_path / f"{where}/cnn", history("loss")) for where in "ab"]
    assert list(read_histories(runs)) == ["a/cnn", "b/cnn"]
    with pytest.raises(InputError, match="cnn: this run is given twice"):
        read_histories([runs[0], runs[0]])


def test_an_eighth_run_has_dashes():
    figure = plot_curves({f"run {n}": history("loss") for n in range(9)})
    looks = {
        (line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines[::2]
    }
    assert len(looks) == 9


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "history.csv is missing, no epoch has finished"),
        ("", "history.csv: not a training history"),
        ("epoch,loss\n", "no epoch with a loss"),
        ("epoch,accuracy\n1,0.5\n", "no epoch with a loss"),
        ("loss\n1.0\n", "not a training history: .*epoch"),
        ("epoch,loss\n1,high\n", "not a training history: .*high"),
        ("epoch,loss\n,1.0\n", "not a training history"),
        ("\x00\x01", "not a training history"),
    ],
)
def test_a_damaged_history_is_named(tmp_path, content, message):
    run = a_run(tmp_path / "run", history("loss"))
    path = run.folder / "history.csv"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(RunError, match=message) as caught:
        read_history(run)
    assert "\n" not in str(caught.value)
