"""Logos: letters against logomaker's own, text, pages, time."""

import functools
import time

import logomaker
import numpy as np
import pandas as pd
import pytest

from seqexp_tf.evaluation import style
from seqexp_tf.genome.alphabet import BASES, UNKNOWN
from seqexp_tf.interpretation.logos import (
    PAGE,
    ROW,
    common_ceiling,
    pages,
    plot_logo,
    plot_page,
    plot_stretches,
)
from seqexp_tf.interpretation.nucleotides import NucleotidePrediction
from seqexp_tf.records.regions import Region


def _random(n, *, strand="+", start=1000, sharp=0.5, seed=0):
    rng = np.random.default_rng(seed)
    return NucleotidePrediction(
        region=Region("chrIV", start, start + n),
        strand=strand,
        probabilities=rng.dirichlet(np.full(4, sharp), n).astype(np.float32),
        bases=rng.integers(0, 4, n).astype(np.uint8),
        masks="blockwise",
        labels="visible",
    )


def _axes():
    return style.new_figure(width=8, height=2).subplots()


@functools.cache
def _size(base):
    with style.context():
        return len(logomaker.Glyph(0, base, 0, 1, ax=_axes()).patch.get_path().vertices)


def _letters(ax, name):
    """Returns by base the vertices of each letter drawn, ``(count, v, 2)``."""
    collection = next(c for c in ax.collections if c.get_label() == name)
    return {
        base: path.vertices.reshape(-1, _size(base), 2)
        for base, path in zip("ACGTN", collection.get_paths(), strict=False)
        if len(path.vertices)
    }


def test_letters_lie_where_logomaker_puts_them():
    prediction = _random(12, sharp=1.0)
    ax = plot_logo(prediction, ax=_axes())
    smallest = 0.01 * common_ceiling([prediction])
    heights = pd.DataFrame(prediction.heights, columns=list(BASES))
    with style.context():
        oracle = logomaker.Logo(heights, ax=_axes())
    drawn = _letters(ax, "logo")
    for base in BASES:
        expected = [
            oracle.glyph_df.loc[i, base].patch.get_path().vertices
            for i in range(12)
            if heights.loc[i, base] >= smallest
        ]
        assert drawn[base] == pytest.approx(np.array(expected), abs=1e-9)


def test_heights_are_those_of_logomaker():
    prediction = _random(30)
    probabilities = pd.DataFrame(
        prediction.probabilities.astype(float), columns=list(BASES)
    )
    probabilities = probabilities.div(probabilities.sum(axis=1), axis=0)
    oracle = logomaker.transform_matrix(
        probabilities, from_type="probability", to_type="information"
    )
    assert prediction.heights == pytest.approx(oracle.to_numpy(), abs=1e-5)


def test_each_true_base_is_written_once_pale_where_wrong():
    prediction = _random(60)
    prediction.bases[7] = UNKNOWN
    ax = plot_logo(prediction, ax=_axes())
    right, wrong = (
        _letters(ax, name) for name in ("true, predicted", "true, not predicted")
    )
    for shapes, kept in ((right, prediction.correct), (wrong, ~prediction.correct)):
        for index, base in enumerate("ACGTN"):
            centre = shapes.get(base, np.empty((0, 1, 2))).mean(axis=1)[:, 0]
            expected = np.flatnonzero(kept & (prediction.bases == index))
            assert len(centre) == expected.size
            assert np.abs(centre - expected).max(initial=0) < 0.5
    full, pale = (
        next(c for c in ax.collections if c.get_label() == name).get_facecolors()
        for name in ("true, predicted", "true, not predicted")
    )
    assert (pale[:, :3].sum(axis=1) > full[:, :3].sum(axis=1)).all()


