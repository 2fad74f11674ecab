"""Nucleotides predicted behind a mask: closed forms, toy models, invariances."""

import dataclasses

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import entropy

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.interpretation.nucleotides import information_content as bits
from seqexp_tf.interpretation.nucleotides import predict_nucleotides
from seqexp_tf.models.cnn import build_cnn
from seqexp_tf.models.config import CNNConfig
from seqexp_tf.records.regions import Region

WINDOW = 128
REGION = Region("chrA", 300, 900)


class _Toy:
    """Answers with a function of its inputs and remembers what it was shown."""

    output_names = ("expression_logits", "sequence_logits")

    def __init__(self, answer=lambda inputs: 10 * inputs["sequence"]):
        self.answer = answer
        self.seen = []

    def predict_on_batch(self, inputs):
        self.seen.append(inputs)
        return {
            "expression_logits": inputs["expression"],
            "sequence_logits": self.answer(inputs),
        }


def _convolution(kernel):
    """A Keras model whose logits are a convolution of the one-hot bases."""
    sequence = keras.Input((None, 5), name="sequence")
    expression = keras.Input((None,), name="expression")
    layer = keras.layers.Conv1D(
        5, len(kernel), padding="same", use_bias=False, name="sequence_logits"
    )
    outputs = {
        "sequence_logits": layer(sequence),
        "expression_logits": keras.layers.Reshape((-1,), name="expression_logits")(
            expression
        ),
    }
    layer.set_weights([np.asarray(kernel, dtype=np.float32)])
    return keras.Model({"sequence": sequence, "expression": expression}, outputs)


@pytest.fixture
def predictor(joint_store):
    def make(model, **options):
        return JointPredictor(model=model, store=joint_store, window=WINDOW, **options)

    return make


@pytest.fixture(scope="module")
def cnn():
    keras.utils.set_random_seed(3)
    return build_cnn(CNNConfig(filters=8, kernel=7, dilations=(2, 4)))


# Information content.


def test_uniform_is_worth_nothing_and_certainty_two_bits():
    p = np.vstack([np.full(4, 0.25), np.eye(4), [[0.5, 0.5, 0, 0]]])
    assert bits(p) == pytest.approx([0, 2, 2, 2, 2, 1], abs=1e-12)


@given(arrays(float, (7, 4), elements=st.floats(0, 1)))
def test_information_is_that_of_scipy(weights):
    p = (weights + 1e-9) / (weights + 1e-9).sum(axis=1, keepdims=True)
    assert bits(p) == pytest.approx(2 - entropy(p, base=2, axis=1), abs=1e-9)
    assert ((bits(p) >= 0) & (bits(p) <= 2)).all()


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.full((3, 4), np.nan), "3 of 3 positions"),
        ([[0.25] * 4, [1.5, -0.5, 0, 0]], "1 of 2 positions"),
        (np.ones((2, 4)), "add up to 1"),
        (np.full((2, 5), 0.2), r"shape \(2, 5\)"),
    ],
)
def test_what_is_no_distribution_is_refused(p, message):
    with pytest.raises(InputError, match=message):
        bits(p)


# What a model can read.


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("masks", ["blockwise", "leave_one_out"])
def test_a_model_that_echoes_knows_nothing_behind_the_mask(predictor, masks, strand):
    echo = predictor(_convolution(10 * np.eye(5)[None]))
    region = Region("chrA", 300, 340 if masks == "leave_one_out" else 900)
    found = predict_nucleotides(echo, region, strand, masks=masks)
    assert found.probabilities == pytest.approx(np.full((len(region), 4), 0.25))
    assert found.information == pytest.approx(np.zeros(len(region)), abs=1e-6)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_unmasked_it_reads_the_strand(predictor, strand):
    echo = predictor(_Toy())
    found = predict_nucleotides(echo, REGION, strand, masks="none")
    oracle = echo.read(REGION).strand(strand, REGION.start, REGION.end)
    known = oracle.sequence < UNKNOWN
    assert 0 < np.count_nonzero(~known) < 20
    assert np.array_equal(found.bases, oracle.sequence)
    assert np.array_equal(found.chosen[known], oracle.sequence[known])
    assert np.array_equal(found.correct, known)
    assert found.accuracy == 1
    # The N a model expects is shared out among the four bases.
    assert found.probabilities[~known] == pytest.approx(0.25)


