"""The simulated genome: its truth is in its files, and its function is known."""

import builtins
import gzip
import hashlib
import importlib.util
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from seqexp_tf.cli.simulate import command
from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.alphabet import decode, encode, reverse_complement
from seqexp_tf.genome.archive import read_archive
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation
from seqexp_tf.simulate.effects import (
    ADDITIVE,
    BASELINE,
    BIN,
    DECAY,
    ENHANCER_SCALE,
)
from seqexp_tf.simulate.layout import contig_sizes
from seqexp_tf.simulate.motifs import LIBRARY, TATA
from seqexp_tf.simulate.signals import balancing_weights, pileup

SMALL = SimulationConfig(seed=3, contigs=2, contig_length=60_000)
STOPS = {"TAA", "TAG", "TGA"}
HAS_COOLER = importlib.util.find_spec("cooler") is not None
needs_cooler = pytest.mark.skipif(not HAS_COOLER, reason="cooler is not installed")


@pytest.fixture(scope="module")
def simulation():
    return simulate(SimulationConfig(seed=7, contigs=3))


@pytest.fixture(scope="module")
def small():
    return simulate(SMALL)


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("simulated") / "out"
    return write_simulation(small, out, contacts=HAS_COOLER)


def oriented(simulation, row):
    """Bases of a row's interval, read on its strand."""
    bases = simulation.sequence[row.contig][row.start : row.end]
    return reverse_complement(bases) if row.strand == "-" else bases


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# The truth is in the sequence.


def test_every_site_is_in_the_sequence_on_its_strand(simulation):
    sites = simulation.elements.drop_duplicates("element")
    sites = sites[~sites["kind"].isin(["enhancer", "decoy"])]
    for row in sites.itertuples():
        motif = LIBRARY[row.motif]
        match = motif.match(oriented(simulation, row))
        assert row.end - row.start == len(motif)
        assert row.strength == match * (motif.strength or 1.0)
    # Sampled sites resemble their motif; unplanted positions do not.
    means = sites.assign(
        match=sites["strength"] / sites["motif"].map(lambda m: LIBRARY[m].strength or 1)
    )
    assert means.groupby("motif")["match"].mean().min() > 0.6
    wrong = [
        LIBRARY[row.motif].match(reverse_complement(oriented(simulation, row)))
        for row in sites[sites["kind"] == "promoter_motif"].itertuples()
    ]
    assert np.mean(wrong) < 0.2


def test_tata_box_lies_31_bases_upstream_of_its_tss(simulation):
    boxes = simulation.elements[simulation.elements["kind"] == "tata"]
    genes = simulation.genes.set_index("gene").loc[boxes["gene"]]
    plus = (genes["strand"] == "+").to_numpy()
    start, end = boxes["start"].to_numpy(), boxes["end"].to_numpy()
    tss = genes["tss"].to_numpy()
    np.testing.assert_array_equal((start - tss)[plus], -31)
    np.testing.assert_array_equal((tss - end + 1)[~plus], -31)
    np.testing.assert_array_equal(boxes["strand"], genes["strand"])
    assert set(simulation.genes["gene"]) - set(boxes["gene"]) == set(
        simulation.genes.loc[simulation.genes["silent"], "gene"]
    )


def test_terminator_ends_its_transcript(simulation):
    ends = simulation.elements[simulation.elements["kind"] == "terminator"]
    genes = simulation.genes.set_index("gene").loc[ends["gene"]]
    assert len(ends) == len(simulation.genes)
    plus = (genes["strand"] == "+").to_numpy()
    np.testing.assert_array_equal(ends["end"][plus], genes["end"][plus])
    np.testing.assert_array_equal(ends["start"][~plus], genes["start"][~plus])


def test_working_promoters_have_forward_sites_and_silent_ones_reversed(simulation):
    genes = simulation.genes.set_index("gene")
    sites = simulation.elements[
        simulation.elements["kind"].isin(["promoter_motif", "reversed_motif"])
    ]
    own = genes.loc[sites["gene"]]
    same = sites["strand"].to_numpy() == own["strand"].to_numpy()
    np.testing.assert_array_equal(same, ~own["silent"].to_numpy())
    families = sites["motif"].map(lambda name: LIBRARY[name].family)
    np.testing.assert_array_equal(families, own["family"])
    counts = sites.groupby("gene").size()
    assert set(counts) == {1, 2, 3}


