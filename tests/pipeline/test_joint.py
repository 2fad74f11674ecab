"""Batches: masks, targets, weights, order and seeds."""

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.pipeline.augment import random_reverse_complement, reverse_feature
from seqexp_tf.pipeline.config import PipelineConfig
from seqexp_tf.pipeline.joint import (
    evaluation_batches,
    scored_batches,
    training_batches,
)
from seqexp_tf.pipeline.masking import expression_mask, mask_sequence
from seqexp_tf.pipeline.reader import parse_batch, read_in_order, read_records
from seqexp_tf.records.masks import MaskingConfig


def _training(store, *, steps, seed=1, first_step=0, **options):
    batches, per_epoch = training_batches(
        store,
        batch_size=8,
        masking=options.pop("masking", MaskingConfig()),
        pipeline=PipelineConfig(**options),
        seed=seed,
        first_step=first_step,
    )
    return list(batches.take(steps).as_numpy_iterator()), per_epoch


def _equal(first, second):
    flat = zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True)
    return all(np.array_equal(a, b) for a, b in flat)


class TestExpressionMask:
    @pytest.mark.parametrize("spans", [1, 2, 5])
    @pytest.mark.parametrize("fraction", [0.0, 0.3, 0.5, 1.0])
    def test_hides_the_fraction_in_disjoint_spans(self, spans, fraction):
        config = MaskingConfig(expression_fraction=fraction, expression_spans=spans)
        hidden = expression_mask((64, 200), config, tf.constant([1, 2], tf.int64))
        hidden = hidden.numpy()
        assert (hidden.sum(axis=1) == round(fraction * 200)).all()
        runs = (np.diff(np.pad(hidden.astype(int), ((0, 0), (1, 1)))) == 1).sum(axis=1)
        assert (runs <= spans).all()
        if 0 < fraction < 1:
            assert runs.max() == spans

    def test_every_start_occurs(self):
        config = MaskingConfig(expression_fraction=0.5)
        hidden = expression_mask((4000, 20), config, tf.constant([3, 4], tf.int64))
        starts = np.bincount(hidden.numpy().argmax(axis=1), minlength=11)
        assert starts.size == 11
        # 11 equally likely starts: 364 each, standard deviation 18.
        assert abs(starts - 4000 / 11).max() < 5 * 18

    def test_fraction_range(self):
        config = MaskingConfig(expression_fraction=0.2, expression_fraction_max=1.0)
        hidden = expression_mask((500, 100), config, tf.constant([5, 6], tf.int64))
        counts = hidden.numpy().sum(axis=1)
        assert counts.min() < 25
        assert counts.max() > 95


class TestMaskSequence:
    def test_shares_are_those_of_bert(self):
        sequence = tf.constant(np.full((200, 1000), 1, np.uint8))
        seen, selected = mask_sequence(
            sequence, MaskingConfig(), tf.constant([1, 1], tf.int64)
        )
        seen, selected = seen.numpy(), selected.numpy()
        assert selected.mean() == pytest.approx(0.15, abs=0.003)
        assert (seen[~selected] == 1).all()
        fate = np.bincount(seen[selected], minlength=6) / selected.sum()
        assert fate[5] == pytest.approx(0.8, abs=0.01)
        # Kept (10 %) and randomly the same base (a quarter of 10 %).
        assert fate[1] == pytest.approx(0.125, abs=0.01)
        assert fate[[0, 2, 3]] == pytest.approx(0.025, abs=0.005)
        assert fate[4] == 0

    def test_an_unknown_base_is_never_selected(self):
        sequence = tf.constant(np.full((4, 100), 4, np.uint8))
        seen, selected = mask_sequence(
            sequence, MaskingConfig(sequence_fraction=1.0), tf.constant([1, 1], "int64")
        )
        assert not selected.numpy().any()
        assert (seen.numpy() == 4).all()


