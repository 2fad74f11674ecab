"""Mutations that make a stop codon, told from the others on both strands."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from fixtures.tools import load_tool

PLUS = "GATGTGGAAATTC"  # From the second base: ATG TGG AAA TTC.
MADE = {  # Place and base of every mutation of those codons that makes a stop.
    (5, "A"),  # TAG, of TGG
    (6, "A"),  # TGA
    (7, "T"),  # TAA, of AAA
}
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))


@pytest.fixture(scope="module")
def tool():
    return load_tool("stop_codons")


def _map(strand):
    """A map whose effect is -7 where the mutation makes a stop, 1 elsewhere."""
    rows = []
    for place, base in enumerate(PLUS):
        effects = {b: -7.0 if (place, b) in MADE else 1.0 for b in "ACGT"}
        if strand == "-":
            place, base = 100 - place, COMPLEMENT[base]
            effects = {COMPLEMENT[b]: effect for b, effect in effects.items()}
        rows.append(("c", place + 1, strand, base, *(effects[b] for b in "ACGT")))
    columns = "contig position strand base effect_A effect_C effect_G effect_T".split()
    return pd.DataFrame(rows, columns=columns).sort_values("position")


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("phase", [0, 1, 2])
def test_stops_are_those_of_the_frame(tool, strand, phase):
    start = 1 - phase
    if strand == "+":
        place = (start, 13)
    else:
        place = (101 - 13, 101 - start)
    features = pd.DataFrame([(*place, phase)], columns=["start", "end", "phase"])
    # With phase 2 the feature begins a base before the map.
    found = tool.mutations(_map(strand), features)
    assert len(found) == 4 * 9
    assert found["stop"].sum() == len(MADE)
    assert set(found.loc[found["stop"], "effect"]) == {-7.0}
    assert set(found.loc[~found["stop"], "effect"]) == {1.0}


def test_the_interval_holds_the_difference(tool):
    rng = np.random.default_rng(1)
    codon = np.repeat(np.arange(200), 9)
    stop = np.tile(np.arange(9) < 2, 200)
    effect = np.where(stop, -3.0, 0.0) + rng.normal(0, 1, len(codon))
    found = pd.DataFrame({"codon": codon, "effect": effect, "stop": stop})
    low, high = tool.difference(found, rng)
    assert low < -3 < high
    assert high - low == pytest.approx(2 * 1.96 * (1 / 400 + 1 / 1400) ** 0.5, rel=0.3)


def test_a_table_for_each_gene(tool, tmp_path):
    annotation, table = tmp_path / "g.gff3", tmp_path / "map.tsv"
    annotation.write_text(
        "c\tx\tgene\t2\t13\t.\t+\t.\tID=g1;gene_id=G1;Name=ABC1\n"
        "c\tx\tmRNA\t2\t13\t.\t+\t.\tID=t1;Parent=g1\n"
        "c\tx\tCDS\t2\t13\t.\t+\t0\tID=c1;Parent=t1\n"
        "c\tx\tCDS\t2\t13\t.\t-\t0\tID=c2;gene_id=G2\n"
    )
    _map("+").to_csv(table, sep="\t", index=False)
    options = ["--annotation", str(annotation), str(table)]
    done = CliRunner().invoke(tool.main, options)
    assert done.exit_code == 0, done.output
    (line,) = done.output.splitlines()[2:]
    assert line == "| map | ABC1 | 3 | -7.0 | 33 | 1.0 | -8.0 [-8.0, -8.0] |"


def test_another_table_is_refused(tool, tmp_path):
    annotation, table = tmp_path / "g.gff3", tmp_path / "map.tsv"
    annotation.write_text("c\tx\tCDS\t2\t13\t.\t+\t0\tID=c1\n")
    table.write_text("a\tb\n1\t2\n")
    done = CliRunner().invoke(tool.main, ["--annotation", str(annotation), str(table)])
    assert done.exit_code == 1
    assert f"Error: {table}: no table of `seqexp-tf mutagenesis`" in done.output
    assert len(done.output.splitlines()) == 1
