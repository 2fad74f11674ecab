"""``seqexp-tf borders`` and ``seqexp-tf tracks`` on a run that was never trained."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.evaluation.borders import TOLERANCES
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.records.store import RecordStore

GENES = """\
##gff-version 3
C\tx\tgene\t101\t400\t.\t+\t.\tID=a;Name=SMT3
C\tx\tCDS\t101\t400\t.\t+\t0\tID=c;Parent=a
C\tx\tgene\t301\t600\t.\t-\t.\tID=b;Name=COA1
C\tx\tCDS\t301\t600\t.\t-\t0\tID=d;Parent=b
"""


@pytest.fixture(scope="module")
def run(joint_folder, tmp_path_factory, write_run):
    folder = tmp_path_factory.mktemp("borders") / "run"
    return write_run(folder, RecordStore.open(joint_folder))


@pytest.fixture
def annotation(tmp_path):
    path = tmp_path / "genes.gff3"
    path.write_text(GENES)
    return path


def _names(folder):
    return {path.name for path in folder.iterdir()}


def test_a_split_from_dna_alone(call, run, annotation):
    code, out, _ = call("borders", run, "--annotation", annotation)
    assert code == 0
    folder = run / "borders"
    assert _names(folder) == {
        "test.json",
        "test.tsv",
        "test.md",
        "test_windows.tsv",
        "test_curves.tsv",
        "test_model.bed",
        "test_segments.bed",
        "test.png",
        "test.svg",
    }
    assert all(str(folder / name) in out for name in _names(folder))
    document = json.loads((folder / "test.json").read_text())
    scores = {
        (score["predictor"], score["contig"], score["strand"]): score
        for score in document["scores"]
    }
    assert set(document["predictors"]) == {
        "model",
        "segments",
        "annotation",
        "annotation_utr",
        "majority",
    }
    assert scores["annotation", "chrC", "+"]["borders"][0]["both"]["predicted"] == 2
    within = [entry["tolerance"] for entry in scores["model", "all", "both"]["borders"]]
    assert within == list(TOLERANCES)
    accuracy = scores["annotation", "all", "both"]["metrics"]["accuracy"]
    line = next(line for line in out.splitlines() if line.startswith("annotation "))
    assert f"{accuracy:.4f}" in line
    assert read_bed(folder / "test_model.bed").contig.isin(["chrC"]).all()


def test_regions_are_drawn_with_their_tables(call, run, annotation, tmp_path):
    out = tmp_path / "out"
    code, printed, _ = call(
        "borders", run, "--region", "chrC:301-420", "--region", "C:1-100",
        "--annotation", annotation, "--visible", "--out", out,
    )  # fmt: skip
    assert code == 0
    assert _names(out) == {
        f"{stem}.{kind}"
        for stem in ("chrC_301-420", "chrC_1-100")
        for kind in ("json", "tsv", "regions.tsv", "png", "svg")
    }
    assert "chrC:301-420 (-): RNA mask 64 bp" in printed
    assert "Scored at measured labels: the reconstruction at the 64 under" in printed
    document = json.loads((out / "chrC_301-420.json").read_text())
    plus, minus = document["strands"]
    assert (plus["strand"], minus["strand"]) == ("+", "-")
    assert plus["labels_hidden"] == 64
    assert set(plus["predictions"]) == set(document["definitions"])
    table = pd.read_csv(out / "chrC_301-420.tsv", sep="\t")
    assert len(table) == 2 * 120
    assert table.position.tolist() == 2 * list(range(301, 421))
    called = (table[table.strand == "+"].dna_alone > 0.5).sum()
    assert plus["predictions"]["dna_alone"]["expressed"]["bases"] == called
    regions = pd.read_csv(out / "chrC_301-420.regions.tsv", sep="\t")
    bases = regions.groupby(["strand", "source"]).length.sum()
    assert bases.get(("+", "dna_alone"), 0) == called
    assert bases.get(("+", "measured"), 0) == plus["expressed"]["bases"]
    assert "SMT3" in (out / "chrC_301-420.svg").read_text()


def test_tracks_agree_with_the_tables(call, run, tmp_path):
    out = tmp_path / "tracks"
    code, printed, _ = call("tracks", run, "--region", "chrC:301-420", "--out", out)
    assert code == 0
    assert "120 bases predicted on both strands." in printed
    assert "Left out" not in printed
    assert _names(out) == {
        "regions_hidden.plus.bw",
        "regions_hidden.minus.bw",
        "regions_hidden.expressed.bed",
        "regions_hidden.segments.bed",
    }
    call("borders", run, "--region", "chrC:301-420", "--out", out)
    table = pd.read_csv(out / "chrC_301-420.tsv", sep="\t")
    for strand, name in (("+", "plus"), ("-", "minus")):
        with BigWigTrack(out / f"regions_hidden.{name}.bw") as track:
            found = track.values("chrC", 300, 420)
        expected = table[table.strand == strand].dna_alone.to_numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_has_no_window_is_named(call, run, tmp_path):
    code, printed, _ = call(
        "tracks", run, "--region", "chrC:1461-1500", "--out", tmp_path / "tracks"
    )
    assert code == 0
    assert "12 bases predicted" in printed
    assert "has no window there: chrC:1,473-1,500 (28 bases)." in printed


def test_tracks_of_a_split_land_in_the_run(call, run):
    code, printed, _ = call(
        "tracks", run, "--split", "validation", "--labels", "visible"
    )
    assert code == 0
    assert "has no window there: chrB:1,473-1,500 (28 bases)." in printed
    assert "validation_visible.plus.bw" in _names(run / "tracks")


@pytest.mark.parametrize("verb", ["borders", "tracks"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--region", "chrX:1-100"], "has no contig 'chrX'; nearest: chrC"),
        (["--region", "chrC:1401-1600"], "chrC ends at 1,500; choose a region within"),
        (["--region", "chrC:200-100"], "starts after its end; swap the two"),
        (["--region", "chrC:0-100"], "starts at 0; the first base is 1"),
        (["--region", "chrC:1-2-3"], "expected CONTIG:START-END"),
        (["--region", "chrC:1481-1500"], "no window lies on chrC:1,481-1,500"),
        (["--split", "tset"], "no split 'tset'; did you mean \"test\""),
        (["--data", "{tmp}"], "not a dataset, manifest.json is missing"),
    ],
)
def test_bad_input_is_one_line(call, run, tmp_path, verb, arguments, message):
    filled = [part.format(tmp=tmp_path) for part in arguments]
    code, _, err = call(verb, run, *filled, "--out", tmp_path / "out")
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert message in line
    folder = tmp_path / "out"
    assert not folder.exists() or not _names(folder)


@pytest.mark.parametrize("verb", ["borders", "tracks", "logo", "evaluate"])
def test_a_cut_shard_is_named_before_anything_is_made(
    call, run, joint_folder, tmp_path, verb
):
    shutil.copytree(joint_folder, tmp_path / "cut")
    shard = min((tmp_path / "cut").glob("train-*.tfrecord*"))
    shard.write_bytes(shard.read_bytes()[:-100])
    region = () if verb == "evaluate" else ("--region", "chrC:1-100")
    out = tmp_path / "out"
    code, _, err = call(verb, run, *region, "--data", tmp_path / "cut", "--out", out)
    assert code == 1
    assert err.startswith(f"Error: {shard}: ") and "the shard was cut" in err
    assert not out.exists()


@pytest.mark.parametrize("verb", ["borders", "logo"])
def test_a_region_without_windows_is_refused_as_it_was_asked(call, run, tmp_path, verb):
    out = tmp_path / "out"
    code, _, err = call(verb, run, "--region", "chrC:1481-1500", "--out", out)
    assert code == 1
    assert "no window lies on chrC:1,481-1,500; the recipe left it out" in err
    assert not out.exists()


def test_a_region_longer_than_the_window(call, run, tmp_path):
    code, _, err = call(
        "borders", run, "--region", "chrC:1-129", "--out", tmp_path / "out"
    )
    assert code == 1
    assert "129 bases, more than the model's window of 128" in err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("##gff-version 3\n", "no feature line; expected GFF3 or GTF"),
        (GENES.replace("C\tx", "K\tx"), "no contig here is chrC of the dataset"),
        (GENES.replace("CDS", "exon"), "no CDS feature on chrC"),
    ],
)
def test_an_annotation_that_does_not_fit(
    call, run, annotation, tmp_path, text, message
):
    annotation.write_text(text)
    code, _, err = call(
        "borders", run, "--annotation", annotation, "--out", tmp_path / "out"
    )
    assert code == 1
    assert err.startswith(f"Error: {annotation}: ")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["borders", "--region", "chrC:1-9", "--split", "test"], "either --region or"),
        (["tracks", "--region", "chrC:1-9", "--split", "test"], "either --region or"),
        (["borders", "--visible"], "--visible goes with --region"),
        (["tracks", "--labels", "some"], "'hidden', 'visible'"),
    ],
)
def test_options_that_do_not_go_together(call, run, arguments, message):
    code, _, err = call(arguments[0], run, *arguments[1:])
    assert code == 2
    assert message in err


def test_another_dataset_is_named(call, run, tmp_path, tiny_genome):
    from seqexp_tf.records.convert import convert

    recipe = tiny_genome.recipe("raw", windows={"size": 128, "stride": 64})
    convert(recipe, tmp_path / "other")
    region = ("--region", "chrIII:300-350")
    before = _contents(run)
    for verb, *options in (
        ("borders", *region),
        ("tracks", *region),
        ("logo", *region),
        ("mutagenesis", *region),
        ("evaluate", "--calibrate"),
        ("report", *region),
    ):
        asked = (verb, run, *options, "--data", tmp_path / "other")
        code, _, err = call(*asked)
        assert code == 1
        assert err.startswith(f"Error: {run} was trained on small (")
        assert "another dataset; give --out, so that its results" in err
        if verb not in ("evaluate", "report"):
            code, _, err = call(*asked, "--out", tmp_path / verb)
            assert code == 0, err
            assert f"Note: {run} was trained on small (" in err
            assert f"); {tmp_path / 'other'} is tiny (" in err
    assert _contents(run) == before


def _contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_of_another_window_size(call, run, tmp_path, tiny_genome):
    from seqexp_tf.records.convert import convert

    convert(tiny_genome.recipe(), tmp_path / "other")
    for verb in ("borders", "tracks"):
        code, _, err = call(verb, run, "--data", tmp_path / "other")
        assert code == 1
        assert "windows of 100 bases" in err
