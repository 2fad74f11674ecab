import numpy as np
import pandas as pd
import pytest

from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.evaluation.rankings import Rankings, kind_of

WINDOW = GeneWindow(
    gene="g",
    name="g",
    contig="chr1",
    start=10,
    end=14,
    strand="-",
    gene_strand="-",
    tss=12,
    split="test",
)


def _gene(**signals):
    return GeneMask(
        window=WINDOW,
        mask=np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32),
        signals={
            name: np.asarray(values, dtype=np.float32)
            for name, values in signals.items()
        },
        channels={
            "peaks": np.array([True, False, False, True]),
            "blacklist": np.zeros(4, dtype=bool),
        },
    )


def test_every_way_to_rank_a_base():
    gene = _gene(atac=[0, 1, 2, 4], k27=[1, 4, 2, 1], contact=[2, 2, 3, 1])
    found = Rankings().of(gene)
    assert list(found) == [
        "mask", "atac", "k27", "contact", "atac x contact", "k27 x contact",
        "all signals x contact", "distance", "upstream", "peaks", "random",
    ]  # fmt: skip
    np.testing.assert_allclose(found["atac x contact"], [0, 2, 6, 4])
    np.testing.assert_allclose(found["all signals x contact"], [0, 4, 6, 2])
    assert found["distance"].tolist() == [-2, -1, 0, -1]
    assert found["upstream"].tolist() == [-4, -3, -2, -1]
    assert found["peaks"].tolist() == [1, 0, 0, 1]
    assert not found["random"].any()
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}


def test_peaks_of_a_file():
    rows = pd.DataFrame({"start": [0, 13, 13], "end": [11, 14, 20]})
    peaks = {"a.bed": {"chr1": rows}, "b.bed": {"chr2": rows}}
    found = Rankings(peaks=peaks).of(_gene(atac=[0, 1, 2, 4]))
    assert list(found)[-4:] == ["peaks", "a.bed", "b.bed", "random"]
    assert found["a.bed"].tolist() == [1, 0, 0, 1]
    assert not found["b.bed"].any()


def test_products_are_on_the_measured_scale():
    gene = _gene(atac=np.log1p([0, 1, 2, 3]), contact=np.log10([2, 3, 4, 5]))
    measured = {"atac": np.expm1, "contact": lambda stored: 10**stored - 1}
    found = Rankings(measured=measured).of(gene)
    np.testing.assert_allclose(found["atac x contact"], [0, 2, 6, 12], rtol=1e-5)
    # Alone a signal stays as it is: no order changes.
    np.testing.assert_allclose(found["atac"], np.log1p([0, 1, 2, 3]), rtol=1e-6)
    assert "all signals x contact" not in found


def test_nothing_is_multiplied_without_contacts_and_a_mask_may_be_missing():
    gene = _gene(atac=[1, 2, 3, 4])
    assert "atac x contact" not in Rankings().of(gene)
    bare = GeneMask(window=WINDOW, mask=None)
    assert list(Rankings().of(bare)) == ["distance", "upstream", "random"]


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("mask", "mask"),
        ("atac", "signal"),
        ("contact", "signal"),
        ("atac x contact", "product"),
        ("all signals x contact", "product"),
        ("distance", "distance"),
        ("upstream", "distance"),
        ("random", "random"),
        ("peaks", "channel"),
    ],
)
def test_kinds(method, kind):
    assert kind_of(method, signals=("atac", "contact")) == kind
