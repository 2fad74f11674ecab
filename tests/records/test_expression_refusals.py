"""Inputs of kind expression that would give a wrong dataset in silence."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.errors import ConfigError, DatasetError, InputError
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.records.convert import convert
from seqexp_tf.records.inspection import check_sequences
from seqexp_tf.records.regions import Region, read_slice


@pytest.fixture
def refused(tiny_genes, tmp_path):
    """Converts, expects a refusal in one line, and returns the line."""

    def run(error=InputError, **changes) -> str:
        recipe = tiny_genes.recipe(**changes)
        with pytest.raises(error) as refusal:
            convert(recipe, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    return run


@pytest.fixture
def with_genes(tiny_genes, tmp_path):
    """Writes the table of genes with a change; returns changes of the recipe."""

    def write(change) -> dict:
        table = change(tiny_genes.genes.copy().astype(object))
        table.to_csv(tmp_path / "bad.tsv", sep="\t", index=False)
        return {"source": tiny_genes.source(genes=str(tmp_path / "bad.tsv"))}

    return write


def _set(row: int, column: str, value: object):
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[row, column] = value
        return table

    return change


@pytest.mark.parametrize(
    "change, parts",
    [
        (_set(4, "tss", None), ("line 6", "gene 'Ig4' has no TSS", "leave it out")),
        (_set(4, "tss", "x"), ("line 6", "TSS 'x'", "expected a whole number")),
        (
            _set(4, "tss", 3000),
            ("line 6", "TSS chrI:3000, outside the contig, which is 0 to 2999"),
        ),
        (_set(4, "tss", -1), ("line 6", "TSS chrI:-1, outside the contig")),
        (_set(4, "gene_id", "Ig2"), ("gene 'Ig2' appears twice", "keep one")),
        (_set(4, "gene_id", None), ("line 6", "a gene without identifier")),
        (_set(4, "strand", "."), ("line 6", "has strand", "expected + or -")),
        (
            _set(4, "chrom", "chrIX"),
            ("line 6", "'chrIX', which the genome lacks", 'on_missing = "drop"'),
        ),
        (
            _set(4, "level", None),
            ("gene 'Ig4'", "target 'level'", 'target.on_missing = "drop"'),
        ),
        (_set(4, "level", "inf"), ("gene 'Ig4'", "target 'level' is inf")),
        (_set(4, "level", -2), ("gene 'Ig4'", "-2", "of zero or more")),
        (_set(4, "gc", None), ("gene 'Ig4': feature 'gc'", "expected a finite number")),
        (
            lambda table: table.drop(columns="gc"),
            ("has no column 'gc' for a feature",),
        ),
        (
            lambda table: table.drop(columns="level"),
            ("has no target column 'level'",),
        ),
        (lambda table: table.drop(columns="tss"), ("no column 'tss' for the tss",)),
        (lambda table: table[:0], ("a header without genes",)),
    ],
)
def test_genes(refused, with_genes, tmp_path, change, parts):
    message = refused(**with_genes(change))
    for part in (str(tmp_path / "bad.tsv"), *parts):
        assert part in message


def test_a_ceiling_that_some_gene_lacks(refused, with_genes):
    target = {"column": "level", "ceiling": "gc"}
    message = refused(target=target, **with_genes(_set(4, "gc", None)))
    assert "gene 'Ig4': ceiling 'gc' is missing" in message
    message = refused(target={"column": "level", "ceiling": "gcc"})
    assert "has no ceiling column 'gcc'" in message and "gc" in message


def test_no_gene_has_a_target(refused, with_genes):
    changes = with_genes(lambda table: table.assign(level=None))
    target = {"column": "level", "on_missing": "drop"}
    assert "no gene has a finite target 'level'" in refused(**changes, target=target)


def test_features_below_zero_have_no_logarithm(refused, with_genes):
    changes = with_genes(_set(7, "gc", -0.5))
    features = {"columns": ["gc"], "log1p": ["gc"]}
    message = refused(**changes, features=features)
    assert "gene 'Ig7': feature 'gc' is -0.5, below zero" in message


def test_half_life_of_a_gene_that_the_annotation_lacks(refused, with_genes):
    changes = with_genes(_set(4, "gene_id", "other"))
    features = {"half_life": {"annotation": "genes.gff3"}}
    message = refused(**changes, features=features)
    assert "genes.gff3: gene 'other' has no CDS" in message


def _sizes(tiny_genes) -> dict[str, int]:
    return {name: array.size for name, array in tiny_genes.sequence.items()}


def _signal(path) -> dict:
    return {"signals": {"dnase": {"path": str(path)}, "k27ac": {"path": "k27ac.bw"}}}


def test_a_signal_without_the_contig(refused, tiny_genes, tmp_path):
    sizes = {"chrI": 3000, "chrII": 1510}
    values = {name: np.ones(size, "f4") for name, size in sizes.items()}
    write_bigwig(tmp_path / "x.bw", sizes, values)
    message = refused(**_signal(tmp_path / "x.bw"))
    assert f"{tmp_path / 'x.bw'} (signals.dnase): lacks contig III of" in message
    assert 'set on_missing = "drop"' in message


def test_a_signal_without_the_contig_may_drop_its_genes(tiny_genes, tmp_path):
    sizes = {"chrI": 3000, "chrII": 1510}
    values = {name: np.ones(size, "f4") for name, size in sizes.items()}
    write_bigwig(tmp_path / "x.bw", sizes, values)
    (tmp_path / "splits.tsv").write_text(
        "chrI 0 1500 train\nchrI 1500 3000 validation\nchrII test\n"
    )
    recipe = tiny_genes.recipe(
        **_signal(tmp_path / "x.bw"),
        source=tiny_genes.source(on_missing="drop"),
        splits={"file": str(tmp_path / "splits.tsv")},
    )
    summary = convert(recipe, tmp_path / "out")
    assert summary.dropped["on a contig that an input lacks"] == 10
    assert any("contig III left out: missing from signals" in n for n in summary.notes)


def test_a_signal_of_another_assembly(refused, tiny_genes, tmp_path):
    sizes = _sizes(tiny_genes) | {"chrII": 1511}
    write_bigwig(tmp_path / "x.bw", sizes, {"chrI": np.ones(3000, "f4")})
    message = refused(**_signal(tmp_path / "x.bw"))
    assert "'chrII' has 1511 bases, but 'II' has 1510" in message
    assert "another assembly?" in message


def test_a_signal_below_zero(refused, tiny_genes, tmp_path):
    values = {name: np.ones(n, "f4") for name, n in _sizes(tiny_genes).items()}
    tss = int(tiny_genes.genes.tss[tiny_genes.genes.gene_id == "IIIg3"].iloc[0])
    values["chrIII"][tss + 20] = -4
    write_bigwig(tmp_path / "x.bw", _sizes(tiny_genes), values)
    message = refused(**_signal(tmp_path / "x.bw"))
    assert f"x.bw: chrIII:{tss + 21}: signal dnase is negative (-4)" in message
    assert "signals.dnase.allow_negative = true" in message


def test_promoter_activity_of_a_negative_product(refused, tiny_genes, tmp_path):
    values = {name: -np.ones(n, "f4") for name, n in _sizes(tiny_genes).items()}
    write_bigwig(tmp_path / "x.bw", _sizes(tiny_genes), values)
    signals = _signal(tmp_path / "x.bw")["signals"]
    signals["dnase"]["allow_negative"] = True
    activity = {"accessibility": "dnase", "acetylation": "k27ac"}
    message = refused(signals=signals, features={"activity": activity})
    assert "the root of a negative product" in message


def test_coverage_below_zero(refused, tiny_genes, tmp_path):
    values = {name: -np.ones(n, "f4") for name, n in _sizes(tiny_genes).items()}
    write_bigwig(tmp_path / "minus.bw", _sizes(tiny_genes), values)
    tracks = {"coverage_plus": "plus.bw", "coverage_minus": str(tmp_path / "minus.bw")}
    message = refused(target=tracks)
    assert "negative coverage -1" in message and "stored negative?" in message


def _contacts(path, sizes: dict[str, int], *, step: int = 90, weight: bool = True):
    import cooler

    bins = pd.concat(
        pd.DataFrame(
            {
                "chrom": contig,
                "start": np.arange(0, size, step),
                "end": np.minimum(np.arange(0, size, step) + step, size),
            }
        )
        for contig, size in sizes.items()
    )
    if weight:
        bins["weight"] = 1.0
    pixels = pd.DataFrame({"bin1_id": [0], "bin2_id": [1], "count": [3]})
    cooler.create_cooler(str(path), bins.reset_index(drop=True), pixels)
    return {"contact": {"path": str(path)}}


def test_contacts(refused, tiny_genes, tmp_path):
    sizes = _sizes(tiny_genes)
    other = _contacts(tmp_path / "a.cool", sizes | {"chrII": 2510})
    assert "'chrII' has 2,510 bases, but 'II' has 1,510" in refused(**other)
    unbalanced = _contacts(tmp_path / "b.cool", sizes, weight=False)
    assert 'set balance = "none"' in refused(**unbalanced)
    good = _contacts(tmp_path / "c.cool", sizes)["contact"]
    message = refused(contact={**good, "resolution": 5000})
    assert "has no resolution 5,000 bp, only 90" in message
    few = _contacts(tmp_path / "d.cool", {"chrI": 3000})
    assert "(contact.path): lacks contig II, III" in refused(**few)


def test_contigs_without_contacts_may_follow_a_law(tiny_genes, tmp_path):
    few = _contacts(tmp_path / "d.cool", {"chrI": 3000})["contact"]
    recipe = tiny_genes.recipe(contact={**few, "missing": "power_law"})
    convert(recipe, tmp_path / "out")


def test_channels(refused, tmp_path):
    (tmp_path / "empty.bed").write_text("# no peaks\n")
    message = refused(channels={"peaks": str(tmp_path / "empty.bed")})
    assert f"{tmp_path / 'empty.bed'}: no interval in it, so channel peaks" in message
    (tmp_path / "other.bed").write_text("chr21\t5\t9\n")
    message = refused(channels={"peaks": str(tmp_path / "other.bed")})
    assert "none of its contigs (chr21) is in the genome" in message
    (tmp_path / "long.bed").write_text("chrII\t5\t1511\n")
    message = refused(channels={"peaks": str(tmp_path / "long.bed")})
    assert "interval ends at 1,511 but chrII has 1,510 bases" in message


def test_a_channel_that_training_lacks_is_noted(tiny_genes, tmp_path):
    (tmp_path / "peaks.bed").write_text("chrII\t5\t90\nchrII\t60\t120\n")
    recipe = tiny_genes.recipe(channels={"peaks": str(tmp_path / "peaks.bed")})
    notes = convert(recipe, tmp_path / "out").notes
    assert "channel peaks: none on chrI of split train" in notes
    assert "channel peaks: 2 intervals over 115 bases, 0 on other contigs" in notes


def test_splits(refused, tiny_genes):
    message = refused(ConfigError, splits={"test": ["chrIX"]})
    assert "split 'test': no contig 'chrIX'" in message
    source = tiny_genes.source(contigs=["chrI", "chrII"])
    message = refused(ConfigError, source=source, splits={"test": ["chrIII"]})
    assert "split 'test': no contig 'chrIII'" in message


def test_a_split_without_genes(refused, tiny_genes, with_genes):
    changes = with_genes(lambda table: table[table.chrom != "chrII"])
    changes["source"]["contigs"] = ["chrI", "chrII", "chrIII"]
    message = refused(ConfigError, **changes)
    assert "split validation has no window of 200 bases" in message
    assert "chrI, chrIII" in message


def test_no_gene_on_the_wanted_contigs(refused, with_genes):
    changes = with_genes(lambda table: table[table.chrom == "chrII"])
    changes["source"]["contigs"] = ["chrI", "chrIII"]
    assert "no gene lies on I, III" in refused(**changes)


def test_another_genome_is_noticed(expression_store, tiny_genes, tmp_path):
    fasta = tiny_genes.folder / "genome.fa"
    assert check_sequences(expression_store, fasta) == 30
    text = fasta.read_text()
    start = text.index("\n") + 1
    other = tmp_path / "other.fa"
    swapped = text[start:].translate(str.maketrans("ACGT", "CATG"))
    other.write_text(text[:start] + swapped)
    with pytest.raises(DatasetError, match="bases differ"):
        check_sequences(expression_store, other)


def test_labels_of_a_region_are_of_another_kind(expression_store):
    with pytest.raises(DatasetError, match="a dataset of kind 'expression'"):
        read_slice(expression_store, Region("chrI", 0, 100))


@pytest.mark.parametrize(
    "keep, message",
    [
        ({"stand": ["+"]}, "source.keep names 'stand', which is no column"),
        ({"strand": ["+", "plus"]}, "source.keep.strand has 'plus', but no gene does"),
    ],
)
def test_genes_to_keep(refused, tiny_genes, keep, message):
    assert message in refused(source=tiny_genes.source(keep=keep))
