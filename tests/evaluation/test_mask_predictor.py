import json

import keras
import numpy as np
import pytest

from seqexp_tf.errors import DatasetError, InputError, RunError
from seqexp_tf.evaluation.gene_tracks import (
    find_genes,
    gene_windows,
    measured_scales,
    read_tracks,
    require_genes,
)
from seqexp_tf.evaluation.mask_predictor import MaskPredictor
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import Run

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "oriented"])
def store(request, tiny_genes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    signals = {"dnase": {"path": "dnase.bw"}, "k27ac": {"path": "k27ac.bw"}}
    signals["dnase"]["transform"] = ["log1p"]
    windows = {"size": 200, "oriented": request.param}
    convert(tiny_genes.recipe(windows=windows, signals=signals), folder)
    return RecordStore.open(folder)


def _model(window, signals=3, *, broken=False):
    """Mask: the first signal squashed; expression: the number of A in the window."""
    inputs = {
        "sequence": keras.Input((window, 4), name="sequence"),
        "signals": keras.Input((window, signals), name="signals"),
    }
    first = keras.layers.Lambda(lambda x: x[..., 0])(inputs["signals"])
    mask = keras.layers.Lambda(lambda x: 1 - keras.ops.exp(-x))(first)
    count = keras.layers.Lambda(lambda x: keras.ops.sum(x[..., 0], axis=1))
    expression = count(inputs["sequence"])
    if broken:
        expression = keras.layers.Lambda(lambda x: x / (x - x))(expression)
    return keras.Model(inputs, {"expression": expression, "mask": mask})


def _predictor(store, *, window=0, batch_size=3, **options):
    return MaskPredictor(
        model=_model(window or store.schema.window, **options),
        store=store,
        pipeline=ExpressionPipelineConfig(window=window),
        batch_size=batch_size,
    )


def _expected(tiny_genes, name, gene):
    """What the bigWig says of a window, from left to right."""
    window = gene.window
    values = tiny_genes.signals[name][window.contig][window.start : window.end]
    return np.nan_to_num(values)


@pytest.mark.parametrize("window", [0, 80])
def test_masks_and_tracks_come_back_in_genomic_coordinates(store, tiny_genes, window):
    predictor = _predictor(store, window=window)
    genes = [gene for split in SPLITS for gene in predictor.predict(split, tracks=True)]
    assert len(genes) == 30
    sites = tiny_genes.genes.set_index("gene_id")
    turned = 0
    for gene in genes:
        site, place = sites.loc[gene.window.gene], gene.window
        assert (place.tss, place.gene_strand, place.name) == (
            site.tss,
            site.strand,
            site.symbol,
        )
        turned += place.strand == "-"
        size = store.manifest["contigs"][place.contig]
        half = (window or 200) // 2
        shift = int(place.strand == "-")
        assert place.start == max(place.tss - half + shift, 0)
        assert place.end == min(place.tss + half + shift, size)
        dnase = np.log1p(_expected(tiny_genes, "dnase", gene))
        np.testing.assert_allclose(gene.signals["dnase"], dnase, rtol=1e-6)
        np.testing.assert_allclose(gene.mask, 1 - np.exp(-dnase), atol=1e-6)
        np.testing.assert_array_equal(
            gene.signals["k27ac"], _expected(tiny_genes, "k27ac", gene)
        )
        bases = tiny_genes.sequence[place.contig][place.start : place.end]
        wanted = 0 if place.strand == "+" else 3
        assert gene.prediction == (bases == wanted).sum()
        assert gene.target == pytest.approx(np.log1p(site.level), rel=1e-6)
        _check_contact(gene, tiny_genes)
        assert gene.channels["peaks"].sum() == _peak_bases(place)
    assert (turned > 0) == store.schema.expression.oriented


def _check_contact(gene, tiny_genes):
    place = gene.window
    bins = np.arange(place.start, place.end) // tiny_genes.BIN
    row = tiny_genes.contacts[place.contig][place.tss // tiny_genes.BIN]
    expected = np.log10(np.nan_to_num(row[bins]) + 1)
    np.testing.assert_allclose(gene.signals["contact"], expected, atol=1e-6)


def _peak_bases(place):
    peaks = {"chrI": (110, 130), "chrII": (0, 10)}
    start, end = peaks.get(place.contig, (0, 0))
    return max(min(end, place.end) - max(start, place.start), 0)


def test_the_batch_size_and_the_choice_change_nothing(store):
    every = list(_predictor(store, batch_size=1).predict("train", tracks=True))
    chosen = {2, 3, 7}
    found = list(
        _predictor(store, batch_size=4).predict("train", chosen=chosen, tracks=True)
    )
    assert [gene.window for gene in found] == [every[row].window for row in (2, 3, 7)]
    for gene, row in zip(found, (2, 3, 7), strict=True):
        np.testing.assert_allclose(gene.mask, every[row].mask, rtol=1e-6)
        np.testing.assert_array_equal(
            gene.signals["dnase"], every[row].signals["dnase"]
        )


def test_progress_counts_every_gene(store):
    counted = []
    list(_predictor(store).predict("train", progress=counted.append))
    assert sum(counted) == store.count("train")


def test_an_answer_that_is_not_finite_names_the_gene(store):
    first = gene_windows(store, "test")[0].gene
    with pytest.raises(RunError, match=f"gene {first}: the model's answer is not"):
        list(_predictor(store, broken=True).predict("test"))


def test_the_measured_scale_undoes_the_transform(store, tiny_genes):
    scales = measured_scales(store.schema.expression)
    tracks = next(read_tracks(store, "train"))
    assert list(tracks.signals) == ["dnase", "k27ac", "contact"]
    window = gene_windows(store, "train")[0]
    part, inside = window.on_contig(store.manifest["contigs"][window.contig])
    dnase = window.genomic(scales["dnase"](tracks.signals["dnase"]))[inside]
    values = tiny_genes.signals["dnase"][window.contig][part.start : part.end]
    np.testing.assert_allclose(dnase, np.nan_to_num(values), rtol=1e-5)
    contact = scales["contact"](tracks.signals["contact"])
    np.testing.assert_allclose(
        np.log10(contact + 1), tracks.signals["contact"], atol=1e-6
    )


def test_a_z_score_is_undone(tiny_genes, tmp_path):
    signals = {"dnase": {"path": "dnase.bw", "transform": ["log1p", "zscore"]}}
    convert(tiny_genes.recipe(signals=signals), tmp_path / "d")
    store = RecordStore.open(tmp_path / "d")
    stored = next(read_tracks(store, "train")).signals["dnase"]
    window = gene_windows(store, "train")[0]
    part, inside = window.on_contig(store.manifest["contigs"][window.contig])
    values = tiny_genes.signals["dnase"][window.contig][part.start : part.end]
    found = measured_scales(store.schema.expression)["dnase"](stored.astype(float))
    np.testing.assert_allclose(found[inside], np.nan_to_num(values), atol=1e-5)


def test_genes_are_found_by_identifier_and_name(expression_store):
    found = find_genes(expression_store, ["Ig0", "NIIIg1"], splits=SPLITS)
    names = {
        gene_windows(expression_store, split)[row].gene
        for split, rows in found.items()
        for row in rows
    }
    assert names == {"Ig0", "IIIg1"}
    with pytest.raises(InputError, match="gene 'Ig99': .*no such gene in test"):
        find_genes(expression_store, ["Ig99"], splits=["test"])
    with pytest.raises(InputError, match="'NIIIG1': .*; nearest: .*NIIIg1"):
        find_genes(expression_store, ["NIIIG1"], splits=SPLITS)


def test_other_kinds_of_dataset_are_refused(joint_store):
    with pytest.raises(DatasetError, match="kind 'joint'; a model of genes needs"):
        require_genes(joint_store)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_open_gives_the_soft_mask_whatever_the_model_goes_by(
    kind, expression_store, write_gene_run, tmp_path
):
    weights = {"dnase": 1.0, "k27ac": 0.0, "contact": 0.0}
    folder = write_gene_run(
        tmp_path / "run", expression_store, mask={"kind": kind, "weights": weights}
    )
    predictor = MaskPredictor.open(Run.open(folder))
    assert predictor.has_mask and predictor.batch_size == 32
    gene = list(predictor.predict("test"))[4]
    kept = gene.window.promoter(20)
    assert kept.sum() == 20 and (gene.mask[kept] == 1).all()
    others = gene.mask[~kept]
    assert ((others > 0) & (others < 1)).all()
    assert np.unique(others).size > 10


def test_a_model_without_a_mask_still_predicts(
    expression_store, write_gene_run, tmp_path
):
    folder = write_gene_run(tmp_path / "run", expression_store, mask={"kind": "none"})
    predictor = MaskPredictor.open(Run.open(folder))
    assert not predictor.has_mask
    gene = next(predictor.predict("test"))
    assert gene.mask is None and np.isfinite(gene.prediction)


def test_a_damaged_shard_is_named(expression_store, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in expression_store.folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    shard = next(folder.glob("test*"))
    shard.write_bytes(shard.read_bytes()[:-20])
    store = RecordStore.open(folder)
    with pytest.raises(DatasetError, match=shard.name):
        list(_predictor(store).predict("test"))
    assert json.loads((folder / "manifest.json").read_text())["name"]
