import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.evaluation.baselines import StratifiedBaseline, UniformBaseline
from seqexp_tf.evaluation.metrics import FORMULAS, BinaryMetrics, NucleotideMetrics
from seqexp_tf.evaluation.tables import POPULATIONS, MetricsTable


def metrics(loss, accuracy, f1, roc_auc, positions):
    return {
        "positions": positions,
        "loss": loss,
        "accuracy": accuracy,
        "f1_weighted": f1,
        "roc_auc": roc_auc,
    }


@pytest.fixture
def table():
    """The published figures, with a second population."""
    return MetricsTable(
        model={
            "mask_token": {"dna": metrics(1.3, 0.4, 0.35, float("nan"), 900)},
            "masked": {
                "rna": metrics(0.2899, 0.8805, 0.8806, 0.9475, 2048),
                "dna": metrics(1.2680, 0.4233, 0.3810, 0.6555, 1234),
            },
        },
        uniform_random={
            "mask_token": {"dna": metrics(1.6, 0.25, 0.25, 0.5, 900)},
            "masked": {
                "rna": metrics(1.0001, 0.4991, 0.5006, 0.4996, 2048),
                "dna": metrics(1.6460, 0.2508, 0.2544, 0.4999, 1234),
            },
        },
        stratified_random={
            "mask_token": {"dna": metrics(1.36, 0.26, 0.26, 0.5, 900)},
            "masked": {
                "rna": metrics(0.6838, 0.5087, 0.5084, 0.5, 2048),
                "dna": metrics(1.3585, 0.2639, 0.2641, 0.5, 1234),
            },
        },
        dataset={"fingerprint": "ab12", "split": "test", "contigs": ["chrIV"]},
    )


MARKDOWN = """\
### masked

RNA: hidden expression labels; DNA: bases selected for prediction, whether \
replaced by the mask token, replaced by a random base or left as they were.
Positions: 1,234 DNA, 2,048 RNA.

| Metric | Uniform random | Stratified random | Model |
| --- | ---: | ---: | ---: |
| DNA Loss | 1.6460 | 1.3585 | 1.2680 |
| DNA Accuracy | 0.2508 | 0.2639 | 0.4233 |
| DNA F1-score (weighted) | 0.2544 | 0.2641 | 0.3810 |
| DNA ROC AUC | 0.4999 | 0.5000 | 0.6555 |
| RNA Loss | 1.0001 | 0.6838 | 0.2899 |
| RNA Accuracy | 0.4991 | 0.5087 | 0.8805 |
| RNA F1-score (weighted) | 0.5006 | 0.5084 | 0.8806 |
| RNA ROC AUC | 0.4996 | 0.5000 | 0.9475 |

### mask_token

DNA: only the selected bases replaced by the mask token.
Positions: 900 DNA.

| Metric | Uniform random | Stratified random | Model |
| --- | ---: | ---: | ---: |
| DNA Loss | 1.6000 | 1.3600 | 1.3000 |
| DNA Accuracy | 0.2500 | 0.2600 | 0.4000 |
| DNA F1-score (weighted) | 0.2500 | 0.2600 | 0.3500 |
| DNA ROC AUC | 0.5000 | 0.5000 | - |
"""

TEXT = """\
masked (Positions: 1,234 DNA, 2,048 RNA)
Metric                   Uniform random  Stratified random   Model
------------------------------------------------------------------
DNA Loss                         1.6460             1.3585  1.2680
DNA Accuracy                     0.2508             0.2639  0.4233
"""


def test_markdown_has_the_shape_of_the_published_tables(table):
    assert table.to_markdown() == MARKDOWN


def test_text_is_aligned(table):
    assert table.to_text().startswith(TEXT)
    assert "\n\nmask_token (Positions: 900 DNA)\n" in table.to_text()


def test_json_carries_definitions_formulas_and_the_dataset(table):
    document = json.loads(table.to_json())
    assert document["dataset"] == {
        "fingerprint": "ab12",
        "split": "test",
        "contigs": ["chrIV"],
    }
    assert list(document["populations"]) == ["masked", "mask_token"]
    masked = document["populations"]["masked"]
    assert masked["definition"] == POPULATIONS["masked"]
    assert masked["rna"]["model"]["roc_auc"] == 0.9475
    assert masked["dna"]["uniform_random"]["loss"] == 1.6460
    assert masked["dna"]["stratified_random"]["accuracy"] == 0.2639
    # NaN is no JSON.
    assert document["populations"]["mask_token"]["dna"]["model"]["roc_auc"] is None
    assert document["formulas"]["loss"] == FORMULAS["loss"]
    assert set(document["formulas"]) == {
        "positions",
        "loss",
        "accuracy",
        "f1_weighted",
        "roc_auc",
    }


def test_csv_is_tidy(table):
    rows = list(csv.DictReader(table.to_csv().splitlines()))
    assert list(rows[0]) == [
        "population",
        "modality",
        "metric",
        "model",
        "uniform_random",
        "stratified_random",
        "model_low",
        "model_high",
    ]
    assert len(rows) == 3 * 5
    cells = {(r["population"], r["modality"], r["metric"]): r for r in rows}
    assert float(cells["masked", "rna", "loss"]["model"]) == 0.2899
    assert cells["mask_token", "dna", "roc_auc"]["model"] == ""
    assert cells["mask_token", "dna", "positions"]["model"] == "900"
    assert cells["masked", "rna", "loss"]["model_low"] == ""


