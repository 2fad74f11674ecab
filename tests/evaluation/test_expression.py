"""Evaluation of models of genes: scores, baselines, tables, scatter plot."""

import json
import shutil

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats
from sklearn.linear_model import Ridge

from seqexp_tf.config import build
from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.expression import evaluate_expression
from seqexp_tf.evaluation.expression_plots import local_density, plot_scatter
from seqexp_tf.evaluation.expression_tables import to_markdown, to_text, write_tables
from seqexp_tf.evaluation.feature_baselines import CACHE, FeatureBaselines
from seqexp_tf.evaluation.style import save_figure
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import evaluation_batches
from seqexp_tf.records.convert import convert
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import verify


def _model(mask: bool = True, scale: float = 1.0) -> keras.Model:
    """The mean signal, doubled: exact up to what the feature says."""
    signals = keras.Input((None, 1), name="signals")
    total = keras.layers.Lambda(
        lambda s: 128 / 60 * scale * keras.ops.mean(s[..., 0], axis=1)
    )(signals)
    outputs = {"expression": total}
    if mask:
        outputs["mask"] = keras.layers.Lambda(
            lambda s: keras.ops.cast(s[..., 0] > 0, "float32")
        )(signals)
    return keras.Model({"signals": signals}, outputs)


def _evaluate(store, split="test", model=None, **options):
    return evaluate_expression(
        model or _model(),
        store,
        split,
        pipeline=ExpressionPipelineConfig(),
        given="peaks",
        baselines=FeatureBaselines.fit(store),
        **{"batch_size": 7, **options},
    )


@pytest.fixture(scope="module")
def evaluation(gene_folder):
    return _evaluate(RecordStore.open(gene_folder), replicates=200)


def test_predictions_are_those_of_the_genes(evaluation, gene_store):
    table, windows = evaluation.predictions, gene_store.windows("test")
    assert table.columns.tolist() == [
        "gene", "name", "contig", "tss", "strand", "target", "predicted",
        "training_mean", "ridge", "mask_ratio",
    ]  # fmt: skip
    assert table.gene.tolist() == windows.gene.tolist()
    assert table.strand.tolist() == windows.gene_strand.tolist()
    np.testing.assert_allclose(table.target, windows.target, rtol=1e-6)
    assert (abs(table.predicted - table.target) < 0.4).all()
    np.testing.assert_allclose(table.mask_ratio, 60 / 128)


def test_scores_are_those_of_the_predictions(evaluation):
    table, score = evaluation.predictions, evaluation.model
    assert (score.predictor, score.contig, score.genes) == ("model", "all", 25)
    wanted = stats.pearsonr(table.predicted, table.target).statistic
    assert score.metrics["pearson"] == pytest.approx(wanted)
    low, high = score.intervals["pearson"]
    assert low < wanted < high
    assert score.metrics["mask_ratio"] == pytest.approx(60 / 128)
    predictors = dict.fromkeys(s.predictor for s in evaluation.scores)
    assert list(predictors) == ["model", "training_mean", "ridge"]


def test_contigs_are_scored_apart(evaluation, gene_store):
    table = evaluation.predictions
    scores = {s.contig: s for s in evaluation.scores if s.predictor == "model"}
    assert {contig: s.genes for contig, s in scores.items()} == {
        "all": 25, "chrC": 14, "chrD": 11,
    }  # fmt: skip
    rows = table[table.contig == "chrD"]
    wanted = np.mean((rows.predicted - rows.target) ** 2)
    assert scores["chrD"].metrics["mse"] == pytest.approx(wanted)
    alone = _evaluate(gene_store, "validation", replicates=0)
    assert {s.contig for s in alone.scores} == {"all"}


def test_nothing_depends_on_the_batch_size(evaluation, gene_store):
    again = _evaluate(gene_store, batch_size=25, replicates=200)
    pd.testing.assert_frame_equal(again.predictions, evaluation.predictions)
    assert again.scores[0].intervals == evaluation.scores[0].intervals


def test_baselines_are_fitted_to_training_genes(evaluation, gene_store):
    batches = evaluation_batches(
        gene_store,
        "train",
        batch_size=99,
        inputs=("features",),
        pipeline=ExpressionPipelineConfig(),
    )
    inputs, targets = next(batches.as_numpy_iterator())
    x = inputs["features"].astype(float)
    centred = (x - x.mean(axis=0)) / x.std(axis=0)
    ridge = Ridge(alpha=1.0).fit(centred, targets["expression"])
    found = FeatureBaselines.fit(gene_store)
    answers = found.predict(inputs, genes=99)
    np.testing.assert_allclose(answers["ridge"], ridge.predict(centred), rtol=1e-6)
    mean = evaluation.predictions.training_mean
    assert mean.nunique() == 1
    assert mean[0] == pytest.approx(targets["expression"].mean(), rel=1e-6)
    assert mean[0] == pytest.approx(gene_store.schema.expression.target.mean, rel=1e-6)


