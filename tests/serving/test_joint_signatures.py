"""Signatures of joint models: strings give what arrays give; what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.evaluation.predictor import JointPredictor
from seqexp_tf.genome.alphabet import ALPHABET, decode, encode
from seqexp_tf.interpretation.mutagenesis import mutagenesis
from seqexp_tf.models.cnn import build_cnn
from seqexp_tf.models.config import CNNConfig, TransformerConfig
from seqexp_tf.models.transformer import build_transformer
from seqexp_tf.records.regions import read_slice
from seqexp_tf.serving import mutagenesis_graph
from seqexp_tf.serving.joint_signatures import joint_signatures

WINDOW = 128
DNA = "".join(np.random.default_rng(5).choice(list(ALPHABET), WINDOW))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    model = build_cnn(CNNConfig(filters=8, dilations=(2, 4), expression_kernel=6))
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(weight + 0.1 * rng.standard_normal(weight.shape))
    return model


@pytest.fixture(scope="module")
def ask(model):
    """Answers of the signatures of a model, not exported."""

    def ask(name, *, of=model, expression_value=0.5, **inputs):
        found = joint_signatures(of, window=WINDOW, expression_value=expression_value)
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        return {key: value.numpy() for key, value in found[name](tensors).items()}

    return ask


def _labels(*shape):
    rng = np.random.default_rng(1)
    return rng.choice([0.0, 0.5, 1.0], shape).astype(np.float32)


def _one_hot(text):
    return np.eye(5, dtype=np.float32)[encode(text)]


def test_strings_are_answered_as_arrays(ask):
    labels = _labels(2, WINDOW)
    strings = ask("serve_sequence", dna=[DNA, DNA[::-1].lower()], expression=labels)
    sequence = np.stack([_one_hot(DNA), _one_hot(DNA[::-1])])
    arrays = ask("serving_default", sequence=sequence, expression=labels)
    assert strings.keys() == arrays.keys() == {"expression", "sequence"}
    for name, values in strings.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, arrays[name], atol=1e-6)


def test_shorter_dna_lies_among_mask_tokens_and_hidden_labels(ask):
    text, labels = DNA[:61], _labels(1, 61)
    left = WINDOW // 2 - 61 // 2
    sequence = np.zeros((1, WINDOW, 5), np.float32)
    sequence[0, left : left + 61] = _one_hot(text)
    shown = np.full((1, WINDOW), 0.5, np.float32)
    shown[0, left : left + 61] = labels
    whole = ask("serving_default", sequence=sequence, expression=shown)
    short = ask("serve_sequence", dna=[text], expression=labels)
    for name, values in short.items():
        wanted = whole[name][:, left : left + 61]
        np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_padding_is_as_n_to_a_model_that_ignores_n(ask, model):
    blind = keras.models.clone_model(model)
    blind.set_weights(model.get_weights())
    kernel, bias = blind.get_layer("stem").get_weights()
    kernel[:, ALPHABET.index("N")] = 0
    blind.get_layer("stem").set_weights([kernel, bias])
    text, labels = DNA[:40], _labels(1, 40)
    short = ask("serve_sequence", of=blind, dna=[text], expression=labels)
    padded = np.full((1, WINDOW), 0.5, np.float32)
    padded[:, 44:84] = labels
    long = ask(
        "serve_sequence",
        of=blind,
        dna=["N" * 44 + text + "N" * 44],
        expression=padded,
    )
    for name, values in short.items():
        np.testing.assert_allclose(values, long[name][:, 44:84], atol=1e-6)


@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_other_rows_and_spare_columns_change_nothing(ask, model, name):
    if name == "transformer":
        model = build_transformer(TransformerConfig(width=8, heads=2, blocks=1))
    texts = [DNA[:30], DNA, DNA[50:51]]
    labels = _labels(3, WINDOW)
    together = ask("serve_sequence", of=model, dna=texts, expression=labels)
    for row, text in enumerate(texts):
        size = len(text)
        alone = ask(
            "serve_sequence",
            of=model,
            dna=[text],
            expression=labels[row : row + 1, :size],
        )
        for key, values in alone.items():
            assert np.isfinite(values).all()
            np.testing.assert_allclose(together[key][row, :size], values[0], atol=1e-5)
            assert np.isnan(together[key][row, size:]).all()


def test_one_half_is_hidden_whatever_the_model_sees_there(ask):
    labels = _labels(1, WINDOW)
    shown = np.where(labels == 0.5, np.float32(-1), labels)
    arrays = ask("serving_default", sequence=_one_hot(DNA)[None], expression=shown)
    strings = ask("serve_sequence", expression_value=-1.0, dna=[DNA], expression=labels)
    np.testing.assert_allclose(strings["expression"], arrays["expression"], atol=1e-6)


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("name", ["cnn", "transformer"])
def test_mutagenesis_agrees_with_the_verb(
    ask, model, joint_store, monkeypatch, name, strand
):
    if name == "transformer":
        keras.utils.set_random_seed(4)
        model = build_transformer(TransformerConfig(width=8, heads=2, blocks=1))
    # Two bases at once, the last step of one.
    monkeypatch.setattr(mutagenesis_graph, "BASES_AT_ONCE", 6 * WINDOW)
    predictor = JointPredictor(model=model, store=joint_store, window=WINDOW)
    region = predictor.region("chrA:496-512")  # Bases 500 to 509 (from 0) are N.
    window = predictor.window_around(region)
    found = mutagenesis(predictor, region, strand, recorded=window)
    piece = read_slice(joint_store, window).strand(strand)
    hidden = np.zeros(WINDOW, bool)
    hidden[WINDOW // 4 : WINDOW // 4 + WINDOW // 2] = True
    first, last = region.start - window.start, region.end - window.start
    if strand == "-":
        first, last = WINDOW - last, WINDOW - first
    shown = predictor.inputs([piece], hidden=piece.genomic(hidden))["expression"]
    answer = ask(
        "serve_mutagenesis",
        of=model,
        dna=[decode(piece.sequence)],
        expression=shown,
        first=np.array([first], np.int32),
        last=np.array([last], np.int32),
    )
    # The map runs from left to right and has the bases of the plus strand.
    at = slice(None) if strand == "+" else slice(None, None, -1)
    for measure in ("log_odds", "log_ratio"):
        for kind in ("mean", "max"):
            wanted = getattr(found, f"{kind}_influence")(measure)[at]
            values = answer[f"{measure}_{kind}"][0, first:last]
            np.testing.assert_allclose(values, wanted, atol=1e-4)
    assert np.isnan(wanted).sum() == 10 and np.nanmax(wanted) > 1e-3
    effect = found.effect[at][:, at]
    np.testing.assert_allclose(answer["effect"][0, first:last], effect, atol=1e-4)
    for values in answer.values():
        assert values.dtype == np.float32
        assert np.isnan(values[0, :first]).all() and np.isnan(values[0, last:]).all()


def test_mutagenesis_of_several_rows_is_that_of_each(ask):
    labels = _labels(3, 70)
    texts = [DNA[:70], "N" * 20, DNA[30:60]]
    first, last = np.array([[3, 0, 29], [8, 20, 30]], np.int32)
    together = ask(
        "serve_mutagenesis", dna=texts, expression=labels, first=first, last=last
    )
    for row, text in enumerate(texts):
        alone = ask(
            "serve_mutagenesis",
            dna=[text],
            expression=labels[row : row + 1, : len(text)],
            first=first[row : row + 1],
            last=last[row : row + 1],
        )
        for key, values in alone.items():
            given = together[key][row, : len(text)]
            np.testing.assert_allclose(given, values[0], atol=1e-5)
    assert np.isnan(together["log_odds_max"][1]).all()
    assert np.isfinite(together["log_odds_max"][2, 29])


GOOD = {"dna": ["ACGT", "AC"], "expression": np.full((2, 4), 0.5, np.float32)}
MUTATED = {**GOOD, "first": np.array([0, 0]), "last": np.array([2, 2])}
ARRAYS = {
    "sequence": np.zeros((2, 9, 5), np.float32),
    "expression": np.zeros((2, 9), np.float32),
}


def _labelled(*values):
    return np.array([values, values], np.float32)


@pytest.mark.parametrize(
    ("name", "good", "changes", "message"),
    [
        ("serving_default", ARRAYS, {"sequence": np.zeros((2, 9, 4), np.float32)},
         r"sequence has the shape \[2 9 4\]; expected \[2, any, 5\]"),
        ("serving_default", ARRAYS, {"expression": np.zeros((2, 8), np.float32)},
         "sequence has 9 bases and expression 8 labels"),
        ("serving_default", ARRAYS, {"expression": np.zeros((3, 9), np.float32)},
         r"expression has the shape \[3 9\]; expected \[2, any\]"),
        ("serve_sequence", GOOD, {"dna": ["ACGT", "A?"]}, r"dna\[1\] has the byte 63"),
        ("serve_sequence", GOOD, {"dna": ["A" * 129, "A"]}, "has 129 bases"),
        ("serve_sequence", GOOD, {"dna": ["ACGTA", "A"]},
         "expression has 4 columns; expected at least the 5 bases"),
        ("serve_sequence", GOOD, {"expression": np.zeros((2, 129), np.float32)},
         "expression has 129 columns; .* at most 128"),
        ("serve_sequence", GOOD, {"expression": np.zeros((1, 4), np.float32)},
         r"expression has the shape \[1 4\]; expected \[2, any\]"),
        ("serve_sequence", GOOD, {"expression": _labelled(0, 1, 2, 0)},
         "expression goes from 0 to 2; expected 0, 1, or 0.5"),
        ("serve_sequence", GOOD, {"expression": _labelled(0, 1, np.nan, 0)},
         r"expression holds NaN or infinity in row 0 \(from 0\)"),
        ("serve_sequence", GOOD, {"expression": np.zeros((2, 0), np.float32)},
         "expression has 0 columns"),
        ("serve_sequence", GOOD, {"dna": "ACGT"}, "dna has no rows; expected at least"),
        ("serve_sequence", GOOD, {"dna": np.zeros(0, object)}, "dna has no rows"),
        ("serve_mutagenesis", MUTATED, {"last": np.array([4, 3])},
         r"row 1: bases 0 to 3 \(from 0, exclusive\) of a dna of 2"),
        ("serve_mutagenesis", MUTATED, {"first": np.array([2, 0])}, "row 0: bases 2 "),
        ("serve_mutagenesis", MUTATED, {"first": np.array([-1, 0])}, "row 0: bases -1"),
        ("serve_mutagenesis", MUTATED, {"first": np.array([0])},
         r"first has the shape \[1\]; expected \[2\]"),
    ],
)  # fmt: skip
def test_what_is_refused(signatures, joint_version, name, good, changes, message):
    inputs = {**good, **changes}
    inputs |= {
        k: v.astype("int32") for k, v in inputs.items() if k in ("first", "last")
    }
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures(joint_version)[name](**inputs)


@pytest.mark.parametrize(
    ("name", "good", "changes"),
    [
        ("serving_default", ARRAYS, {"sequence": np.zeros((2, 9), np.float32)}),
        ("serving_default", ARRAYS, {"expression": np.zeros((2, 9), np.int32)}),
        ("serve_sequence", GOOD, {"dna": np.zeros(2, np.float32)}),
        ("serve_sequence", GOOD, {"dna": [["ACGT", "AC"]]}),
        ("serve_mutagenesis", MUTATED, {"first": np.zeros(2, np.float32)}),
    ],
)
def test_another_rank_or_type_is_refused(
    signatures, joint_version, name, good, changes
):
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError)):
        signatures(joint_version)[name](**{**good, **changes})
