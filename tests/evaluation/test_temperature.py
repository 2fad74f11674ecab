"""Temperature scaling: the best T, what it leaves alone, and its file."""

import json
from hashlib import sha256
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from seqexp_tf.errors import DatasetError, RunError
from seqexp_tf.evaluation.metrics import sigmoid, softmax
from seqexp_tf.evaluation.temperature import (
    LIMITS,
    fit_temperature,
    fit_temperatures,
    read_temperatures,
    write_temperatures,
)
from seqexp_tf.records.masks import MaskingConfig
from seqexp_tf.records.store import RecordStore

seeds = st.integers(0, 2**32 - 1)


def binary(seed, size=400, overconfidence=1.0):
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=size) - 0.5
    labels = (generator.random(size) < sigmoid(logits)).astype(np.uint8)
    return labels, overconfidence * logits


def classes(seed, size=400, overconfidence=1.0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(size, 5)) * [1, 1, 1, 1, 0] - [0, 0, 0, 0, 9]
    draws = generator.random((size, 1))
    labels = (softmax(logits).cumsum(axis=1) < draws).sum(axis=1)
    return np.minimum(labels, 3).astype(np.uint8), overconfidence * logits


def probabilities(logits):
    if logits.ndim == 2:
        return softmax(logits)
    return np.stack([1 - sigmoid(logits), sigmoid(logits)], axis=1)


class TestFitTemperature:
    @settings(max_examples=25)
    @given(seeds, st.sampled_from([binary, classes]), st.floats(0.2, 5))
    def test_equals_scipy(self, seed, draw, overconfidence):
        labels, logits = draw(seed, overconfidence=overconfidence)
        known = range(probabilities(logits).shape[1])

        def loss(log_temperature):
            p = probabilities(logits / np.exp(log_temperature))
            return log_loss(labels, p, labels=known)

        best = minimize_scalar(
            loss, bounds=np.log(LIMITS), method="bounded", options={"xatol": 1e-9}
        )
        found = fit_temperature(labels, logits)
        assert found == pytest.approx(np.exp(best.x), rel=1e-4)
        assert loss(np.log(found)) <= best.fun + 1e-12

    @pytest.mark.parametrize("draw", [binary, classes])
    def test_calibrated_logits_need_none(self, draw):
        assert fit_temperature(*draw(0, size=200_000)) == pytest.approx(1, abs=0.02)

    @settings(max_examples=20)
    @given(seeds, st.sampled_from([binary, classes]), st.floats(0.3, 3))
    def test_follows_the_scale_of_the_logits(self, seed, draw, scale):
        labels, logits = draw(seed)
        plain = fit_temperature(labels, logits)
        assert fit_temperature(labels, scale * logits) == pytest.approx(
            scale * plain, rel=1e-9
        )

    def test_literal(self):
        # Three of four are right at logit 2: p = 3/4 wants a logit of ln 3.
        labels, logits = np.array([1, 1, 1, 0]), np.full(4, 2.0)
        assert fit_temperature(labels, logits) == pytest.approx(2 / np.log(3))

    @pytest.mark.parametrize("draw", [binary, classes])
    def test_accuracy_stays(self, draw):
        labels, logits = draw(3, overconfidence=4)
        scaled = logits / fit_temperature(labels, logits)
        before, after = probabilities(logits), probabilities(scaled)
        assert np.array_equal(before.argmax(axis=1), after.argmax(axis=1))

    def test_never_wrong_ends_at_the_lower_limit(self):
        labels = np.array([0, 1, 1])
        assert fit_temperature(labels, np.array([-1.0, 2.0, 3.0])) == LIMITS[0]

    def test_always_wrong_ends_at_the_upper_limit(self):
        labels = np.array([1, 0, 0])
        assert fit_temperature(labels, np.array([-1.0, 2.0, 3.0])) == LIMITS[1]

    @pytest.mark.parametrize("logits", [np.zeros(3), np.full((3, 5), 0.3)])
    def test_equal_logits_stay(self, logits):
        assert fit_temperature(np.array([0, 1, 0]), logits) == 1.0

    def test_huge_logits_do_not_overflow(self):
        labels, logits = binary(1)
        with np.errstate(all="raise", under="ignore"):
            found = fit_temperature(labels, 1e4 * logits)
        assert found == LIMITS[1]

    def test_no_position_is_refused(self):
        with pytest.raises(DatasetError, match="no position"):
            fit_temperature(np.empty(0, int), np.empty(0))


class Overconfident:
    """Stands in for a model: logits of the inputs alone, far too large."""

    def predict_on_batch(self, inputs):
        sequence, expression = inputs["sequence"], inputs["expression"]
        weak = sequence[..., [0, 3]].sum(axis=-1)
        smooth = np.stack([np.convolve(row, np.ones(31) / 31, "same") for row in weak])
        logits = 30 * (smooth - 0.5) + 0 * expression
        strong = 4 * np.eye(5)[[0, 3, 1, 2, 4]]
        bases = np.where(smooth[..., None] > 0.5, strong[0], strong[2])
        return {
            "expression_logits": logits.astype(np.float32),
            "sequence_logits": (bases + 1e-3 * smooth[..., None]).astype(np.float32),
        }


