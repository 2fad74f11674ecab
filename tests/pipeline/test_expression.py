"""Batches of genes against the records they come from."""

import numpy as np
import pytest

from seqexp_tf.config import build
from seqexp_tf.errors import ConfigError, DatasetError
from seqexp_tf.pipeline.config import ExpressionPipelineConfig
from seqexp_tf.pipeline.expression import (
    evaluation_batches,
    gene_ids,
    scored_batches,
    training_batches,
)
from seqexp_tf.pipeline.gene_example import INPUTS
from seqexp_tf.records.convert import convert
from seqexp_tf.records.expression_recipe import ExpressionRecipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.tfrecord import read_shard

SIZE, BIN = 200, 90
DNA = np.eye(5, 4, dtype="f4")


def _records(store: RecordStore, split: str) -> list[dict]:
    return [
        store.decode(record, split=split, origin=path)
        for path in store.paths(split)
        for record in read_shard(path, compression=store.schema.compression)
    ]


def _expected(record: dict, positions: np.ndarray, turned: bool) -> dict:
    """What a model reads of a record at some positions, base by base."""
    bases = record["sequence"][positions]
    if turned:
        bases = np.array([3, 2, 1, 0, 4])[bases]
    contact = record["contact"][(positions + record["contact_offset"]) // BIN]
    first, last = record["inside"]
    contact = np.where((positions >= first) & (positions < last), contact, 0)
    return {
        "sequence": DNA[bases],
        "signals": np.column_stack([*record["signals"][:, positions], contact]),
        "features": record["features"],
        "given": record["channels"][0, positions],
        "blocked": np.zeros(positions.size),
    }


def _training(store, steps: int, *, inputs=INPUTS, batch_size=3, seed=4, **options):
    pipeline = ExpressionPipelineConfig(**options)
    batches, epoch = training_batches(
        store, batch_size=batch_size, inputs=inputs, pipeline=pipeline, seed=seed
    )
    assert epoch == 10 // batch_size
    return list(batches.take(steps).as_numpy_iterator())


@pytest.fixture(scope="module", params=[False, True], ids=["forward", "oriented"])
def store(request, tiny_genes, tmp_path_factory) -> RecordStore:
    folder = tmp_path_factory.mktemp("genes")
    windows = {"size": SIZE, "oriented": request.param}
    convert(tiny_genes.recipe(windows=windows), folder)
    return RecordStore.open(folder)


@pytest.mark.parametrize("window", [0, 60])
def test_evaluation_batches(store, window):
    pipeline = ExpressionPipelineConfig(window=window, shift=5, reverse_complement=True)
    batches = scored_batches(
        store, "test", batch_size=4, inputs=INPUTS, pipeline=pipeline
    )
    assert batches.cardinality().numpy() == 3
    found = list(batches.as_numpy_iterator())
    assert [len(rows) for _, _, rows in found] == [4, 4, 2]
    positions = np.arange(SIZE)
    if window:
        positions = np.arange(SIZE // 2 - 30, SIZE // 2 + 30)
    records = _records(store, "test")
    table = store.windows("test")
    number = 0
    for inputs, targets, rows in found:
        assert set(inputs) == set(INPUTS) and set(targets) == {"expression"}
        for index, row in enumerate(rows):
            record = records[number]
            assert (row, table.gene[row]) == (number, record["gene"])
            for name, expected in _expected(record, positions, False).items():
                assert inputs[name].dtype == np.float32
                np.testing.assert_array_equal(inputs[name][index], expected)
            assert targets["expression"][index] == record["target"]
            number += 1
    plain = evaluation_batches(
        store, "test", batch_size=4, inputs=("sequence",), pipeline=pipeline
    )
    for (inputs, _, _), (only, _) in zip(found, plain.as_numpy_iterator(), strict=True):
        assert set(only) == {"sequence"}
        np.testing.assert_array_equal(only["sequence"], inputs["sequence"])


def test_the_tss_is_in_the_middle(store, tiny_genes):
    pipeline = ExpressionPipelineConfig(window=60)
    batches = scored_batches(
        store, "train", batch_size=10, inputs=("sequence",), pipeline=pipeline
    )
    table = store.windows("train")
    ((inputs, _, rows),) = batches.as_numpy_iterator()
    for index, row in enumerate(rows):
        base = tiny_genes.sequence[table.contig[row]][table.tss[row]]
        expected = base if table.strand[row] == "+" else 3 - base
        np.testing.assert_array_equal(inputs["sequence"][index, 30], DNA[expected])


def test_shifts_and_strands_turn_everything_alike(store):
    window, shift = 60, 7
    records = {r["gene"]: r for r in _records(store, "train")}
    pipeline = {"window": window, "shift": shift, "reverse_complement": True}
    seen = set()
    for step, (inputs, targets) in enumerate(_training(store, 30, **pipeline)):
        genes = gene_ids(
            store,
            batch_size=3,
            pipeline=ExpressionPipelineConfig(**pipeline),
            seed=4,
            max_windows=0,
            step=step,
        )
        for index, gene in enumerate(genes):
            record = records[gene]
            assert targets["expression"][index] == record["target"]
            matches = []
            for moved in range(-shift, shift + 1):
                begin = SIZE // 2 - window // 2 + moved
                positions = np.arange(begin, begin + window)
                for turned in (False, True):
                    order = positions[::-1] if turned else positions
                    expected = _expected(record, order, turned)
                    if (inputs["sequence"][index] == expected["sequence"]).all():
                        matches.append((moved, turned, expected))
            ((moved, turned, expected),) = matches
            seen.add((moved, turned))
            for name, values in expected.items():
                np.testing.assert_array_equal(inputs[name][index], values)
    # Of 30 combinations 90 draws leave few out.
    assert {turned for _, turned in seen} == {False, True}
    assert {moved for moved, _ in seen} == set(range(-shift, shift + 1))


def test_training_is_reproducible_and_resumes(store):
    pipeline = ExpressionPipelineConfig(window=60, shift=9, reverse_complement=True)
    first = _training(store, 9, window=60, shift=9, reverse_complement=True)
    again = _training(store, 9, window=60, shift=9, reverse_complement=True)
    other = _training(store, 9, window=60, shift=9, reverse_complement=True, seed=5)
    resumed, _ = training_batches(
        store,
        batch_size=3,
        inputs=INPUTS,
        pipeline=pipeline,
        seed=4,
        first_step=7,
    )
    for (one, _), (two, _) in zip(first, again, strict=True):
        np.testing.assert_array_equal(one["sequence"], two["sequence"])
    later = list(resumed.take(2).as_numpy_iterator())
    for (one, _), (two, _) in zip(first[7:], later, strict=True):
        for name in INPUTS:
            np.testing.assert_array_equal(one[name], two[name])
    assert any(
        (one["sequence"] != two["sequence"]).any()
        for (one, _), (two, _) in zip(first, other, strict=True)
    )


def test_every_gene_once_an_epoch(store):
    # 10 genes, batches of 5.
    seen = []
    for step in range(4):
        seen += gene_ids(
            store,
            batch_size=5,
            pipeline=ExpressionPipelineConfig(),
            seed=1,
            max_windows=0,
            step=step,
        )
    genes = set(store.windows("train").gene)
    assert set(seen[:10]) == set(seen[10:]) == genes
    assert seen[:10] != seen[10:]


def test_a_subset(store):
    pipeline = ExpressionPipelineConfig()
    options = {"inputs": ("features",), "pipeline": pipeline, "seed": 3}
    _, steps = training_batches(store, batch_size=2, max_windows=5, **options)
    assert steps == 2


def test_workers_have_parts_of_the_same_batches(store):
    pipeline = ExpressionPipelineConfig(
        window=60, shift=9, reverse_complement=True, streams=2
    )

    def batches(**options):
        found, steps = training_batches(
            store, batch_size=4, inputs=INPUTS, pipeline=pipeline, seed=4, **options
        )
        return list(found.take(4).as_numpy_iterator()), steps

    whole, steps = batches()
    assert steps == 1  # 10 genes in 3 shards: the second stream has 3 of them.
    parts = [batches(worker=(index, 2))[0] for index in (0, 1)]
    for step, (batch, *shares) in enumerate(zip(whole, *parts, strict=True)):
        for index, (inputs, targets) in enumerate(shares):
            rows = slice(2 * index, 2 * index + 2)
            assert (targets["expression"] == batch[1]["expression"][rows]).all()
            for name in INPUTS:
                np.testing.assert_array_equal(inputs[name], batch[0][name][rows])
        genes = gene_ids(
            store, batch_size=4, pipeline=pipeline, seed=4, max_windows=0, step=step
        )
        table = store.windows("train").set_index("gene")
        assert len(genes) == len(set(genes)) == 4
        assert set(genes) <= set(table.index)


def test_workers_share_out_every_gene_of_a_split_once(store):
    options = {"inputs": ("features",), "pipeline": ExpressionPipelineConfig()}
    plain = evaluation_batches(store, "train", batch_size=4, **options)
    expected = np.concatenate([y["expression"] for _, y in plain.as_numpy_iterator()])
    parts = [
        list(
            evaluation_batches(
                store, "train", batch_size=4, worker=(index, 2), **options
            ).as_numpy_iterator()
        )
        for index in (0, 1)
    ]
    both = [part for pair in zip(*parts, strict=True) for part in pair]
    found = np.concatenate([targets["expression"] for _, targets, _ in both])
    weights = np.concatenate([weights for _, _, weights in both])
    assert found.size == 12
    np.testing.assert_array_equal(found[:10], expected)
    np.testing.assert_allclose(weights, [1.2] * 10 + [0.0] * 2, rtol=1e-6)


def test_a_blacklist_is_blocked(tiny_genes, tmp_path):
    (tmp_path / "bad.bed").write_text("chrIII\t0\t600\n")
    channels = {"blacklist": str(tmp_path / "bad.bed"), "peaks": "peaks.bed"}
    convert(tiny_genes.recipe(channels=channels), tmp_path / "out")
    store = RecordStore.open(tmp_path / "out")
    batches = evaluation_batches(
        store,
        "test",
        batch_size=10,
        inputs=("blocked", "given"),
        pipeline=ExpressionPipelineConfig(),
        given="blacklist",
    )
    ((inputs, _),) = batches.as_numpy_iterator()
    blacklist = store.schema.by_name["channels"].tracks.index("blacklist")
    expected = np.stack([r["channels"][blacklist] for r in _records(store, "test")])
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(inputs["blocked"], expected)
    np.testing.assert_array_equal(inputs["given"], expected)


def test_what_cannot_be_read(store, joint_store, tiny_genes, tmp_path):
    def message(error, given_store=store, *, inputs=INPUTS, batch_size=3, **options):
        given = options.pop("given", "peaks")
        with pytest.raises(error) as refusal:
            training_batches(
                given_store,
                batch_size=batch_size,
                inputs=inputs,
                pipeline=ExpressionPipelineConfig(**options),
                seed=0,
                given=given,
            )
        return str(refusal.value)

    assert f"{joint_store.folder}: a dataset of kind 'joint'" in message(
        DatasetError, joint_store
    )
    assert "10 training windows do not fill a batch of 11" in message(
        DatasetError, batch_size=11
    )
    assert "can be shifted by 70 at most" in message(ConfigError, window=60, shift=71)
    assert "can be shifted by 0 at most" in message(ConfigError, shift=1)
    assert "pipeline.window is 202" in message(ConfigError, window=202)
    assert "'signal' is no input" in message(ConfigError, inputs=("signal",))
    assert "holds no channel 'peeks'; did you mean \"peaks\"?" in message(
        DatasetError, given="peeks"
    )
    tables = tiny_genes.tables(signals={}, features={})
    del tables["contact"]
    tables["source"]["naming"] = "fasta"
    convert(build(ExpressionRecipe, tables, origin="test"), tmp_path)
    bare = RecordStore.open(tmp_path)
    assert "holds no signals" in message(DatasetError, bare, inputs=("signals",))
    assert "holds no features" in message(DatasetError, bare, inputs=("features",))
