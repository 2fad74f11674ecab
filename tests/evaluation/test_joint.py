"""A whole evaluation: populations, intervals, calibration, regimes."""

import json

import numpy as np
import pytest

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation.joint import evaluate_joint
from seqexp_tf.evaluation.temperature import fit_temperatures
from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.windows import tile
from seqexp_tf.pipeline.joint import scored_batches
from seqexp_tf.records.convert import convert
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore

STATISTICS = {"labels_01": [60, 40], "bases_ACGTN": [30, 20, 20, 30, 0]}


class Neighbours:
    """Stands in for a model: says what the bases around a position say."""

    def predict_on_batch(self, inputs):
        weak = inputs["sequence"][..., [0, 3]].sum(axis=-1)
        smooth = np.stack([np.convolve(row, np.ones(31) / 31, "same") for row in weak])
        bases = np.stack([smooth, 1 - smooth, 1 - smooth, smooth, 0 * smooth - 3], -1)
        return {
            "expression_logits": (16 * (smooth - 0.5)).astype(np.float32),
            "sequence_logits": (4 * bases + inputs["sequence"]).astype(np.float32),
        }


def evaluate(store, masking=None, **options):
    options = {
        "train_statistics": STATISTICS,
        "block": 100,
        "replicates": 200,
        **options,
    }
    return evaluate_joint(
        Neighbours(), store, "test", masking=masking or MaskingConfig(), **options
    )


@pytest.fixture(scope="module")
def evaluation(joint_folder):
    return evaluate(RecordStore.open(joint_folder))


@pytest.fixture
def document(evaluation):
    return json.loads(evaluation.table.to_json())


def test_intervals_enclose_the_figures_at_hidden_positions(document):
    populations = document["populations"]
    for population, modality in (
        ("masked", "rna"),
        ("masked", "dna"),
        ("mask_token", "dna"),
    ):
        cell = populations[population][modality]
        assert list(cell["model_interval"]) == [
            "loss", "accuracy", "f1_weighted", "roc_auc",
        ]  # fmt: skip
        for metric, interval in cell["model_interval"].items():
            assert interval["low"] < cell["model"][metric] < interval["high"]
    assert "model_interval" not in populations["all"]["rna"]


def test_the_reader_learns_where_the_intervals_come_from(document):
    assert document["resampling"] == {
        "level": 0.95,
        "method": "percentile bootstrap over blocks of the genome",
        "block_bases": 100,
        "blocks": 15,
        "replicates": 200,
    }
    assert document["dataset"]["masks"]["expression_fraction"] == 0.5


def _require_equal(one, two, *, within=1e-9):
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            _require_equal(one[key], two[key], within=within)
    elif isinstance(one, float):
        assert one == pytest.approx(two, abs=within)
    else:
        assert one == two


def test_batch_size_changes_nothing(joint_store, document):
    table = evaluate(joint_store, batch_size=5).table
    found = json.loads(table.to_json())["populations"]
    _require_equal(found, document["populations"])


def test_the_order_of_windows_changes_nothing(joint_store, monkeypatch):
    temperatures = {"expression_logits": 1.3, "sequence_logits": 0.9}
    options = {"replicates": 0, "temperatures": temperatures}
    wanted = evaluate(joint_store, **options)

    def shuffled(*arguments, batch_size, **given):
        batches = scored_batches(*arguments, batch_size=batch_size, **given)
        return batches.unbatch().shuffle(10_000, seed=3).batch(batch_size)

    monkeypatch.setattr("seqexp_tf.evaluation.joint.scored_batches", shuffled)
    found = evaluate(joint_store, **options)
    _require_equal(found.table.model, wanted.table.model)
    for ours, theirs in (
        (found.calibration, wanted.calibration),
        (found.scaled, wanted.scaled),
    ):
        _require_equal(ours.scores(), theirs.scores())