def test_leave_one_out_sees_the_neighbours(predictor):
    kernel = np.zeros((3, 5, 5))
    kernel[0], kernel[2] = np.eye(5), 3 * np.eye(5)
    region = Region("chrA", 1000, 1040)
    for strand in "+-":
        found = predict_nucleotides(
            predictor(_convolution(kernel)), region, strand, masks="leave_one_out"
        )
        logits = np.eye(4)[found.bases[:-2]] + 3 * np.eye(4)[found.bases[2:]]
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert found.probabilities[1:-1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_leave_one_out_is_a_pass_a_base(predictor, cnn, strand):
    predictor = predictor(cnn)
    region = Region("chrA", 95, 105)
    found = predict_nucleotides(predictor, region, strand, masks="leave_one_out")
    for index, position in enumerate(found.positions):
        base = Region("chrA", position, position + 1)
        window = predictor.read(base).strand(strand)
        at = window.genomic(np.arange(WINDOW))[position - window.region.start]
        masked = np.arange(WINDOW) == at
        logits = predictor.logits(predictor.inputs([window], masked=masked))
        weights = np.exp(logits["sequence_logits"][0, at, :4])
        assert found.bases[index] == window.sequence[at]
        assert found.probabilities[index] == pytest.approx(
            weights / weights.sum(), abs=1e-6
        )


@pytest.mark.parametrize("strand", ["+", "-"])
def test_blockwise_hides_every_base_of_a_window_once(predictor, strand):
    toy = _Toy()
    predictor = predictor(toy, batch_size=5)
    region = Region("chrB", 0, 1500)
    done = []
    predict_nucleotides(predictor, region, strand, progress=done.append)
    shown = np.concatenate([inputs["sequence"] for inputs in toy.seen])
    hidden = (shown.sum(axis=2) == 0).reshape(-1, 7, WINDOW)
    assert len(hidden) == predictor.tiles(region)[0].size
    assert (hidden.sum(axis=1) == 1).all()
    sizes = hidden.sum(axis=2)
    assert sizes.min() == WINDOW // 7 and sizes.max() == WINDOW // 7 + 1
    # Groups are drawn anew for each window.
    assert not np.array_equal(hidden[0], hidden[1])
    assert sum(done) == len(region)
    assert max(len(inputs["sequence"]) for inputs in toy.seen) == 5


@pytest.mark.parametrize(("fraction", "passes"), [(1, 1), (0.5, 2), (0.3, 4)])
def test_the_share_hidden_sets_the_passes(predictor, fraction, passes):
    toy = _Toy()
    predict_nucleotides(
        predictor(toy), Region("chrB", 0, 32), "+", mask_fraction=fraction
    )
    assert sum(len(inputs["sequence"]) for inputs in toy.seen) == passes


def test_labels_can_be_hidden(predictor):
    def answer(inputs):
        return inputs["expression"][..., None] * np.array([5, 0, 0, 0, 0])

    strip = predictor(_Toy(answer))
    genome = strip.read(REGION).strand("-", REGION.start, REGION.end)
    found = predict_nucleotides(strip, REGION, "-", labels="visible")
    expected = np.where(genome.valid, genome.expression, 0.5)
    odds = found.probabilities[:, 0] / found.probabilities[:, 1]
    assert np.log(odds) == pytest.approx(5 * expected, abs=1e-4)
    found = predict_nucleotides(strip, REGION, "-", labels="hidden")
    odds = found.probabilities[:, 0] / found.probabilities[:, 1]
    assert np.log(odds) == pytest.approx(np.full(len(REGION), 2.5), abs=1e-4)


# What changes nothing, and what does.


@pytest.mark.parametrize("strand", ["+", "-"])
def test_neither_batch_size_nor_region_matters(predictor, cnn, strand):
    whole = predict_nucleotides(predictor(cnn), REGION, strand)
    for batch_size in (1, 7, 200):
        again = predict_nucleotides(
            predictor(cnn, batch_size=batch_size), REGION, strand
        )
        assert np.abs(again.probabilities - whole.probabilities).max() < 1e-5
    for first, last in ((0, 1), (150, 170), (511, 600)):
        part = whole.crop(first, last)
        again = predict_nucleotides(predictor(cnn), part.region, strand)
        assert np.abs(again.probabilities - part.probabilities).max() < 1e-5
        assert np.array_equal(again.bases, part.bases)
        assert np.array_equal(again.positions, part.positions)


def test_the_seed_decides_the_groups(predictor, cnn):
    one, same, other = (
        predict_nucleotides(predictor(cnn), REGION, "+", seed=seed)
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one.probabilities, same.probabilities)
    assert not np.allclose(one.probabilities, other.probabilities, atol=1e-5)


def test_temperatures_reach_the_letters(predictor):
    cold, warm = (
        predict_nucleotides(
            predictor(_Toy(), temperatures={"sequence_logits": temperature}),
            Region("chrB", 0, 50),
            "+",
            masks="none",
        )
        for temperature in (5.0, 10.0)
    )
    assert (warm.information < cold.information).all()
    assert cold.probabilities.max() == pytest.approx(np.exp(2) / (np.exp(2) + 3))


# The result.


def test_heights_add_up_to_the_information(predictor, cnn):
    found = predict_nucleotides(predictor(cnn), REGION, "+")
    assert found.probabilities.dtype == np.float32
    assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(600), abs=1e-6)
    assert found.heights.sum(axis=1) == pytest.approx(found.information, abs=1e-6)
    assert (found.heights.argmax(axis=1) == found.chosen).all()


