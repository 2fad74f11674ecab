"""The learning-rate range test: sweep, suggestion, files, verb."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import ConfigError
from seqexp_tf.evaluation.lr_sweep import write_sweep
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.lr_finder import DIVERGED, Sweep, find_rate, smooth

SMALL = {
    "model": {
        "architecture": "seq2exp",
        "width": 4,
        "center": 32,
        "head": [4],
        "predictor": {"encoder": "cnn", "kernel": 3, "dilations": [1]},
        "mask": {"kind": "none"},
    },
    "training": {"epochs": 1, "batch_size": 8, "precision": "float32"},
}


def _bowl(lowest_at):
    rates = np.logspace(-6, 0, 61)
    return Sweep(rates, (np.log10(rates) - lowest_at) ** 2 + 1)


def test_smoothing_has_no_bias_at_its_start():
    np.testing.assert_allclose(smooth([3.0] * 5), 3.0)
    np.testing.assert_allclose(smooth([1.0, 2.0]), [1.0, (0.9 + 2.0) / 1.9])


def test_the_suggestion_is_well_below_the_lowest_loss():
    sweep = _bowl(-3)
    lowest = sweep.rates[np.argmin(sweep.smoothed)]
    # The smoothed loss lags behind.
    assert 1e-3 < lowest < 1e-2
    assert sweep.suggestion == pytest.approx(lowest / 10)
    assert _bowl(-7).suggestion is None


def test_a_loss_that_still_falls_suggests_nothing():
    rates, losses = np.logspace(-6, 0, 61), np.linspace(2, 1, 61)
    assert Sweep(rates, losses, whole=True).still_falls
    assert Sweep(rates, losses, whole=True).suggestion is None
    # Where the next batch's loss exploded, this is the last rate that trains.
    exploded = Sweep(rates, losses)
    assert not exploded.still_falls
    assert exploded.suggestion == pytest.approx(0.1)


def test_a_sweep_of_a_model_of_genes(gene_store, tmp_path):
    config = read_run_config(SMALL)
    sweep = find_rate(config, gene_store, lowest=1e-4, highest=1e3, steps=60)
    count = len(sweep.rates)
    assert 10 < count < 60
    np.testing.assert_allclose(sweep.rates, 1e-4 * 1e7 ** (np.arange(count) / 59))
    assert sweep.smoothed[-1] > DIVERGED * sweep.smoothed.min()
    assert (sweep.smoothed[:-1] <= DIVERGED * sweep.smoothed.min()).all()
    assert 1e-4 < sweep.suggestion < 1
    assert not sweep.whole

    written = write_sweep(sweep, tmp_path)
    assert [path.name for path in written] == ["lr.tsv", "lr.png", "lr.svg"]
    table = pd.read_csv(written[0], sep="\t")
    assert table.columns.tolist() == ["step", "learning_rate", "loss", "smoothed"]
    np.testing.assert_allclose(table.loss, sweep.losses)
    assert f"suggested: {sweep.suggestion:.1e}" in written[2].read_text()


@pytest.mark.parametrize(("lowest", "highest"), [(0.1, 0.01), (0.1, float("inf"))])
def test_no_range_is_refused(gene_store, lowest, highest):
    with pytest.raises(ConfigError, match=f"from 0.1 to {highest} are no range"):
        find_rate(read_run_config(SMALL), gene_store, lowest=lowest, highest=highest)