@pytest.mark.parametrize("strand", ["+", "-"])
def test_ticks_name_positions_of_the_contig(strand):
    prediction = _random(50, strand=strand, start=1234)
    ax = plot_logo(prediction, ax=_axes())
    position = {
        int(at): int(text.get_text().replace(",", ""))
        for at, text in zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    }
    assert sorted(position.values()) == [1240, 1250, 1260, 1270, 1280]
    for at, value in position.items():
        assert prediction.positions[at] + 1 == value
    # Left to right is 5' to 3' on both strands: letters are never mirrored.
    assert ax.get_xlim()[0] < ax.get_xlim()[1]


def test_a_letter_too_small_to_see_is_left_out():
    prediction = _random(3)
    prediction.probabilities[:] = [
        [1, 0, 0, 0],
        [0.25] * 4,
        [0.997, 0.001, 0.001, 0.001],
    ]
    drawn = _letters(plot_logo(prediction, ax=_axes()), "logo")
    assert {base: len(letters) for base, letters in drawn.items()} == {"A": 2}


@pytest.mark.parametrize(
    ("n", "rows"), [(1, 1), (ROW, 1), (ROW + 1, 2), (300, 3), (PAGE, 16)]
)
def test_a_page_has_rows_of_128(n, rows):
    prediction = _random(n)
    figure = plot_page(prediction)
    assert len(figure.axes) == rows
    drawn = sum(
        len(letters)
        for ax in figure.axes
        for name in ("true, predicted", "true, not predicted")
        for letters in _letters(ax, name).values()
    )
    assert drawn == n
    assert len({ax.get_ylim() for ax in figure.axes}) == 1
    assert len({ax.get_xlim() for ax in figure.axes}) == 1


@pytest.mark.parametrize(
    ("strand", "words"),
    [("+", "plus strand 5′→3′"), ("-", "minus strand 5′→3′ (coordinates descend)")],
)
def test_a_page_says_what_it_shows(strand, words):
    figure = plot_page(_random(200, strand=strand))
    assert figure.get_suptitle() == f"chrIV:1,001-1,200, {words}"
    assert "each base hidden with a random part" in figure.get_supxlabel()
    assert "expression shown" in figure.get_supxlabel()
    assert figure.get_supylabel() == "Information (bits)"


@pytest.mark.parametrize("strand", ["+", "-"])
def test_pages_follow_the_strand(strand):
    prediction = _random(2 * PAGE + 5, strand=strand)
    parts = pages(prediction)
    assert [len(part) for part in parts] == [PAGE, PAGE, 5]
    assert np.array_equal(
        np.concatenate([part.positions for part in parts]), prediction.positions
    )
    assert np.array_equal(
        np.concatenate([part.bases for part in parts]), prediction.bases
    )


def test_the_ceiling_is_round_and_high_enough():
    flat = _random(5)
    flat.probabilities[:] = 0.25
    sure = _random(5)
    sure.probabilities[:] = [1, 0, 0, 0]
    assert common_ceiling([flat]) == 0.1
    assert common_ceiling([flat, sure]) == 2
    some = _random(40, sharp=5)
    assert common_ceiling([some]) >= some.information.max()


def test_stretches_have_a_titled_row_each(tmp_path):
    stretches = [_random(50, start=start, seed=start) for start in (500, 100, 900)]
    figure = plot_stretches(stretches)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    for stretch, title in zip(stretches, titles, strict=True):
        assert title.startswith(f"{stretch.region}: ")
        assert f"{stretch.correct.sum()} of 50 right" in title
    assert figure.get_suptitle() == (
        "chrIV, plus strand 5′→3′: most certain stretches of 50 bases"
    )
    paths = style.save_figure(figure, tmp_path / "top")
    again = style.save_figure(plot_stretches(stretches), tmp_path / "again")
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]
    assert "chrIV:501-550" in paths[1].read_text()


def test_a_page_of_2048_bases_is_drawn_and_saved_in_seconds(tmp_path):
    prediction = _random(PAGE, sharp=2)
    began = time.process_time()
    paths = style.save_figure(plot_page(prediction), tmp_path / "page")
    assert time.process_time() - began < 15
    assert [path.suffix for path in paths] == [".png", ".svg"]