class TestFitTemperatures:
    def fit(self, store, **options):
        options = {"masking": MaskingConfig(), **options}
        return fit_temperatures(Overconfident(), store, **options)

    def test_both_outputs_gain(self, joint_store):
        windows = []
        fits = self.fit(joint_store, progress=windows.append)
        assert list(fits) == ["expression_logits", "sequence_logits"]
        assert sum(windows) == joint_store.count("validation")
        for fit in fits.values():
            assert fit.temperature > 1
            assert fit.loss_after < fit.loss_before
            assert fit.ece_after < fit.ece_before
        # Half of 128 labels a window.
        assert fits["expression_logits"].positions == 64 * sum(windows)

    def test_batch_size_changes_nothing(self, joint_store):
        first, second = self.fit(joint_store), self.fit(joint_store, batch_size=7)
        for output, fit in first.items():
            assert fit.temperature == pytest.approx(
                second[output].temperature, rel=1e-9
            )

    def test_a_bound_on_positions_keeps_a_regular_part(self, joint_store):
        everything = joint_store.count("validation") * 128
        whole = self.fit(joint_store)["expression_logits"]
        part = self.fit(joint_store, maximum_positions=everything // 4, batch_size=5)
        assert part["expression_logits"].positions == whole.positions // 4
        assert part["expression_logits"].temperature == pytest.approx(
            whole.temperature, rel=0.1
        )
        again = self.fit(joint_store, maximum_positions=everything // 4)
        assert again["expression_logits"].positions == whole.positions // 4
        assert again["expression_logits"].temperature == pytest.approx(
            part["expression_logits"].temperature, rel=1e-9
        )

    def test_only_what_the_regime_hides(self, joint_store):
        fits = self.fit(joint_store, masking=MaskingConfig(sequence_fraction=0))
        assert list(fits) == ["expression_logits"]

    def test_a_dataset_without_validation_is_refused(self, joint_store):
        splits = dict(joint_store.manifest["splits"])
        del splits["validation"]
        manifest = {**joint_store.manifest, "splits": splits}
        other = RecordStore(joint_store.folder, joint_store.schema, manifest)
        with pytest.raises(DatasetError, match="no split 'validation'"):
            self.fit(other)

    def test_non_finite_logits_are_refused(self, joint_store):
        class Broken(Overconfident):
            def predict_on_batch(self, inputs):
                answer = super().predict_on_batch(inputs)
                answer["expression_logits"][:] = np.nan
                return answer

        with pytest.raises(RunError, match="logits are not finite"):
            fit_temperatures(Broken(), joint_store, masking=MaskingConfig())


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"a model")
    digest = sha256(b"a model").hexdigest()
    return SimpleNamespace(folder=tmp_path, model_path=path, model_sha256=digest)


@pytest.fixture(scope="module")
def fits(joint_folder):
    store = RecordStore.open(joint_folder)
    return fit_temperatures(Overconfident(), store, masking=MaskingConfig())


class TestFile:
    def test_round_trip(self, run, fits, joint_store):
        path = write_temperatures(run.folder, run, joint_store, fits)
        assert read_temperatures(run.folder) == {
            output: fit.temperature for output, fit in fits.items()
        }
        document = json.loads(path.read_text())
        assert document["split"] == "validation"
        assert document["dataset"]["fingerprint"] == joint_store.fingerprint
        assert document["outputs"]["expression_logits"]["positions"] > 0
        first = path.read_bytes()
        write_temperatures(run.folder, run, joint_store, fits)
        assert path.read_bytes() == first
        assert sorted(p.name for p in run.folder.iterdir()) == [
            "model.keras",
            "temperatures.json",
        ]

    def test_never_fitted_is_empty(self, tmp_path):
        assert read_temperatures(tmp_path) == {}

    def test_another_model_is_refused(self, run, fits, joint_store):
        write_temperatures(run.folder, run, joint_store, fits)
        run.model_path.write_bytes(b"another")
        with pytest.raises(RunError, match="was fitted for another model.keras"):
            read_temperatures(run.folder)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            ("{", "not a temperature file"),
            ("[]", "not a temperature file"),
            ('{"outputs": {}}', "not a temperature file .*model_sha256"),
            ('{"outputs": {"expression_logits": 2}}', "not a temperature file"),
            (("temperature", 0), "temperature of expression_logits is 0"),
            (("temperature", -1.5), "is -1.5"),
            (("temperature", "1"), "is '1'"),
            (("temperature", True), "is True"),
            (("temperature", 1e9), "is 1000000000.0"),
            (("output", "rna"), "unknown output 'rna'"),
        ],
    )
    def test_damage_is_named(self, run, fits, joint_store, damage, message):
        path = write_temperatures(run.folder, run, joint_store, fits)
        if isinstance(damage, tuple):
            what, value = damage
            document = json.loads(path.read_text())
            if what == "output":
                document["outputs"][value] = document["outputs"]["expression_logits"]
            else:
                document["outputs"]["expression_logits"][what] = value
            damage = json.dumps(document)
        path.write_text(damage)
        with pytest.raises(RunError, match=message) as caught:
            read_temperatures(run.folder)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