def test_baselines_are_kept_beside_the_dataset(gene_store, tmp_path, monkeypatch):
    shutil.copytree(gene_store.folder, tmp_path / "genes")
    store = RecordStore.open(tmp_path / "genes")
    fitted = FeatureBaselines.of(store)
    path = store.folder / CACHE
    assert path.is_file() and verify(store.folder).problems == ()

    def refuse(store):
        raise AssertionError("fitted again")

    with monkeypatch.context() as patch:
        patch.setattr(FeatureBaselines, "fit", refuse)
        again = FeatureBaselines.of(store)
    assert again.mean == fitted.mean
    for name in ("coefficients", "centre", "scale"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))
    # Of another dataset, damaged, or where nothing can be written: fitted.
    other = json.loads(path.read_text())
    other["about"]["fingerprint"] = "0"
    for text in (json.dumps(other), "{"):
        path.write_text(text)
        assert FeatureBaselines.of(store).mean == fitted.mean
        assert json.loads(path.read_text())["about"]["fingerprint"] == store.fingerprint
    path.unlink()
    path.mkdir()
    assert FeatureBaselines.of(store).mean == fitted.mean


@pytest.fixture(scope="module")
def with_ceiling(gene_folder, tmp_path_factory):
    """The dataset with its feature as the ceiling of every gene."""
    recipe = RecordStore.open(gene_folder).manifest["recipe"]
    target = {**recipe["target"], "ceiling": "half_life"}
    folder = tmp_path_factory.mktemp("ceiling") / "dataset"
    tables = {**recipe, "target": target}
    convert(build(ExpressionRecipe, tables, origin="test"), folder)
    return RecordStore.open(folder)


def test_a_ceiling_is_scored_beside_the_model(with_ceiling, evaluation):
    found = _evaluate(with_ceiling, replicates=200)
    ceiling = next(s for s in found.scores if s.predictor == "ceiling")
    share = found.model.metrics["pearson_share"]
    assert share == pytest.approx(
        evaluation.model.metrics["pearson"] / ceiling.metrics["pearson"]
    )
    low, high = found.model.intervals["pearson_share"]
    assert low < share < high
    assert found.predictions.ceiling.tolist() == pytest.approx(
        with_ceiling.windows("test").ceiling.tolist()
    )
    by_contig = next(s for s in found.scores if s.contig == "chrC")
    assert "pearson_share" in by_contig.metrics
    text = to_text(found)
    assert "Pearson / ceiling" in text and f"{share:.4f} [{low:.4f}" in text
    assert any(line.startswith("Ceiling ") for line in text.splitlines())


def test_tables(evaluation, tmp_path):
    paths = write_tables(evaluation, tmp_path, "test", model_sha256="abc")
    assert [p.name for p in paths] == [
        "test.json", "test.tsv", "test.md", "test_predictions.tsv",
    ]  # fmt: skip
    found = json.loads(paths[0].read_text())
    assert found["model_sha256"] == "abc"
    assert found["dataset"]["split"] == "test"
    assert found["scores"][0]["metrics"] == evaluation.model.metrics
    assert "r2_determination" in found["formulas"]
    constant = next(s for s in found["scores"] if s["predictor"] == "training_mean")
    assert constant["metrics"]["pearson"] is None
    lines = pd.read_csv(paths[1], sep="\t")
    assert lines.metric.nunique() == 7
    back = pd.read_csv(paths[3], sep="\t")
    pd.testing.assert_frame_equal(back, evaluation.predictions)
    assert "| Ridge on features | all | 25 |" in to_markdown(evaluation)
    assert "Target: expression, a.u." in to_text(evaluation)
    assert "95% interval, 200 draws of genes" in to_text(evaluation)


def test_a_model_without_a_mask_has_no_ratio(gene_store):
    found = _evaluate(gene_store, model=_model(mask=False), replicates=0)
    assert "mask_ratio" not in found.predictions
    assert "mask_ratio" not in found.model.metrics
    assert found.model.intervals == {}


def test_the_scatter_plot_is_drawn_alike_twice(evaluation, tmp_path):
    first = save_figure(plot_scatter(evaluation), tmp_path / "first")
    second = save_figure(plot_scatter(evaluation), tmp_path / "second")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert Image.open(first[0]).size[0] > 400
    text = first[1].read_text()
    assert f"r = {evaluation.model.metrics['pearson']:.3f}" in text
    assert "Measured expression, a.u." in text
    assert "25 genes, chrC, chrD" in text


def test_density_is_high_where_points_are_many():
    x = np.array([0.0] * 50 + [10.0])
    found = local_density(x, x, low=-1, high=11)
    assert found[0] > 20 * found[-1]
    assert found[:50].min() == found[:50].max()


def test_a_prediction_that_is_not_finite_names_the_gene(gene_store):
    with pytest.raises(RunError, match="predicts inf for gene G123; the run is"):
        _evaluate(gene_store, model=_model(scale=float("inf")))


def test_a_missing_split_is_named(gene_store):
    with pytest.raises(DatasetError, match="no split 'tset'"):
        _evaluate(gene_store, "tset")
