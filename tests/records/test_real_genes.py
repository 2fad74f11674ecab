"""The recipes of real genes, checked against the files they come from."""

from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pytest

from seqexp_tf.genome.alphabet import reverse_complement
from seqexp_tf.genome.fasta import pack_fasta
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import verify

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"
ROMAN = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI".split()

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def yeast_store(yeast, tmp_path_factory) -> RecordStore:
    path = RECIPES / "yeast_expression.toml"
    folder = tmp_path_factory.mktemp("yeast")
    # All genes, also those that the recipe leaves out.
    overrides = [f"source.root={yeast}", "source.keep={}"]
    convert(read_recipe(path, overrides), folder)
    return RecordStore.open(folder)


@pytest.fixture(scope="module")
def k562_store(k562, tmp_path_factory) -> RecordStore:
    path = RECIPES / "k562_partial.toml"
    folder = tmp_path_factory.mktemp("k562")
    convert(read_recipe(path, [f"source.root={k562}"]), folder)
    return RecordStore.open(folder)


def test_the_genes_of_yeast(yeast_store, yeast):
    store, genes = yeast_store, pd.read_csv(yeast / "expression/genes.tsv.gz", sep="\t")
    counts = {split: store.count(split) for split in store.splits}
    # The study's held-out chromosomes: 836 and 241 genes; 435 on chrXIV.
    assert counts == {"train": 5060, "validation": 435, "test": 1077}
    windows = store.windows().set_index("gene").loc[genes.gene_id]
    assert windows.tss.tolist() == genes.tss.tolist()
    np.testing.assert_allclose(windows.target, np.log1p(genes.cage_rpm), rtol=1e-6)
    assert (windows.strand.to_numpy() == genes.strand.to_numpy()).all()
    assert verify(store.folder, full=True).problems == ()


def test_the_recipe_keeps_genes_of_a_measured_tss(yeast, tmp_path):
    recipe = read_recipe(RECIPES / "yeast_expression.toml", [f"source.root={yeast}"])
    summary = convert(recipe, tmp_path / "out")
    # The study's held-out chromosomes: 712 and 195 of these genes; 370 on chrXIV.
    assert summary.written == {"train": 4220, "validation": 370, "test": 907}
    assert summary.dropped == {"tss_source is not cage or tifseq": 1075}


def test_every_gene_around_its_start_codon(yeast, tmp_path):
    recipe = read_recipe(RECIPES / "yeast_start_codons.toml", [f"source.root={yeast}"])
    summary = convert(recipe, tmp_path / "out")
    assert summary.written == {"train": 5060, "validation": 435, "test": 1077}
    store, middle = RecordStore.open(tmp_path / "out"), 2304 // 2
    records = [store.read("test", number) for number in range(0, 1077, 20)]
    codons = [record["sequence"][middle : middle + 3].tolist() for record in records]
    assert codons == [[0, 3, 2]] * 54  # ATG, along the strand of the gene.


def test_windows_of_yeast_against_the_files(yeast_store, yeast, tmp_path):
    store, rng = yeast_store, np.random.default_rng(0)
    fasta = yeast / "genome/Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    genome = pack_fasta(fasta, tmp_path)
    tracks = [
        BigWigTrack(yeast / f"signals/{name}.bw")
        for name in (
            "atac_short_fragments_le120",
            "atac_tn5_cuts",
            "nucleosome_occupancy_brogaard_ncp",
        )
    ]
    peaks = read_bed(
        yeast / "signals/hmmratac_yeast500k_accessible_regions.narrowPeak.gz"
    )
    windows = store.windows("test")
    hanging = np.flatnonzero(windows.start < 0)[:2]
    assert hanging.size
    for number in [*rng.choice(len(windows), 6, replace=False), *hanging]:
        record = store.read("test", int(number))
        contig, size = record["contig"], store.manifest["contigs"][record["contig"]]
        first, last = max(record["start"], 0), min(record["end"], size)
        length = last - first
        turn = slice(None, None, -1 if record["strand"] == "-" else 1)
        inside = slice(*record["inside"])
        expected = genome.fetch(contig[3:], first, last)
        if record["strand"] == "-":
            expected = reverse_complement(expected)
        np.testing.assert_array_equal(record["sequence"][inside], expected)
        for row, track in enumerate(tracks):
            values = np.log1p(np.nan_to_num(track.values(contig, first, last)))[turn]
            np.testing.assert_array_equal(record["signals"][row, inside], values)
        mask = np.zeros(length, dtype=bool)
        for peak in peaks[peaks.contig == contig].itertuples():
            mask[max(peak.start - first, 0) : max(peak.end - first, 0)] = True
        np.testing.assert_array_equal(record["channels"][0, inside], mask[turn])
        _check_contact(
            record,
            cooler.Cooler(str(yeast / "hic/scer_g1_2kb_SRR8769554.cool")),
            f"chr{ROMAN.index(contig[3:]) + 1}",
            tss=int(windows.tss[number]),
            step=2000,
        )


