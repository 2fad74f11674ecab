"""Signatures of models of genes: strings give what arrays give; what is refused."""

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.evaluation.mask_predictor import with_soft_mask
from seqexp_tf.genome.alphabet import COMPLEMENT, decode
from seqexp_tf.interpretation.elements import Selection
from seqexp_tf.serving.gene_signatures import gene_signatures
from seqexp_tf.training.run import Run

WINDOW = 128
KINDS = {
    "soft": {"mask": {"kind": "soft", "promoter": 8}},
    "given": {"mask": {"kind": "given", "channel": "blacklist", "promoter": 8}},
    "none": {"mask": {"kind": "none"}},
}


@pytest.fixture(scope="module")
def model(gene_run):
    return gene_run.load_model()


@pytest.fixture
def batch(model, gene_batch):
    """Arrays of three genes, and the same with strings."""

    def draw(of=model, genes=3):
        arrays = gene_batch(of, genes)
        arrays["sequence"][0, 5] = 0
        return arrays, _strings(arrays)

    return draw


def _strings(arrays):
    one_hot = arrays["sequence"]
    bases = np.where(one_hot.any(-1), one_hot.argmax(-1), 4)
    others = {name: x for name, x in arrays.items() if name != "sequence"}
    return {"dna": [decode(row) for row in bases], **others}


def _ask(model, name, **inputs):
    found = gene_signatures(model)[name]
    answer = found({key: tf.constant(value) for key, value in inputs.items()})
    assert set(answer) == set(found.card.outputs)
    return {key: value.numpy() for key, value in answer.items()}


def _other_strand(arrays):
    """As the pipeline reads windows from the other strand."""
    turned = {
        name: x if name == "features" else x[:, ::-1] for name, x in arrays.items()
    }
    turned["sequence"] = turned["sequence"][..., COMPLEMENT[:4]]
    return turned


@pytest.mark.parametrize("kind", ["hard", *KINDS])
def test_strings_are_answered_as_arrays(
    model, write_gene_run, gene_store, tmp_path, batch, kind
):
    if kind != "hard":
        folder = write_gene_run(tmp_path / kind, gene_store, **KINDS[kind])
        model = Run.open(folder).load_model()
    arrays, strings = batch(model)
    wanted = model(arrays, training=False)
    mean = _other_strand(arrays)
    other = model(mean, training=False)
    asked = np.array([False, True, False])
    answer = _ask(model, "serve_sequence", **strings, average_strands=asked)
    assert ("mask" in answer) == (kind != "none")
    assert answer["expression"].shape == (3,)
    for name, values in answer.items():
        assert values.dtype == np.float32
        given, turned = np.array(wanted[name]), np.array(other[name])
        if name == "mask":
            turned = turned[:, ::-1]
        both = (given + turned) / 2
        assert name == "mask" or abs(both - given).max() > 1e-6
        given[asked] = both[asked]
        np.testing.assert_allclose(values, given, atol=1e-5)


def test_shorter_dna_is_as_between_n(model, batch):
    _, strings = batch()
    length = 41
    left = WINDOW // 2 - length // 2
    padded = {**strings, "dna": [], "average_strands": np.array([True, False, True])}
    short = {**padded, "dna": []}
    for text in strings["dna"]:
        text = text[left : left + length]
        short["dna"].append(text)
        padded["dna"].append("N" * left + text + "N" * (WINDOW - left - length))
    found, whole = (_ask(model, "serve_sequence", **x) for x in (short, padded))
    np.testing.assert_allclose(found["expression"], whole["expression"], atol=1e-6)
    inside = slice(left, left + length)
    np.testing.assert_allclose(
        found["mask"][:, inside], whole["mask"][:, inside], atol=1e-6
    )
    assert np.isnan(found["mask"]).sum() == 3 * (WINDOW - length)
    assert np.isfinite(whole["mask"]).all()


def test_elements_are_those_of_the_verb(model, batch):
    arrays, strings = batch()
    thresholds = np.array([0.1, 0.15, 1.0], np.float32)
    answer = _ask(model, "serve_elements", **strings, threshold=thresholds)
    soft = with_soft_mask(model)(arrays, training=False)
    for name in ("expression", "mask", "divergence"):
        np.testing.assert_allclose(answer[name], soft[name], atol=1e-5, rtol=1e-5)
    assert 0 < len(np.unique(answer["mask"])) > 2, "no soft mask"
    for mask, threshold, selected in zip(
        answer["mask"], thresholds, answer["selected"], strict=True
    ):
        wanted = Selection(threshold=float(threshold), fraction=None).bases(mask)
        np.testing.assert_array_equal(selected, wanted)
    assert 0 < answer["selected"][0].mean() < 1


def test_a_fixed_mask_has_no_divergence(write_gene_run, gene_store, tmp_path, batch):
    folder = write_gene_run(tmp_path / "run", gene_store, **KINDS["given"])
    model = Run.open(folder).load_model()
    _, strings = batch(model)
    answer = _ask(model, "serve_elements", **strings, threshold=np.full(3, 0.5, "f4"))
    np.testing.assert_array_equal(answer["selected"], answer["mask"])


def _changed(name, change):
    return lambda inputs: {**inputs, name: change(inputs[name])}


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("serving_default", _changed("sequence", lambda x: x[:, :100]),
         r"sequence has the shape \[3 100 4\]; expected \[3, 128, 4\]"),
        ("serving_default", _changed("features", lambda x: x[:2]),
         r"features has the shape \[2 1\]; expected \[3, 1\]"),
        ("serve_sequence", _changed("dna", lambda x: ["AC.T", *x[1:]]),
         r"dna\[0\] has the byte 46 at position 2"),
        ("serve_sequence", _changed("dna", lambda x: [*x[:2], x[2] + "A"]),
         r"dna\[2\] has 129 bases; expected 1 to 128"),
        ("serve_sequence", _changed("dna", lambda x: x[:2]),
         r"expected \[2, 128\], the batch of dna first"),
        ("serve_sequence", _changed("signals", lambda x: np.repeat(x, 2, axis=2)),
         r"signals has the shape \[3 128 2\]; expected \[3, 128, 1\]"),
        ("serve_sequence",
         _changed("signals", lambda x: x + np.array([[[0]], [[np.inf]], [[0]]], "f4")),
         r"signals holds NaN or infinity in row 1 \(from 0\)"),
        ("serve_sequence", _changed("blocked", lambda x: x[:, 1:]),
         r"blocked has the shape \[3 127\]"),
        ("serve_sequence", _changed("average_strands", lambda x: x[:1]),
         r"average_strands has the shape \[1\]; expected \[3\]"),
        ("serve_elements", _changed("threshold", lambda x: x - x),
         "threshold goes from 0 to 0; expected above 0"),
        ("serve_elements", _changed("threshold", lambda x: x * 3),
         "threshold goes from 1.5 to 1.5"),
    ],
)  # fmt: skip
def test_what_is_refused(signatures, gene_version, batch, name, change, message):
    arrays, strings = batch()
    more = {
        "serving_default": arrays,
        "serve_sequence": {**strings, "average_strands": np.ones(3, bool)},
        "serve_elements": {**strings, "threshold": np.full(3, 0.5, np.float32)},
    }
    signature = signatures(gene_version)[name]
    signature(**more[name])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signature(**change(more[name]))
