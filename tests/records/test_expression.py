"""What a conversion of genes writes, checked base by base against the inputs."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import tomli_w

from seqexp_tf.config import build
from seqexp_tf.genome.annotation import read_annotation
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.half_life import FEATURES, half_life_features
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack, write_bigwig
from seqexp_tf.records import tasks
from seqexp_tf.records.convert import convert
from seqexp_tf.records.expression_inspection import describe_expression
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard
from seqexp_tf.records.verify import verify

SIZE = 200


def _records(store: RecordStore) -> list[dict]:
    return [
        {**store.decode(record, split=split, origin=path), "split": split}
        for split in store.splits
        for path in store.paths(split)
        for record in read_shard(path, compression=store.schema.compression)
    ]


def _files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def convert_with(tiny_genes, tmp_path_factory):
    """Converts the tiny genes with other tables; returns the store."""

    def run(**changes) -> RecordStore:
        folder = tmp_path_factory.mktemp("converted")
        convert(tiny_genes.recipe(**changes), folder)
        return RecordStore.open(folder)

    return run


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "oriented"])
def store(request, convert_with) -> RecordStore:
    return convert_with(windows={"size": SIZE, "oriented": request.param})


def _gene(tiny_genes, record) -> pd.Series:
    table = tiny_genes.genes
    return table[table.gene_id == record["gene"]].iloc[0]


def _places(record) -> np.ndarray:
    """The genomic position at each index of a record's arrays."""
    places = np.arange(record["start"], record["end"])
    return places if record["strand"] == "+" else places[::-1]


