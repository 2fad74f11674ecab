from math import comb, factorial, log

import numpy as np
import pytest

from seqexp_tf.errors import DatasetError
from seqexp_tf.evaluation import selection
from seqexp_tf.evaluation.baselines import StratifiedBaseline, UniformBaseline

COUNT = 400_000
EXPRESSED = 0.4326
BASES = (0.31, 0.19, 0.19, 0.31)


@pytest.fixture(scope="module")
def truth():
    generator = np.random.default_rng(11)
    expressed = (generator.random(COUNT) < EXPRESSED).astype(np.uint8)
    bases = generator.choice(4, COUNT, p=BASES).astype(np.uint8)
    return {"rna": expressed, "dna": bases}


def stratified(seed=0):
    return StratifiedBaseline(EXPRESSED, BASES, seed=seed)


def run(baseline, modality, labels, mask=None, *, batch=None):
    scorer = getattr(baseline, modality)()
    step = batch or len(labels)
    for start in range(0, len(labels), step):
        part = slice(start, start + step)
        scorer.update(labels[part], None if mask is None else mask[part])
    return scorer.result()


def expected_log_of_sum(n):
    """E[ln(U1 + ... + Un)] of independent U(0, 1)."""
    terms = ((-1) ** (n - k) * comb(n, k) * k**n * log(k) for k in range(1, n + 1))
    return sum(terms) / factorial(n) - sum(1 / k for k in range(1, n + 1))


def test_uniform_closed_forms_and_reported_losses(truth):
    rna = run(UniformBaseline(), "rna", truth["rna"])
    assert rna["positions"] == COUNT
    assert rna["loss"] == pytest.approx(1, abs=0.006)
    assert rna["loss"] == pytest.approx(1.0001, abs=0.006)
    assert rna["accuracy"] == pytest.approx(0.5, abs=0.004)
    assert rna["roc_auc"] == pytest.approx(0.5, abs=0.004)
    assert rna["brier"] == pytest.approx(1 / 3, abs=0.003)
    dna = run(UniformBaseline(), "dna", truth["dna"])
    assert 1 + expected_log_of_sum(4) == pytest.approx(1.6451, abs=5e-5)
    assert dna["loss"] == pytest.approx(1 + expected_log_of_sum(4), abs=0.006)
    assert dna["loss"] == pytest.approx(1.6460, abs=0.006)
    assert dna["accuracy"] == pytest.approx(0.25, abs=0.004)
    assert dna["roc_auc"] == pytest.approx(0.5, abs=0.004)
    assert dna["predicted_count_N"] == 0


def test_stratified_closed_forms(truth):
    p = np.array([1 - EXPRESSED, EXPRESSED])
    rna = run(stratified(), "rna", truth["rna"])
    assert rna["loss"] == pytest.approx(-np.sum(p * np.log(p)), abs=0.001)
    assert rna["loss"] == pytest.approx(0.6838, abs=0.001)
    assert rna["accuracy"] == pytest.approx(np.sum(p**2), abs=0.004)
    assert rna["f1_weighted"] == pytest.approx(np.sum(p**2), abs=0.004)
    assert rna["roc_auc"] == 0.5
    assert rna["roc_auc_error"] == 0
    assert rna["average_precision"] == pytest.approx(rna["positive_fraction"])
    q = np.array(BASES)
    dna = run(stratified(), "dna", truth["dna"])
    assert dna["loss"] == pytest.approx(-np.sum(q * np.log(q)), abs=0.002)
    assert dna["loss"] == pytest.approx(1.3585, abs=0.003)
    assert dna["accuracy"] == pytest.approx(np.sum(q**2), abs=0.004)
    assert dna["accuracy"] == pytest.approx(0.2639, abs=0.004)
    assert dna["roc_auc"] == 0.5
    shares = [dna[f"predicted_count_{base}"] / COUNT for base in "ACGT"]
    assert shares == pytest.approx(BASES, abs=0.004)


def test_stratified_loss_on_other_frequencies_is_the_cross_entropy():
    labels = np.array([1] * 3 + [0] * 7)
    result = run(stratified(), "rna", labels)
    expected = -(0.3 * np.log(EXPRESSED) + 0.7 * np.log(1 - EXPRESSED))
    assert result["loss"] == pytest.approx(expected)


@pytest.mark.parametrize("baseline", [UniformBaseline(seed=3), stratified(seed=3)])
@pytest.mark.parametrize("modality", ["rna", "dna"])
@pytest.mark.parametrize("batch", [1, 17, 256])
def test_batch_size_and_chunks_change_nothing(
    baseline, modality, batch, truth, monkeypatch
):
    labels = truth[modality][:600].reshape(300, 2)
    mask = np.random.default_rng(0).random(labels.shape) < 0.5
    whole = run(baseline, modality, labels, mask)
    monkeypatch.setattr(selection, "CHUNK", 64)
    parts = run(baseline, modality, labels, mask, batch=batch)
    assert parts == pytest.approx(whole, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("modality", ["rna", "dna"])
def test_only_counted_positions_draw(modality, truth):
    labels = truth[modality][:100]
    mask = np.arange(100) % 3 == 0
    for baseline in (UniformBaseline(), stratified()):
        assert run(baseline, modality, labels, mask) == run(
            baseline, modality, labels[mask]
        )


def test_unknown_bases_neither_count_nor_draw(truth):
    labels = np.insert(truth["dna"][:50], [0, 20, 50], 4)
    for baseline in (UniformBaseline(), stratified()):
        assert run(baseline, "dna", labels) == run(baseline, "dna", truth["dna"][:50])


def test_seed_decides(truth):
    labels = truth["rna"][:1000]
    first = run(UniformBaseline(seed=1), "rna", labels)
    assert run(UniformBaseline(seed=1), "rna", labels) == first
    assert run(UniformBaseline(seed=2), "rna", labels)["loss"] != first["loss"]


@pytest.mark.parametrize("fraction", [0, 1, -0.1, float("nan")])
def test_one_sided_training_labels_are_refused(fraction):
    with pytest.raises(DatasetError, match="expressed fraction of the training split"):
        StratifiedBaseline(fraction, BASES)


@pytest.mark.parametrize(
    "frequencies",
    [(0.5, 0.5, 0, 0), (0.25, 0.25, 0.25), (0.3, 0.3, 0.3, 0.3), (np.nan,) * 4],
)
def test_impossible_base_frequencies_are_refused(frequencies):
    with pytest.raises(DatasetError, match=r"four above 0 \(A, C, G, T\) with sum 1"):
        StratifiedBaseline(0.4, frequencies)


def test_yeast_labels_give_losses_near_the_reported_ones(yeast):
    """The report used another RNA-seq sample of the same genome."""
    with np.load(yeast / "archive" / "data.npz") as archive:
        valid = archive["valid"].astype(bool)
        bases = archive["sequence"][valid]
        expressed = archive["expressed_plus"][valid]
    shares = np.bincount(bases, minlength=5)[:4] / np.count_nonzero(bases < 4)
    baseline = StratifiedBaseline(expressed.mean(), shares / shares.sum())
    dna = run(baseline, "dna", bases[::97])
    rna = run(baseline, "rna", expressed[::97])
    assert dna["loss"] == pytest.approx(1.3585, abs=0.006)
    assert dna["accuracy"] == pytest.approx(0.2639, abs=0.006)
    assert rna["loss"] == pytest.approx(0.6838, abs=0.006)
    assert rna["accuracy"] == pytest.approx(0.5087, abs=0.006)