def test_coding_sequences(simulation):
    for gene in simulation.genes.itertuples():
        bases = simulation.sequence[gene.contig][gene.cds_start : gene.cds_end]
        text = decode(reverse_complement(bases) if gene.strand == "-" else bases)
        codons = [text[at : at + 3] for at in range(0, len(text), 3)]
        assert len(text) % 3 == 0
        assert codons[0] == "ATG"
        assert codons[-1] in STOPS
        assert not STOPS & set(codons[:-1])
        assert gene.start < gene.cds_start < gene.cds_end < gene.end
        assert gene.tss == (gene.start if gene.strand == "+" else gene.end - 1)


def test_genes_are_yeast_like(simulation):
    genes = simulation.genes
    lengths = genes["end"] - genes["start"]
    assert lengths.between(400, 1500).all()
    assert genes["strand"].value_counts(normalize=True).min() > 0.4
    total = sum(simulation.sizes.values())
    covered = lengths.groupby(genes["strand"]).sum() / total
    assert covered.between(0.3, 0.5).all()
    for _, rows in genes.groupby("contig"):
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()
    assert len(set(simulation.sizes.values())) == len(simulation.sizes)


def test_composition_tells_coding_from_intergenic(simulation):
    contig, bases = next(iter(simulation.sequence.items()))
    rows = simulation.genes[simulation.genes["contig"] == contig]
    coding = np.zeros(bases.size, bool)
    purine_first = []
    for gene in rows.itertuples():
        coding[gene.start : gene.end] = True
        cds = bases[gene.cds_start : gene.cds_end]
        cds = reverse_complement(cds) if gene.strand == "-" else cds
        purine = np.isin(cds, [0, 2]).reshape(-1, 3).mean(axis=0)
        purine_first.append(purine[0] - purine[1:].mean())
    gc = np.isin(bases, [1, 2])
    known = bases < 4
    assert gc[coding].mean() - gc[~coding & known].mean() > 0.1
    assert np.mean(np.array(purine_first) > 0) > 0.95


def test_runs_of_n_are_dark_and_outside_every_element(simulation):
    for contig, bases in simulation.sequence.items():
        unknown = bases == 4
        edges = np.flatnonzero(np.diff(unknown.astype(int)))
        assert edges.size == 4  # two runs
        assert np.diff(edges)[::2].min() >= 100
        for values in (
            simulation.coverage_plus,
            simulation.coverage_minus,
            simulation.accessibility,
            simulation.h3k27ac,
        ):
            assert not values[contig][unknown].any()
        for table in (simulation.genes, simulation.elements):
            for row in table[table["contig"] == contig].itertuples():
                assert not unknown[row.start : row.end].any()


# Expression is the known function of sequence and contact.


def test_expression_is_the_known_function(simulation):
    genes = simulation.genes.set_index("gene")
    elements = simulation.elements
    for name, gene in genes.iterrows():
        own = elements[elements["gene"] == name]
        log = BASELINE + own[own["kind"].isin(ADDITIVE)]["effect"].sum()
        assert gene["expression_noiseless"] == pytest.approx(np.exp(log), rel=1e-12)