def test_every_base_of_every_record(store, tiny_genes):
    peaks = read_bed(tiny_genes.folder / "peaks.bed")
    oriented = store.schema.expression.oriented
    records = _records(store)
    assert len(records) == 30
    assert sum(record["start"] < 0 for record in records) == 3
    for record in records:
        gene = _gene(tiny_genes, record)
        contig, places = gene.chrom, _places(record)
        assert record["contig"] == contig
        assert record["strand"] == (gene.strand if oriented else "+")
        assert places[SIZE // 2] == gene.tss
        inside = (places >= 0) & (places < tiny_genes.sequence[contig].size)
        first, last = record["inside"]
        assert inside[first:last].all() and inside.sum() == last - first
        assert (record["sequence"][~inside] == 4).all()
        assert not record["signals"][:, ~inside].any()
        assert not record["channels"][:, ~inside].any()
        here = places[inside]
        bases = tiny_genes.sequence[contig][here]
        expected = bases if record["strand"] == "+" else 3 - bases
        np.testing.assert_array_equal(record["sequence"][inside], expected)
        for row, name in enumerate(("dnase", "k27ac")):
            values = np.nan_to_num(tiny_genes.signals[name][contig][here])
            np.testing.assert_array_equal(record["signals"][row, inside], values)
        covered = np.zeros(inside.sum(), dtype=bool)
        for peak in peaks[peaks.contig == contig].itertuples():
            covered |= (here >= peak.start) & (here < peak.end)
        np.testing.assert_array_equal(record["channels"][0, inside], covered)
        assert record["target"] == np.float32(np.log1p(gene.level))


def test_the_contact_of_every_base(store, tiny_genes):
    step, seen = tiny_genes.BIN, 0
    assert store.schema.expression.resolution == step
    for record in _records(store):
        gene = _gene(tiny_genes, record)
        matrix = tiny_genes.contacts[gene.chrom]
        row = np.log10(np.nan_to_num(matrix[gene.tss // step]) + 1)
        index = np.arange(*record["inside"])
        found = record["contact"][(index + record["contact_offset"]) // step]
        expected = row[_places(record)[index] // step]
        np.testing.assert_allclose(found, expected, atol=1e-6)
        seen += np.count_nonzero(found)
        assert 0 <= record["contact_offset"] < step
        assert record["contact"].shape == (4,)
    assert seen > 1000


def test_the_window_table(store, tiny_genes):
    table = store.windows()
    assert list(table.columns) == [
        *("split", "shard", "row", "contig", "start", "end", "strand", "id"),
        *("gene", "name", "gene_strand", "tss", "target"),
    ]
    expected = tiny_genes.genes.set_index("gene_id").loc[table.gene]
    assert table.name.tolist() == expected.symbol.tolist()
    assert table.gene_strand.tolist() == expected.strand.tolist()
    assert table.tss.tolist() == expected.tss.tolist()
    assert table.gene.is_unique
    assert set(table.split[table.contig == "chrII"]) == {"validation"}
    for record, row in zip(_records(store), table.itertuples(), strict=True):
        assert (record["gene"], record["start"]) == (row.gene, row.start)
        assert record["target"] == row.target
    # Records lie in genome order, so that neighbours share what is read.
    for _, rows in table.groupby(["split", "contig"]):
        assert rows.tss.is_monotonic_increasing
    assert verify(store.folder, full=True).problems == ()


def test_a_ceiling_lies_beside_the_target(convert_with, tiny_genes):
    target = {"column": "level", "transform": "log1p", "ceiling": "gc"}
    store = convert_with(target=target)
    table = store.windows()
    assert table.columns[-2:].tolist() == ["target", "ceiling"]
    expected = tiny_genes.genes.set_index("gene_id").loc[table.gene]
    np.testing.assert_allclose(table.ceiling, np.log1p(expected.gc), rtol=1e-6)
    test = table[table.split == "test"]
    pearson = np.corrcoef(test.target, test.ceiling)[0, 1]
    lines = describe_expression(store)
    (line,) = [line for line in lines if line.startswith("ceiling gc: Pearson")]
    assert line.endswith(f"test {pearson:.3f}")


def test_bases_are_counted_once_a_window(store):
    for split in store.splits:
        records = [r for r in _records(store) if r["split"] == split]
        outside = sum(SIZE - (r["inside"][1] - r["inside"][0]) for r in records)
        counts = store.statistics(split)
        assert counts["bases_outside"].tolist() == [outside]
        assert counts["bases_ACGTN"].sum() == len(records) * SIZE - outside


def test_transforms_and_their_statistics(convert_with, tiny_genes):
    steps = ["clip", "log1p", "zscore"]
    store = convert_with(
        signals={
            "scaled": {"path": "dnase.bw", "transform": steps, "clip": 4.0},
            "logs": {"path": "k27ac.bw", "transform": ["log1p"]},
        }
    )
    table = store.windows("train")
    covered = np.zeros(3000, dtype=bool)
    for start in table.start:
        covered[max(start, 0) : start + SIZE] = True
    # Training genes lie on chrI alone; every base of their windows counts once.
    raw = np.nan_to_num(tiny_genes.signals["dnase"]["chrI"])
    values = np.log1p(np.minimum(raw, 4.0))
    mean, sd = values[covered].mean(dtype=float), values[covered].std(dtype=float)
    scaled, logs = store.schema.expression.signals
    assert scaled.transform == "clip 4, log1p, zscore"
    assert (scaled.mean, scaled.sd) == pytest.approx((mean, sd), rel=1e-5)
    records = _records(store)
    everything = np.stack([record["signals"] for record in records])
    inside = np.zeros(everything[:, 0].shape, dtype=bool)
    for row, record in enumerate(records):
        inside[row, slice(*record["inside"])] = True
    assert scaled.minimum == everything[:, 0][inside].min() < 0
    assert scaled.maximum == everything[:, 0][inside].max()
    assert not everything[:, 0][~inside].any()
    assert logs.maximum == everything[:, 1].max()
    record = next(r for r in records if r["gene"] == "Ig3")
    places = _places(record)
    np.testing.assert_allclose(
        record["signals"][0], (values[places] - mean) / sd, atol=1e-4
    )
    np.testing.assert_array_equal(
        record["signals"][1],
        np.log1p(np.nan_to_num(tiny_genes.signals["k27ac"]["chrI"]))[places],
    )


def test_negative_values_where_allowed(convert_with, tiny_genes, tmp_path):
    sizes = {name: array.size for name, array in tiny_genes.sequence.items()}
    track = {name: -np.arange(size, dtype="f4") for name, size in sizes.items()}
    write_bigwig(tmp_path / "minus.bw", sizes, track)
    signal = {"path": str(tmp_path / "minus.bw"), "allow_negative": True}
    store = convert_with(
        signals={"below": signal, "dnase": {"path": "dnase.bw"}},
    )
    assert store.schema.expression.signals[0].minimum == -2999
    assert store.read("train", 4)["signals"][0].max() < 0


def test_target_from_coverage(convert_with, tiny_genes):
    store = convert_with(
        target={
            "coverage_plus": "plus.bw",
            "coverage_minus": "minus.bw",
            "width": 31,
            "transform": "log10p1",
            "unit": "tags",
        }
    )
    details = store.schema.expression.target
    assert (details.name, details.unit) == ("coverage", "tags")
    tracks = {
        strand: BigWigTrack(tiny_genes.folder / f"{name}.bw")
        for strand, name in (("+", "plus"), ("-", "minus"))
    }
    training = []
    for record in _records(store):
        gene = _gene(tiny_genes, record)
        size = tiny_genes.sequence[gene.chrom].size
        start, end = max(gene.tss - 15, 0), min(gene.tss + 16, size)
        values = tracks[gene.strand].values(gene.chrom, start, end)
        expected = np.log10(np.nansum(values) + 1)
        assert record["target"] == pytest.approx(expected, rel=1e-6)
        training += [expected] * (record["split"] == "train")
    assert details.mean == pytest.approx(np.mean(training), rel=1e-6)
    assert details.sd == pytest.approx(np.std(training), rel=1e-6)


@pytest.mark.parametrize("standardise", [True, False])
def test_features(convert_with, tiny_genes, tmp_path, standardise):
    store = convert_with(
        features={
            "columns": ["gc"],
            "half_life": {"annotation": "genes.gff3", "features": list(FEATURES[1:2])},
            "activity": {"accessibility": "dnase", "acetylation": "k27ac", "width": 50},
            "log1p": ["gc", "promoter_activity"],
            "standardise": standardise,
        },
        signals={
            "dnase": {"path": "dnase.bw", "transform": ["log1p", "zscore"]},
            "k27ac": {"path": "k27ac.bw"},
        },
    )
    names = [feature.name for feature in store.schema.expression.features]
    assert names == ["gc", "CDSLEN_log10", "promoter_activity"]
    genome = pack_fasta(tiny_genes.folder / "genome.fa", tmp_path)
    annotation = read_annotation(tiny_genes.folder / "genes.gff3")
    half_life = half_life_features(annotation, genome).set_index("gene")

    def raw(gene: pd.Series) -> list[float]:
        product, size = 1.0, tiny_genes.sequence[gene.chrom].size
        for name in ("dnase", "k27ac"):
            place = slice(max(gene.tss - 25, 0), min(gene.tss + 25, size))
            values = np.nan_to_num(tiny_genes.signals[name][gene.chrom][place])
            product *= values.mean(dtype=float)
        length = half_life.CDSLEN_log10[gene.gene_id]
        return [np.log1p(gene.gc), length, np.log1p(np.sqrt(product))]

    records = _records(store)
    values = np.array([raw(_gene(tiny_genes, record)) for record in records])
    training = np.array([record["split"] == "train" for record in records])
    mean, sd = values[training].mean(axis=0), values[training].std(axis=0)
    found = store.schema.expression.features
    assert [feature.mean for feature in found] == pytest.approx(mean, rel=1e-5)
    assert [feature.sd for feature in found] == pytest.approx(sd, rel=1e-5)
    if standardise:
        values = (values - mean) / sd
    np.testing.assert_allclose(
        np.stack([record["features"] for record in records]), values, atol=1e-4
    )


def test_a_feature_that_is_the_same_for_all_genes(tiny_genes, tmp_path):
    table = tiny_genes.genes.assign(gc=0.5)
    table.to_csv(tmp_path / "same.tsv", sep="\t", index=False)
    source = tiny_genes.source(genes=str(tmp_path / "same.tsv"))
    summary = convert(tiny_genes.recipe(source=source), tmp_path / "out")
    assert "feature gc: 0.5 for every training gene" in summary.notes
    assert RecordStore.open(tmp_path / "out").read("test", 2)["features"] == [0.0]


def test_genes_of_an_annotation(convert_with, tiny_genes):
    source = {
        key: value
        for key, value in tiny_genes.source(genes="genes.gff3").items()
        if key != "columns"
    }
    store = convert_with(
        source=source,
        features={},
        target={"coverage_plus": "plus.bw", "coverage_minus": "minus.bw"},
    )
    table = store.windows().set_index("gene")
    expected = tiny_genes.genes.set_index("gene_id")
    assert set(table.index) == set(expected.index)
    inner = [name for name in expected.index if not name.endswith(("g0", "g9"))]
    assert (table.tss[inner] == expected.tss[inner]).all()
    assert (table.gene_strand[inner] == expected.strand[inner]).all()
    assert "features" not in store.schema.by_name


def test_least_of_everything(tiny_genes, tmp_path):
    tables = tiny_genes.tables(source=tiny_genes.source(naming="fasta"))
    for name in ("signals", "contact", "channels", "features"):
        del tables[name]
    convert(build(ExpressionRecipe, tables, origin="least.toml"), tmp_path)
    store = RecordStore.open(tmp_path)
    assert list(store.schema.by_name) == ["sequence", "inside", "target"]
    # Without a signal the names are those of the FASTA.
    assert set(store.manifest["contigs"]) == {"I", "II", "III"}
    assert store.schema.expression.resolution == 0


def test_one_based_positions(convert_with, tiny_genes, tmp_path):
    table = tiny_genes.genes.assign(tss=tiny_genes.genes.tss + 1)
    table.to_csv(tmp_path / "genes.csv", index=False)
    source = tiny_genes.source(genes=str(tmp_path / "genes.csv"), tss_base=1)
    moved, plain = convert_with(source=source), convert_with()
    for one, other in zip(_records(moved), _records(plain), strict=True):
        for name in ("gene", "start", "sequence", "signals", "contact"):
            np.testing.assert_array_equal(one[name], other[name])


def test_wanted_contigs(tiny_genes, tmp_path):
    table = tiny_genes.genes.replace({"chrom": {"chrIII": "scaffold_7"}})
    table.to_csv(tmp_path / "genes.tsv", sep="\t", index=False)
    source = tiny_genes.source(genes=str(tmp_path / "genes.tsv"), on_missing="drop")
    recipe = tiny_genes.recipe(
        source={**source, "contigs": ["chrI"]},
        splits={"file": str(tmp_path / "splits.tsv")},
    )
    (tmp_path / "splits.tsv").write_text(
        "chrI 0 1200 train\nchrI 1200 2000 validation\nchrI 2000 3000 test\n"
    )
    summary = convert(recipe, tmp_path / "out")
    assert summary.wanted == 30
    assert summary.dropped["on a contig that the genome lacks"] == 10
    assert summary.dropped["on a contig that is not wanted"] == 10
    windows = RecordStore.open(tmp_path / "out").windows()
    crossing = summary.dropped["crosses a split border"]
    assert len(windows) + crossing == 10 and crossing >= 1
    # What hangs over the contig's end crosses no border.
    assert windows.start.min() < 0 and windows.end.max() > 3000


def test_genes_without_a_target_are_dropped(tiny_genes, tmp_path):
    table = tiny_genes.genes.copy()
    table.loc[[0, 5], "level"] = [np.nan, np.inf]
    table.to_csv(tmp_path / "genes.tsv", sep="\t", index=False)
    source = tiny_genes.source(genes=str(tmp_path / "genes.tsv"))
    target = {"column": "level", "on_missing": "drop"}
    summary = convert(tiny_genes.recipe(source=source, target=target), tmp_path / "out")
    assert summary.dropped == {"without a finite target level": 2}
    genes = set(RecordStore.open(tmp_path / "out").windows().gene)
    assert len(genes) == 28 and "Ig0" not in genes


def test_genes_of_some_value_are_kept(tiny_genes, tmp_path):
    recipe = tiny_genes.recipe(source=tiny_genes.source(keep={"strand": ["+"]}))
    summary = convert(recipe, tmp_path / "out")
    plus = (tiny_genes.genes.strand == "+").sum()
    assert sum(summary.written.values()) == plus
    assert summary.dropped == {"strand is not +": len(tiny_genes.genes) - plus}


def test_any_number_of_workers_gives_the_same_bytes(tiny_genes, tmp_path):
    recipe = tiny_genes.recipe(windows={"size": SIZE, "oriented": True})
    for workers in (1, 2):
        convert(recipe, tmp_path / str(workers), workers=workers)
    assert _files(tmp_path / "1") == _files(tmp_path / "2")


@pytest.mark.parametrize("rows", [1, 4])
def test_how_many_windows_are_read_together_does_not_matter(
    tiny_genes, store, tmp_path, monkeypatch, rows
):
    size = store.schema.record_bytes("train")
    monkeypatch.setattr(tasks, "_CHUNK_BYTES", rows * size)
    oriented = store.schema.expression.oriented
    recipe = tiny_genes.recipe(windows={"size": SIZE, "oriented": oriented})
    convert(recipe, tmp_path)
    assert _files(tmp_path) == _files(store.folder)


def test_where_files_come_from_is_no_part_of_the_dataset(tiny_genes, tmp_path):
    plain = tiny_genes.recipe()
    download = {"genome": {"url": "https://example.org/genome.fa"}}
    fingerprints = set()
    for number, recipe in enumerate([plain, tiny_genes.recipe(download=download)]):
        convert(recipe, tmp_path / str(number))
        fingerprints.add(RecordStore.open(tmp_path / str(number)).fingerprint)
    assert len(fingerprints) == 1


def test_the_schema_reads_back(store):
    content = json.loads((store.folder / "schema.json").read_text())
    assert content["coordinates"]["gene"] == "bytes"
    assert content["expression"]["target"]["name"] == "level"
    assert RecordStore.open(store.folder).schema == store.schema
    again = dataclasses.replace(store.schema, expression=None)
    assert "expression" not in json.loads(again.to_json())


def test_the_stored_recipe_converts_again(store, tmp_path):
    path = tmp_path / "again.toml"
    path.write_text(tomli_w.dumps(store.manifest["recipe"]))
    convert(read_recipe(path), tmp_path / "out")
    assert _files(tmp_path / "out") == _files(store.folder)
