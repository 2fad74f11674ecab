"""Suites: read strictly, put in order, turned into runs."""

from importlib import resources
from pathlib import Path

import pytest

from seqexp_tf.benchmark.jobs import check_jobs, plan_jobs
from seqexp_tf.benchmark.suite import SEEDS, Suite, read_suite, suites
from seqexp_tf.config import build
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.models.seq2exp_config import check_shape
from seqexp_tf.models.shape import CONTACT, ExpressionShape
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.config import (
    model_config,
    presets,
    read_preset,
    read_run_config,
)

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"

SOFT = {"name": "soft", "preset": "seq2exp_soft_small"}
RETRAIN = {
    "name": "retrain",
    "preset": "seq2exp_retrain_small",
    "overrides": ["model.mask.run={out}/soft/{seed}"],
}
PLAIN = {"name": "plain", "preset": "cnn_signals_small", "baseline": True}


def _suite(*models, **tables):
    values = {"name": "s", "models": list(models), "seeds": [2, 22], **tables}
    return build(Suite, values, origin="s.toml")


@pytest.mark.parametrize("name", suites())
def test_built_in_suites_are_whole(name, gene_folder, tmp_path):
    suite, beside = read_suite(name)
    assert {model.preset for model in suite.models} <= set(presets())
    assert any(model.baseline for model in suite.models)
    jobs = plan_jobs(suite, [RecordStore.open(gene_folder)], tmp_path, beside=beside)
    assert len(jobs) == len(suite.models) * len(suite.seeds)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("seq2exp", "k562_cage"),
        ("seq2exp", "gm12878_cage"),
        ("yeast_small", "yeast_start_codons"),
    ],
)
def test_built_in_suites_fit_what_their_recipes_give(name, recipe):
    recipe = read_recipe(RECIPES / f"{recipe}.toml")
    for model in read_suite(name)[0].models:
        config = read_run_config(read_preset(model.preset), model.overrides)
        shape = ExpressionShape(
            window=config.pipeline.window or recipe.windows.size,
            signals=(*recipe.signals, CONTACT),
            features=("standing in for the recipe's",),
            channels=tuple(recipe.channels),
        )
        check_shape(model_config(config), shape)


def test_the_study_is_there_with_its_seeds():
    suite, _ = read_suite("seq2exp")
    assert suite.seeds == SEEDS == (2, 22, 222, 2222, 22222)
    assert [table.name for table in suite.tables] == ["table1", "table2", "table4"]
    assert "mask_ratio" in suite.tables[1].metrics


def test_what_a_model_needs_comes_first(gene_store, tmp_path):
    suite = _suite(RETRAIN, PLAIN, SOFT)
    jobs = plan_jobs(suite, [gene_store], tmp_path, beside=tmp_path)
    assert [(job.seed, job.model.name) for job in jobs] == [
        (2, "plain"), (2, "soft"), (2, "retrain"),
        (22, "plain"), (22, "soft"), (22, "retrain"),
    ]  # fmt: skip
    retrain = jobs[-1]
    assert retrain.folder == tmp_path / "genes" / "retrain" / "22"
    assert retrain.needs == (tmp_path / "genes" / "soft" / "22",)
    assert retrain.config.model["mask"]["run"] == str(retrain.needs[0])
    assert {job.config.training.seed for job in jobs} == {2, 22}
    assert {job.state for job in jobs} == {"new"}


def test_overrides_go_from_the_suite_to_the_command_line(gene_store, tmp_path):
    model = {**PLAIN, "overrides": ["training.epochs=5"]}
    suite = _suite(model, overrides=["training.epochs=4", "training.batch_size=4"])
    plan = {"suite": suite, "stores": [gene_store], "out": tmp_path, "beside": tmp_path}
    training = plan_jobs(**plan)[0].config.training
    assert (training.epochs, training.batch_size) == (5, 4)
    training = plan_jobs(**plan, overrides=["training.epochs=6"])[0].config.training
    assert training.epochs == 6