def test_expression_follows_from_sequence_and_loops_alone(simulation):
    """Computes it again from bases and loops, without the effect column."""
    elements = simulation.elements
    parts = elements.drop_duplicates("element")
    parts = parts.assign(
        match=[
            LIBRARY[row.motif].match(oriented(simulation, row))
            if row.motif in LIBRARY
            else 0.0
            for row in parts.itertuples()
        ]
    )
    parts["pull"] = parts["match"] * parts["motif"].map(
        lambda name: LIBRARY[name].strength if name in LIBRARY else 0.0
    )
    regions = parts[parts["kind"] == "enhancer"].set_index("element")
    power = parts[parts["kind"] == "enhancer_motif"].groupby("parent")["pull"].sum()
    for gene in simulation.genes.itertuples():
        own = parts[parts["parent"] == gene.gene]
        tata = own[own["kind"] == "tata"]["match"].sum()
        log = BASELINE + tata * own[own["kind"] == "promoter_motif"]["pull"].sum()
        for name, region in regions[regions["contig"] == gene.contig].iterrows():
            centre = (region["start"] + region["end"]) // 2
            low, high = sorted((centre // BIN, gene.tss // BIN))
            loop = simulation.loops[gene.contig].get((low, high), 0.0)
            if loop and region["motif"] == gene.family and not gene.silent:
                log += ENHANCER_SCALE * power[name] * loop * (high - low) ** -DECAY
        assert np.log(gene.expression_noiseless) == pytest.approx(log, abs=1e-9)


def test_noise_has_the_given_spread_and_can_be_off(simulation):
    genes = simulation.genes
    residual = np.log(genes["expression"] / genes["expression_noiseless"])
    assert residual.std() == pytest.approx(simulation.config.noise, rel=0.15)
    quiet = simulate(SimulationConfig(seed=3, contigs=1, noise=0.0)).genes
    np.testing.assert_array_equal(quiet["expression"], quiet["expression_noiseless"])


def test_enhancers_act_at_a_distance_and_only_on_their_family(simulation):
    elements = simulation.elements
    genes = simulation.genes.set_index("gene")
    pairs = elements[(elements["kind"] == "enhancer") & (elements["gene"] != "")]
    own = genes.loc[pairs["gene"]].reset_index()
    centre = (pairs["start"].to_numpy() + pairs["end"].to_numpy()) // 2
    assert np.abs(centre - own["tss"]).between(2_000, 20_000).all()
    acts = pairs["effect"].to_numpy() > 0
    compatible = (pairs["motif"].to_numpy() == own["family"].to_numpy()) & ~own[
        "silent"
    ].to_numpy()
    np.testing.assert_array_equal(acts, compatible)
    assert acts.any()
    assert (~acts).any()
    lengths = pairs["end"] - pairs["start"]
    assert lengths.between(100, 300).all()


def test_effect_is_what_destroying_the_element_takes_away(simulation):
    elements = simulation.elements
    shares = elements[elements["kind"] == "enhancer_motif"]
    summed = shares.groupby(["parent", "gene"])["effect"].sum()
    whole = elements[elements["kind"] == "enhancer"].set_index(["element", "gene"])
    np.testing.assert_allclose(
        whole["effect"], summed.loc[whole.index].to_numpy(), rtol=1e-12
    )
    tata = elements[elements["kind"] == "tata"].set_index("gene")["effect"]
    strength = simulation.genes.set_index("gene")["promoter_strength"]
    np.testing.assert_allclose(tata, strength.loc[tata.index], rtol=1e-12)


def test_decoys_are_open_but_do_nothing(simulation):
    elements = simulation.elements
    decoys = elements[elements["kind"] == "decoy"]
    assert len(decoys) > 10
    assert (decoys["effect"] == 0).all()
    assert (decoys["gene"] != "").any()  # some loop, still without effect

    def height(kind, track):
        rows = elements[elements["kind"] == kind].drop_duplicates("element")
        return np.median(
            [track[r.contig][r.start : r.end].mean() for r in rows.itertuples()]
        )

    background = np.median(np.concatenate(list(simulation.accessibility.values())))
    assert height("decoy", simulation.accessibility) > 5 * background
    assert height("decoy", simulation.accessibility) == pytest.approx(
        height("enhancer", simulation.accessibility), rel=0.35
    )
    assert height("enhancer", simulation.h3k27ac) > 2 * height(
        "decoy", simulation.h3k27ac
    )


# Signals.


def test_coverage_above_threshold_marks_the_expressed_units(simulation):
    for strand, track in (
        ("+", simulation.coverage_plus),
        ("-", simulation.coverage_minus),
    ):
        both = truth_sum = label_sum = total = 0
        for contig, values in track.items():
            truth = np.zeros(values.size, bool)
            genes = simulation.genes
            rows = genes[(genes["contig"] == contig) & (genes["strand"] == strand)]
            for gene in rows[rows["expressed"]].itertuples():
                truth[gene.start : gene.end] = True
            label = values > simulation.config.threshold
            both += (truth & label).sum()
            truth_sum += truth.sum()
            label_sum += label.sum()
            total += label.size
        f1 = 2 * both / (truth_sum + label_sum)
        assert 0.9 < f1 < 1.0
        assert 0.25 < label_sum / total < 0.5


def test_coverage_is_proportional_to_expression(simulation):
    genes = simulation.genes[simulation.genes["expression"] > 5]
    means = [
        (simulation.coverage_plus if gene.strand == "+" else simulation.coverage_minus)[
            gene.contig
        ][gene.start + 20 : gene.end - 20].mean()
        for gene in genes.itertuples()
    ]
    ratio = means / genes["expression"]
    assert ratio.between(0.5, 1.6).all()
    assert np.corrcoef(np.log(means), np.log(genes["expression"]))[0, 1] > 0.99


def test_pileup_against_painting():
    starts, ends = np.array([-3, 0, 2, 2, 9]), np.array([1, 4, 3, 20, 30])
    painted = np.zeros(10, int)
    for start, end in zip(starts, ends, strict=True):
        painted[max(start, 0) : end] += 1
    np.testing.assert_array_equal(pileup(10, starts, ends), painted)


def test_contacts_are_symmetric_decaying_and_looped(simulation):
    for contig, counts in simulation.contacts.items():
        np.testing.assert_array_equal(counts, counts.T)
        assert len(counts) == -(-simulation.sizes[contig] // BIN)
        weights = simulation.weights[contig]
        balanced = counts * weights[:, None] * weights
        kept = np.flatnonzero(~np.isnan(weights))
        rows = np.nansum(balanced[np.ix_(kept, kept)], axis=1)
        np.testing.assert_allclose(rows, 1.0, atol=1e-6)
        decay = [
            np.nanmedian(np.diagonal(balanced, offset)) for offset in (1, 4, 10, 25)
        ]
        assert (np.diff(decay) < 0).all()
        for low, high in simulation.loops[contig]:
            if high in kept and low in kept:
                usual = np.nanmedian(np.diagonal(balanced, high - low))
                assert balanced[low, high] > 1.5 * usual


def test_balancing_removes_bias_and_masks_empty_bins():
    truth = 1000.0 / (1 + np.abs(np.subtract.outer(np.arange(8), np.arange(8))))
    bias = np.array([1, 2, 0.5, 1, 0, 3, 1, 1])
    weights = balancing_weights(np.round(truth * bias[:, None] * bias))
    assert np.isnan(weights[4])
    assert np.isnan(weights).sum() == 1
    flat = balancing_weights(truth * np.ones((8, 1)))
    assert flat.std() < 0.2 * flat.mean()


def test_perfect_and_worst_sites():
    perfect = encode("TATAAAAG")
    assert TATA.match(perfect) == pytest.approx(1.0)
    assert TATA.match(encode("CCCCCCCC")) == 0.0
    assert TATA.match(encode("NNNNNNNN")) == 0.0
    for motif in LIBRARY.values():
        np.testing.assert_allclose(motif.probabilities.sum(axis=1), 1.0)


# Seeds and configuration.


def test_same_seed_same_arrays_other_seed_other_arrays(small):
    again = simulate(SMALL)
    pd.testing.assert_frame_equal(small.genes, again.genes)
    pd.testing.assert_frame_equal(small.elements, again.elements)
    for contig in small.sizes:
        np.testing.assert_array_equal(small.sequence[contig], again.sequence[contig])
        np.testing.assert_array_equal(
            small.coverage_plus[contig], again.coverage_plus[contig]
        )
        np.testing.assert_array_equal(small.contacts[contig], again.contacts[contig])
    other = simulate(SimulationConfig(seed=4, contigs=2, contig_length=60_000))
    assert not np.array_equal(small.sequence["chr1"], other.sequence["chr1"])
    assert not small.genes.equals(other.genes)


def test_contig_sizes():
    assert contig_sizes(SimulationConfig(contigs=1)) == {"chr1": 120_000}
    assert contig_sizes(SimulationConfig(contigs=3, contig_length=20_000)) == {
        "chr1": 25_000,
        "chr2": 20_000,
        "chr3": 15_000,
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_smallest_genome_is_whole(seed):
    tiny = simulate(SimulationConfig(seed=seed, contigs=2, contig_length=20_000))
    assert (tiny.genes.groupby("contig").size() > 3).all()


@pytest.mark.parametrize(
    "rates", [{"distal": 0.0}, {"distal": 1.0}, {"silent": 0.0}, {"silent": 0.9}]
)
def test_extreme_rates(rates, tmp_path):
    made = simulate(SimulationConfig(contigs=1, contig_length=30_000, **rates))
    kinds = set(made.elements["kind"])
    assert ("enhancer" in kinds) == (rates.get("distal") != 0.0)
    if "silent" in rates:
        share = made.genes["silent"].mean()
        assert share == pytest.approx(rates["silent"], abs=0.25)
        assert share > 0 or rates["silent"] == 0
    write_simulation(made, tmp_path / "out", contacts=False)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"contigs": 0}, "contigs"),
        ({"contigs": True}, "contigs"),
        ({"contig_length": 19_999}, "contig_length"),
        ({"contig_length": "long"}, "contig_length"),
        ({"noise": -0.1}, "noise"),
        ({"noise": float("nan")}, "noise"),
        ({"silent": 1.0}, "silent"),
        ({"distal": 1.01}, "distal"),
        ({"threshold": -2}, "threshold"),
    ],
)
def test_bad_config_is_refused(values, named):
    with pytest.raises(ConfigError, match=named) as caught:
        SimulationConfig(**values)
    assert "\n" not in str(caught.value)
    assert str(next(iter(values.values()))) in str(caught.value)


