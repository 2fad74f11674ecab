import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score

from seqexp_tf.evaluation.element_plots import plot_element_scores
from seqexp_tf.evaluation.element_scores import Estimate, RankingScorer
from seqexp_tf.evaluation.element_tables import (
    curves_tsv,
    to_dict,
    to_text,
    to_tsv,
    write_scores,
)
from seqexp_tf.evaluation.gene_masks import GeneWindow

WINDOW = GeneWindow(
    gene="g",
    name="g",
    contig="chr1",
    start=0,
    end=100,
    strand="+",
    gene_strand="+",
    tss=50,
    split="test",
)


def _scorer(genes=30, bases=400, *, every=1, seed=0, contig=lambda index: "chr1"):
    """Genes whose mask is informative and whose signal is less so."""
    rng = np.random.default_rng(seed)
    scorer = RankingScorer("bases", every=every)
    parts = []
    for index in range(genes):
        window = replace(
            WINDOW,
            gene=f"g{index}",
            contig=contig(index),
            start=1000 * index,
            end=1000 * index + bases,
        )
        positive = rng.random(bases) < (0.05 if index else 0.0)
        scores = {
            "mask": (positive + rng.normal(size=bases)).astype(np.float32),
            "signal": np.round(0.5 * positive + rng.normal(size=bases), 1),
            "random": np.zeros(bases),
        }
        scorer.add(window, scores, positive)
        parts.append((scores, positive))
    return scorer, parts


def test_pooled_and_mean_equal_sklearn():
    scorer, parts = _scorer()
    result = scorer.result()
    positive = np.concatenate([labels for _, labels in parts])
    for method in ("mask", "signal", "random"):
        scores = np.concatenate([values[method] for values, _ in parts])
        own = [
            average_precision_score(labels, values[method])
            for values, labels in parts
            if labels.any()
        ]
        found = result.of(method).average_precision
        assert found["pooled"].value == pytest.approx(
            average_precision_score(positive, scores)
        )
        assert found["mean"].value == pytest.approx(np.mean(own))
        known = result.by_gene[method].dropna()
        np.testing.assert_allclose(known, own)
    assert result.of("random").average_precision["pooled"].value == pytest.approx(
        positive.mean()
    )
    assert (result.genes, result.genes_with_positives) == (30, 29)
    assert (result.ranked, result.positives) == (12_000, positive.sum())


def test_differences_and_ratios_are_of_the_mask_and_paired():
    result = _scorer()[0].result()
    mask, signal = (result.of(name) for name in ("mask", "signal"))
    for over in ("pooled", "mean"):
        ours, theirs = (score.average_precision[over].value for score in (mask, signal))
        difference, ratio = signal.difference[over], signal.ratio[over]
        assert difference.value == pytest.approx(ours - theirs)
        assert ratio.value == pytest.approx(ours / theirs)
        assert difference.low < difference.value < difference.high
        assert ratio.low < ratio.value < ratio.high
        # It is better beyond chance, and pairing shows that.
        assert difference.low > 0 and ratio.low > 1
    assert mask.difference == {} and mask.ratio == {}


def test_intervals_of_identical_rankings_are_nothing():
    scorer, parts = _scorer()
    twin = RankingScorer("bases")
    for window, (scores, positive) in zip(scorer._windows, parts, strict=True):
        twin.add(window, {"mask": scores["mask"], "twin": scores["mask"]}, positive)
    found = twin.result().of("twin")
    for over in ("pooled", "mean"):
        assert found.difference[over] == Estimate(0.0, 0.0, 0.0)
        assert found.ratio[over] == Estimate(1.0, 1.0, 1.0)


def test_pooled_replicates_equal_repeated_genes():
    scorer, parts = _scorer(genes=12)
    result = scorer.result(replicates=200, seed=3)
    weights = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), size=200)
    exact = []
    for row in weights:
        chosen = np.repeat(np.arange(12), row)
        exact.append(
            average_precision_score(
                np.concatenate([parts[index][1] for index in chosen]),
                np.concatenate([parts[index][0]["mask"] for index in chosen]),
            )
        )
    found = result.of("mask").average_precision["pooled"]
    low, high = np.quantile(exact, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.01)


