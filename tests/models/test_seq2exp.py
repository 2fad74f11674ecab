"""Seq2Exp: outputs, gradients, samples, variants."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.errors import ConfigError
from seqexp_tf.models import registry
from seqexp_tf.models.shape import ExpressionShape

CNN = {"encoder": "cnn", "kernel": 5, "dilations": [1, 4]}
TRANSFORMER = {"encoder": "transformer", "blocks": 1, "heads": 2, "feed_forward": 16}
SHAPE = ExpressionShape(
    128, ("atac", "contact"), ("length", "gc", "density"), ("blacklist", "peaks")
)
LEARNED = ("soft", "hard", "packed")
KINDS = ("none", *LEARNED, "given")


def _build(shape=SHAPE, *, seed=1, **options):
    """A model small enough for every test; ``mask`` adds to its own table."""
    mask = {"promoter": 16, **options.pop("mask", {})}
    options = {
        "width": 16,
        "generator": CNN,
        "predictor": CNN,
        "center": 32,
        "head": [8],
        "mask": mask,
        **options,
    }
    config = registry.read_config("seq2exp", options, origin="test")
    keras.utils.set_random_seed(seed)
    return registry.build("seq2exp", config, shape)


def _outputs(model, inputs, training=False):
    return {
        name: keras.ops.convert_to_numpy(values)
        for name, values in model(inputs, training=training).items()
    }


def _head_gradient(model, output, inputs):
    """Gradient of the mean of an output on the kernel of the mask head."""
    head = model.get_layer("mask_head").kernel
    with tf.GradientTape() as tape:
        total = tf.reduce_mean(model(inputs, training=True)[output])
    return tape.gradient(total, head.value)


def _compile(model, optimizer):
    unused = dict.fromkeys(model.output_names)
    model.compile(optimizer, loss={**unused, "expression": "mse"})


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_outputs_of_each_kind(policy, kind, precision, gene_batch):
    policy(precision)
    model = _build(mask={"kind": kind})
    inputs = gene_batch(model)
    for training in (False, True):
        outputs = _outputs(model, inputs, training)
        wanted = {"expression": (3,)}
        if kind != "none":
            wanted["mask"] = (3, 128)
        if kind in LEARNED:
            wanted["divergence"] = (3,)
        assert {name: x.shape for name, x in outputs.items()} == wanted
        assert set(model.output_names) == set(wanted)
        for values in outputs.values():
            assert values.dtype == np.float32
            assert np.isfinite(values).all()
    assert {w.dtype for w in model.trainable_weights} == {"float32"}
    compute = "bfloat16" if precision == "mixed_bfloat16" else "float32"
    assert model.get_layer("predictor_block_1").compute_dtype == compute
    for name in ("pooled", "head_0", "expression_head"):
        assert model.get_layer(name).compute_dtype == "float32"


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "none"])
def test_fixed_regions_of_the_mask(kind, gene_batch):
    model = _build(mask={"kind": kind})
    inputs = gene_batch(model)
    blocked = inputs["blocked"] == 1
    promoter = np.zeros(128, bool)
    promoter[64 - 8 : 64 + 8] = True
    for training in (False, True):
        mask = _outputs(model, inputs, training)["mask"]
        assert (mask[:, promoter] == 1).all()
        assert (mask[:, ~promoter][blocked[:, ~promoter]] == 0).all()
        free = mask[:, ~promoter][~blocked[:, ~promoter]]
        if kind == "soft":
            assert ((free > 0) & (free < 1)).all()
        else:
            assert set(np.unique(free)) <= {0.0, 1.0}
        if kind == "given":
            wanted = inputs["given"][:, ~promoter][~blocked[:, ~promoter]]
            np.testing.assert_array_equal(free, wanted)


def test_the_mask_is_the_mean_of_proposition_2(gene_batch):
    model = _build(mask={"weights": {"atac": 3.0, "contact": 1.0}, "constants": 0.7})
    inputs = gene_batch(model)
    inputs["blocked"][:] = 0
    head = model.get_layer("mask_head")
    hidden = keras.Model(model.inputs, head.input)(list(inputs.values()))
    logits = hidden.numpy() @ head.kernel.numpy() + head.bias.numpy()
    first = np.log1p(np.exp(logits)) + 1
    signal = inputs["signals"] @ np.array([0.75, 0.25])
    alpha = first[..., 0] + 10 * (signal + 0.1) - 1
    beta = first[..., 1] + 10 * (0.7 + 0.1) - 1
    mask = _outputs(model, inputs)["mask"]
    outside = np.r_[0:56, 72:128]
    np.testing.assert_allclose(
        mask[:, outside], (alpha / (alpha + beta))[:, outside], rtol=1e-4
    )


@pytest.mark.parametrize("combine", ["paper", "official"])
@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_prediction_reaches_the_mask_head(kind, combine, gene_batch):
    model = _build(mask={"kind": kind, "combine": combine})
    inputs = gene_batch(model)
    for output in ("expression", "divergence"):
        gradient = _head_gradient(model, output, inputs).numpy()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0, output


def test_the_prediction_does_not_reach_a_packed_mask(gene_batch):
    model = _build(mask={"kind": "packed"})
    inputs = gene_batch(model)
    assert _head_gradient(model, "expression", inputs) is None
    assert np.abs(_head_gradient(model, "divergence", inputs)).max() > 0


def test_a_token_tames_hard_masks_where_the_predictor_normalises(gene_batch):
    """The slope of a normalisation at zero is 1 / sqrt(epsilon)."""
    size = {}
    for apply in ("embedding", "token"):
        model = _build(predictor=TRANSFORMER, mask={"apply": apply, "kind": "hard"})
        gradient = _head_gradient(model, "expression", gene_batch(model))
        size[apply] = float(tf.norm(gradient))
    assert 0 < 10 * size["token"] < size["embedding"]


def test_signals_reach_the_mask_in_float32(policy, gene_batch):
    policy("mixed_bfloat16")
    model = _build(mask={"kind": "soft", "blacklist": False})
    inputs = gene_batch(model)
    inputs["signals"][:] = 1.001
    by_signals = keras.Model(model.inputs, model.get_layer("signal_beta").output)
    found = by_signals([inputs[tensor.name] for tensor in model.inputs])[..., 0]
    np.testing.assert_allclose(found, 10 * (1.001 + 0.1), rtol=1e-6)


@pytest.mark.parametrize("kind", ["soft", "hard"])
@pytest.mark.parametrize("apply", ["embedding", "raw", "token"])
def test_masked_bases_do_not_matter(kind, apply, gene_batch):
    """What is behind a zero of the mask cannot change the prediction."""
    model = _build(mask={"kind": kind, "apply": apply})
    inputs = gene_batch(model)
    inputs["blocked"][:, :40] = 1
    changed = {name: values.copy() for name, values in inputs.items()}
    rolled = np.roll(inputs["sequence"][:, :20], 1, axis=-1)
    changed["sequence"][:, :20] = rolled
    changed["signals"][:, :20] += 1
    np.testing.assert_allclose(
        _outputs(model, changed)["expression"],
        _outputs(model, inputs)["expression"],
        atol=1e-6,
    )
    changed["sequence"][:, 56:72] = np.roll(inputs["sequence"][:, 56:72], 1, axis=-1)
    moved = (
        _outputs(model, changed)["expression"] - _outputs(model, inputs)["expression"]
    )
    assert np.abs(moved).min() > 1e-5


def test_a_packed_predictor_sees_selected_bases_alone(gene_batch):
    model = _build(mask={"kind": "packed"})
    inputs = gene_batch(model)
    inputs["blocked"][:, :40] = 1
    wanted = _outputs(model, inputs)["expression"]
    inputs["sequence"][:, :20] = np.roll(inputs["sequence"][:, :20], 1, axis=-1)
    found = _outputs(model, inputs)["expression"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_packed_mask_of_ones_is_no_mask(gene_batch):
    packed = _build(mask={"kind": "packed", "promoter": 126, "blacklist": False})
    given = _build(mask={"kind": "given", "promoter": 0, "blacklist": False})
    for layer in [layer for layer in given.layers if layer.weights]:
        layer.set_weights(packed.get_layer(layer.name).get_weights())
    inputs = gene_batch(given)
    inputs["given"][:] = 1
    inputs["signals"] += 100
    wanted = _outputs(given, inputs)["expression"]
    del inputs["given"]
    outputs = _outputs(packed, inputs)
    assert (outputs["mask"] == 1).all()
    np.testing.assert_allclose(outputs["expression"], wanted, rtol=1e-4, atol=1e-5)


def test_samples_in_training_are_those_of_the_seed(gene_batch):
    found = {}
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        model = _build(seed=seed)
        model.set_weights(_build(seed=1).get_weights())
        inputs = gene_batch(model)
        found[name] = [_outputs(model, inputs, True)["mask"] for _ in range(3)]
        still = [_outputs(model, inputs)["mask"] for _ in range(2)]
        np.testing.assert_array_equal(*still)
    np.testing.assert_array_equal(found["first"], found["again"])
    assert np.abs(found["first"][0] - found["first"][1]).mean() > 0.01
    assert np.abs(found["first"][0] - found["other"][0]).mean() > 0.01
    np.testing.assert_allclose(
        np.mean([_outputs(model, inputs, True)["mask"] for _ in range(60)], axis=0),
        _outputs(model, inputs)["mask"],
        atol=0.15,
    )


def test_kl_warm_up_holds_the_gradient_back_and_not_the_value(gene_batch):
    plain, slow = _build(), _build(mask={"kl_warmup_steps": 4})
    inputs = gene_batch(plain)
    _head_gradient(slow, "divergence", inputs)
    slow.get_layer("divergence").step.assign(0)
    whole = _head_gradient(plain, "divergence", inputs).numpy()
    for step in range(6):
        part = _head_gradient(slow, "divergence", inputs).numpy()
        np.testing.assert_allclose(part, min(step / 4, 1) * whole, rtol=1e-4, atol=1e-7)
    for training in (False, True):
        values = [_outputs(m, inputs, training)["divergence"] for m in (plain, slow)]
        np.testing.assert_allclose(*values, rtol=1e-5)


def test_the_mask_begins_where_it_is_told(gene_batch):
    model = _build(
        use_signals=False,
        mask={"initial_alpha": 10.0, "initial_beta": 90.0, "blacklist": False},
    )
    model.get_layer("mask_head").kernel.assign(np.zeros((16, 2)))
    outputs = _outputs(model, gene_batch(model))
    assert outputs["mask"][:, :50] == pytest.approx(0.1, abs=1e-4)
    np.testing.assert_allclose(outputs["divergence"], 0, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_neither_signals_nor_features_are_needed(kind, gene_batch):
    shape = ExpressionShape(96, (), (), ("peaks",))
    model = _build(shape, mask={"kind": kind})
    names = {tensor.name for tensor in model.inputs}
    assert names == {"sequence"} | ({"given"} if kind == "given" else set())
    assert _outputs(model, gene_batch(model))["expression"].shape == (3,)


def test_sequence_alone_with_features(gene_batch):
    model = _build(use_signals=False, mask={"kind": "none"})
    assert {tensor.name for tensor in model.inputs} == {"sequence", "features"}
    inputs = gene_batch(model)
    before = _outputs(model, inputs)["expression"]
    inputs["features"] += 1
    assert np.abs(_outputs(model, inputs)["expression"] - before).min() > 1e-4


@pytest.mark.parametrize("window", [34, 130, 2048])
def test_any_even_window(window, gene_batch):
    shape = SimpleNamespace(**{**SHAPE.__dict__, "window": window})
    outputs = _outputs(model := _build(shape, center=window), gene_batch(model))
    assert outputs["mask"].shape == (3, window)
    with pytest.raises(ConfigError, match=f"window is {window + 1}"):
        _build(SimpleNamespace(**{**SHAPE.__dict__, "window": window + 1}))


@pytest.mark.parametrize("kind", LEARNED)
def test_neither_batch_size_nor_order_matters(kind, gene_batch):
    model = _build(mask={"kind": kind})
    inputs = gene_batch(model, genes=5)
    wanted = _outputs(model, inputs)
    order = np.array([3, 0, 4, 1, 2])
    shuffled = _outputs(model, {name: x[order] for name, x in inputs.items()})
    single = _outputs(model, {name: x[2:3] for name, x in inputs.items()})
    for name, values in wanted.items():
        np.testing.assert_allclose(shuffled[name], values[order], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(single[name][0], values[2], rtol=1e-4, atol=1e-5)


def test_generator_sees_the_dna_alone_unless_told(gene_batch):
    for generator_signals in (False, True):
        model = _build(generator_signals=generator_signals)
        head = keras.Model(model.inputs, model.get_layer("mask_head").output)
        inputs = gene_batch(model)
        before = head(list(inputs.values())).numpy()
        inputs["signals"] += 1
        moved = np.abs(head(list(inputs.values())).numpy() - before).max()
        assert (moved > 0) == generator_signals


@pytest.mark.parametrize(
    "kind, apply", [("given", "embedding"), ("soft", "raw"), ("packed", "embedding")]
)
def test_a_predictor_without_signals(kind, apply, gene_batch):
    model = _build(predictor_signals=False, mask={"kind": kind, "apply": apply})
    assert ("signals" in model.input) == (kind != "given")
    names = {variable.path for variable in model.trainable_variables}
    assert any("sequence_embedding" in name for name in names)
    assert not any("signal_embedding" in name for name in names)
    assert np.isfinite(_outputs(model, gene_batch(model))["expression"]).all()


def test_signals_for_no_one():
    with pytest.raises(ConfigError, match="predictor_signals is false with mask.kind"):
        _build(predictor_signals=False, mask={"kind": "none"})


def test_a_shared_encoder_has_its_weights_once(gene_batch):
    apart, shared = _build(), _build(share_encoder=True)
    encoder = 5 * 16 * 16 + 16 + 2 * (3 * 16 * 16 + 16)
    assert apart.count_params() - shared.count_params() == encoder
    assert np.isfinite(_outputs(shared, gene_batch(shared))["expression"]).all()


def test_bins_tell_where_a_feature_lies(gene_batch):
    both = [_build(bins=bins, mask={"kind": "none"}) for bins in (1, 4)]
    assert both[1].count_params() - both[0].count_params() == 3 * 16 * 8
    inputs = gene_batch(both[0])
    # Two bins of the center, [48, 80), change places; the last one reaches no further.
    moved = {name: values.copy() for name, values in inputs.items()}
    for name in ("sequence", "signals"):
        moved[name][:, 50:54], moved[name][:, 58:62] = (
            inputs[name][:, 58:62],
            inputs[name][:, 50:54],
        )
    changes = [
        abs(_outputs(m, moved)["expression"] - _outputs(m, inputs)["expression"]).max()
        for m in both
    ]
    assert changes[1] > 3 * changes[0] > 0


def test_the_head_drops_in_training_alone(gene_batch):
    model = _build(head_dropout=0.5, mask={"kind": "none"})
    assert model.count_params() == _build(mask={"kind": "none"}).count_params()
    inputs = gene_batch(model)
    first, second = (_outputs(model, inputs)["expression"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    first, second = (_outputs(model, inputs, True)["expression"] for _ in range(2))
    assert not np.array_equal(first, second)


def test_number_of_weights_by_hand():
    embeddings = (4 * 16 + 16) + (2 * 16 + 16)
    encoder = 5 * 16 * 16 + 16 + 2 * (3 * 16 * 16 + 16)
    head = (16 + 3) * 8 + 8 + 8 + 1

    def trainable(model):
        return sum(int(np.prod(w.shape)) for w in model.trainable_weights)

    assert trainable(_build()) == embeddings + 2 * encoder + (2 * 16 + 2) + head
    none = _build(mask={"kind": "none"})
    assert trainable(none) == (6 * 16 + 16) + encoder + head


STUDY = ExpressionShape(
    200_000, ("h3k27ac", "dnase", "contact"), tuple("abcdefghi"), ("blacklist",)
)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, 1_114_243),
        ({"mask": {"kind": "none"}, "use_signals": False}, 574_209),
        ({"mask": {"kind": "none"}}, 574_593),
        (
            {
                "mask": {"kind": "packed", "combine": "official"},
                "share_encoder": True,
                "generator_signals": True,
            },
            26_174_979,
        ),
    ],
)
def test_numbers_of_weights_of_the_published_code(options, weights):
    config = registry.read_config("seq2exp", options, origin="test")
    model = registry.build("seq2exp", config, STUDY)
    found = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert found == weights


@pytest.mark.parametrize("kind", ["none", "soft", "hard"])
def test_both_strands_say_the_same(kind, gene_batch):
    encoder = {"encoder": "caduceus", "blocks": 2, "state": 4}
    encoder["reverse_complement"] = True
    model = _build(generator=encoder, predictor=encoder, mask={"kind": kind})
    inputs = gene_batch(model)
    wanted = _outputs(model, inputs)
    other = {
        name: values[:, ::-1] if values.shape[1] == 128 else values
        for name, values in inputs.items()
    }
    other["sequence"] = other["sequence"][..., ::-1]
    found = _outputs(model, other)
    np.testing.assert_allclose(found["expression"], wanted["expression"], atol=1e-5)
    if kind != "none":
        np.testing.assert_allclose(found["mask"][:, ::-1], wanted["mask"], atol=1e-5)
    other["sequence"] = other["sequence"][..., ::-1]
    moved = _outputs(model, other)["expression"] - wanted["expression"]
    assert np.abs(moved).min() > 1e-4


CADUCEUS = {"encoder": "caduceus", "blocks": 1, "state": 4}
MAMBA = {"encoder": "mamba", "blocks": 1, "state": 4}


@pytest.mark.parametrize("encoder", [CNN, CADUCEUS, MAMBA])
def test_remat_changes_nothing_but_memory(encoder, gene_batch):
    def gradients(remat):
        model = _build(remat=remat, generator=encoder, predictor=encoder)
        _compile(model, keras.optimizers.SGD(0.1))
        before = model.get_weights()
        inputs = gene_batch(model)
        zeros = {name: np.zeros(3, "f4") for name in model.output_names}
        model.train_on_batch(inputs, zeros)
        return [new - old for new, old in zip(model.get_weights(), before, strict=True)]

    for plain, again in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_allclose(plain, again, rtol=1e-4, atol=1e-7)


def test_training_lowers_the_loss(gene_batch):
    model = _build(mask={"kind": "soft", "apply": "token"})
    inputs = gene_batch(model, genes=16)
    target = inputs["signals"][:, 56:72, 0].mean(1)
    _compile(model, "adam")
    targets = {name: target for name in model.output_names}
    losses = [float(model.train_on_batch(inputs, targets)) for _ in range(60)]
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])


@pytest.mark.parametrize("kind", ["soft", "packed"])
def test_a_saved_model_says_the_same(kind, tmp_path, gene_batch):
    model = _build(mask={"kind": kind, "kl_warmup_steps": 3})
    inputs = gene_batch(model)
    _outputs(model, inputs, True)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for training in (False, True):
        found, wanted = (_outputs(m, inputs, training) for m in (again, model))
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, atol=1e-6)


UNDER_JAX = """
import sys
from pathlib import Path
import jax, keras, numpy as np
import seqexp_tf.layers
folder = Path(sys.argv[1])
for path in folder.glob("*.keras"):
    model = keras.saving.load_model(path)
    inputs = dict(np.load(path.with_suffix(".npz")))
    fixed = [variable.value for variable in model.non_trainable_variables]
    def total(weights, training):
        outputs, others = model.stateless_call(
            weights, fixed, inputs, training=training
        )
        return sum((x**2).mean() for x in outputs.values()), (outputs, others)
    step = jax.jit(jax.grad(total, has_aux=True), static_argnums=1)
    weights = [variable.value for variable in model.trainable_variables]
    gradients, (outputs, _) = step(weights, False)
    np.savez(folder / f"{path.stem}_outputs.npz", **outputs)
    np.savez(folder / f"{path.stem}_gradients.npz", *gradients)
    if path.stem == "soft":
        gradients, (_, others) = step(weights, True)
        assert all(np.isfinite(gradient).all() for gradient in gradients)
        assert [int(count) for count in others] == [1]
"""


def test_outputs_and_gradients_under_jax(tmp_path, gene_batch, run_under):
    models = {kind: _build(mask={"kind": kind}) for kind in LEARNED}
    for kind, model in models.items():
        model.save(tmp_path / f"{kind}.keras")
        np.savez(tmp_path / f"{kind}.npz", **gene_batch(model))
    run_under("jax", UNDER_JAX, tmp_path)
    for kind, model in models.items():
        with tf.GradientTape() as tape:
            outputs = model(gene_batch(model), training=False)
            total = sum(tf.reduce_mean(values**2) for values in outputs.values())
        weights = [weight.value for weight in model.trainable_weights]
        gradients = tape.gradient(total, weights)
        with np.load(tmp_path / f"{kind}_outputs.npz") as found:
            for name, values in outputs.items():
                np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4)
        with np.load(tmp_path / f"{kind}_gradients.npz") as found:
            for index, wanted in enumerate(gradients):
                scale = np.abs(wanted).max() + 1e-6
                np.testing.assert_allclose(
                    found[f"arr_{index}"] / scale, wanted / scale, atol=2e-3
                )
