"""Mutagenesis maps: closed forms, every mutant by hand, both strands, refusals."""

import dataclasses

import keras
import numpy as np
import pytest

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.genome.alphabet import COMPLEMENT, UNKNOWN
from seqexp_tf.interpretation.mutagenesis import mutagenesis, write_mutagenesis
from seqexp_tf.interpretation.mutation_map import MutationMap, read_map
from seqexp_tf.models.cnn import build_cnn
from seqexp_tf.models.config import CNNConfig
from seqexp_tf.records.regions import Region, read_slice

WINDOW = 128
REGION = Region("chrA", 300, 340)


@pytest.fixture
def predictor(joint_store):
    def make(model, **options):
        return JointPredictor(model=model, store=joint_store, window=WINDOW, **options)

    return make


@pytest.fixture(scope="module")
def cnn():
    keras.utils.set_random_seed(3)
    model = build_cnn(CNNConfig(filters=8, dilations=(2, 4), expression_kernel=6))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape))
    return model


def _convolution(kernel, bias=0.0):
    """A Keras model whose logits are a convolution of the one-hot bases."""
    sequence = keras.Input((None, 5), name="sequence")
    expression = keras.Input((None,), name="expression")
    layer = keras.layers.Conv1D(1, len(kernel), padding="same")
    flat = keras.layers.Reshape((-1,), name="expression_logits")
    outputs = {"expression_logits": flat(layer(sequence))}
    layer.set_weights([np.asarray(kernel, np.float32)[..., None], np.array([bias])])
    return keras.Model({"sequence": sequence, "expression": expression}, outputs)


class _Toy:
    """No Keras model at all: every mutant is seen whole."""

    output_names = ("expression_logits",)

    def __init__(self, answer):
        self.answer = answer
        self.seen = []

    def predict_on_batch(self, inputs):
        self.seen.append(inputs)
        return {"expression_logits": self.answer(inputs)}


def _by_hand(predictor, region, strand, hidden, recorded):
    """Logits of each base to each other base, ``(n, 4, m)``, bases of the plus strand,
    and the reference ``(m,)``: every mutant through the whole model."""
    window = predictor.window_around(region)
    piece = read_slice(predictor.store, window).strand(strand)
    at = slice(recorded.start - window.start, recorded.end - window.start)

    def logits(sequence):
        changed = dataclasses.replace(piece, sequence=sequence)
        answer = predictor.model.predict_on_batch(
            predictor.inputs([changed], hidden=piece.genomic(hidden))
        )
        return piece.genomic(np.asarray(answer["expression_logits"])[0])[at]

    result = np.empty((len(region), 4, len(recorded)), np.float32)
    for row in range(len(region)):
        for base in range(4):
            plus = piece.sequence if strand == "+" else COMPLEMENT[piece.sequence[::-1]]
            plus = plus.copy()
            plus[region.start - window.start + row] = base
            own = plus if strand == "+" else COMPLEMENT[plus][::-1]
            result[row, base] = logits(own)
    return result, logits(piece.sequence)


