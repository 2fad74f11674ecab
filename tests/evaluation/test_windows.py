"""Example windows: chosen by labels, drawn left to right on either strand."""

import numpy as np
import pytest

from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.evaluation.windows import choose_windows, plot_windows, windows_table
from seqexp_tf.records.masks import MaskingConfig


class _Oracle:
    """Says the label where it is shown, and 0.5 where it is hidden."""

    def predict_on_batch(self, inputs):
        return {"expression_logits": 20 * (inputs["expression"] - 0.5)}


@pytest.fixture(scope="module")
def windows(request):
    from seqexp_tf.records.store import RecordStore

    store = RecordStore.open(request.getfixturevalue("joint_folder"))
    return store, choose_windows(
        _Oracle(), store, "test", masking=MaskingConfig(), count=5, batch_size=7
    )


def test_the_windows_are_those_of_the_dataset(windows):
    store, chosen = windows
    table = store.windows("test")
    assert len(chosen) == 5
    for window in chosen:
        contig, rest = window.title.split(":")
        start = int(rest.split("-")[0].replace(",", "")) - 1
        row = table[(table.start == start) & (table.strand == window.strand)]
        assert contig == "chrC"
        record = store.read("test", row.index[0])
        step = 1 if window.strand == "+" else -1
        assert np.array_equal(window.labels, record["expression"][0][::step])
        assert np.array_equal(window.hidden, record["expression_mask"][::step] == 1)
        assert window.probability[window.hidden] == pytest.approx(0.5)
        shown = ~window.hidden
        assert np.abs(window.probability - window.labels)[shown].max() < 1e-3


def test_each_has_a_border_in_its_hidden_span(windows):
    _, chosen = windows
    for window in chosen:
        assert np.diff(window.labels[window.hidden].astype(int)).any()


def test_batch_size_changes_nothing(windows):
    store, chosen = windows
    again = choose_windows(
        _Oracle(), store, "test", masking=MaskingConfig(), count=5, batch_size=100
    )
    assert [window.title for window in again] == [window.title for window in chosen]


def test_the_figure_has_a_row_a_window(windows, tmp_path):
    _, chosen = windows
    figure = plot_windows(chosen)
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        window.title for window in chosen
    ]
    paths = save_figure(figure, tmp_path / "windows")
    assert all(path.stat().st_size > 1000 for path in paths)


def test_the_table_holds_what_is_drawn(windows):
    _, chosen = windows
    table = windows_table(chosen)
    assert list(table.columns) == [
        *("window", "position", "expressed", "hidden", "probability"),
    ]
    for window in chosen:
        rows = table[table.window == window.title]
        assert rows.position.iloc[0] == window.start + 1
        assert rows.position.diff().iloc[1:].eq(1).all()
        np.testing.assert_array_equal(rows.expressed, window.labels)
        np.testing.assert_array_equal(rows.hidden.astype(bool), window.hidden)
        np.testing.assert_array_equal(rows.probability, window.probability)
