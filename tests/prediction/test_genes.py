"""Genes and variants in their windows, under a model whose answer is a closed form."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.errors import DatasetError, InputError, RunError
from seqexp_tf.evaluation.mask_predictor import MaskPredictor
from seqexp_tf.genome.alphabet import ALPHABET, encode
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.vcf import Allele
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.prediction.gene_variants import gene_effects
from seqexp_tf.prediction.genes import GenePredictor
from seqexp_tf.prediction.model import PredictionModel
from seqexp_tf.prediction.reference import open_reference
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import Run

WEIGHTS = np.random.default_rng(1).normal(size=(200, 5))
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "oriented"])
def store(request, tiny_genes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    windows = {"size": 200, "oriented": request.param}
    convert(tiny_genes.recipe(windows=windows), folder)
    return RecordStore.open(folder)


@pytest.fixture
def reference(tiny_genes, tmp_path):
    path = tiny_genes.folder / "genome.fa"
    with open_reference(path, scratch=tmp_path) as opened:
        yield opened


def level(dna):
    """Every base counts by its place in the window."""
    skip = (len(WEIGHTS) - len(dna)) // 2
    return WEIGHTS[skip + np.arange(len(dna)), encode(dna)].sum()


def model_of(store, window=200):
    def answer(inputs, outputs):
        assert inputs["signals"].shape == (len(inputs["dna"]), window, 3)
        assert not inputs["average_strands"].any()
        values = np.array([level(dna) for dna in inputs["dna"]], np.float32)
        return {"expression": values + inputs["signals"][:, window // 2, 0]}

    return PredictionModel(
        path=Path("model"),
        task="expression",
        window=window,
        inputs=("dna", "signals", "average_strands"),
        outputs=("expression",),
        answer=answer,
        signals=("dnase", "k27ac", "contact"),
        details=store.schema.expression,
    )


def _text(tiny_genes, contig):
    return "".join(np.array(list(ALPHABET))[tiny_genes.sequence[contig]])


def _alleles(tiny_genes, count=60):
    rng = np.random.default_rng(8)
    for number in range(count):
        contig = rng.choice(["chrI", "chrII", "chrIII"])
        text = _text(tiny_genes, contig)
        replaced = int(rng.choice([1, 1, 2, 7, 30]))
        at = int(rng.integers(0, len(text) - replaced))
        inserted = "".join(rng.choice(list("ACGT"), int(rng.choice([0, 1, 5, 20]))))
        allele = Allele(
            f"v: line {number}",
            contig,
            at + 1,
            None,
            text[at : at + replaced],
            text[at] + inserted,
        )
        yield contig[3:], allele


def _expected(tiny_genes, window, allele):
    """What the window holds once the contig itself was changed."""
    text = _text(tiny_genes, window.contig)
    start, replaced, inserted = allele.trimmed()
    end = start + len(replaced)
    changed = text[:start] + inserted + text[end:]
    moved = len(inserted) - len(replaced) if end <= window.tss else 0
    padded = "N" * 300 + changed + "N" * 300
    low = window.start + moved + 300
    dna = padded[low : low + len(window)]
    return dna if window.strand == "+" else dna.translate(COMPLEMENT)[::-1]


@pytest.mark.parametrize(("window", "batch_size"), [(200, None), (80, 2)])
def test_effects_are_those_of_a_changed_genome(
    store, reference, tiny_genes, window, batch_size
):
    model = model_of(store, window)
    predictor = GenePredictor.open(model, store, batch_size=batch_size)
    alleles = list(_alleles(tiny_genes))
    found = list(gene_effects(predictor, reference, alleles))
    order = {allele.place: number for number, (_, allele) in enumerate(alleles)}
    numbers = [order[effect.allele.place] for effect in found]
    assert numbers == sorted(numbers)
    pairs = {(effect.allele.place, effect.window.gene) for effect in found}
    assert len(pairs) == len(found) > 20
    for effect in found:
        before = level(_expected(tiny_genes, effect.window, _nothing(effect.allele)))
        after = level(_expected(tiny_genes, effect.window, effect.allele))
        change = effect.alternative - effect.reference
        assert change == pytest.approx(after - before, abs=1e-4)
    for _, allele in alleles:
        start, replaced, _ = allele.trimmed()
        for split in store.splits:
            for place in predictor.windows(split):
                if place.contig != allele.contig:
                    continue
                inside = place.start < start + len(replaced) and start < place.end
                assert ((allele.place, place.gene) in pairs) == inside


def _nothing(allele):
    return dataclasses.replace(allele, alternative=allele.reference)


@pytest.mark.parametrize("store", [False], indirect=True, ids=["forward"])
def test_many_alleles_go_in_passes(store, reference, tiny_genes, monkeypatch):
    predictor = GenePredictor.open(model_of(store), store)
    alleles = list(_alleles(tiny_genes))
    whole = list(gene_effects(predictor, reference, alleles))
    monkeypatch.setattr("seqexp_tf.prediction.gene_variants.ALLELES_AT_ONCE", 25)
    passes = list(gene_effects(predictor, reference, alleles))
    assert [(e.allele, e.window) for e in passes] == [
        (e.allele, e.window) for e in whole
    ]
    np.testing.assert_allclose(
        [e.alternative for e in passes], [e.alternative for e in whole], rtol=1e-6
    )


def test_another_genome_is_refused(store, tiny_genes, tmp_path):
    predictor = GenePredictor.open(model_of(store), store)
    changed = {name[3:]: bases.copy() for name, bases in tiny_genes.sequence.items()}
    for bases in changed.values():
        bases[:] = (bases + 1) % 4
    write_fasta(tmp_path / "other.fa", changed)
    alleles = list(_alleles(tiny_genes, 3))
    with open_reference(tmp_path / "other.fa", scratch=tmp_path) as other:
        with pytest.raises(InputError, match="window of gene .* differs from that of"):
            list(gene_effects(predictor, other, alleles))
    changed["I"] = changed["I"][:-1]
    write_fasta(tmp_path / "other.fa", changed)
    with open_reference(tmp_path / "other.fa", scratch=tmp_path) as other:
        with pytest.raises(InputError, match="'I' has 2,999 bases, but 3,000 in"):
            list(gene_effects(predictor, other, alleles))


def test_datasets_that_do_not_fit_are_refused(store, joint_store):
    model = model_of(store)
    for changes, message in [
        ({"signals": ("dnase",)}, "its signals is"),
        ({"window": 400}, "windows of 200 bases, but model reads 400"),
        (
            {"details": dataclasses.replace(model.details, resolution=5000)},
            "the bin of contacts is 90, but model was trained on 5000",
        ),
    ]:
        with pytest.raises(DatasetError, match=message):
            GenePredictor.open(dataclasses.replace(model, **changes), store)
    with pytest.raises(DatasetError, match="kind 'joint'"):
        GenePredictor.open(model, joint_store)


def test_an_answer_that_is_not_finite_names_the_gene(store):
    broken = dataclasses.replace(
        model_of(store),
        answer=lambda inputs, _: {
            "expression": np.full(len(inputs["dna"]), np.nan, np.float32)
        },
    )
    predictor = GenePredictor.open(broken, store)
    gene = predictor.windows("test")[0].gene
    with pytest.raises(RunError, match=f"gene {gene}: the model's answer is not"):
        list(predictor.predict("test"))


@pytest.fixture(scope="module")
def gene_run(store, write_gene_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    # What a served model calls its mask is the one it multiplies with.
    return Run.open(write_gene_run(folder, store, mask={"kind": "soft"}))


def test_a_split_is_what_masks_are_predicted_for(gene_run, store):
    from seqexp_tf.prediction.model import open_model

    model = open_model(gene_run.folder)
    assert model.dataset.samefile(store.folder) and model.has_mask
    found = list(GenePredictor.open(model, store, batch_size=3).predict("train"))
    expected = list(MaskPredictor.open(gene_run).predict("train"))
    assert len(found) == store.count("train")
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.window == theirs.window and mine.target == theirs.target
        assert mine.prediction == pytest.approx(theirs.prediction, abs=1e-5)
        np.testing.assert_allclose(mine.mask, theirs.mask, atol=1e-5)


def test_an_average_over_strands(gene_run, store, gene_batch):
    from seqexp_tf.prediction.model import open_model

    model = open_model(gene_run.folder)
    plain, mean = (
        next(GenePredictor.open(model, store, average_strands=a).predict("test"))
        for a in (False, True)
    )
    keras_model = gene_run.load_model()
    names = [tensor.name for tensor in keras_model.inputs]
    from seqexp_tf.pipeline.expression import scored_batches

    batch = scored_batches(
        store,
        "test",
        batch_size=1,
        inputs=names,
        pipeline=ExpressionPipelineConfig(),
    )
    inputs, _, _ = next(batch.as_numpy_iterator())
    turned = {
        name: values[:, ::-1] if values.ndim > 1 and name != "features" else values
        for name, values in inputs.items()
    }
    turned["sequence"] = turned["sequence"][..., ::-1]
    both = [
        float(keras_model.predict_on_batch(x)["expression"][0])
        for x in (inputs, turned)
    ]
    assert plain.prediction == pytest.approx(both[0], abs=1e-5)
    assert mean.prediction == pytest.approx(np.mean(both), abs=1e-5)