# Files.


def test_fasta_holds_the_sequence(small, folder):
    text = gzip.decompress((folder / "genome.fa.gz").read_bytes()).decode()
    records = dict(
        (part.split("\n", 1)[0], part.split("\n", 1)[1].replace("\n", ""))
        for part in text.split(">")[1:]
    )
    assert records == {name: decode(bases) for name, bases in small.sequence.items()}


def test_gff_coordinates_read_the_right_bases(small, folder):
    lines = (folder / "annotation.gff3").read_text().splitlines()
    assert lines[0] == "##gff-version 3"
    assert lines[1] == f"##sequence-region chr1 1 {small.sizes['chr1']}"
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    kinds = [row[2] for row in rows]
    assert kinds == ["gene", "mRNA", "exon", "CDS"] * len(small.genes)
    identifiers = set()
    for contig, _, kind, first, last, _, strand, phase, attributes in rows:
        fields = dict(part.split("=") for part in attributes.split(";"))
        assert fields.get("Parent", "") in identifiers | {""}
        identifiers.add(fields["ID"])
        if kind == "CDS":
            bases = small.sequence[contig][int(first) - 1 : int(last)]
            bases = reverse_complement(bases) if strand == "-" else bases
            assert decode(bases[:3]) == "ATG"
            assert decode(bases[-3:]) in STOPS
            assert phase == "0"


