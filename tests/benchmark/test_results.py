"""Tables over seeds, and the tests against the best baseline."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from seqexp_tf.benchmark.paired import (
    best_baseline,
    paired_t,
    paired_tests,
    write_tests,
)
from seqexp_tf.benchmark.results import Results, summarise, to_markdown, write_results
from seqexp_tf.benchmark.suite import Suite, SuiteTable
from seqexp_tf.config import build
from seqexp_tf.evaluation.regression import regression_metrics

SEEDS = (2, 22, 222)
NOISE = {"worse": 1.0, "better": 0.5, "ours": 0.3, "same": 0.5}
MODELS = [
    {"name": "worse", "label": "Worse", "preset": "x", "baseline": True},
    {"name": "better", "label": "Better", "preset": "x", "baseline": True},
    {"name": "ours", "label": "Ours", "preset": "x"},
    {"name": "same", "label": "Same", "preset": "x"},
]


@pytest.fixture(scope="module")
def suite():
    return build(Suite, {"name": "s", "models": MODELS, "seeds": SEEDS}, origin="s")


@pytest.fixture(scope="module")
def results():
    rng = np.random.default_rng(0)
    rows, predictions = [], {}
    for dataset in ("k562", "gm12878"):
        target = rng.gamma(2, 1, 300)
        for name, noise in NOISE.items():
            for seed in SEEDS:
                # "same" answers what "better" does.
                own = np.random.default_rng([seed, int(10 * noise)])
                predicted = target + own.normal(0, noise, 300)
                table = pd.DataFrame({"target": target, "predicted": predicted})
                predictions[dataset, name, seed] = table
                metrics = regression_metrics(predicted, target)
                if name == "ours":
                    metrics["mask_ratio"] = 0.1 + seed / 1e4
                rows.append(
                    {"dataset": dataset, "model": name, "seed": seed, **metrics}
                )
    return Results(pd.DataFrame(rows), predictions)


def test_means_and_deviations_over_seeds(suite, results):
    table = SuiteTable("t", metrics=("pearson", "mask_ratio"))
    found = summarise(suite, table, results.scores, ["k562"])
    row = found[(found.model == "ours") & (found.metric == "pearson")].iloc[0]
    scores = results.scores
    values = scores[(scores.dataset == "k562") & (scores.model == "ours")].pearson
    assert row["mean"] == pytest.approx(values.mean())
    assert row.sd == pytest.approx(np.std(values, ddof=1))
    assert row.seeds == 3
    assert found[found.metric == "mask_ratio"].model.tolist() == ["ours"]


def test_the_best_is_bold_and_the_best_baseline_italic(suite, results):
    table = SuiteTable(
        "t", title="Table 1", models=("worse", "better", "ours"), metrics=("mse",)
    )
    values = summarise(suite, table, results.scores, ["k562", "gm12878"])
    lines = to_markdown(suite, table, values).splitlines()
    assert lines[0] == "### Table 1"
    assert lines[4] == "| Model | k562 MSE ↓ | gm12878 MSE ↓ |"
    worse, better, ours = lines[6:]
    assert worse.startswith("| Worse | 0.99") and "*" not in worse
    assert better.startswith("| Better | *0.") and better.count("±") == 2
    assert ours.startswith("| Ours | **0.")


def test_a_ratio_is_a_share_and_never_best(suite, results):
    table = SuiteTable("t", metrics=("pearson", "mask_ratio"), spread=False)
    values = summarise(suite, table, results.scores, ["k562"])
    lines = to_markdown(suite, table, values).splitlines()
    assert lines[4] == "| Model | Pearson ↑ | Mask ratio |"
    assert lines[6].endswith("| - |")
    assert lines[8].endswith("| 10.82% |")
    assert "±" not in lines[8]


def test_tables_are_written_together_or_apart(suite, results, tmp_path):
    tables = (SuiteTable("table1", spread=False), SuiteTable("table4", apart=True))
    told = build(Suite, {"name": "s", "models": MODELS}, origin="s")
    object.__setattr__(told, "tables", tables)
    names = [path.name for path in write_results(told, results, tmp_path)]
    assert names == [
        "runs.tsv", "table1.tsv", "table1.md", "table4_k562.tsv", "table4_k562.md",
        "table4_gm12878.tsv", "table4_gm12878.md",
    ]  # fmt: skip
    assert len(pd.read_csv(tmp_path / "runs.tsv", sep="\t")) == 24
    alone = pd.read_csv(tmp_path / "table4_k562.tsv", sep="\t")
    assert set(alone.dataset) == {"k562"}
    untold = write_results(suite, results, tmp_path / "all")
    assert [path.name for path in untold] == ["runs.tsv", "all.tsv", "all.md"]


def test_one_seed_has_no_deviation(suite, results):
    table = SuiteTable("t", metrics=("mse",))
    one = results.scores[results.scores.seed == 2]
    values = summarise(suite, table, one, ["k562"])
    assert values.sd.isna().all()
    text = to_markdown(suite, table, values)
    assert "over 1 seed;" in text and text.count("±") == 1


def test_models_are_held_against_the_best_baseline(suite, results, tmp_path):
    assert best_baseline(suite, results.scores, "k562") == "better"
    found = paired_tests(suite, results, replicates=600)
    assert found.model.unique().tolist() == ["ours", "same"]
    assert set(found.baseline) == {"better"}
    ours = found[(found.dataset == "k562") & (found.model == "ours")]
    ours = ours.set_index("metric")
    assert ours.difference.pearson > 0 > ours.difference.mse
    assert ours.low.pearson > 0 and ours.high.mse < 0
    assert ours.p_genes.max() == pytest.approx(2 / 601)
    same = found[found.model == "same"]
    assert (same.difference == 0).all()
    assert (same.p_genes == 1).all()
    paths = write_tests(found, tmp_path)
    assert [path.name for path in paths] == ["paired.tsv", "paired.md"]
    assert "| k562 | ours | better | Pearson | +0." in paths[1].read_text()


def test_differences_over_seeds_are_those_of_scipy(suite, results):
    found = paired_tests(suite, results, replicates=10)
    scores = results.scores[results.scores.dataset == "gm12878"]
    ours, theirs = (
        scores[scores.model == name].mse.to_numpy() for name in ("ours", "better")
    )
    row = found[
        (found.dataset == "gm12878") & (found.model == "ours") & (found.metric == "mse")
    ].iloc[0]
    assert row.difference == pytest.approx((ours - theirs).mean())
    assert row.sd_seeds == pytest.approx(np.std(ours - theirs, ddof=1))
    assert row.p_seeds == pytest.approx(stats.ttest_rel(ours, theirs).pvalue)


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_student(count):
    values = np.random.default_rng(count).normal(0.3, 1, count)
    wanted = stats.ttest_1samp(values, 0).pvalue
    assert paired_t(values) == pytest.approx(wanted, rel=1e-9)


def test_what_has_no_spread_has_no_test():
    assert np.isnan(paired_t(np.array([0.3])))
    assert np.isnan(paired_t(np.array([0.3, 0.3])))


def test_without_a_baseline_nothing_is_tested(results, tmp_path):
    alone = build(Suite, {"name": "s", "models": MODELS[2:]}, origin="s")
    found = paired_tests(alone, results)
    assert found.empty
    assert write_tests(found, tmp_path) == []
