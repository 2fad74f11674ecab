"""Options of Seq2Exp: defaults of the study, and one line for each mistake."""

import pytest

from seqexp_tf.config import build, to_dict
from seqexp_tf.errors import ConfigError
from seqexp_tf.models import registry
from seqexp_tf.models.encoder_config import (
    CaduceusEncoder,
    CNNEncoder,
    MambaEncoder,
    TransformerEncoder,
)
from seqexp_tf.models.mask_config import MaskConfig
from seqexp_tf.models.seq2exp_config import Seq2ExpConfig, check_shape
from seqexp_tf.models.shape import ExpressionShape
from seqexp_tf.training.config import presets, read_preset, read_run_config

SHAPE = ExpressionShape(
    4000, ("atac", "contact"), ("half_life",), ("blacklist", "peaks")
)
TOWER = {"encoder": "tower"}


def _read(**options):
    return registry.read_config("seq2exp", options, origin="run.toml")


def test_defaults_are_those_of_the_study():
    config = _read()
    assert config.generator == config.predictor == CaduceusEncoder()
    assert CaduceusEncoder() == CaduceusEncoder(
        blocks=4, state=16, kernel=4, expand=2, rank=0, reverse_complement=False
    )
    assert (config.width, config.center, config.head) == (128, 2000, (128, 128))
    mask = config.mask
    assert (mask.kind, mask.combine, mask.kl_weight) == ("soft", "paper", 0.01)
    assert (mask.prior_alpha, mask.prior_beta, mask.promoter) == (10, 90, 2000)


def test_constants_of_the_published_code():
    soft = MaskConfig(combine="official")
    assert (soft.floor, soft.signal_floor, soft.scale) == (1, 1, 10)
    assert (soft.prior_alpha, soft.prior_beta) == (10, 90)
    for kind in ("hard", "packed"):
        hard = MaskConfig(combine="official", kind=kind)
        assert (hard.floor, hard.signal_floor, hard.scale) == (0, 0, 1)
        assert hard.prior_alpha == 0.1
        assert hard.prior_beta == pytest.approx(0.12222, abs=1e-5)
    assert MaskConfig(combine="official", scale=3.0, floor=0.5).scale == 3


def test_encoders_are_told_apart_by_name():
    config = _read(
        width=16,
        generator={"encoder": "cnn", "dilations": [1, 2]},
        predictor={"encoder": "transformer", "heads": 2},
    )
    assert config.generator == CNNEncoder(dilations=(1, 2))
    assert config.predictor == TransformerEncoder(heads=2)
    assert _read(predictor={"encoder": "mamba"}).predictor == MambaEncoder()


def test_written_out_and_read_again():
    config = _read(
        generator={"encoder": "cnn"},
        mask={"kind": "hard", "weights": {"atac": 1.0, "contact": 0.5}},
    )
    assert build(Seq2ExpConfig, to_dict(config), origin="again") == config
    run = read_run_config(read_preset("seq2exp_soft_small"))
    assert run.model["mask"]["floor"] == 1.0
    assert run.model["generator"]["encoder"] == "cnn"
    assert read_run_config(to_dict(run)) == run


def test_presets_of_the_study():
    for name in ("seq2exp_soft", "seq2exp_hard"):
        config = _of_preset(name)
        assert config.generator == config.predictor == CaduceusEncoder()
        assert config.mask.kind == name.removeprefix("seq2exp_")
        training = read_run_config(read_preset(name)).training
        assert (training.max_steps, training.warmup_steps) == (50_000, 5_000)
        assert (training.batch_size, training.validate_every) == (8, 1000)
        assert (training.learning_rate, training.weight_decay) == (5e-4, 1e-6)
        assert (training.initial_learning_rate, training.final_learning_rate) == (
            1e-5,
            1e-4,
        )
        assert (training.beta_1, training.beta_2, training.clip_norm) == (0.9, 0.95, 1)
        assert (training.loss, training.precision) == ("huber", "bfloat16")
    assert _of_preset("seq2exp_retrain").mask.fraction == 0.1
    macs3 = _of_preset("seq2exp_macs3").mask
    assert (macs3.kind, macs3.promoter, macs3.blacklist) == ("given", 0, False)
    assert not _of_preset("caduceus").use_signals
    assert _of_preset("caduceus_signals").use_signals
    assert _of_preset("mamba").predictor == MambaEncoder()


