"""Learning curves of models of genes."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.curves import curves_table, plot_curves


def _history(**columns):
    steps = {"validation": [1, 2], "step": [100, 200], "epoch": [0.5, 1.0]}
    return pd.DataFrame(
        {**steps, "loss": [2.0, 1.0], "val_loss": [2.5, 1.5], **columns}
    )


def test_what_was_recorded_is_drawn_by_step():
    history = _history(
        mse=[1.0, 0.5],
        val_mse=[1.1, 0.6],
        pearson=[0.1, 0.7],
        mask_ratio=[0.3, 0.1],
        gradient_ratio=[1e-6, 1e-3],
    )
    figure = plot_curves({"soft": history})
    drawn = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.axison}
    assert set(drawn) == {
        "Total loss", "Squared error", "Pearson's r", "Mask ratio",
        "Gradient on mask head",
    }  # fmt: skip
    assert drawn["Total loss"].get_xlabel() == "Step"
    line = drawn["Mask ratio"].lines[0]
    np.testing.assert_allclose(line.get_xdata(), [100, 200])
    np.testing.assert_allclose(line.get_ydata(), [30, 10])
    assert drawn["Gradient on mask head"].get_yscale() == "log"
    table = curves_table({"soft": history})
    assert list(table.columns) == ["run", "step", "metric", "training", "validation"]
    assert table[table.metric == "mse"].validation.tolist() == [1.1, 0.6]


def test_runs_of_both_tasks_are_not_drawn_together():
    joint = pd.DataFrame({"epoch": [1], "loss": [1.0]})
    with pytest.raises(InputError, match="'cnn' and 'soft' are runs of different"):
        plot_curves({"soft": _history(), "cnn": joint})
    with pytest.raises(InputError, match="'soft' and 'cnn' are runs of different"):
        plot_curves({"cnn": joint, "soft": _history()})
