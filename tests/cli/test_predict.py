"""``seqexp-tf predict`` on models that were never trained."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tqdm import tqdm

from seqexp_tf.errors import ConfigError, RunError, SeqExpError
from seqexp_tf.genome.alphabet import decode, reverse_complement
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.prediction.model import open_model
from seqexp_tf.prediction.run import Prediction
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.serving.export import export_run
from seqexp_tf.training.run import Run


@pytest.fixture(scope="module")
def run(tiny_genome, tmp_path_factory, write_run):
    """A joint model of windows of 100 bases."""
    folder = tmp_path_factory.mktemp("predict")
    convert(tiny_genome.recipe(), folder / "dataset")
    return write_run(folder / "run", RecordStore.open(folder / "dataset"))


@pytest.fixture(scope="module")
def gene_run(expression_folder, tmp_path_factory, write_gene_run):
    """A model of genes in windows of 200 bases."""
    folder = tmp_path_factory.mktemp("predict") / "run"
    return write_gene_run(folder, RecordStore.open(expression_folder))


@pytest.fixture(scope="module")
def genome(tiny_genome):
    return tiny_genome.folder / "genome.fa"


@pytest.fixture
def predict(call, tmp_path):
    """Runs the verb and reads its table."""

    def run_it(model, *arguments, suffix="tsv"):
        out = tmp_path / "results" / f"out.{suffix}"
        code, printed, errors = call("predict", model, *arguments, "--out", out)
        assert code == 0, errors
        assert str(out.with_suffix("")) in printed
        if suffix == "parquet":
            return pd.read_parquet(out)
        return pd.read_csv(out, sep="\t") if suffix == "tsv" else out

    return run_it


@pytest.fixture
def refused(call, tmp_path):
    """Runs the verb, which fails with one line and leaves nothing behind."""

    def run_it(model, *arguments, out="out.tsv"):
        folder = tmp_path / "refused"
        code, printed, errors = call(
            "predict", model, *arguments, "--out", folder / out
        )
        assert code != 0 and printed == ""
        line = errors.strip().splitlines()[-1]
        assert "Traceback" not in errors
        assert not folder.exists() or not list(folder.iterdir())
        return line

    return run_it


def _logits(run, dna):
    """What the model says of one strand, every label hidden."""
    model = Run.open(run).load_model()
    inputs = {
        "sequence": np.eye(5, dtype="f4")[dna][None],
        "expression": np.full((1, dna.size), 0.5, "f4"),
    }
    return np.asarray(model.predict_on_batch(inputs)["expression_logits"])[0]


def _sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(float)))


def test_regions_are_what_tracks_say(call, run, genome, predict, tmp_path):
    bed = tmp_path / "regions.bed"
    bed.write_text("chrIII\t0\t260\tlast\nchrI\t500\t620\nchrI\t600\t700\tmore\n")
    source = ["--bed", bed, "--genome", genome]
    table = predict(run, *source, "--batch-size", 5, suffix="parquet")
    assert table.columns.tolist() == [
        "region", "contig", "position", "base", "plus", "minus",
    ]  # fmt: skip
    assert table.region.unique().tolist() == ["last", "I:501-620", "more"]
    assert table.plus.dtype == np.float32
    call("tracks", run, "--region", "chrI", "--region", "chrIII", "--out", tmp_path)
    for strand in ("plus", "minus"):
        tracks = BigWigTrack(tmp_path / f"regions_hidden.{strand}.bw")
        for name, contig, start, end in [
            ("last", "chrIII", 0, 260),
            ("I:501-620", "chrI", 500, 620),
        ]:
            rows = table[table.region == name]
            assert rows.position.tolist() == list(range(start, end))
            values = tracks.values(contig, start, end)
            np.testing.assert_allclose(rows[strand], values, atol=1e-6)
    text = predict(run, *source)
    assert text.base.tolist() == table.base.tolist()
    np.testing.assert_allclose(text.plus, table.plus, atol=1e-6)

    out = predict(run, *source, suffix="bw")
    first = BigWigTrack(out.with_name("out.plus.bw"))
    assert first.sizes == {"I": 3000, "II": 1510, "III": 1230}
    merged = table[table.contig == "I"].drop_duplicates("position")
    values = first.values("I", 400, 800)
    np.testing.assert_allclose(values[100:300], merged.plus, atol=1e-6)
    assert np.isnan(values[:100]).all() and np.isnan(values[300:]).all()


def test_a_split_is_read_from_the_dataset(run, genome, predict, tmp_path):
    found = predict(run, "--split", "test", suffix="parquet")
    # The last window of the dataset ends there; of the contig, later.
    assert found.contig.unique().tolist() == ["chrIII"] and len(found) == 1200
    bed = tmp_path / "all.bed"
    bed.write_text("III\t0\t1200\n")
    other = predict(run, "--bed", bed, "--genome", genome, suffix="parquet")
    np.testing.assert_array_equal(found.base, other.base)
    np.testing.assert_allclose(found.minus[:1100], other.minus[:1100], atol=1e-6)


def test_sequences_are_predicted_on_both_strands(run, predict, tmp_path):
    dna = np.random.default_rng(0).integers(0, 4, 100).astype(np.uint8)
    fasta = tmp_path / "s.fa"
    turned = decode(reverse_complement(dna)).lower()
    fasta.write_text(f">one first\n{decode(dna)}\n>turned\n{turned}\n>r\nACRYN\n")
    table = predict(run, "--fasta", fasta)
    one, other, short = (table[table.sequence == n] for n in ("one", "turned", "r"))
    np.testing.assert_allclose(one.plus, _sigmoid(_logits(run, dna)), atol=1e-5)
    np.testing.assert_allclose(one.plus, other.minus[::-1], atol=1e-6)
    np.testing.assert_allclose(one.minus, other.plus[::-1], atol=1e-6)
    assert "".join(short.base) == "ACNNN" and short.plus.notna().all()


def test_a_variant_changes_the_window_around_it(
    run, genome, tiny_genome, predict, tmp_path
):
    dna = tiny_genome.sequence["chrII"]
    start, end = 700, 703
    text = decode(dna[start - 1 : end])
    vcf = tmp_path / "v.vcf"
    first = decode(dna[:1])
    rows = [
        f"II\t{start}\tdel\t{text}\t{text[0]}",
        f"chrII\t1\t.\t{first}\t{'C' if first != 'C' else 'G'},<DEL>",
    ]
    vcf.write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "\n".join(rows) + "\n")
    table = predict(run, "--vcf", vcf, "--genome", genome, "--batch-size", 3)
    assert table.columns.tolist() == [
        "contig", "position", "id", "ref", "alt", "log_odds_plus", "log_odds_minus",
        "expressed_plus", "expressed_minus", "reference_plus", "reference_minus",
    ]  # fmt: skip
    assert table.contig.tolist() == ["II", "chrII"]
    changed = np.delete(dna, slice(start, end))
    low = start + 1 - 50
    old, new = dna[low : low + 100], changed[low : low + 100]
    kept = np.r_[0 : start - low, end - low : 100]
    p, q = _logits(run, old), _logits(run, new)
    odds = q[: kept.size].sum() - p[kept].sum()
    assert table.log_odds_plus[0] == pytest.approx(odds, abs=1e-3)
    expressed = _sigmoid(q[: kept.size]).sum() - _sigmoid(p).sum()
    assert table.expressed_plus[0] == pytest.approx(expressed, abs=1e-4)
    assert table.reference_plus[0] == pytest.approx(_sigmoid(p).sum(), abs=1e-4)
    p, q = (_logits(run, reverse_complement(x))[::-1] for x in (old, new))
    odds = q[: kept.size].sum() - p[kept].sum()
    assert table.log_odds_minus[0] == pytest.approx(odds, abs=1e-3)


def test_genes_of_a_split(gene_run, predict, expression_folder, tmp_path):
    store = RecordStore.open(expression_folder)
    table = predict(gene_run, "--split", "train", suffix="parquet")
    windows = store.windows("train")
    assert table.gene.tolist() == windows.gene.tolist()
    np.testing.assert_allclose(table.target, windows.target, rtol=1e-6)
    assert [len(m) for m in table["mask"]] == (table.end - table.start).tolist()
    assert table.start.min() == 0 and (table.strand == windows.gene_strand).all()
    text = predict(gene_run, "--split", "train")
    assert "mask" not in text
    np.testing.assert_allclose(text.predicted, table.predicted, atol=1e-6)
    track = BigWigTrack(predict(gene_run, "--split", "train", suffix="bw"))
    largest = np.zeros(3000)
    for row in table[table.contig == "chrI"].itertuples():
        here = largest[row.start : row.end]
        np.maximum(here, row.mask, out=here)
    values = track.values("chrI", 0, 3000)
    np.testing.assert_allclose(np.nan_to_num(values), largest, atol=1e-4)


@pytest.fixture
def gene_vcf(tiny_genes, tmp_path):
    path = tmp_path / "v.vcf"
    site = tiny_genes.genes.set_index("gene_id").loc["Ig4"]
    base = decode(tiny_genes.sequence["chrI"][site.tss - 20 :][:1])
    line = f"1\t{site.tss - 19}\trs5\t{base}\t{'A' if base != 'A' else 'G'}\n"
    path.write_text("#CHROM\tPOS\tID\tREF\tALT\n" + line)
    return path


def test_variants_change_genes(gene_run, genome, gene_vcf, predict, tiny_genes):
    source = ["--vcf", gene_vcf, "--genome", genome]
    table = predict(gene_run, *source)
    row = table[table.gene == "Ig4"].iloc[0]
    genes = tiny_genes.genes.set_index("gene_id")
    assert (row.id, row.tss, row["name"]) == ("rs5", genes.tss["Ig4"], "NIg4")
    assert row.distance == (-20 if row.strand == "+" else 20)
    split = predict(gene_run, "--split", row.split).set_index("gene")
    assert row.reference == pytest.approx(split.predicted["Ig4"], abs=1e-5)
    assert row.effect == pytest.approx(row.alternative - row.reference, abs=1e-6)
    assert row.effect != 0


def test_variants_of_no_gene_are_said(call, gene_run, genome, tiny_genes, tmp_path):
    sequence = tiny_genes.sequence["chrI"]
    sites = tiny_genes.genes.tss[tiny_genes.genes.chrom == "chrI"].to_numpy()
    # Windows have 200 bases.
    far = next(at for at in range(sequence.size) if np.abs(sites - at).min() > 110)
    base = decode(sequence[far : far + 1])
    vcf, out = tmp_path / "far.vcf", tmp_path / "far.tsv"
    line = f"1\t{far + 1}\t.\t{base}\t{'A' if base != 'A' else 'G'}\n"
    vcf.write_text("#CHROM\tPOS\tID\tREF\tALT\n" + line)
    source = ["--vcf", vcf, "--genome", genome]
    code, _, said = call("predict", gene_run, *source, "--out", out)
    assert code == 0
    assert "None of the 1 alleles lies in the window of a gene of" in said
    assert len(out.read_text().splitlines()) == 1


def test_an_export_needs_a_dataset_for_genes(
    gene_run, genome, gene_vcf, predict, refused, expression_folder, tmp_path
):
    version = export_run(Run.open(gene_run), tmp_path / "models" / "genes")
    source = ["--vcf", gene_vcf, "--genome", genome]
    assert "an export does not hold its dataset; give --data" in refused(
        version, *source
    )
    by_run = predict(gene_run, *source)
    by_export = predict(version.parent, *source, "--data", expression_folder)
    pd.testing.assert_frame_equal(by_run, by_export, atol=1e-5)


def test_one_source_and_its_genome(run, genome, refused):
    assert "give one of --fasta, --bed, --vcf and --split" in refused(run)
    both = ["--split", "test", "--fasta", genome]
    assert "give one of" in refused(run, *both)
    for source in ("--bed", "--vcf"):
        assert f"{source} needs --genome FASTA" in refused(run, source, genome)
    of_split = ["--split", "test", "--genome", genome]
    assert "--genome goes with --bed or --vcf alone" in refused(run, *of_split)


@pytest.fixture(scope="module")
def models(run, gene_run):
    return {"joint": open_model(run), "genes": open_model(gene_run)}


def _bad_input(genome, folder):
    """Yields kind of model, method of ``Prediction``, arguments and message."""
    empty, long = folder / "empty", folder / "long.fa"
    empty.write_text("")
    long.write_text(">fits\nACGT\n>long\n" + "ACGT" * 26 + "\n")
    bed, vcf = folder / "r.bed", folder / "v.vcf"
    bed.write_text("II\t1500\t1511\n")
    vcf.write_text("#CHROM\tPOS\tID\tREF\tALT\nXVI\t5\t.\tA\tC\n")
    of = {"genome": genome}
    yield "joint", "fasta", long, {}, "sequence 'long' has 104 bases, more than the"
    yield "joint", "fasta", empty, {}, f"{empty}: the file is empty; expected a FASTA"
    yield "joint", "bed", empty, of, f"{empty}: holds no interval"
    yield "joint", "bed", bed, of, "r.bed: line 1: II:1500-1511 .* past the end.*; end"
    yield "joint", "bed", bed, {"genome": empty}, f"{empty}: the file is empty"
    yield "joint", "vcf", empty, of, f"{empty}: not a VCF: it ends without"
    yield "joint", "vcf", vcf, of, "v.vcf: line 2: .* has no contig 'XVI'; nearest"
    yield "joint", "vcf", folder / "no", of, "no: no such file"
    yield "joint", "split", "tset", {}, "no split 'tset'; did you mean"
    yield "genes", "fasta", long, {}, "a model of genes, which reads more of a gene"
    yield "genes", "bed", bed, of, "it cannot predict regions of a BED: give --split"
    yield "genes", "vcf", vcf, of, "v.vcf: line 2: .* has no contig 'XVI'; nearest"


def test_bad_input_is_one_line(models, genome, tmp_path):
    for kind, method, source, options, message in _bad_input(genome, tmp_path):
        out = tmp_path / "refused" / "out.tsv"
        prediction = Prediction(model=models[kind], out=out, count=lambda *_: tqdm())
        with pytest.raises(SeqExpError, match=message) as refusal:
            getattr(prediction, method)(source, **options)
        assert "\n" not in str(refusal.value)
        assert list(out.parent.iterdir()) == []


def test_a_folder_that_cannot_be_written_in_is_one_line(models, genome):
    # No one writes there, not even root.
    prediction = Prediction(
        model=models["joint"], out=Path("/proc/out.tsv"), count=lambda *_: tqdm()
    )
    with pytest.raises(RunError, match="^/proc: cannot write here .*; choose another"):
        prediction.fasta(genome)


def test_what_cannot_be_a_bigwig(models, genome, tmp_path):
    options = {"out": tmp_path / "out.bw", "count": lambda *_: tqdm()}
    prediction = Prediction(model=models["joint"], **options)
    with pytest.raises(ConfigError, match="predictions of a FASTA cannot be a bigWig"):
        prediction.fasta(genome)
    with pytest.raises(ConfigError, match="only predictions of genes are averaged"):
        Prediction(model=models["joint"], **options, average_strands=True)
    assert list(tmp_path.iterdir()) == []


def test_the_verb_says_one_line(run, genome, refused, tmp_path):
    vcf, dna = tmp_path / "v.vcf", genome.read_text().splitlines()[1]
    other = "A" if dna[4] != "A" else "C"
    vcf.write_text(f"#CHROM\tPOS\tID\tREF\tALT\nchrI\t5\t.\t{other}\tN\n")
    assert refused(run, "--vcf", vcf, "--genome", genome) == (
        f"Error: {vcf}: line 2: chrI:5 has REF {other!r}, but {genome} has {dna[4]!r} "
        "there; is it of another assembly, or of the other strand?"
    )
    unknown = refused(run, "--split", "test", out="out.csv")
    assert "unknown suffix '.csv'; choose one of .parquet, .tsv" in unknown
    assert "neither a run nor an export; give a run, or an export" in refused(
        tmp_path, "--split", "test"
    )
    assert "scheme 'htp'; did you mean" in refused(
        run, "--split", "test", "--server", "htp://localhost/x"
    )