@pytest.mark.parametrize("name", [n for n in presets() if n.endswith("_small")])
def test_small_presets_fit_their_windows(name):
    config = _of_preset(name)
    window = _run_of_preset(name).pipeline.window
    assert window == (4096 if name == "seq2exp_elements_small" else 2048)
    check_shape(config, ExpressionShape(window, ("a",), (), ("peaks",)))
    reach = config.receptive_field
    assert reach is None or reach >= 2000


def test_a_preset_that_is_retrained_asks_for_its_run():
    with pytest.raises(ConfigError) as caught:
        read_run_config(read_preset("seq2exp_retrain"), origin="preset seq2exp_retrain")
    assert str(caught.value) == (
        "preset seq2exp_retrain [model]: mask.run is missing; kind 'run' takes the "
        "mask of a finished run of seq2exp: --set model.mask.run=RUN"
    )


def _run_of_preset(name):
    retrain = ["model.mask.run=runs/soft"] if "retrain" in name else []
    return read_run_config(read_preset(name), retrain)


def _of_preset(name):
    model = _run_of_preset(name).model
    options = {key: value for key, value in model.items() if key != "architecture"}
    return registry.read_config("seq2exp", options, origin=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0; it must be at least 1"),
        ({"center": 0}, "center is 0"),
        ({"bins": 3}, "bins is 3, which does not divide center 2000; choose a center"),
        ({"bins": 4, "mask": {"kind": "packed"}}, "bins is 4 with mask.kind 'packed'"),
        ({"generator": TOWER}, "generator.encoder is 'tower', which has no features"),
        (
            {"predictor": TOWER, "center": 2048, "mask": {"kind": "packed"}},
            "predictor.encoder is 'tower' with mask.kind 'packed'",
        ),
        (
            {"predictor": TOWER, "center": 1000},
            "one position every 256 bases, in 1 bins, it must be a multiple of 256",
        ),
        ({"predictor": {**TOWER, "filters": []}}, r"filters is \[\]; one or more"),
        (
            {
                "bins": 4,
                "generator": {"reverse_complement": True},
                "predictor": {"reverse_complement": True},
            },
            "4 bins side by side are not the same on both strands",
        ),
        ({"head_dropout": 1.0}, "head_dropout is 1.0; choose 0 or more, below 1"),
        ({"head": [64, 0]}, r"head is \[64, 0\]; each must be at least 1"),
        ({"generator": {"encoder": "cdnn"}}, "generator.encoder is 'cdnn'; did you m"),
        ({"generator": {"blocks": 0}}, "generator: blocks is 0"),
        ({"predictor": {"encoder": "cnn", "blocks": 3}}, 'unknown key "blocks"'),
        ({"predictor": {"encoder": "mamba", "rank": -1}}, "rank is -1"),
        ({"predictor": 3}, "predictor must be a table, not 3"),
        (
            {"predictor": {"encoder": "transformer", "heads": 5}},
            "width is 128; it must be a multiple of twice the 5 heads",
        ),
        (
            {"remat": True, "predictor": {"encoder": "cnn", "dropout": 0.1}},
            "remat is true with predictor.dropout 0.1",
        ),
        (
            {"remat": True, "predictor": {"encoder": "transformer"}},
            "remat is true, which the transformer",
        ),
        ({"share_encoder": True, "mask": {"kind": "none"}}, "share_encoder is true"),
        (
            {"share_encoder": True, "predictor": {"blocks": 2}},
            "share_encoder is true; it needs a learnt mask and the same",
        ),
        (
            {"predictor": {"reverse_complement": True}},
            "generator and predictor share their embedding; set reverse_complement",
        ),
        (
            {
                "predictor": {"reverse_complement": True},
                "generator": {"reverse_complement": True},
                "mask": {"apply": "token"},
            },
            "predictor.reverse_complement is true; packed masks and apply",
        ),
        (
            {"width": 9, "predictor": {"reverse_complement": True}},
            "width is 9; with reverse_complement it must be even",
        ),
        ({"mask": {"kind": "firm"}}, "mask.kind is 'firm'; choose one of"),
        ({"mask": {"scale": 0.0}}, "mask.scale is 0.0; it must be positive"),
        ({"mask": {"prior_alpha": -1.0}}, "mask.prior_alpha is -1.0; it must be pos"),
        ({"mask": {"prior_beta": 0.0}}, "mask.prior_beta is 0.0; it must be pos"),
        ({"mask": {"kl_weight": -0.1}}, "mask.kl_weight is -0.1"),
        ({"mask": {"kl_warmup_steps": -1}}, "mask.kl_warmup_steps is -1"),
        ({"mask": {"learning_rate_multiplier": 0.0}}, "learning_rate_multiplier is 0"),
        ({"mask": {"threshold": 1.0}}, "mask.threshold is 1.0; it must be between"),
        ({"mask": {"fraction": 0.0}}, "mask.fraction is 0.0; it must be above 0"),
        ({"mask": {"fraction": 1.1}}, "mask.fraction is 1.1"),
        ({"mask": {"promoter": -2}}, "mask.promoter is -2"),
        ({"mask": {"kind": "run"}}, "mask.run is missing; kind 'run' takes the mask"),
        ({"mask": {"kind": "run", "run": ""}}, "mask.run is missing"),
        ({"mask": {"run": "runs/a"}}, "mask.run is 'runs/a' with kind 'soft'"),
        ({"mask": {"floor": -0.1}}, "mask.floor is -0.1; it must not be negative"),
        (
            {"mask": {"floor": 0.5, "signal_floor": 0.05}},
            "mask.floor is 0.5 and scale x signal_floor 0.5; with combine = 'paper' "
            "they must add up to more than 1, or alpha and beta leave",
        ),
        (
            {"mask": {"initial_alpha": 1.0}},
            "mask.initial_alpha is 1.0; it must be above the floor of 1.0",
        ),
        ({"mask": {"weights": {"a": -1.0}}}, "mask.weights.a is -1.0"),
        ({"mask": {"weights": {"a": 0.0}}}, "mask.weights is {'a': 0.0}; one of"),
        ({"mask": {"constants": -1.0}}, "mask.constants is -1.0"),
        ({"mask": {"kind": "packed", "apply": "raw"}}, "mask.apply is 'raw' with kind"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _read(**options)
    assert str(caught.value).startswith("run.toml [model]: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, {"window": 4001}, "window is 4001; it must be even"),
        (
            {"center": 1024, "predictor": TOWER},
            {},
            "pipeline.window is 4,000 and model.center 1,024; with a tower for a "
            "predictor, both must be multiples of 512",
        ),
        ({"center": 4001}, {}, "model.center is 4,001; the windows have 4,000 bases"),
        ({"mask": {"promoter": 4000}}, {}, "model.mask.promoter is 4,000; it leaves"),
        (
            {"mask": {"kind": "run", "run": "a", "promoter": 400}},
            {},
            "model.mask.fraction is 0.1; 400 of 4,000 bases are not more than the",
        ),
        (
            {"mask": {"kind": "given", "channel": "peak"}},
            {},
            "model.mask.channel is 'peak'; the channels of the dataset: blacklist, pea",
        ),
        (
            {"mask": {"kind": "given"}},
            {"channels": ()},
            "is 'peaks'; the channels of the dataset: none; name one, or convert",
        ),
        (
            {"mask": {"weights": {"atak": 1.0}}},
            {},
            "model.mask.weights names an unknown signal 'atak'; did you mean \"atac\"",
        ),
        (
            {"mask": {"constants": {"atac": 1.0}}},
            {},
            "model.mask.constants has no value for the signal 'contact'",
        ),
        (
            {"use_signals": False, "mask": {"constants": {"atac": 1.0}}},
            {},
            "unknown signal 'atac'; the model sees none",
        ),
        ({}, {"minima": (-1.5,)}, "the signal 'atac' goes down to -1.5"),
    ],
)
def test_what_does_not_fit_the_data_is_refused(options, shape, message):
    with pytest.raises(ConfigError, match=message) as caught:
        check_shape(_read(**options), ExpressionShape(**{**SHAPE.__dict__, **shape}))
    assert "\n" not in str(caught.value)


def test_a_signal_without_weight_may_be_negative():
    shape = ExpressionShape(4000, ("z", "atac"), (), (), minima=(-2.0, 0.0))
    check_shape(_read(mask={"weights": {"z": 0.0, "atac": 1.0}}), shape)
    with pytest.raises(ConfigError, match="'z' goes down to -2"):
        check_shape(_read(), shape)
    check_shape(_read(mask={"kind": "none"}), shape)


def test_weights_and_constants_by_signal():
    mask = MaskConfig(weights={"a": 3.0, "b": 1.0}, constants={"b": 2.0, "a": 5.0})
    assert mask.signal_weights(("b", "a")) == [0.25, 0.75]
    assert mask.signal_constants(("a", "b")) == [5, 2]
    plain = MaskConfig(constants=0.5)
    assert plain.signal_weights(("a", "b", "c", "d")) == [0.25] * 4
    assert plain.signal_constants(("a", "b")) == [0.5, 0.5]
    assert plain.signal_weights(()) == plain.signal_constants(()) == []


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ({}, ("sequence", "signals", "features", "blocked")),
        ({"use_signals": False}, ("sequence", "features", "blocked")),
        ({"use_features": False}, ("sequence", "signals", "blocked")),
        ({"mask": {"kind": "none"}}, ("sequence", "signals", "features")),
        ({"mask": {"blacklist": False}}, ("sequence", "signals", "features")),
        (
            {"mask": {"kind": "given"}},
            ("sequence", "signals", "features", "blocked", "given"),
        ),
    ],
)
def test_inputs(options, inputs):
    assert registry.model_inputs(_read(**options), SHAPE) == inputs
    bare = ExpressionShape(4000, (), (), ("peaks",))
    wanted = tuple(name for name in inputs if name in ("sequence", "given"))
    assert registry.model_inputs(_read(**options), bare) == wanted


def test_receptive_fields():
    cnn = {"encoder": "cnn", "kernel": 5, "block_kernel": 3, "dilations": [1, 2]}
    assert CNNEncoder(kernel=5, dilations=(1, 2)).receptive_field == 11
    options = {"generator": cnn, "predictor": cnn, "center": 100}
    assert _read(**options).receptive_field == 11 + 99 + 10
    assert _read(**options, mask={"kind": "none"}).receptive_field == 110
    tower = {"encoder": "tower", "kernel": 5, "block_kernel": 3, "filters": [2, 2]}
    options = {"predictor": {**tower, "pool": 2}, "center": 100}
    assert _read(**options, mask={"kind": "none"}).receptive_field == 12 + 99
    assert _read(predictor=cnn).receptive_field is None
    assert _read(generator=cnn).receptive_field is None


def test_tasks():
    assert registry.task("seq2exp") == "expression"
    assert {registry.task(n) for n in ("cnn", "transformer", "hybrid")} == {"joint"}
    with pytest.raises(ConfigError, match="run.toml: unknown model.architecture 'seq'"):
        registry.task("seq", origin="run.toml")
