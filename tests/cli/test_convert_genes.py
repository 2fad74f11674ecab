"""``seqexp-tf convert``, ``verify`` and ``inspect`` on genes."""

import numpy as np
import pytest
import tomli_w


@pytest.fixture
def recipe(tiny_genes, tmp_path):
    """Writes the recipe with changes; returns its path."""

    def write(**changes):
        path = tmp_path / "genes.toml"
        path.write_text(tomli_w.dumps(tiny_genes.tables(**changes)))
        return path

    return write


def _convert(call, recipe, folder, *options):
    return call("convert", recipe, "--out", folder, "--workers", 1, *options)


def test_convert_verify_and_inspect(call, recipe, tiny_genes, tmp_path):
    out = tmp_path / "out"
    code, text, err = _convert(call, recipe(), out)
    assert code == 0
    assert "wanted 30 windows, wrote 30 (train 10, validation 10, test 10)" in text
    assert "signals.dnase" in text and "contact.path" in text
    assert "bases: train 0." in text and "past contig ends" in text
    assert f"reading {tiny_genes.folder / 'dnase.bw'}" in err
    code, text, _ = call("verify", out, "--full")
    assert code == 0 and "9 shards, 30 records, all well" in text

    code, text, _ = call("inspect", out, "--split", "test", "--index", 3)
    assert code == 0
    for part in (
        "tiny_genes (expression)",
        "target level (transform log1p)",
        "windows forward, the TSS at index 100",
        "  dnase            none ",
        "contact: log10(x + 1) of contact balanced by weight, bins of 90 bp",
        "features (stored as z-scores",
        "  gc  ",
        "  signals          float32 2x200   ",
        "  target           float32 - ",
        "test record 3: chrIII:",
        ", gene IIIg3",
        "  [k27ac]",
    ):
        assert part in text, part
    levels = tiny_genes.genes.level[tiny_genes.genes.chrom == "chrIII"]
    row = next(line.split() for line in text.splitlines() if line[:6] == "  test")
    assert row[:2] == ["test", "10"]
    quantiles = np.quantile(np.log1p(levels), (0, 0.25, 0.5, 0.75, 1))
    np.testing.assert_allclose([float(x) for x in row[2:]], quantiles, atol=6e-4)
    fasta = tiny_genes.folder / "genome.fa"
    code, text, _ = call("inspect", out, "--fasta", fasta)
    assert code == 0 and f"30 stored sequences equal {fasta}" in text


def test_a_dry_run(call, recipe, tmp_path):
    code, text, _ = _convert(call, recipe(), tmp_path / "out", "--dry-run")
    assert code == 0 and 'kind = "expression"' in text
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "override, message",
    [
        ("windows.size=199", "windows.size is 199; it must be a positive even number"),
        ("windows.sice=200", 'unknown key "windows.sice"; did you mean "size"?'),
        ("signals.dnase.path=no.bw", "no.bw: no such file (signals.dnase)"),
        ("signals.dnase.path=peaks.bed", "not a bigWig"),
        ("contact.resolution=5000", "has no resolution 5,000 bp, only 90"),
        ("contact.path=dnase.bw", "no .cool, .mcool or .hic file"),
        ("source.columns.tss=TSS", "has no column 'TSS' for the tss"),
        ("target.column=levels", "has no target column 'levels'"),
        ("splits.test=['chrV']", "split 'test': no contig 'chrV'"),
    ],
)
def test_bad_recipes(call, recipe, tmp_path, override, message):
    code, out, err = _convert(call, recipe(), tmp_path / "out", "--set", override)
    errors = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert code == 1 and len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in out + err
    assert not (tmp_path / "out").exists()


def test_a_genome_of_n_is_warned_of(call, recipe, tiny_genes, tmp_path):
    text = (tiny_genes.folder / "genome.fa").read_text()
    masked = [line if line[0] == ">" else "N" * len(line) for line in text.splitlines()]
    (tmp_path / "n.fa").write_text("\n".join(masked) + "\n")
    source = tiny_genes.source(fasta=str(tmp_path / "n.fa"))
    code, _, err = _convert(call, recipe(source=source), tmp_path / "out")
    assert code == 0
    assert "Warning: 100% of the bases of split train are N" in err


def test_a_damaged_gene_identifier_is_found(call, recipe, tmp_path):
    """A shard under another shard's name: right in itself, of other genes."""
    out = tmp_path / "out"
    _convert(call, recipe(), out, "--set", "output.compression=none")
    first, second = sorted(out.glob("train-*"))[:2]
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    code, _, err = call("verify", out, "--full")
    assert code == 1 and "windows.parquet says" in err and "'Ig" in err
