"""What is refused before any input is hashed."""

from dataclasses import replace

import pytest

from seqexp_tf.errors import ConfigError, DatasetError, InputError
from seqexp_tf.records import manifest
from seqexp_tf.records.convert import convert


@pytest.fixture(autouse=True)
def no_hashing(monkeypatch):
    """Fails a test that comes as far as the hashes."""

    def hashed(path):
        pytest.fail(f"{path} was hashed")

    monkeypatch.setattr(manifest, "hash_file", hashed)


@pytest.fixture
def wrong(tmp_path):
    """A file that is nothing a recipe wants."""
    path = tmp_path / "wrong.bin"
    path.write_bytes(b"\x07no such format")
    return str(path)


_GENES = {
    "target column": (
        {"target": {"column": "levle"}},
        "no target column 'levle'; nearest: level",
    ),
    "feature": (
        {"features": {"columns": ["cg"]}},
        "has no column 'cg' for a feature",
    ),
    "split": (
        {"splits": {"validation": ["chrII"], "test": ["chr7"]}},
        "split 'test': no contig 'chr7'",
    ),
    "signal": (
        {"signals": {"dnase": {"path": "genes.tsv"}}},
        "genes.tsv: not a bigWig",
    ),
    "contact": ({"contact": {"path": "genes.tsv"}}, "genes.tsv: no .cool, .mcool"),
    "channel": ({"channels": {"peaks": "genes.tsv"}}, "genes.tsv: line 1"),
    "coverage": (
        {"target": {"coverage_plus": "plus.bw", "coverage_minus": "genome.fa"}},
        "genome.fa: not a bigWig",
    ),
}


@pytest.mark.parametrize("case", _GENES)
def test_genes(tiny_genes, tmp_path, case):
    changes, message = _GENES[case]
    if case in ("signal", "coverage"):
        source = {**tiny_genes.source(), "naming": "fasta"}
        changes = {**changes, "source": source}
    with pytest.raises((ConfigError, InputError), match=message):
        convert(tiny_genes.recipe(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("key", "message"),
    [("fasta", "not a FASTA: it begins with"), ("genes", "wrong.bin: .*column")],
)
def test_sources_of_genes(tiny_genes, tmp_path, wrong, key, message):
    recipe = tiny_genes.recipe(source=tiny_genes.source(**{key: wrong}))
    with pytest.raises(InputError, match=message):
        convert(recipe, tmp_path / "out")


def test_keep(tiny_genes, tmp_path):
    recipe = tiny_genes.recipe(source=tiny_genes.source(keep={"strand": ["*"]}))
    with pytest.raises(InputError, match=r"source.keep.strand has '\*', but no gene"):
        convert(recipe, tmp_path / "out")


def test_joint_from_raw_files(tiny_genome, tmp_path, wrong):
    recipe = tiny_genome.recipe("raw")
    genome = recipe.source.genome
    for changes, message in (
        ({"fasta": wrong}, "not a FASTA"),
        ({"coverage_minus": wrong}, "not a bigWig"),
    ):
        source = replace(recipe.source, genome=replace(genome, **changes))
        with pytest.raises(InputError, match=message):
            convert(replace(recipe, source=source), tmp_path / "out")
    splits = {"validation": ["chrII"], "test": ["chr7"]}
    with pytest.raises(ConfigError, match="split 'test': no contig 'chr7'; nearest"):
        convert(tiny_genome.recipe("raw", splits=splits), tmp_path / "out")


def test_joint_from_an_archive(tiny_genome, tmp_path, wrong):
    recipe = tiny_genome.recipe()
    for changes, message in (
        ({"data": wrong}, "not a whole npz"),
        ({"regions": wrong}, "not a whole parquet file"),
    ):
        archive = replace(recipe.source.archive, **changes)
        source = replace(recipe.source, archive=archive)
        with pytest.raises(InputError, match=message):
            convert(replace(recipe, source=source), tmp_path / "out")


def test_a_file_of_splits(tiny_genome, tmp_path):
    (tmp_path / "splits.tsv").write_text("chrI\ttrian\n")
    recipe = tiny_genome.recipe(splits={"file": str(tmp_path / "splits.tsv")})
    with pytest.raises(ConfigError, match="splits.tsv: line 1: split 'trian'"):
        convert(recipe, tmp_path / "out")


def test_places(tiny_genome, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="file: cannot write there"):
        convert(tiny_genome.recipe(), tmp_path / "file")


def test_another_dataset(tiny_genome, tmp_path, monkeypatch):
    monkeypatch.undo()
    convert(tiny_genome.recipe(), tmp_path)
    monkeypatch.setattr(manifest, "hash_file", pytest.fail)
    for other in (tiny_genome.recipe(seed=9), tiny_genome.recipe("raw")):
        with pytest.raises(DatasetError, match="already holds another dataset"):
            convert(other, tmp_path)


def test_contigs_in_any_spelling_pass(tiny_genes, tmp_path):
    """Roman or Arabic, of the FASTA or of the tracks: no early check is too strict."""
    for validation, test in (("II", "III"), ("2", "chr3"), ("chrII", "chrIII")):
        recipe = tiny_genes.recipe(splits={"validation": [validation], "test": [test]})
        with pytest.raises(pytest.fail.Exception, match="was hashed"):
            convert(recipe, tmp_path / "out")
