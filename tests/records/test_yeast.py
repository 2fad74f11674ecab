"""The recipes of real yeast."""

from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import verify

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def converted(yeast, tmp_path_factory):
    """Both routes: (folder, summary) by recipe name."""
    outcomes = {}
    for name in ("yeast_joint", "yeast_joint_raw"):
        recipe = read_recipe(RECIPES / f"{name}.toml", [f"source.root={yeast}"])
        folder = tmp_path_factory.mktemp(name)
        outcomes[name] = folder, convert(recipe, folder)
    return outcomes


def test_counts_of_the_archive_route(converted):
    folder, summary = converted["yeast_joint"]
    assert (summary.wanted, summary.dropped) == (23_364, {})
    assert summary.written == {"train": 18_154, "validation": 1_528, "test": 3_682}
    store = RecordStore.open(folder)
    assert store.schema.window == 2048
    held_out = store.manifest["splits"]["test"]["contigs"]
    assert held_out == ["chrIV", "chrIX"]


def test_counts_of_the_raw_route(converted):
    _, summary = converted["yeast_joint_raw"]
    assert summary.wanted == 23_528
    assert summary.dropped == {"touches an excluded region": 164}
    assert sum(summary.written.values()) == 23_364
    assert any("contig Mito left out" in note for note in summary.notes)


def test_statistics(converted):
    store = RecordStore.open(converted["yeast_joint"][0])
    labels = sum(store.statistics(split)["labels_01"] for split in store.splits)
    bases = sum(store.statistics(split)["bases_ACGTN"] for split in store.splits)
    # 0.4426 of the plus and 0.4360 of the minus strand of the genome, each base
    # counted once; windows overlap by half, so that the ends count less here.
    assert labels[1] / labels.sum() == pytest.approx((0.4426 + 0.4360) / 2, abs=0.001)
    assert labels.sum() == bases.sum() == 23_364 * 2048
    # The 16 nuclear chromosomes are 38.3 % G and C.
    assert (bases[1] + bases[2]) / bases.sum() == pytest.approx(0.383, abs=0.001)
    assert bases[4] == 0


def test_both_routes_give_the_same_bytes(converted):
    archive, raw = (converted[n][0] for n in ("yeast_joint", "yeast_joint_raw"))
    names = sorted(path.name for path in archive.glob("*.tfrecord.gz"))
    assert len(names) == 48
    for name in [*names, "windows.parquet"]:
        assert (archive / name).read_bytes() == (raw / name).read_bytes()
    assert verify(raw, full=True).problems == ()


def test_a_minus_strand_record_against_the_files(converted, yeast, tmp_path):
    store = RecordStore.open(converted["yeast_joint"][0])
    windows = store.windows("test")
    index = int(
        windows.index[(windows.contig == "chrIX") & (windows.strand == "-")][40]
    )
    record = store.read("test", index)
    place = record["start"], record["end"]
    genome = pack_fasta(
        yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz", tmp_path
    )
    forward = genome.fetch("IX", *place)
    np.testing.assert_array_equal(record["sequence"], 3 - forward[::-1])
    for track, row in (("minus", 0), ("plus", 1)):
        with BigWigTrack(yeast / f"rna/rna_pooled46_rpm.{track}.bw") as values:
            expected = values.values("chrIX", *place)[::-1] > 2
        np.testing.assert_array_equal(record["expression"][row], expected)