def test_the_table_is_a_row_a_base_5_to_3(predictor, cnn):
    region = Region("chrA", 495, 515)
    found = predict_nucleotides(predictor(cnn), region, "-")
    table = found.table()
    assert list(table) == [
        "contig", "position", "strand", "true_base", "p_A", "p_C", "p_G", "p_T",
        "information", "chosen_base", "correct",
    ]  # fmt: skip
    assert table.position.tolist() == list(range(515, 495, -1))
    assert (table.strand == "-").all() and (table.contig == "chrA").all()
    unknown = table.true_base == "N"
    assert table.position[unknown].tolist() == list(range(510, 500, -1))
    assert table.correct.isna().tolist() == unknown.tolist()
    right = table.chosen_base == table.true_base
    assert table.correct[~unknown].tolist() == right[~unknown].astype(int).tolist()
    assert found.accuracy == pytest.approx(table.correct.mean())
    probability = table[["p_A", "p_C", "p_G", "p_T"]].to_numpy()
    assert np.array_equal(probability, found.probabilities)


# Refusals.


def test_a_model_without_a_dna_head_is_refused(predictor):
    toy = _Toy()
    toy.output_names = ("expression_logits",)
    with pytest.raises(RunError, match="no output 'sequence_logits'.*sequence logos"):
        predict_nucleotides(predictor(toy), REGION, "+")


def test_predictions_that_are_not_finite_are_refused(predictor):
    toy = _Toy(lambda inputs: np.where(inputs["sequence"] > 0, np.nan, 0.0))
    with pytest.raises(RunError, match="not finite"):
        predict_nucleotides(predictor(toy), REGION, "+")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strand": "minus"}, r"strand 'minus': expected one of \+, -"),
        ({"masks": "all"}, "masks 'all': expected one of blockwise"),
        ({"labels": "shown"}, "labels 'shown': expected one of visible, hidden"),
        ({"mask_fraction": 0}, "mask_fraction is 0"),
        ({"mask_fraction": 1.5}, "mask_fraction is 1.5"),
        ({"mask_fraction": float("nan")}, "mask_fraction is nan"),
    ],
)
def test_bad_arguments_are_refused(predictor, arguments, message):
    options = {"strand": "+", **arguments}
    with pytest.raises(InputError, match=message):
        predict_nucleotides(predictor(_Toy()), REGION, **options)


def test_the_result_is_frozen(predictor):
    found = predict_nucleotides(predictor(_Toy()), Region("chrB", 0, 5), "+")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.strand = "-"