@pytest.fixture
def table_with_intervals(table):
    return replace(
        table,
        intervals={
            "masked": {"rna": {"accuracy": (0.8791, 0.8817), "loss": (0.28, math.nan)}}
        },
        resampling={"level": 0.95, "blocks": 95, "block_bases": 20_000},
    )


def test_intervals_stand_beside_the_figures_of_the_model(table_with_intervals):
    markdown = table_with_intervals.to_markdown()
    assert "| RNA Accuracy | 0.4991 | 0.5087 | 0.8805 [0.8791, 0.8817] |" in markdown
    assert "| RNA Loss | 1.0001 | 0.6838 | 0.2899 [0.2800, -] |" in markdown
    assert "| DNA Accuracy | 0.2508 | 0.2639 | 0.4233 |" in markdown
    sentence = "In brackets: 95% interval, 95 blocks of 20,000 bp"
    assert markdown.count(f"2,048 RNA.\n{sentence}.\n\n") == 1
    assert table_with_intervals.to_text().count(f"\n{sentence}\n") == 1


def test_intervals_in_json_and_csv(table_with_intervals, table):
    document = json.loads(table_with_intervals.to_json())
    cell = document["populations"]["masked"]["rna"]
    assert cell["model"]["accuracy"] == 0.8805
    assert cell["model_interval"] == {
        "accuracy": {"low": 0.8791, "high": 0.8817},
        "loss": {"low": 0.28, "high": None},
    }
    assert document["resampling"]["blocks"] == 95
    assert "model_interval" not in table.to_json()
    rows = list(csv.DictReader(table_with_intervals.to_csv().splitlines()))
    cells = {(r["population"], r["modality"], r["metric"]): r for r in rows}
    accuracy = cells["masked", "rna", "accuracy"]
    assert (accuracy["model_low"], accuracy["model_high"]) == ("0.8791", "0.8817")
    assert cells["masked", "rna", "loss"]["model_high"] == ""


def test_files_are_written_whole_and_the_same_each_time(table, tmp_path):
    paths = table.write(tmp_path / "metrics", "test")
    assert [path.name for path in paths] == ["test.json", "test.csv", "test.md"]
    first = [path.read_bytes() for path in paths]
    assert first[2].decode() == MARKDOWN
    assert [p.read_bytes() for p in table.write(tmp_path / "metrics", "test")] == first
    assert sorted(p.name for p in (tmp_path / "metrics").iterdir()) == [
        "test.csv",
        "test.json",
        "test.md",
    ]


def test_a_folder_that_cannot_be_made_says_so(table, tmp_path):
    (tmp_path / "metrics").write_text("a file")
    with pytest.raises(RunError, match="metrics: cannot make this folder"):
        table.write(tmp_path / "metrics", "test")


def test_takes_the_results_of_the_accumulators():
    labels, logits = np.array([0, 1, 1]), np.array([-1.0, 2.0, 0.5])
    bases, base_logits = np.array([0, 1, 3]), np.eye(5)[[0, 1, 2]]
    rna, dna = BinaryMetrics(), NucleotideMetrics()
    rna.update(labels, logits)
    dna.update(bases, base_logits)

    def score(baseline):
        expression, nucleotides = baseline.rna(), baseline.dna()
        expression.update(labels)
        nucleotides.update(bases)
        return {"all": {"rna": expression.result(), "dna": nucleotides.result()}}

    table = MetricsTable(
        model={"all": {"rna": rna.result(), "dna": dna.result()}},
        uniform_random=score(UniformBaseline()),
        stratified_random=score(StratifiedBaseline(0.5, [0.25] * 4)),
    )
    document = json.loads(table.to_json())
    assert document["formulas"] == FORMULAS
    assert "| DNA Average precision |" in table.to_markdown()
    assert "| RNA ROC AUC | " in table.to_markdown()


def test_predictors_must_have_seen_the_same_positions(table):
    fewer = {**table.model, "masked": {"rna": metrics(1, 1, 1, 1, 7)}}
    with pytest.raises(RunError, match="uniform_random was scored over"):
        MetricsTable(
            model=table.model,
            uniform_random=fewer,
            stratified_random=table.stratified_random,
        )


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"hidden": {}}, "population 'hidden'; known: masked, mask_token, all"),
        ({"all": {"protein": {}}}, "modality 'protein'; known: dna, rna"),
    ],
)
def test_unknown_names_are_refused(results, message):
    with pytest.raises(RunError, match=message):
        MetricsTable(model=results, uniform_random={}, stratified_random={})


def test_infinite_values_become_null():
    one = {"masked": {"dna": {"positions": 1, "perplexity": math.inf}}}
    table = MetricsTable(model=one, uniform_random=one, stratified_random=one)
    cell = json.loads(table.to_json())["populations"]["masked"]["dna"]["model"]
    assert cell == {"positions": 1, "perplexity": None}
