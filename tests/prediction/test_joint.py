"""Every base is predicted once, whatever the region, the batch or the contig."""

import dataclasses

import numpy as np
import pytest

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.genome.alphabet import encode
from seqexp_tf.prediction.joint import count_windows, predict_bases, predict_regions
from seqexp_tf.records.regions import Region

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def _whole(model, reference, region, **options):
    parts = list(predict_regions(model, reference, [("r", region)], **options))
    assert parts[0].region.start == region.start
    return np.concatenate([part.values for part in parts], axis=1)


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize(
    "region",
    [Region("chr1", 0, 400), Region("chr1", 377, 400), Region("chr2", 3, 61),
     Region("chr10", 5, 30)],
)  # fmt: skip
def test_both_strands_of_a_region(
    base_model, reference, contigs, level, region, batch_size
):
    counted = []
    found = _whole(
        base_model,
        reference,
        region,
        batch_size=batch_size,
        progress=counted.append,
    )
    text = contigs[region.contig][region.start : region.end]
    np.testing.assert_allclose(found[0], level(text), rtol=1e-6)
    np.testing.assert_allclose(found[1], level(text.translate(COMPLEMENT)), rtol=1e-6)
    length = reference.sizes[region.contig]
    assert sum(counted) == count_windows(base_model, length, region)


def test_blocks_join(base_model, reference, monkeypatch):
    region = Region("chr1", 7, 391)
    whole = _whole(base_model, reference, region, batch_size=8)
    monkeypatch.setattr("seqexp_tf.prediction.joint.BLOCK", 50)
    regions = [("r", region), ("s", Region("chr2", 3, 9))]
    *parts, last = predict_regions(base_model, reference, regions, batch_size=8)
    assert len(parts) == 8 and {part.name for part in parts} == {"r"}
    np.testing.assert_array_equal(np.hstack([p.values for p in parts]), whole)
    assert np.concatenate([part.dna for part in parts]).size == len(region)
    assert last.name == "s" and last.values.shape == (2, 6)


def test_sequences_of_several_lengths(base_model, level):
    texts = ["ACGTN", "A", "GATTACA" * 5]
    found = predict_bases(base_model, [encode(t) for t in texts], batch_size=4)
    for text, values in zip(texts, found, strict=True):
        np.testing.assert_allclose(values[0], level(text), rtol=1e-6)
        np.testing.assert_allclose(
            values[1], level(text.translate(COMPLEMENT)), rtol=1e-6
        )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({}, "with no such output"),
        ({"expression": np.zeros((1, 4), "f4")}, r"float32 of shape \(1, 4\)"),
        ({"expression": np.zeros((2, 4), "f8")}, "with float64"),
        ({"expression": np.zeros((2, 3), "f4")}, "not of every base"),
        ({"expression": np.full((2, 4), np.nan, "f4")}, "not finite"),
    ],
)
def test_wrong_answers_are_refused(base_model, answer, message):
    broken = dataclasses.replace(base_model, answer=lambda *_: answer)
    with pytest.raises(RunError, match=message):
        predict_bases(broken, [encode("ACGT")], batch_size=8)


def test_beds_are_checked(reference, tmp_path):
    bed = tmp_path / "r.bed"
    bed.write_text("1\t0\t5\tfirst\n2\t60\t61\n")
    assert reference.regions(bed) == [
        ("first", Region("chr1", 0, 5)),
        ("chr2:61-61", Region("chr2", 60, 61)),
    ]
    for text, message in [
        ("1\t0\t5\n2\t60\t62\n", "line 2: 2:60-62 .* past the end .* 61 bases"),
        ("1\t5\t5\n", "line 1: 1:5-5 holds no base"),
        ("chrX\t5\t6\n", "line 1: .*genome.fa has no contig 'chrX'; nearest: chr2"),
        ("", "holds no interval"),
    ]:
        bed.write_text(text)
        with pytest.raises(InputError, match=message):
            reference.regions(bed)