def test_tracks_hold_the_signals(small, folder):
    for name, values in (
        ("rna.plus.bw", small.coverage_plus),
        ("rna.minus.bw", small.coverage_minus),
        ("accessibility.bw", small.accessibility),
        ("h3k27ac.bw", small.h3k27ac),
    ):
        with BigWigTrack(folder / name) as track:
            assert dict(track.sizes) == small.sizes
            for contig, size in small.sizes.items():
                np.testing.assert_array_equal(
                    track.values(contig, 0, size), values[contig]
                )


def test_tables_round_trip(small, folder):
    for name, table in (("genes", small.genes), ("elements", small.elements)):
        stored = pd.read_csv(folder / f"{name}.tsv", sep="\t", keep_default_na=False)
        assert list(stored) == list(table)
        pd.testing.assert_frame_equal(
            stored, table, check_dtype=False, rtol=1e-12, atol=0
        )


def test_truth_bed_lists_every_element_once(small, folder):
    rows = [
        line.split("\t") for line in (folder / "truth.bed").read_text().splitlines()
    ]
    assert {len(row) for row in rows} == {9}
    assert sorted(row[6] for row in rows) == sorted(small.elements["element"].unique())
    places = [(row[0], int(row[1]), int(row[2])) for row in rows]
    assert places == sorted(places)
    assert all(0 <= int(row[4]) <= 1000 for row in rows)
    assert max(int(row[4]) for row in rows) == 1000
    kinds = {row[3].split(":")[0] for row in rows}
    assert kinds >= {"promoter_motif", "tata", "enhancer", "decoy", "terminator"}
    acting = small.elements[
        (small.elements["kind"] == "enhancer") & (small.elements["effect"] > 0)
    ]
    wanted = acting.groupby("element")["gene"].agg(set).to_dict()
    for row in rows:
        kind, genes = row[3].split(":")
        if kind == "enhancer":
            assert set(genes.split(",")) == wanted.get(row[6], {"."})
        if kind == "decoy":
            assert genes == "."