def test_a_configuration_lies_beside_its_suite(gene_store, tmp_path):
    text = (resources.files("seqexp_tf.presets") / "cnn_signals_small.toml").read_text()
    (tmp_path / "mine.toml").write_text(text)
    (tmp_path / "s.toml").write_text(
        'name = "s"\n[[models]]\nname = "mine"\nconfig = "mine.toml"\n'
    )
    suite, beside = read_suite(str(tmp_path / "s.toml"))
    jobs = plan_jobs(suite, [gene_store], tmp_path / "out", beside=beside)
    assert len(jobs) == 5


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"models": []}, "models is empty"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [2, 2]}, "seeds: 2 is there twice"),
        ({"models": [SOFT, SOFT]}, "models: 'soft' is there twice"),
        ({"models": [RETRAIN]}, "retrain needs the run of 'soft'"),
        ({"models": [{"name": "x"}]}, "x: give either preset or config"),
        ({"models": [{**SOFT, "name": "a/b"}]}, "name is 'a/b'; letters"),
        ({"models": [{**SOFT, "presett": "x"}]}, 'did you mean "preset"'),
        (
            {"tables": [{"name": "t", "models": ["sof"]}]},
            "'sof'; did you mean \"soft\"",
        ),
        ({"tables": [{"name": "t", "metrics": ["r2"]}]}, "choose one of 'mse'"),
        ({"tables": [{"name": "t", "metrics": []}]}, "t: metrics is empty"),
        (
            {"models": [{**SOFT, "overrides": ["a={out}/retrain/{seed}"]}, RETRAIN]},
            "soft, retrain need each other's runs",
        ),
    ],
)
def test_a_wrong_suite_is_explained(tables, message):
    values = {"name": "s", "models": [SOFT], **tables}
    with pytest.raises(ConfigError, match=message) as caught:
        build(Suite, values, origin="s.toml")
    assert str(caught.value).startswith("s.toml: ")


def test_what_cannot_be_planned_is_explained(gene_store, joint_store, tmp_path):
    def plan(suite, *stores):
        return plan_jobs(suite, stores or [gene_store], tmp_path, beside=tmp_path)

    with pytest.raises(ConfigError, match="no suite 'seq2xep'; did you mean"):
        read_suite("seq2xep")
    with pytest.raises(ConfigError, match="no such file"):
        read_suite(str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="two datasets are called 'genes'"):
        plan(_suite(SOFT), gene_store, gene_store)
    with pytest.raises(ConfigError, match="model x: cnn is a joint model"):
        plan(_suite({"name": "x", "preset": "cnn"}))
    with pytest.raises(ConfigError, match="no preset 'sfot'"):
        plan(_suite({"name": "x", "preset": "sfot"}))
    with pytest.raises(ConfigError, match='model soft: unknown key "training.epoch"'):
        plan(_suite({**SOFT, "overrides": ["training.epoch=1"]}))
    with pytest.raises(DatasetError, match="no split 'tset'"):
        plan(_suite(SOFT, split="tset"))
    with pytest.raises(DatasetError, match="kind 'joint'; a benchmark compares"):
        plan(_suite(SOFT), joint_store)


def test_a_model_that_does_not_fit_is_named_before_training(gene_store, tmp_path):
    def check(*overrides):
        suite = _suite({**SOFT, "overrides": list(overrides)})
        check_jobs(plan_jobs(suite, [gene_store], tmp_path, beside=tmp_path))

    fitting = (
        "pipeline.window=0", "model.mask.promoter=16", "model.center=32",
        "model.bins=1", "model.predictor.filters=[4]",
    )  # fmt: skip
    check(*fitting, "model.mask.weights={}", "model.mask.constants=1.0")
    with pytest.raises(ConfigError, match=r"model soft on .*model.center is 64,000"):
        check(*fitting, "model.center=64000")