@pytest.mark.parametrize("options", [{"block": 20_000}, {"replicates": 0}])
def test_no_intervals_from_a_few_blocks_or_no_replicates(joint_store, options):
    table = evaluate(joint_store, **options).table
    assert table.intervals == {}
    assert table.resampling["replicates"] == 0
    assert "[" not in table.to_text()


def test_temperatures_change_the_calibration_and_no_metric(joint_store, evaluation):
    plain = evaluation
    temperatures = {"expression_logits": 2.0, "sequence_logits": 0.5}
    found = evaluate(joint_store, temperatures=temperatures)
    assert plain.scaled is None
    assert found.table.to_json() == plain.table.to_json()
    assert repr(found.calibration) == repr(plain.calibration)
    before, after = found.calibration.scores(), found.scaled.scores()
    for output in temperatures:
        assert before[output] != after[output]
    masked = found.table.model["masked"]
    assert before["expression_logits"]["loss"] == pytest.approx(masked["rna"]["loss"])
    assert before["expression_logits"]["brier"] == pytest.approx(masked["rna"]["brier"])
    assert before["sequence_logits"]["loss"] == pytest.approx(masked["dna"]["loss"])


def test_bins_are_free(joint_store):
    curves = evaluate(joint_store, bins=4).calibration
    assert len(curves.nucleotides["A"]["counts"]) == 4
    assert len(curves.expression["expressed"]["edges"]) == 5


@pytest.mark.parametrize(
    ("masking", "modality", "empty"),
    [
        (MaskingConfig(sequence_fraction=0), "rna", ("nucleotides", "top_label")),
        (MaskingConfig(expression_fraction=0), "dna", ("expression",)),
    ],
)
def test_what_was_never_hidden_is_not_scored(joint_store, masking, modality, empty):
    found = evaluate(joint_store, masking, temperatures={})
    for modalities in found.table.model.values():
        assert list(modalities) == [modality]
    for calibration in (found.calibration, found.scaled):
        assert [getattr(calibration, name) for name in empty] == [{}] * len(empty)
        assert len(calibration.scores()) == 1


@pytest.mark.parametrize(
    "masking",
    [
        MaskingConfig(expression_spans=4),
        MaskingConfig(expression_fraction=0.2, expression_fraction_max=1.0),
        MaskingConfig(expression_fraction=0.0, expression_fraction_max=0.5),
        MaskingConfig(expression_fraction=0.7, sequence_fraction=0.4),
    ],
)
def test_any_regime_is_scored_under_the_stored_masks(joint_store, masking, evaluation):
    assert repr(evaluate(joint_store, masking)) == repr(evaluation)


@pytest.fixture(scope="module")
def unmeasured(tiny_genome, tmp_path_factory):
    """A dataset of whose validation and test contigs nothing was measured."""
    folder = tmp_path_factory.mktemp("unmeasured")
    sizes = {name: bases.size for name, bases in tiny_genome.sequence.items()}
    write_archive(
        folder / "archive",
        sequence=tiny_genome.sequence,
        expressed_plus=tiny_genome.expressed["+"],
        expressed_minus=tiny_genome.expressed["-"],
        valid={
            name: np.full(size, name == "chrI", np.uint8)
            for name, size in sizes.items()
        },
        regions=tile(sizes, window=100, stride=50),
    )
    source = {**tiny_genome.tables()["source"], "root": str(folder)}
    convert(tiny_genome.recipe(source=source), folder / "dataset")
    return RecordStore.open(folder / "dataset")


def test_a_split_without_a_valid_base_is_refused(unmeasured):
    with pytest.raises(DatasetError, match="test has no valid base to score"):
        evaluate(unmeasured)
    with pytest.raises(DatasetError, match="'validation' has no valid hidden position"):
        fit_temperatures(Neighbours(), unmeasured, masking=MaskingConfig())


def test_a_split_without_masks_is_refused(joint_store):
    with pytest.raises(DatasetError, match="'train' has no fixed masks"):
        evaluate_joint(
            Neighbours(),
            joint_store,
            "train",
            masking=MaskingConfig(),
            train_statistics=STATISTICS,
        )