class TestTrainingBatches:
    def test_shapes_types_and_weights(self, joint_store):
        (batch,), steps = _training(joint_store, steps=1)
        inputs, targets, weights = batch
        assert steps == joint_store.count("train") // 8
        assert inputs["sequence"].shape == (8, 128, 5)
        assert inputs["expression"].shape == (8, 128)
        assert inputs["sequence"].dtype == inputs["expression"].dtype == np.float32
        assert targets["sequence_logits"].dtype == np.int32
        for name, weight in weights.items():
            scored = weight > 0
            assert targets[name].shape == weight.shape == (8, 128)
            # A plain mean over positions is the mean over the scored ones.
            assert weight.sum(axis=1) == pytest.approx(128.0)
            assert len(np.unique(weight[0][scored[0]])) == 1

    def test_the_model_never_sees_a_hidden_label_or_token(self, joint_store):
        batches, _ = _training(joint_store, steps=20)
        for inputs, targets, weights in batches:
            hidden = weights["expression_logits"] > 0
            assert (inputs["expression"][hidden] == 0.5).all()
            shown = inputs["expression"] != 0.5
            assert np.array_equal(
                inputs["expression"][shown], targets["expression_logits"][shown]
            )
            token = inputs["sequence"].sum(axis=-1) == 0
            selected = weights["sequence_logits"] > 0
            label = targets["sequence_logits"]
            read = inputs["sequence"].argmax(axis=-1)
            # Where the label was never measured, no weight tells what is selected.
            measured = hidden | (inputs["expression"] != 0.5)
            untouched = ~selected & ~token & measured
            assert np.array_equal(read[untouched], label[untouched])

    def test_invalid_positions_are_unknown_and_never_scored(self, joint_store):
        seen_invalid = False
        records = read_in_order(joint_store, "train").batch(8)
        for batch in records:
            parsed = parse_batch(batch, joint_store.schema, "train")
            seen_invalid |= bool((parsed["valid"].numpy() == 0).any())
        assert seen_invalid
        batches, steps = _training(joint_store, steps=1000)
        unscored = 0
        for inputs, _, weights in batches[:steps]:
            shown = inputs["expression"] != 0.5
            scored = weights["expression_logits"] > 0
            assert not (shown & scored).any()
            unscored += (~shown & ~scored).sum()
        # Some label is neither shown nor scored: it was never measured.
        assert unscored > 0

    def test_one_seed_one_order(self, joint_store):
        first, _ = _training(joint_store, steps=30)
        second, _ = _training(joint_store, steps=30)
        other, _ = _training(joint_store, steps=30, seed=2)
        assert _equal(first, second)
        assert not _equal(first, other)

    @pytest.mark.parametrize("passed", [0, 5])
    def test_a_later_batch_does_not_need_the_earlier_ones(self, joint_store, passed):
        batches, steps = _training(joint_store, steps=100)
        first = 2 * steps + passed
        assert first + 3 <= 100
        later, _ = _training(joint_store, steps=3, first_step=first)
        assert _equal(batches[first : first + 3], later)

    def test_masks_are_drawn_afresh_each_epoch(self, joint_store):
        batches, steps = _training(joint_store, steps=100, shuffle_mb=0)
        first, second = batches[0], batches[steps]
        assert np.array_equal(first[1]["sequence_logits"], second[1]["sequence_logits"])
        assert not np.array_equal(
            first[2]["expression_logits"], second[2]["expression_logits"]
        )

    def test_cache_changes_nothing(self, joint_store):
        plain, _ = _training(joint_store, steps=60)
        memory, _ = _training(joint_store, steps=60, cache="memory")
        assert _equal(plain, memory)

    def test_an_epoch_holds_every_window_once(self, joint_store):
        batches, steps = training_batches(
            joint_store,
            batch_size=1,
            masking=MaskingConfig(),
            pipeline=PipelineConfig(),
            seed=1,
        )
        read = [
            labels["sequence_logits"].numpy().astype(np.uint8).tobytes()
            for _, labels, _ in batches.take(steps)
        ]
        stored = [
            joint_store.decode(record.numpy(), split="train", origin="")[
                "sequence"
            ].tobytes()
            for record in read_in_order(joint_store, "train")
        ]
        assert steps == joint_store.count("train")
        assert sorted(read) == sorted(stored)
        assert read != stored

    @pytest.mark.parametrize(
        ("masking", "silent"),
        [
            (MaskingConfig(sequence_fraction=0), "sequence_logits"),
            (MaskingConfig(expression_fraction=0), "expression_logits"),
        ],
    )
    def test_one_regime_leaves_the_other_untouched(self, joint_store, masking, silent):
        (batch,), _ = _training(joint_store, steps=1, masking=masking)
        inputs, _, weights = batch
        assert (weights[silent] == 0).all()
        if silent == "sequence_logits":
            assert (inputs["sequence"].sum(axis=-1) == 1).all()
        else:
            assert set(np.unique(inputs["expression"])) <= {0.0, 0.5, 1.0}

    def test_streams_share_out_whole_shards(self, joint_store):
        shared = [
            record.numpy()
            for stream in range(3)
            for record in read_records(joint_store, "train", stream=(stream, 3))
        ]
        everything = [record.numpy() for record in read_records(joint_store, "train")]
        assert sorted(shared) == sorted(everything)

    def test_more_streams_than_shards_is_refused(self, joint_store):
        with pytest.raises(
            DatasetError, match=r"4 shards, fewer than pipeline.streams"
        ):
            read_records(joint_store, "train", stream=(0, 5))

    @pytest.mark.parametrize("workers", [2, 4])
    def test_workers_have_parts_of_the_same_batches(self, joint_store, workers):
        def batches(first_step=0, worker=(0, 1)):
            found, steps = training_batches(
                joint_store,
                batch_size=8,
                masking=MaskingConfig(),
                pipeline=PipelineConfig(streams=4, reverse_complement=True),
                seed=1,
                first_step=first_step,
                worker=worker,
            )
            return list(found.take(steps + 2).as_numpy_iterator()), steps

        whole, steps = batches()
        parts = [batches(worker=(index, workers))[0] for index in range(workers)]
        for batch, *shares in zip(whole, *parts, strict=True):
            joined = tf.nest.map_structure(lambda *a: np.concatenate(a), *shares)
            assert _equal(batch, joined)
        # Each stream draws masks of its own.
        hidden = whole[0][2]["expression_logits"].reshape(4, 2, -1)
        assert len({each.tobytes() for each in hidden}) == 4
        assert _equal(whole[steps:], batches(first_step=steps)[0][:2])

    def test_no_window_is_there_twice_in_an_epoch_of_streams(self, joint_store):
        batches, steps = training_batches(
            joint_store,
            batch_size=4,
            masking=MaskingConfig(),
            pipeline=PipelineConfig(streams=2, cache="memory"),
            seed=1,
        )
        for _ in range(2):
            read = [
                row.tobytes()
                for _, labels, _ in batches.take(steps).as_numpy_iterator()
                for row in labels["sequence_logits"]
            ]
            assert len(set(read)) == len(read) == 4 * steps

    def test_a_batch_larger_than_the_split_is_refused(self, joint_store):
        with pytest.raises(DatasetError, match="do not fill a batch"):
            training_batches(
                joint_store,
                batch_size=100_000,
                masking=MaskingConfig(),
                pipeline=PipelineConfig(),
                seed=1,
            )