def test_closed_form_toy():
    scorer = RankingScorer("pairs")
    positive = np.array([True, False, True, False])
    scores = {
        "mask": np.array([4.0, 3, 2, 1]),
        "signal": np.array([1.0, 2, 3, 4]),
        "peaks": np.array([1.0, 1, 0, 0]),
    }
    scorer.add(WINDOW, scores, positive)
    result = scorer.result()
    expected = {"mask": (1 + 2 / 3) / 2, "signal": (1 / 2 + 2 / 4) / 2, "peaks": 0.5}
    for method, value in expected.items():
        found = result.of(method).average_precision["pooled"]
        assert found.value == pytest.approx(value)
        assert np.isnan(found.low)
    assert result.of("signal").ratio["pooled"].value == pytest.approx(5 / 3)
    assert result.resampling["replicates"] == 0


def test_thinning_touches_the_pooled_figures_alone():
    whole, thin = _scorer(bases=4000)[0].result(), _scorer(bases=4000, every=4)[0]
    assert thin.result().every == 4
    a, b = (result.of("mask").average_precision for result in (whole, thin.result()))
    assert a["mean"].value == b["mean"].value
    assert a["pooled"].value != b["pooled"].value
    assert a["pooled"].value == pytest.approx(b["pooled"].value, rel=0.2)
    assert thin.result().ranked == whole.ranked


def test_blocks_of_the_genome_are_drawn_whole():
    scorer, _ = _scorer()
    result = scorer.result(block=2000)
    assert result.resampling["drawn"] == 15
    assert "blocks of 2,000 bases" in result.resampling["method"]
    few = scorer.result(block=20_000)
    assert few.resampling["replicates"] == 0
    assert np.isnan(few.of("mask").average_precision["pooled"].low)


def test_the_same_seed_gives_the_same_tables(tmp_path):
    units = [_scorer()[0].result()]
    again = [_scorer()[0].result()]
    assert to_tsv(units) == to_tsv(again)
    assert json.dumps(to_dict(units[0])) == json.dumps(to_dict(again[0]))
    written = write_scores(units, tmp_path / "x", about={"links": "a.bed"})
    assert [path.name for path in written] == [
        "x.json", "x.tsv", "x_curves.tsv", "x_genes.tsv",
    ]  # fmt: skip
    document = json.loads(written[0].read_text())
    assert document["links"] == "a.bed"
    assert document["units"]["bases"]["methods"]["signal"]["pooled"]["ratio"][
        "value"
    ] == pytest.approx(units[0].of("signal").ratio["pooled"].value)
    table = pd.read_csv(written[1], sep="\t")
    assert table.method.tolist() == ["mask"] * 2 + ["signal"] * 2 + ["random"] * 2
    genes = pd.read_csv(written[3], sep="\t")
    assert len(genes) == 30 and np.isnan(genes["mask"][0])
    curves = pd.read_csv(written[2], sep="\t")
    assert curves.groupby("method").recall.max().tolist() == [1, 1, 1]
    assert curves_tsv(units).startswith("unit\tmethod\tthreshold")


def test_text_is_sorted_and_says_what_was_ranked():
    text = to_text(_scorer()[0].result())
    lines = text.splitlines()
    assert "of 12,000 bases are positive (29 of 30 genes have one)" in lines[0]
    assert [line.split()[0] for line in lines[3:]] == ["mask", "signal", "random"]


def test_figure_of_every_kind_of_method():
    scorer = RankingScorer("bases")
    rng = np.random.default_rng(0)
    for index in range(12):
        positive = rng.random(200) < 0.1
        scores = {
            name: rng.random(200)
            for name in ("mask", "atac", "contact", "atac x contact", "distance")
        }
        scores |= {"peaks": (rng.random(200) < 0.2).astype(float)}
        scores |= {"random": np.zeros(200)}
        scorer.add(replace(WINDOW, gene=f"g{index}"), scores, positive)
    figure = plot_element_scores(scorer.result(), signals=("atac", "contact"))
    left, right = figure.axes
    labels = [text.get_text() for text in right.get_yticklabels()]
    assert labels[0] == "learnt mask"
    assert {"atac × contact", "distance to TSS", "random (prevalence)"} <= set(labels)
    assert left.get_ylim()[0] == 0
