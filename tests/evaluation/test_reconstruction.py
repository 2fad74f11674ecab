"""One region: what is hidden, what is scored, what is drawn."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from seqexp_tf.errors import DatasetError, InputError, RunError
from seqexp_tf.evaluation.border_plots import plot_borders, summary
from seqexp_tf.evaluation.borders import BorderCounts, ExpressedTotal
from seqexp_tf.evaluation.gene_track import arrange_genes
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.evaluation.reconstruction import (
    DNA_ALONE,
    RECONSTRUCTION,
    VISIBLE,
    Reconstruction,
    reconstruct,
)
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.evaluation.tables import finite
from seqexp_tf.records.regions import Region, read_slice

WINDOW = 128
REGION = Region("chrA", 1000, 1100)


class _Repeats:
    """p(expressed) is what it is shown of the label, 0.5 where that is hidden."""

    output_names = ("expression_logits", "sequence_logits")

    def __init__(self, factor=4.0):
        self.factor = factor
        self.seen = []

    def predict_on_batch(self, inputs):
        self.seen.append(inputs)
        logits = self.factor * (inputs["expression"] - 0.5)
        return {
            "expression_logits": logits.astype(np.float32),
            "sequence_logits": inputs["sequence"],
        }


@pytest.fixture
def predictor(joint_store):
    return JointPredictor(_Repeats(), joint_store, WINDOW)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_half_of_the_window_is_hidden_around_the_region(predictor, strand):
    found = reconstruct(predictor, REGION, strand, visible=True)
    genome = read_slice(predictor.store, REGION)
    truth = genome.expression["+-".index(strand)]
    np.testing.assert_array_equal(found.labels, truth)
    # 64 of 128 labels, in the middle of the 100 bases shown.
    expected = np.zeros(100, dtype=bool)
    expected[18:82] = True
    np.testing.assert_array_equal(found.hidden, expected)
    rebuilt = found.predictions[RECONSTRUCTION]
    assert (rebuilt[expected] == 0.5).all()
    assert ((rebuilt > 0.5) == truth)[~expected].all()
    assert (found.predictions[DNA_ALONE] == 0.5).all()
    assert ((found.predictions[VISIBLE] > 0.5) == truth).all()


def test_the_reconstruction_alone_sees_mask_tokens(predictor):
    found = reconstruct(predictor, REGION, "-", sequence_fraction=0.3)
    first, *others = predictor.model.seen
    tokens = first["sequence"].sum(axis=-1)[0] == 0
    # The window is read 5' to 3', the region shown from left to right.
    np.testing.assert_array_equal(tokens[::-1][14:114], found.masked)
    assert 20 < tokens.sum() < 57
    assert all(inputs["sequence"].sum(axis=-1).all() for inputs in others)


def test_the_same_seed_masks_the_same_bases(predictor):
    first, again = (reconstruct(predictor, REGION, "+") for _ in range(2))
    other = reconstruct(predictor, REGION, "+", seed=1)
    np.testing.assert_array_equal(first.masked, again.masked)
    assert (first.masked != other.masked).any()
    assert not reconstruct(predictor, REGION, "+", sequence_fraction=0).masked.any()


def test_a_span_of_ones_own(predictor):
    span = Region("chrA", 990, 1010)
    found = reconstruct(predictor, REGION, "+", span=span)
    assert np.flatnonzero(found.hidden).tolist() == list(range(10))
    assert found.scores[RECONSTRUCTION].positions == 10
    for wrong in (
        Region("chrA", 900, 1010),
        Region("chrA", 1100, 1115),
        Region("chrA", 1010, 1010),
        Region("chrB", 1000, 1010),
    ):
        with pytest.raises(InputError, match="not within the model's window chrA:987-"):
            reconstruct(predictor, REGION, "+", span=wrong)


def test_scores_are_of_hidden_labels_or_of_all():
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 1], dtype=np.uint8)
    valid = np.array([1, 1, 1, 1, 1, 1, 1, 0], dtype=bool)
    hidden = np.array([0, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
    p = np.array([0.1, 0.6, 0.9, 0.2, 0.8, 0.4, 0.7, 0.1], dtype=np.float32)
    found = Reconstruction(
        region=Region("chrI", 50, 58),
        strand="+",
        labels=labels,
        valid=valid,
        hidden=hidden,
        masked=hidden,
        predictions={RECONSTRUCTION: p, DNA_ALONE: p},
    )
    assert found.expressed == ExpressedTotal(bases=4, regions=2)
    part, whole = found.scores[RECONSTRUCTION], found.scores[DNA_ALONE]
    assert (part.positions, part.accuracy) == (3, pytest.approx(1 / 3))
    assert part.expressed == ExpressedTotal(bases=2, regions=1)
    assert part.loss == pytest.approx(log_loss(labels[hidden], p[hidden].astype(float)))
    assert (whole.positions, whole.accuracy) == (7, pytest.approx(5 / 7))
    exact = whole.borders[0]
    # True: starts 2 and 6, end 5. Predicted: starts 1, 4 and 6, ends 3 and 5.
    assert exact.starts == BorderCounts(true=2, predicted=3, matched=1)
    assert exact.ends == BorderCounts(true=1, predicted=2, matched=1)
    assert summary(found) == (
        f"RNA mask 3 bp, DNA mask 3 bp: loss {part.loss:.3f}, acc. 0.333  |  "
        f"DNA alone: loss {whole.loss:.3f}, acc. 0.714"
    )
    document = json.loads(json.dumps(finite(found.to_dict())))
    assert document["region"] == "chrI:51-58"
    assert document["predictions"][DNA_ALONE]["expressed"] == {"bases": 4, "regions": 3}
    calls = [(52, 53), (55, 55), (57, 57)]
    rows = found.regions().drop(columns=["contig", "strand", "mean"])
    rows = rows[["start", "end", "length", "source"]]
    assert rows[rows.source != DNA_ALONE].to_numpy().tolist() == [
        [53, 55, 3, "measured"],
        [57, 57, 1, "measured"],
        *([start, end, end - start + 1, RECONSTRUCTION] for start, end in calls),
        *([start, end, end - start + 1, "dna_alone_segments"] for start, end in calls),
    ]
    # At this cost 0.4 goes with the 0.8 and 0.7 around it, 0.2 with nothing.
    sticky = dataclasses.replace(found, switch_cost=0.6)
    assert sticky.segments.tolist() == [0, 1, 1, 0, 1, 1, 1, 0]
    table = found.table()
    assert table.position.tolist() == list(range(51, 59))
    assert table.expressed.tolist() == labels.tolist()
    assert table.measured.tolist() == valid.astype(int).tolist()
    assert table[DNA_ALONE].to_numpy() == pytest.approx(p)


def test_a_region_at_the_end_of_a_contig(predictor):
    # chrA:5,953-6,000 has no window: N, unmeasured, and yet drawn.
    found = reconstruct(predictor, Region("chrA", 5900, 6000), "+")
    assert found.valid.tolist() == [True] * 52 + [False] * 48
    assert not found.masked[52:].any()
    assert found.scores[DNA_ALONE].positions == 52
    plot_borders([found])


def test_where_nothing_is_hidden_there_is_no_score(predictor):
    region = Region("chrA", 1000, 1040)
    found = reconstruct(predictor, region, "+", span=Region("chrA", 1050, 1060))
    assert math.isnan(found.scores[RECONSTRUCTION].loss)
    assert "loss -, acc. -" in summary(found)


def test_bad_regions(predictor):
    with pytest.raises(InputError, match="129 bases, more than the model's window"):
        reconstruct(predictor, Region("chrA", 0, 129), "+")
    with pytest.raises(DatasetError, match="no base of chrA:501-540 was measured"):
        reconstruct(predictor, Region("chrA", 500, 540), "+")
    with pytest.raises(DatasetError, match="no window lies on chrA:5,961-5,990"):
        reconstruct(predictor, Region("chrA", 5960, 5990), "+")


def test_predictions_that_are_not_finite(joint_store):
    predictor = JointPredictor(_Repeats(np.nan), joint_store, WINDOW)
    with pytest.raises(RunError, match="not finite"):
        reconstruct(predictor, REGION, "+")


@pytest.fixture
def genes():
    return pd.DataFrame(
        [
            ("chrA", 900, 1040, "+", "LEFT"),
            ("chrA", 1030, 1050, "+", "SHORT"),
            ("chrA", 1060, 1300, "-", "RIGHT"),
            ("chrA", 1045, 1055, None, "tR"),
            ("chrA", 1100, 1200, "+", "AFTER"),
            ("chrB", 1000, 1100, "+", "ELSEWHERE"),
        ],
        columns=["contig", "start", "end", "strand", "label"],
    )


def test_genes_are_put_in_rows(genes):
    found = arrange_genes(genes, REGION).set_index("label")
    assert set(found.index) == {"LEFT", "SHORT", "RIGHT", "tR"}
    rows = found.row.to_dict()
    # LEFT and SHORT overlap; the plus strand comes first.
    assert rows["LEFT"] == 0 and rows["SHORT"] == 1
    assert {rows["tR"], rows["RIGHT"]} == {2}
    assert found.middle.between(REGION.start, REGION.end).all()
    assert arrange_genes(genes, Region("chrC", 0, 10)).empty


def test_a_panel_a_strand_and_genes_underneath(predictor, genes, tmp_path):
    strands = [reconstruct(predictor, REGION, s, visible=True) for s in "+-"]
    figure = plot_borders(strands, genes=genes)
    plus, minus, track = figure.axes
    assert plus.get_xlim() == minus.get_xlim() == (1000.5, 1100.5)
    titles = [text.get_text() for text in plus.texts]
    total = strands[0].expressed
    (title,) = titles
    assert title.startswith(f"chrA:1,001-1,100 (+)   Total expressed = {total.bases:,}")
    scored = strands[1].scores
    assert minus.get_title(loc="left") == (
        f"{summary(strands[1])}\nScored at measured labels: the reconstruction at the "
        f"{scored['reconstruction'].positions:,} under the RNA mask, DNA alone and "
        f"labels visible at all {scored['dna_alone'].positions:,}"
    )
    assert scored["reconstruction"].positions < scored["dna_alone"].positions
    assert {text.get_text() for text in track.texts} == {"LEFT", "SHORT", "RIGHT", "tR"}
    called = any(strand.segments.any() for strand in strands)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "expressed (truth)",
        "RNA mask",
        "DNA mask",
        "reconstruction",
        "DNA alone",
        "labels visible",
        *(["DNA alone, segments"] if called else []),
    ]
    paths = save_figure(figure, tmp_path / "borders")
    extent = legend.get_window_extent()
    assert 0 <= extent.x0 and extent.x1 <= figure.bbox.width
    assert all(path.stat().st_size > 10_000 for path in paths)
    again = save_figure(plot_borders(strands, genes=genes), tmp_path / "again")
    for first, second in zip(paths, again, strict=True):
        assert first.read_bytes() == second.read_bytes()


def test_without_genes_or_masked_bases(predictor):
    found = reconstruct(predictor, REGION, "+", sequence_fraction=0)
    figure = plot_borders([found])
    (ax,) = figure.axes
    assert ax.get_xlabel() == "Position on chrA (bp)"
    assert "DNA mask" not in ax.get_legend_handles_labels()[1]
    nothing = pd.DataFrame(columns=["contig", "start", "end", "strand", "label"])
    assert len(plot_borders([found], genes=nothing).axes) == 2