def _check_contact(record, matrix, contig: str, *, tss: int, step: int) -> None:
    """Compares measured contacts; what was not measured follows a law."""
    row = matrix.matrix(balance=True).fetch(contig)[tss // step]
    places = np.arange(record["start"], record["end"])
    if record["strand"] == "-":
        places = places[::-1]
    index = np.arange(*record["inside"])
    found = record["contact"][(index + record["contact_offset"]) // step]
    bins = np.minimum(places[index] // step, row.size - 1)
    expected, here = np.log10(1000 * row[bins] + 1), places[index] // step < row.size
    measured = np.isfinite(expected) & here
    np.testing.assert_allclose(found[measured], expected[measured], atol=1e-5)


def test_signals_of_yeast_open_upstream_of_the_tss(yeast_store):
    """The nucleosome-free region lies before the TSS, the +1 nucleosome after it."""
    store = yeast_store
    profile = np.mean([store.read("test", n)["signals"] for n in range(0, 80)], axis=0)
    accessible = profile[0]
    assert accessible[1002:1152].mean() > 1.5 * accessible[1252:1402].mean()
    nucleosomes = profile[2]
    assert nucleosomes[1152:1302].mean() > 1.2 * nucleosomes[1042:1122].mean()


def test_the_genes_of_k562(k562_store, k562):
    store = k562_store
    genes = pd.read_csv(k562 / "genes/genes_full_window.tsv", sep="\t")
    genes = genes.set_index("gene_id")
    counts = {split: store.count(split) for split in store.splits}
    # Of 176 genes 4 have no RNA-seq value.
    assert counts == {"train": 77, "validation": 14, "test": 81}
    windows = store.windows().set_index("gene")
    expected = np.log10(genes.K562_RNA_TPM[windows.index] + 1)
    np.testing.assert_allclose(windows.target, expected, rtol=1e-6)
    assert (windows.tss == genes.TSS[windows.index] - 1).all()
    for split in store.splits:
        bases = store.statistics(split)["bases_ACGTN"]
        assert bases.sum() == counts[split] * 200_000
        # At most 737 N in a window.
        assert bases[4] <= 738 * counts[split]
    stored = sum(s.bytes for split in store.splits for s in store.shards(split))
    assert stored / len(windows) < 1e6


def test_a_window_of_k562_against_the_files(k562_store, k562):
    store = k562_store
    for number in (0, 40, 80):
        record = store.read("test", number)
        place = record["contig"], record["start"], record["end"]
        for row, name in enumerate(("H3K27ac_ENCFF232RQF", "DNase_ENCFF257HEE")):
            with BigWigTrack(k562 / f"signals/K562_{name}.slabs.bw") as track:
                values = np.nan_to_num(track.values(*place))
            np.testing.assert_array_equal(record["signals"][row], values)
        matrix = cooler.Cooler(str(k562 / "hic/K562_HiC_chr22_5kb.hg38.cool"))
        tss = int(store.windows("test").tss[number])
        contacts = matrix.matrix(balance=True, sparse=False).fetch(
            ("chr22", tss // 5000 * 5000, tss // 5000 * 5000 + 5000),
            ("chr22", record["start"] // 5000 * 5000, record["end"]),
        )[0]
        assert record["contact"].shape == (41,)
        measured = np.isfinite(contacts)
        np.testing.assert_allclose(
            record["contact"][: contacts.size][measured],
            np.log10(contacts[measured] + 1),
            atol=1e-6,
        )
    # Elsewhere the contact falls off with distance, as the law has it.
    contact = store.read("train", 3)["contact"]
    assert contact.argmax() in (19, 20, 21)
    assert (np.diff(contact[21:40]) < 0).all() and (np.diff(contact[:19]) > 0).all()