def test_archive_agrees_with_the_tracks(small, folder):
    archive = read_archive(
        folder / "archive" / "data.npz",
        folder / "archive" / "regions.parquet",
        meta=folder / "archive" / "data_meta.json",
    )
    joined = np.concatenate(list(small.sequence.values()))
    np.testing.assert_array_equal(archive.sequence, joined)
    np.testing.assert_array_equal(archive.valid, joined < 4)
    for labels, track in (
        (archive.expressed_plus, small.coverage_plus),
        (archive.expressed_minus, small.coverage_minus),
    ):
        np.testing.assert_array_equal(labels, np.concatenate(list(track.values())) > 2)
    regions = archive.regions
    assert set(regions["end"] - regions["start"]) == {2048}
    assert (regions["start"] % 1024 == 0).all()
    assert set(regions["strand"]) == {"+", "-"}
    used = {
        offset: archive.valid[offset : offset + 2048].all()
        for offset in regions["offset"]
    }
    assert all(used.values())
    origins = {contig: at for contig, (at, _) in archive.contigs.items()}
    for contig, size in small.sizes.items():
        for start in range(0, size - 2047, 1024):
            offset = origins[contig] + start
            whole = archive.valid[offset : offset + 2048].all()
            assert (offset in used) == whole


@needs_cooler
def test_cool_holds_counts_and_weights(small, folder):
    import cooler

    stored = cooler.Cooler(str(folder / "contacts.cool"))
    assert stored.binsize == BIN
    assert dict(stored.chromsizes) == small.sizes
    for contig in small.sizes:
        raw = stored.matrix(balance=False).fetch(contig)
        np.testing.assert_array_equal(raw, small.contacts[contig])
        weights = stored.bins().fetch(contig)["weight"].to_numpy()
        np.testing.assert_array_equal(weights, small.weights[contig])
    assert stored.matrix(balance=False).fetch("chr1", "chr2").sum() == 0


def test_description_says_what_was_made(small, folder):
    stored = json.loads((folder / "simulation.json").read_text())
    assert SimulationConfig(**stored["config"]) == SMALL
    assert stored["genes"] == len(small.genes)
    assert 0.9 < stored["noise_ceiling_pearson"] < 1
    assert stored["constants"]["baseline"] == BASELINE


def test_the_same_seed_gives_the_same_bytes(small, folder, tmp_path):
    other = write_simulation(simulate(SMALL), tmp_path / "out", contacts=HAS_COOLER)
    assert digests(other) == digests(folder)


def test_refuses_and_replaces(small, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    write_simulation(small, out, contacts=False)
    before = digests(out)
    with pytest.raises(ConfigError, match="already holds a simulation"):
        write_simulation(small, out, contacts=False)
    assert digests(out) == before
    (out / "stale.txt").write_text("old")
    write_simulation(small, out, contacts=False, overwrite=True)
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_never_replaces_what_is_no_simulation(small, tmp_path, overwrite):
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        write_simulation(small, out, contacts=False, overwrite=overwrite)
    with pytest.raises(ConfigError, match="is a file"):
        write_simulation(small, out / "thesis.txt", contacts=False, overwrite=overwrite)
    assert (out / "thesis.txt").read_text() == "mine"


def test_a_failure_leaves_nothing_behind(small, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("seqexp_tf.simulate.files.write_archive", broken)
    with pytest.raises(OSError, match="disk full"):
        write_simulation(small, tmp_path / "out", contacts=False)
    assert list(tmp_path.iterdir()) == []


def test_missing_cooler_is_said_before_anything_is_written(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr("seqexp_tf.simulate.cool.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"seqexp-tf\[hic\].*--no-contacts"):
        write_simulation(small, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_here_needs_cooler_or_tensorflow(tmp_path, monkeypatch):
    allowed = builtins.__import__

    def guarded(name, *args, **kwargs):
        if name.split(".")[0] in ("cooler", "tensorflow", "keras"):
            raise ImportError(name)
        return allowed(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    made = simulate(SimulationConfig(contigs=1, contig_length=20_000))
    out = write_simulation(made, tmp_path / "out", contacts=False)
    assert not (out / "contacts.cool").exists()


def test_command_line(tmp_path):
    out = tmp_path / "sim"
    options = ["--contigs", "1", "--contig-length", "20000", "--no-contacts"]
    run = CliRunner().invoke(command, [str(out), *options, "--seed", "5"])
    assert run.exit_code == 0, run.output
    assert f"{out}: 1 contigs, 20,000 bp" in run.output
    stored = json.loads((out / "simulation.json").read_text())
    assert stored["config"]["seed"] == 5
    again = CliRunner().invoke(command, [str(out), *options])
    assert isinstance(again.exception, ConfigError)
    replaced = CliRunner().invoke(command, [str(out), *options, "--overwrite"])
    assert replaced.exit_code == 0, replaced.output


def test_command_help_has_an_example():
    run = CliRunner().invoke(command, ["--help"])
    assert "seqexp-tf simulate sim/" in run.output
