"""``seqexp-tf elements`` on a small dataset of genes."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.evaluation.mask_predictor import MaskPredictor
from seqexp_tf.genome.intervals import read_bed
from seqexp_tf.genome.tracks import BigWigTrack
from seqexp_tf.interpretation.element_files import STEP
from seqexp_tf.interpretation.elements import model_selection
from seqexp_tf.models.mask_config import MaskConfig
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.training.run import Run


@pytest.fixture(scope="module")
def run(expression_folder, write_gene_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "soft"
    return write_gene_run(folder, RecordStore.open(expression_folder))


@pytest.fixture(scope="module")
def masks(run):
    """What the model says of each gene."""
    predictor = MaskPredictor.open(Run.open(run))
    return {
        split: list(predictor.predict(split))
        for split in ("train", "validation", "test")
    }


def test_files_of_a_split(run, masks, call, tmp_path):
    code, out, _ = call(
        "elements", run, "--out", tmp_path, "--fraction", "0.3",
        "--max-gap", "0", "--min-length", "1",
    )  # fmt: skip
    assert code == 0
    assert "elements of 10 genes" in out
    assert {path.name for path in tmp_path.iterdir()} == {
        "test.elements.bed",
        "test.elements.tsv",
        "test.genes.tsv",
        "test.mask.bw",
        "test.json",
    }
    table = pd.read_csv(tmp_path / "test.elements.tsv", sep="\t")
    bed = read_bed(tmp_path / "test.elements.bed")
    np.testing.assert_array_equal(
        bed[["start", "end"]].to_numpy(), table[["start", "end"]].to_numpy()
    )
    promoters = table[table.kind == "promoter"]
    # Of every gene the 20 bases around its TSS, where the contig has them.
    assert len(promoters) == 10 and promoters.length.max() == 20
    assert (promoters.distance == 0).all() and (promoters.score == 1).all()
    learnt = table[table.kind == "learnt"]
    ends = {"learnt": "", "promoter": ":promoter"}
    assert bed.name.tolist() == (table.name + table.kind.map(ends)).tolist()
    genes = pd.read_csv(tmp_path / "test.genes.tsv", sep="\t")
    summary = json.loads((tmp_path / "test.json").read_text())
    assert summary["genes"] == 10 and summary["elements"] == len(learnt)
    free = (genes.end - genes.start).sum() - promoters.length.sum()
    assert summary["selected_fraction"] == pytest.approx(learnt.length.sum() / free)
    assert summary["selected_fraction"] == pytest.approx(0.3, abs=0.01)
    assert (
        f"{len(learnt)} elements of 10 genes, {summary['selected_fraction']:.2%}"
        in (out)
    )
    assert summary["model_sha256"] == Run.open(run).model_sha256
    assert summary["selection"] == {
        "threshold": None, "fraction": 0.3, "max_gap": 0, "min_length": 1,
        "promoter": 20,
    }  # fmt: skip
    expected = np.full(1230, np.nan)
    for gene, row in zip(masks["test"], genes.itertuples(), strict=True):
        here = slice(gene.window.start, gene.window.end)
        expected[here] = np.fmax(expected[here], gene.mask)
        assert row.mask_ratio == pytest.approx((gene.mask >= 0.5).mean(), abs=1e-6)
        own = learnt[learnt.gene == row.gene]
        assert own.length.sum() == row.selected
        # Every element is as good as its mask says, where the mask says it.
        for element in own.itertuples():
            piece = slice(
                element.start - gene.window.start, element.end - gene.window.start
            )
            assert element.score == pytest.approx(gene.mask[piece].mean(), rel=1e-5)
            assert element.max == pytest.approx(gene.mask[piece].max(), rel=1e-5)
    with BigWigTrack(tmp_path / "test.mask.bw") as track:
        values = track.values("chrIII", 0, 1230)
    np.testing.assert_allclose(values, expected, atol=STEP / 2 + 1e-6)


def test_every_split_at_once(run, call, tmp_path):
    code, out, _ = call("elements", run, "--split", "all", "--out", tmp_path)
    assert code == 0
    assert "elements of 30 genes" in out
    selection = json.loads((tmp_path / "all.json").read_text())["selection"]
    assert selection == asdict(model_selection(MaskConfig(promoter=20)))
    genes = pd.read_csv(tmp_path / "all.genes.tsv", sep="\t")
    assert genes.split.value_counts().to_dict() == {
        "train": 10, "validation": 10, "test": 10,
    }  # fmt: skip
    contigs = pd.read_csv(tmp_path / "all.elements.tsv", sep="\t").contig
    assert contigs.drop_duplicates().tolist() == ["chrI", "chrII", "chrIII"]


def test_named_genes_of_any_split_with_their_own_tracks(
    run, masks, tiny_genes, call, tmp_path
):
    code, out, _ = call(
        "elements", run, "--gene", "Ig3", "--gene", "NIIIg5", "--plot",
        "--annotation", tiny_genes.folder / "genes.gff3", "--out", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert "elements of 2 genes" in out
    names = {path.name for path in tmp_path.iterdir()}
    for name in ("NIg3", "NIIIg5"):
        assert {f"{name}.mask.bw", f"{name}.locus.png", f"{name}.locus.svg"} <= names
    gene = next(gene for gene in masks["train"] if gene.window.gene == "Ig3")
    with BigWigTrack(tmp_path / "NIg3.mask.bw") as track:
        values = track.values("chrI", gene.window.start, gene.window.end)
    np.testing.assert_allclose(values, gene.mask, atol=STEP / 2 + 1e-6)
    picture = (tmp_path / "NIg3.locus.svg").read_text()
    for word in ("NIg3", "dnase", "k27ac", "contact", "peaks", "learnt mask"):
        assert word in picture


def test_links_of_genes_are_scored_over_bases_and_pairs(run, masks, call, tmp_path):
    rows = ["chrom\tstart\tend\tgene"]
    for gene in masks["test"]:
        best = int(np.argmax(gene.mask)) + gene.window.start
        rows.append(f"chrIII\t{max(best - 3, 0)}\t{best + 3}\t{gene.window.gene}")
    rows += ["chr9\t1\t5\tIIIg0", "chrIII\t1\t5\tforeign"]
    (tmp_path / "links.tsv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "out"
    peaks = tmp_path / "macs3.narrowPeak"
    peaks.write_text("chrIII\t300\t420\tp\t9\t.\t4\t-1\t3\t50\nchr9\t1\t5\n")
    code, text, errors = call(
        "elements", run, "--links", tmp_path / "links.tsv", "--peaks", peaks,
        "--out", out,
    )  # fmt: skip
    assert code == 0
    assert "candidate element-gene pairs are positive" in text
    assert "1 links left aside: contigs the dataset lacks" in errors
    assert "1 links left aside: genes the dataset lacks" in errors
    document = json.loads((out / "test.scores.json").read_text())
    assert document["links_name_genes"] is True
    methods = document["units"]["bases"]["methods"]
    assert list(methods) == [
        "mask", "dnase", "k27ac", "contact", "dnase x contact", "k27ac x contact",
        "all signals x contact", "distance", "upstream", "peaks", "macs3.narrowPeak",
        "random",
    ]  # fmt: skip
    # Every rival with how much worse it is, and how many times, and the intervals.
    shown = text[text.index("Ranked by") :].split("\n\n")[0]
    for name, scores in methods.items():
        (row,) = (line for line in shown.splitlines() if line.startswith(f"{name}  "))
        if name == "mask":
            continue
        for what, form in (("difference", "+.4f"), ("ratio", ".2f")):
            found = scores["pooled"][what]
            low, high = found["low"], found["high"]
            assert low <= found["value"] <= high
            assert f"{found['value']:{form}} [{low:{form}}, {high:{form}}]" in row
    unit = document["units"]["bases"]
    prevalence = unit["positives"] / unit["ranked"]
    random = methods["random"]["pooled"]["average_precision"]["value"]
    assert random == pytest.approx(prevalence)
    assert methods["mask"]["pooled"]["average_precision"]["value"] > 2 * prevalence
    for unit in ("bases", "pairs"):
        assert (out / f"test.scores_{unit}.png").is_file()
        assert (out / f"test.scores_{unit}.svg").is_file()


def test_bed_counts_for_every_gene_and_has_no_pairs(run, call, tmp_path):
    (tmp_path / "known.bed").write_text("chrIII\t100\t140\nchrIII\t600\t640\n")
    code, text, errors = call(
        "elements", run, "--links", tmp_path / "known.bed", "--out", tmp_path / "out",
        "--exclude-promoter", "--block", "100",
    )  # fmt: skip
    assert code == 0
    assert "names no genes, so that pairs are not scored" in errors
    assert "pairs are positive" not in text
    document = json.loads((tmp_path / "out" / "test.scores.json").read_text())
    assert list(document["units"]) == ["bases"]
    assert document["bases_excluded_around_tss"] == 20
    windows = pd.read_csv(tmp_path / "out" / "test.genes.tsv", sep="\t")
    # The promoter of the last gene hangs over the end of the contig.
    inside = (windows.end - windows.start).sum()
    assert 0 < inside - document["units"]["bases"]["ranked"] <= 20 * len(windows)


def test_a_gene_whose_mask_is_zero_is_named(tiny_genes, write_gene_run, call, tmp_path):
    tss = tiny_genes.genes.set_index("gene_id").tss["IIIg4"]
    peaks = tmp_path / "peaks.bed"
    peaks.write_text(f"chrIII\t{tss + 30}\t{tss + 40}\n")
    recipe = tiny_genes.recipe(channels={"peaks": str(peaks)})
    convert(recipe, tmp_path / "dataset")
    store = RecordStore.open(tmp_path / "dataset")
    given = {"kind": "given", "channel": "peaks"}
    run = write_gene_run(tmp_path / "run", store, mask=given)
    names = ["--gene", "IIIg4", "--gene", "Ig9"]
    code, out, errors = call("elements", run, *names)
    assert code == 0
    assert "Note: gene Ig9: the mask is zero outside the promoter; no element" in errors
    # Peaks are what a given mask selects, whatever their share.
    assert "1 element of 2 genes" in out
    code, out, _ = call("elements", run, *names[:2])
    assert code == 0 and "1 element of 1 gene," in out
    code, _, errors = call("elements", run, *names[2:])
    assert code == 1
    assert errors.startswith("Error: the mask of every gene (first: Ig9) is zero")
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gene", "Ig99"], "gene 'Ig99': "),
        (["--split", "tset"], "no split 'tset'"),
        (["--threshold", "1.5"], "threshold is 1.5"),
        (["--links", "{tmp}/none.bed"], "none.bed: no such file"),
        (["--links", "{tmp}/empty.bed"], "empty.bed: no element in it"),
        (["--links", "{tmp}/foreign.bed"], "no contig of it is in the dataset"),
        (["--links", "{tmp}/nowhere.bed"], "none of its elements lies in the window"),
        (["--data", "{joint}"], "dataset of kind 'joint'"),
        (
            ["--links", "{tmp}/nowhere.bed", "--peaks", "{tmp}/empty.bed"],
            "empty.bed: no peak in it",
        ),
        (
            ["--links", "{tmp}/nowhere.bed", "--peaks", "{tmp}/foreign.bed"],
            "none of its contigs (scaffold_1) is in the genome",
        ),
        (
            ["--gene", "Ig1", "--plot", "--annotation", "{tmp}/human.gff3"],
            "no contig here is chrI of the dataset",
        ),
    ],
)
def test_an_error_is_one_line(arguments, message, run, joint_folder, call, tmp_path):
    (tmp_path / "empty.bed").write_text("")
    (tmp_path / "foreign.bed").write_text("scaffold_1\t1\t5\n")
    human = "chr21\tx\tgene\t1\t40\t.\t+\t.\tID=a\n"
    (tmp_path / "human.gff3").write_text(human)
    (tmp_path / "nowhere.bed").write_text("chrI\t2990\t2999\n")
    filled = [part.format(tmp=tmp_path, joint=joint_folder) for part in arguments]
    code, _, errors = call("elements", run, "--out", tmp_path / "out", *filled)
    assert code == 1
    assert message in errors
    assert errors.startswith("Error: ")
    assert len(errors.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--gene", "Ig1", "--split", "test"],
        ["--threshold", "0.5", "--fraction", "0.1"],
        ["--plot"],
        ["--annotation", "x.gff3"],
        ["--exclude-promoter"],
        ["--block", "10"],
        ["--peaks", "x.bed"],
        ["--links", "x.bed", "--peaks", "x.bed"],
    ],
)
def test_options_that_do_not_go_together(arguments, run, call):
    assert call("elements", run, *arguments)[0] == 2


def test_models_without_masks_are_refused(
    expression_folder, joint_store, write_gene_run, write_run, call, tmp_path
):
    store = RecordStore.open(expression_folder)
    plain = write_gene_run(tmp_path / "plain", store, mask={"kind": "none"})
    code, _, errors = call("elements", plain)
    assert code == 1 and "this model selects no bases" in errors
    joint = write_run(tmp_path / "joint", joint_store)
    code, _, errors = call("elements", joint)
    assert code == 1 and "a run of task 'joint'" in errors
