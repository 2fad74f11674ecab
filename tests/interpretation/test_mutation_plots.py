"""Figures of maps: what is drawn where."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Polygon, StepPatch

from seqexp_tf.errors import InputError
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.interpretation.mutation_map import MutationMap
from seqexp_tf.interpretation.mutation_plots import plot_influence, plot_map
from seqexp_tf.records.regions import Region

GENES = pd.DataFrame(
    [("chrI", 1010, 1060, "+", "ABC1"), ("chrI", 1050, 1500, "-", "XYZ9")],
    columns=["contig", "start", "end", "strand", "label"],
)


def _map(n, m=None, **changes):
    m = m or n
    rng = np.random.default_rng(0)
    log_odds = rng.random((n, m)).astype(np.float32)
    region = Region("chrI", 1000, 1000 + n)
    base = rng.integers(0, 4, (n, m)).astype(np.uint8)
    return MutationMap(
        **{
            "region": region,
            "recorded": Region("chrI", 1000, 1000 + m),
            "window": Region("chrI", 900, 1400),
            "hidden": Region("chrI", 1020, 1200),
            "target": region,
            "strand": "+",
            "sequence": rng.integers(0, 4, n).astype(np.uint8),
            "reference": np.linspace(-3, 3, m, dtype=np.float32),
            "expressed": (np.arange(m) > m // 2).astype(np.uint8),
            "measured": np.ones(m, bool),
            "log_odds": log_odds,
            "log_ratio": log_odds / 3,
            "log_odds_base": base,
            "log_ratio_base": base,
            "effect": rng.standard_normal((n, 4)).astype(np.float32),
            **changes,
        }
    )


def _heat(figure):
    return next(ax for ax in figure.axes if ax.images)


def _texts(figure):
    return {text.get_text() for ax in figure.axes for text in ax.texts}


def test_mutated_bases_run_right_and_changed_ones_down():
    found = _map(100)
    heat = _heat(plot_map(found))
    (image,) = heat.images
    np.testing.assert_array_equal(image.get_array(), found.log_odds.T)
    assert tuple(image.get_extent()) == (1000.5, 1100.5, 1100.5, 1000.5)
    assert heat.get_xlim() == (1000.5, 1100.5)
    assert heat.get_ylim() == (1100.5, 1000.5)


def test_each_measure_has_its_unit():
    found = _map(60)
    for measure, unit in (
        ("log_odds", "|log-odds\ndifference|"),
        ("log_ratio", "|ln ratio|"),
    ):
        figure = plot_map(found, measure)
        assert unit in {ax.get_title(loc="center") for ax in figure.axes}
        (image,) = _heat(figure).images
        np.testing.assert_array_equal(image.get_array(), found.values(measure).T)


def test_genes_lie_along_both_axes():
    figure = plot_map(_map(100), genes=GENES)
    assert {"ABC1", "XYZ9"} <= _texts(figure)
    arrows = [
        sum(isinstance(patch, Polygon) for patch in ax.patches) for ax in figure.axes
    ]
    assert arrows.count(2) == 2
    assert not {"ABC1", "XYZ9"} & _texts(plot_map(_map(100)))


def test_where_labels_are_hidden_is_marked():
    heat = _heat(plot_map(_map(100)))
    assert [line.get_ydata()[0] for line in heat.lines] == [1020.5]
    everything = _map(100, hidden=Region("chrI", 900, 1400))
    assert not _heat(plot_map(everything)).lines
    outside = _map(100, hidden=Region("chrI", 1200, 1300))
    assert not _heat(plot_map(outside)).lines


def test_zoom_shows_a_part_of_both_axes():
    found = _map(100)
    zoom = Region("chrI", 1040, 1070)
    figure = plot_map(found, zoom=zoom, genes=GENES)
    (image,) = _heat(figure).images
    np.testing.assert_array_equal(image.get_array(), found.log_odds[40:70, 40:70].T)
    assert "chrI:1,041-1,070" in figure.axes[1].get_title(loc="left")


@pytest.mark.parametrize(
    "zoom",
    [
        Region("chrI", 990, 1010),
        Region("chrI", 1090, 1101),
        Region("chrII", 1000, 1010),
    ],
)
def test_zoom_outside_is_refused(zoom):
    with pytest.raises(InputError, match="zoom .*: not within the mutated region"):
        plot_map(_map(100), zoom=zoom)
    with pytest.raises(InputError, match="not within the recorded region"):
        plot_map(_map(100, 20), zoom=Region("chrI", 1010, 1030))


@pytest.mark.parametrize("zoom", [None, Region("chrI", 1040, 1070)])
def test_bars_are_as_wide_as_the_columns_of_the_map(zoom):
    found = _map(100)
    figure = plot_map(found, zoom=zoom)
    shown = zoom or found.region
    edges = np.arange(shown.start, shown.end + 1) + 0.5
    at = slice(shown.start - 1000, shown.end - 1000)
    bars = {
        ax.get_ylabel(): patch.get_data()
        for ax in figure.axes
        for patch in ax.patches
        if isinstance(patch, StepPatch)
    }
    assert set(bars) == {"Max", "Mean", ""}  # The last: measured expression.
    for label, values in (
        ("Max", found.log_odds[at, at].max(axis=1)),
        ("Mean", found.log_odds[at, at].mean(axis=1)),
        ("", found.expressed[at]),
    ):
        np.testing.assert_array_equal(bars[label].edges, edges)
        np.testing.assert_array_equal(bars[label].values, values)


def test_thin_stripes_survive_a_large_map():
    log_odds = np.zeros((1500, 1500), np.float32)
    log_odds[777] = 5
    found = _map(1500, log_odds=log_odds)
    (image,) = _heat(plot_map(found)).images
    drawn = image.get_array()
    assert max(drawn.shape) <= 640
    assert (drawn.max(axis=1) == 5).all()
    effect = np.zeros((1500, 4), np.float32)
    effect[777, 2] = -9
    figure = plot_influence(_map(1500, effect=effect))
    (image,) = _heat(figure).images
    assert image.get_array().min() == -9


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_map_without_influence_is_drawn(value, tmp_path):
    flat = np.full((50, 50), value, np.float32)
    found = _map(50, log_odds=flat, log_ratio=flat, effect=flat[:, :4])
    for index, figure in enumerate((plot_map(found), plot_influence(found))):
        save_figure(figure, tmp_path / str(index))


def test_the_influence_of_each_base_with_genes():
    figure = plot_influence(_map(100), genes=GENES)
    assert {"ABC1", "XYZ9"} <= _texts(figure)
    (image,) = _heat(figure).images
    assert image.get_array().shape == (4, 100)
    assert figure.axes[0].get_xlim() == (1000.5, 1100.5)


def test_equal_maps_are_equal_files(tmp_path):
    found = _map(80, strand="-")
    for name in "ab":
        save_figure(plot_map(found, genes=GENES), tmp_path / name)
        save_figure(plot_influence(found, genes=GENES), tmp_path / f"{name}_influence")
    for name in ("{}.png", "{}.svg", "{}_influence.svg"):
        first, second = (tmp_path / name.format(letter) for letter in "ab")
        assert first.read_bytes() == second.read_bytes()