def _log_sigmoid(z):
    return -np.logaddexp(0, -np.asarray(z, np.float64))


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("labels", ["half", "hidden"])
def test_every_mutant_by_hand(predictor, cnn, strand, labels):
    region, recorded = Region("chrA", 300, 312), Region("chrA", 295, 330)
    made = predictor(cnn)
    hidden = np.ones(WINDOW, bool)
    if labels == "half":
        hidden[: WINDOW // 4] = hidden[3 * WINDOW // 4 :] = False
    wanted, reference = _by_hand(made, region, strand, hidden, recorded)
    found = mutagenesis(made, region, strand, labels=labels, recorded=recorded)
    np.testing.assert_allclose(found.reference, reference, rtol=0, atol=1e-5)
    change = wanted - reference
    ratio = _log_sigmoid(wanted) - _log_sigmoid(reference)
    np.testing.assert_allclose(
        found.log_odds, np.abs(change).max(axis=1), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(
        found.log_ratio, np.abs(ratio).max(axis=1), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(found.effect, change.sum(axis=2), rtol=0, atol=1e-4)
    assert np.abs(change).max() > 0.05
    for values, base in (
        (np.abs(change), found.log_odds_base),
        (np.abs(ratio), found.log_ratio_base),
    ):
        clear = values.max(axis=1) > 1e-4
        chosen = np.take_along_axis(values, np.minimum(base, 3)[:, None], axis=1)[:, 0]
        np.testing.assert_allclose(
            chosen[clear], values.max(axis=1)[clear], rtol=0, atol=1e-5
        )
    genome = read_slice(made.store, region)
    assert np.array_equal(found.sequence, genome.sequence)
    own = np.take_along_axis(found.effect, genome.sequence[:, None].astype(int), 1)
    assert (own == 0).all()
    truth = read_slice(made.store, recorded)
    assert np.array_equal(found.expressed, truth.expression["+-".index(strand)])
    assert found.labels == labels


@pytest.mark.parametrize("strand", ["+", "-"])
def test_a_closed_form(predictor, strand):
    """A base adds its own weight to its row, and A at the row before one half more."""
    weights = np.zeros((3, 5))
    weights[1] = [1, 2, 4, 8, 0]  # The base itself.
    weights[0, 0] = 0.5  # The base 5' of it, on its own strand.
    found = mutagenesis(predictor(_convolution(weights)), REGION, strand)
    own = np.array([1, 2, 4, 8]) if strand == "+" else np.array([8, 4, 2, 1])
    change = own[None] - own[found.sequence][:, None]
    best = np.abs(change).argmax(axis=1)
    rows = np.arange(len(REGION))
    np.testing.assert_allclose(found.log_odds[rows, rows], np.abs(change).max(axis=1))
    assert np.array_equal(found.log_odds_base[rows, rows], best)
    # A read on the minus strand is a T of the plus strand.
    first, step = (0, 1) if strand == "+" else (3, -1)
    from_a = np.where(found.sequence == first, -0.5, 0.0)
    inner = rows[1:-1]
    np.testing.assert_allclose(found.log_odds[inner, inner + step], 0.5)
    letter = found.log_odds_base[inner, inner + step]
    assert (letter[from_a[inner] == 0] == first).all()
    near = np.abs(rows[:, None] - rows) <= 1
    assert (found.log_odds[~near] == 0).all()
    assert (found.log_odds_base[~near] == UNKNOWN).all()
    assert (found.log_odds[inner, inner - step] == 0).all()
    np.testing.assert_allclose(
        found.effect[inner],
        change[inner]
        + 0.5 * (np.arange(4) == first)
        - 0.5 * (found.sequence[inner, None] == first),
        rtol=0,
        atol=1e-5,
    )


@pytest.mark.parametrize("bias", [-90.0, 90.0])
def test_extreme_probabilities_stay_exact(predictor, bias):
    """Base b adds b; ln p is the logit far below 0, and -exp(-logit) far above."""
    weights = np.array([[0.0, 1.0, 2.0, 3.0, 0.0]])
    found = mutagenesis(predictor(_convolution(weights, bias)), REGION, "+")
    rows = np.arange(len(REGION))
    logits, own = bias + np.arange(4.0), bias + found.sequence[:, None].astype(float)
    change = np.abs(logits - own).max(axis=1)
    np.testing.assert_allclose(found.log_odds[rows, rows], change, rtol=1e-5)
    if bias > 0:
        change = np.abs(np.exp(-logits) - np.exp(-own)).max(axis=1)
    np.testing.assert_allclose(found.log_ratio[rows, rows], change, rtol=1e-5)


def test_no_dna_is_masked_and_half_of_the_labels_are_hidden(predictor):
    model = _Toy(lambda inputs: inputs["sequence"][..., 0])
    mutagenesis(predictor(model), REGION, "+")
    inputs = model.seen[0]
    assert (inputs["sequence"].sum(axis=-1) == 1).all()
    middle = slice(WINDOW // 4, 3 * WINDOW // 4)
    assert (inputs["expression"][0, middle] == 0.5).all()
    assert set(np.delete(inputs["expression"][0], np.r_[middle])) <= {0, 1}
    mutagenesis(predictor(model), REGION, "+", labels="hidden")
    assert (model.seen[-1]["expression"] == 0.5).all()


def test_an_unknown_base_is_not_mutated(predictor, cnn):
    region = Region("chrA", 495, 515)  # N from 500 to 510.
    for model in (cnn, _Toy(lambda inputs: inputs["sequence"][..., 0])):
        found = mutagenesis(predictor(model, batch_size=3), region, "-")
        unknown = np.zeros(20, bool)
        unknown[5:15] = True
        assert np.array_equal(found.sequence == UNKNOWN, unknown)
        for values in (found.log_odds, found.log_ratio, found.effect):
            assert np.array_equal(np.isnan(values).all(axis=1), unknown)
            assert np.isfinite(values[~unknown]).all()
        assert (found.log_odds_base[unknown] == UNKNOWN).all()
        mean = found.mean_influence("log_odds")
        assert np.array_equal(np.isnan(mean), unknown)


def test_batch_size_changes_nothing(predictor, cnn):
    def whole(inputs):
        return np.cumsum(inputs["sequence"][..., 1], axis=1) + inputs["expression"]

    for model in (cnn, _Toy(whole)):
        wanted = mutagenesis(predictor(model, batch_size=1), REGION, "-")
        for size in (7, 500):
            found = mutagenesis(predictor(model, batch_size=size), REGION, "-")
            for name in ("log_odds", "log_ratio", "effect", "reference"):
                np.testing.assert_allclose(
                    getattr(found, name), getattr(wanted, name), rtol=0, atol=1e-5
                )


def test_progress_counts_every_base(predictor, cnn):
    told = []
    mutagenesis(predictor(cnn, batch_size=16), REGION, "+", progress=told.append)
    assert told == [16, 16, 8]


def test_the_target_is_what_the_effect_adds_up(predictor, cnn):
    target = Region("chrA", 310, 312)
    whole = mutagenesis(predictor(cnn), REGION, "+", recorded=target)
    part = mutagenesis(predictor(cnn), REGION, "+", target=target)
    np.testing.assert_allclose(part.effect, whole.effect, rtol=0, atol=1e-5)
    assert whole.log_odds.shape == (40, 2)
    np.testing.assert_allclose(
        part.log_odds[:, 10:12], whole.log_odds, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("region", [Region("chrA", 0, 9), Region("chrC", 1460, 1472)])
def test_the_window_moves_in_at_the_ends(predictor, cnn, region):
    found = mutagenesis(predictor(cnn), region, "-")
    assert len(found.window) == WINDOW
    assert found.window.start == 0 or found.window.end == 1500
    assert (found.hidden.start - found.window.start, len(found.hidden)) == (32, 64)


def test_a_whole_window(predictor, cnn):
    window = Region("chrB", 500, 500 + WINDOW)
    found = mutagenesis(predictor(cnn), window, "+")
    assert found.window == found.region == found.recorded == window
    assert found.log_odds.shape == (WINDOW, WINDOW)


def test_temperature_divides_the_log_odds(predictor, cnn):
    plain = mutagenesis(predictor(cnn), REGION, "+")
    made = predictor(cnn, temperatures={"expression_logits": 2.0})
    tempered = mutagenesis(made, REGION, "+")
    np.testing.assert_allclose(plain.log_odds, 2 * tempered.log_odds, rtol=1e-5)


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_file_holds_the_map(predictor, cnn, strand, tmp_path):
    settings = {"labels": "hidden", "recorded": Region("chrA", 290, 350)}
    wanted = mutagenesis(predictor(cnn), REGION, strand, **settings)
    path = tmp_path / "map.npz"
    made = predictor(cnn, batch_size=32)
    assert write_mutagenesis(path, made, REGION, strand, **settings) == path
    found = read_map(path)
    for field in dataclasses.fields(MutationMap):
        ours, theirs = getattr(wanted, field.name), getattr(found, field.name)
        if isinstance(ours, np.ndarray):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
        else:
            assert ours == theirs
    write_mutagenesis(tmp_path / "again.npz", made, REGION, strand, **settings)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_stop_midway_leaves_no_file(predictor, cnn, tmp_path):
    def stop(bases):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_mutagenesis(
            tmp_path / "map.npz", predictor(cnn), REGION, "+", progress=stop
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a map", None])
def test_what_is_no_map_is_refused(tmp_path, content):
    path = tmp_path / "map.npz"
    if content is None:
        np.savez(path, log_odds=np.zeros(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="no mutagenesis map") as caught:
        read_map(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_map(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"region": Region("chrA", 0, 129)}, "129 bases, more than the model's window"),
        ({"region": Region("chrA", 501, 509)}, "every base is N"),
        ({"strand": "."}, "strand '.': expected one of +, -"),
        ({"labels": "visible"}, "labels 'visible': expected one of half, hidden"),
        ({"recorded": Region("chrA", 100, 200)}, "not within the window, chrA:257-384"),
        ({"recorded": Region("chrB", 300, 301)}, "not within the window"),
        ({"target": Region("chrA", 299, 310)}, "not within the recorded region"),
    ],
)
def test_bad_arguments_are_refused(predictor, cnn, settings, message):
    arguments = {"region": REGION, "strand": "+"} | settings
    with pytest.raises(InputError) as caught:
        mutagenesis(predictor(cnn), **arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_an_rna_head_is_refused(predictor, cnn):
    bare = keras.Model(cnn.input, {"sequence_logits": cnn.output["sequence_logits"]})
    with pytest.raises(RunError, match="no output 'expression_logits', which mutag"):
        mutagenesis(predictor(bare), REGION, "+")


def test_predictions_that_are_not_finite_are_refused(predictor):
    nan = _convolution(np.full((3, 5), np.nan))
    with pytest.raises(RunError, match="not finite"):
        mutagenesis(predictor(nan), REGION, "+")
    calls = []

    def answer(inputs):
        calls.append(len(inputs["sequence"]))
        fine = np.zeros(inputs["expression"].shape, np.float32)
        return fine if len(calls) == 1 else fine + np.inf

    with pytest.raises(RunError, match="not finite"):
        mutagenesis(predictor(_Toy(answer)), REGION, "+")


def test_the_map_is_frozen(predictor, cnn):
    found = mutagenesis(predictor(cnn), REGION, "+")
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.strand = "-"
    np.testing.assert_allclose(
        found.max_influence("log_odds"), found.log_odds.max(axis=1)
    )
    np.testing.assert_allclose(
        found.probability, 1 / (1 + np.exp(-found.reference)), rtol=1e-5
    )