class TestEvaluationBatches:
    def test_workers_share_out_every_window_once(self, joint_store):
        options = {"batch_size": 8, "masking": MaskingConfig()}
        plain = evaluation_batches(joint_store, "test", **options)
        whole = tf.nest.map_structure(
            lambda *a: np.concatenate(a), *plain.as_numpy_iterator()
        )
        count = joint_store.count("test")
        assert count % 8
        parts = [
            list(
                evaluation_batches(
                    joint_store, "test", worker=(index, 2), **options
                ).as_numpy_iterator()
            )
            for index in (0, 1)
        ]
        assert len(parts[0]) == len(parts[1]) == -(-count // 8)
        batches = [part for both in zip(*parts, strict=True) for part in both]
        assert all(len(labels["sequence_logits"]) == 4 for _, labels, _ in batches)
        joined = tf.nest.map_structure(lambda *a: np.concatenate(a), *batches)
        inputs, labels, weights = tf.nest.map_structure(lambda a: a[:count], joined)
        assert _equal(whole[:2], (inputs, labels))
        for name, weight in weights.items():
            factor = 8 * len(parts[0]) / count
            np.testing.assert_allclose(weight, factor * whole[2][name], rtol=1e-6)
            assert not joined[2][name][count:].any()

    def test_reads_the_stored_masks(self, joint_store):
        batches = evaluation_batches(
            joint_store, "test", batch_size=7, masking=MaskingConfig()
        )
        assert batches.cardinality() == -(-joint_store.count("test") // 7)
        index = 0
        for inputs, targets, weights in batches.as_numpy_iterator():
            for row in range(len(inputs["expression"])):
                record = joint_store.read("test", index)
                hidden = record["expression_mask"].astype(bool)
                assert np.array_equal(weights["expression_logits"][row] > 0, hidden)
                assert (inputs["expression"][row][hidden] == 0.5).all()
                assert np.array_equal(
                    targets["sequence_logits"][row], record["sequence"]
                )
                one_hot = np.eye(6)[record["sequence_masked"]][:, :5]
                assert np.array_equal(inputs["sequence"][row], one_hot)
                index += 1
        assert index == joint_store.count("test")

    def test_no_tuner_sleeps_on_where_an_iterator_ends(self, joint_store):
        options = {"batch_size": 8, "masking": MaskingConfig()}
        training, _ = training_batches(
            joint_store, pipeline=PipelineConfig(), seed=1, **options
        )
        for batches in (
            training,
            evaluation_batches(joint_store, "test", **options),
            scored_batches(joint_store, "test", **options),
        ):
            assert batches.options().autotune.enabled is False

    def test_training_windows_have_no_fixed_masks(self, joint_store):
        with pytest.raises(DatasetError, match="no fixed masks"):
            evaluation_batches(
                joint_store, "train", batch_size=8, masking=MaskingConfig()
            )

    def test_unknown_split_is_named(self, joint_store):
        with pytest.raises(DatasetError, match='did you mean "test"'):
            scored_batches(joint_store, "tset", batch_size=8, masking=MaskingConfig())


class TestReverseComplement:
    def test_equals_the_record_of_the_other_strand(self, joint_store):
        schema = joint_store.schema
        table = joint_store.windows("train")
        records = next(iter(read_in_order(joint_store, "train").batch(64)))
        parsed = parse_batch(records, schema, "train")
        assert table.strand[:2].tolist() == ["+", "-"]
        for name, values in parsed.items():
            reversed_values = reverse_feature(values, schema.by_name[name]).numpy()
            values = values.numpy()
            assert np.array_equal(reversed_values[0::2], values[1::2])
            assert np.array_equal(reversed_values[1::2], values[0::2])
        assert not np.array_equal(
            parsed["expression"][:, 0].numpy(), parsed["expression"][:, 1].numpy()
        )

    def test_flips_about_half(self, joint_store):
        schema = joint_store.schema
        records = next(iter(read_in_order(joint_store, "train").batch(100)))
        parsed = parse_batch(records, schema, "train")
        flipped = random_reverse_complement(
            parsed, schema.by_name, tf.constant([1, 2], tf.int64)
        )
        changed = (flipped["sequence"].numpy() != parsed["sequence"].numpy()).any(
            axis=1
        )
        assert 30 < changed.sum() < 70
