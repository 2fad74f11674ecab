from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.interpretation.elements import Selection, element_table
from seqexp_tf.interpretation.locus_plot import plot_locus

WINDOW = GeneWindow(
    gene="ENSG1",
    name="MYC",
    contig="chr8",
    start=1000,
    end=4000,
    strand="-",
    gene_strand="-",
    tss=2500,
    split="test",
)
GENES = pd.DataFrame(
    {
        "contig": ["chr8", "chr8"],
        "start": [1200, 3000],
        "end": [2501, 3400],
        "strand": ["-", "+"],
        "label": ["MYC", "PVT1"],
    }
)


def _gene(length=3000, **changes):
    rng = np.random.default_rng(0)
    mask = rng.beta(2, 30, length).astype(np.float32)
    mask[400:440] = 0.6
    values = {
        "window": replace(WINDOW, end=WINDOW.start + length),
        "mask": mask,
        "signals": {"dnase": rng.random(length), "contact": rng.random(length)},
        "channels": {
            "peaks": rng.random(length) > 0.9,
            "blacklist": np.zeros(length, dtype=bool),
        },
        "prediction": 1.234,
        "target": 2.0,
    }
    return GeneMask(**{**values, **changes})


def _labels(figure):
    return [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]


def _title(figure):
    first = figure.axes[0]
    below = [text.get_text() for text in first.texts]
    return " ".join([first.get_title(loc="left"), *below])


def test_every_track_has_its_row():
    gene = _gene()
    elements = element_table(gene, Selection(fraction=0.02))
    figure = plot_locus(
        gene,
        elements=elements,
        genes=GENES,
        known=gene.channels["peaks"],
        known_label="ABC links",
        promoter=200,
    )
    assert _labels(figure) == [
        "genes", "dnase", "contact", "peaks", "ABC links", "learnt mask",
        "selected",
    ]  # fmt: skip
    title = _title(figure)
    assert "MYC (ENSG1), chr8:1,001-4,000 (-)" in title
    assert "predicted 1.23, measured 2.00" in title
    assert f"{len(elements)} element" in title
    assert figure.axes[-1].get_xlim() == (1000.5, 4000.5)


def test_what_is_not_there_has_no_row():
    bare = _gene(mask=None, signals={}, channels={"blacklist": np.ones(3000, bool)})
    assert _labels(plot_locus(bare)) == ["blacklist"]
    figure = plot_locus(_gene(prediction=float("nan")))
    assert _labels(figure) == ["dnase", "contact", "peaks", "learnt mask"]
    assert "predicted" not in _title(figure)


def test_kilobases_count_from_the_tss_along_the_gene():
    gene = _gene()
    for strand, sign in (("+", 1), ("-", -1)):
        window = replace(WINDOW, strand=strand, gene_strand=strand)
        figure = plot_locus(replace(gene, window=window))
        (top,) = figure.axes[0].child_axes
        forward, _ = top._functions
        assert forward(2501) == 0
        assert forward(3501) == sign * 1.0


@pytest.mark.parametrize("length", [50, 1400, 1401, 20_000])
def test_long_windows_are_drawn_in_bins_of_the_same_mean(length):
    gene = _gene(length=max(length, 500))
    figure = plot_locus(gene)
    ax = next(ax for ax in figure.axes if ax.get_ylabel() == "learnt mask")
    (filled,) = [
        collection
        for collection in ax.collections
        if len(collection.get_paths()) == 1
        and len(collection.get_paths()[0].vertices) > 20
    ]
    path = filled.get_paths()[0].vertices
    assert path[:, 0].min() == 1000.5
    assert path[:, 0].max() == 1000.5 + len(gene.mask)
    assert len(path) < 4 * 1402


def test_an_empty_selection_is_drawn():
    gene = _gene(mask=np.zeros(3000, dtype=np.float32))
    figure = plot_locus(gene, elements=element_table(gene, Selection()))
    assert "0 elements, 0.0% of bases" in _title(figure)
