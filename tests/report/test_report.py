"""A report of a small run: what is on it, where from, and what is refused."""

import contextlib
import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from seqexp_tf.cli.main import cli
from seqexp_tf.errors import DatasetError, InputError, RunError, SeqExpError
from seqexp_tf.interpretation.receptive_field import NotLocal
from seqexp_tf.records.regions import Region, read_slice
from seqexp_tf.records.store import RecordStore
from seqexp_tf.report import collect
from seqexp_tf.report.calibration_section import calibration_section
from seqexp_tf.report.collect import collect_report, prepare_report
from seqexp_tf.report.compose import compose
from seqexp_tf.report.loci import EXAMPLES, Locus, choose_loci
from seqexp_tf.report.locus_results import examine_loci
from seqexp_tf.report.page import Missing, Picture, Table, render
from seqexp_tf.report.region_sections import region_section
from seqexp_tf.report.score_sections import dna_alone_section, results_section
from seqexp_tf.training.config import read_run_config
from seqexp_tf.training.run import Run
from seqexp_tf.training.trainer import fit

SMALL = {
    "model": {"architecture": "cnn", "filters": 8, "dilations": [2, 4]},
    "training": {"epochs": 1, "batch_size": 8, "precision": "float32"},
}
NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
HOSTILE = "<script>alert('x')<"


def _fit(store, folder, *overrides):
    return fit(read_run_config(SMALL, overrides), store, folder, say=lambda line: None)


@pytest.fixture(scope="module", autouse=True)
def one_drawn():
    """Two regions, one drawn and one asked for, take less time than three."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seqexp_tf.report.loci._DRAWN", 1)
        yield


@pytest.fixture(scope="module")
def store(joint_folder):
    return RecordStore.open(joint_folder)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """A finished run whose name is an attack. Treat it as read-only."""
    return _fit(store, tmp_path_factory.mktemp("runs") / HOSTILE)


@pytest.fixture(scope="module")
def annotation(tmp_path_factory):
    path = tmp_path_factory.mktemp("genes") / "genes.gff3"
    path.write_text(
        "##gff-version 3\n"
        "chrC\tx\tgene\t101\t400\t.\t+\t.\tID=g1;Name=ABC1\n"
        "chrC\tx\tmRNA\t101\t400\t.\t+\t.\tID=t1;Parent=g1\n"
        "chrC\tx\tCDS\t151\t390\t.\t+\t0\tID=c1;Parent=t1\n"
    )
    return path


class _Steps:
    """Notes every step, and checks that it announces as much as it does."""

    def __init__(self):
        self.seen = []

    @contextlib.contextmanager
    def __call__(self, what, total):
        self.seen.append(what)
        counted = []
        yield counted.append
        assert sum(counted) == total


@pytest.fixture(scope="module")
def inputs(run, store, annotation):
    return prepare_report(run, store, regions=["chrC:301-400"], annotation=annotation)


@pytest.fixture(scope="module")
def report(inputs):
    steps = _Steps()
    made = collect_report(inputs, step=steps)
    assert steps.seen == [
        "Fitting temperatures",
        "Scoring test",
        "Expression from DNA alone",
    ]
    return made


@pytest.fixture(scope="module")
def loci(inputs):
    steps = _Steps()
    found = list(examine_loci(inputs, step=steps))
    assert steps.seen[-3:] == [
        "Borders of chrC:301-400",
        "Mutations of chrC:301-400",
        "Logos of chrC:301-400",
    ]
    return found


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Where the command puts the page."""
    return tmp_path_factory.mktemp("page") / "sub" / "page.html"


@pytest.fixture(scope="module")
def arguments(run, annotation, path):
    named = {"--annotation": annotation, "--out": path, "--region": "chrC:301-400"}
    options = [str(part) for pair in named.items() for part in pair]
    return ["report", str(run.folder), *options]


@pytest.fixture(scope="module")
def page(report, loci, arguments):
    regions = tuple(region_section(results, report.inputs) for results in loci)
    return compose(report, regions, command=["seqexp-tf", *arguments])


def _missing(*sections):
    blocks = [block for section in sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Missing)]


def _reasons(section):
    return " ".join(block.why for block in _missing(section))


def test_every_section_is_there_and_nothing_is_missing(page):
    assert [section.id for section in page.results] == [
        "results", "dna-alone", "calibration", "curves",
    ]  # fmt: skip
    assert _missing(*page.results, *page.regions, *page.background) == []
    assert len(page.regions) == 2
    assert page.regions[-1].origin == "asked for, test split"
    assert page.title == HOSTILE


def test_the_table_shows_what_evaluate_found(page, report):
    masked = report.metrics["populations"]["masked"]
    table = page.results[0].blocks[0]
    row = next(row for row in table.rows if row[0] == "RNA accuracy")
    assert row[1] == f"{masked['rna']['uniform_random']['accuracy']:.4f}"
    assert row[3].text == f"{masked['rna']['model']['accuracy']:.4f}"
    # The small split has too few blocks for intervals.
    assert row[3].detail == ""


def test_intervals_stand_under_the_scores_of_the_model(report):
    metrics = json.loads(json.dumps(report.metrics))
    metrics["populations"]["masked"]["dna"]["model_interval"] = {
        "accuracy": {"low": 0.25, "high": 0.5}
    }
    table = results_section(replace(report, metrics=metrics)).blocks[0]
    row = next(row for row in table.rows if row[0] == "DNA accuracy")
    assert row[3].detail == "0.2500 – 0.5000"
    assert "95% intervals" in table.note


def test_the_headlines_are_the_first_results(page, report):
    values = {headline.label: headline.value for headline in page.headlines}
    masked = report.metrics["populations"]["masked"]
    assert values["RNA accuracy, hidden labels"] == (
        f"{masked['rna']['model']['accuracy']:.3f}"
    )
    model = report.profiles.score("model").metrics
    assert values["RNA accuracy from DNA alone"] == f"{model['accuracy']:.3f}"


def test_genes_are_drawn_and_reading_frames_compared(page, report):
    assert "annotation" in report.profiles.curves
    section = page.results[1]
    assert any("reading frames" in row[0] for row in section.blocks[0].rows)
    assert b"ABC1" in page.regions[-1].blocks[1].content


def test_no_auc_where_nothing_is_ranked(report):
    table = dna_alone_section(report).blocks[0]
    aucs = {row[0]: row[2].text for row in table.rows}
    assert aucs["Model, segments"] == aucs["Majority class"] == "–"
    assert aucs["Model, p > 0.5"] != "–"
    assert "–: calls of yes or no" in table.note and "no ROC AUC" in table.note


def test_scaling_that_makes_it_worse_is_remarked_on(report):
    before, after, temperatures = report.scaling
    old, new = (
        {
            (output, key): value
            for output, scores in calibration.scores().items()
            for key, value in scores.items()
        }
        for calibration in (before, after)
    )
    changed = [key for key in old if old[key] != new[key]]
    assert ("expression_logits", "loss") in changed
    for first, second in ((before, after), (after, before)):
        turned = replace(report, scaling=(first, second, temperatures))
        scores = [s.scores() for s in (first, second)]
        note = calibration_section(turned).blocks[0].note
        loss = [values["expression_logits"]["loss"] for values in scores]
        _, _, remark = note.partition("Scaling made these worse: ")
        assert ("RNA loss" in remark) == (loss[1] > loss[0])
        (tile,) = (
            headline
            for headline in compose(turned, (), command=["seqexp-tf"]).headlines
            if headline.label.startswith("Calibration error")
        )
        error = [values["sequence_logits"]["ece"] for values in scores]
        assert ("scaling made it worse" in tile.detail) == (error[1] > error[0])


def test_without_an_annotation_the_page_says_so(report, loci):
    bare_inputs = replace(report.inputs, genes=None, frames=None)
    borders = replace(loci[-1], maps=(), nucleotides=())
    section = region_section(borders, bare_inputs)
    assert "no genes are drawn" in section.blocks[1].caption
    curves = {k: v for k, v in report.profiles.curves.items() if "annotation" not in k}
    profiles = replace(report.profiles, curves=curves)
    bare = replace(report, profiles=profiles, inputs=bare_inputs)
    assert "--annotation GFF3" in _reasons(dna_alone_section(bare))
    bare = replace(report, profiles=profiles)
    assert "no CDS" in _reasons(dna_alone_section(bare))


def test_a_region_shows_both_strands_of_everything(page):
    pictures = [b.alt for b in page.regions[0].blocks if isinstance(b, Picture)]
    for what in ("Influence", "Mutagenesis map", "stretches", "Sequence logo of"):
        for strand in ("plus", "minus"):
            assert any(what in alt and strand in alt for alt in pictures), what
    tables = [b for b in page.regions[0].blocks if isinstance(b, Table)]
    assert [table.caption for table in tables] == [
        "Borders found",
        "Most influential bases, plus strand",
        "Most influential bases, minus strand",
    ]


def test_the_most_influential_base_is_that_of_the_map(page, loci):
    found = loci[0].maps[0]
    table = next(b for b in page.regions[0].blocks[1:] if "influen" in _caption(b))
    best = int(np.nanargmax(found.mean_influence("log_odds")))
    assert table.rows[0][0] == f"{found.region.start + best + 1:,}"
    assert table.heading[-1] == "Place"


def _caption(block):
    return getattr(block, "caption", "") if isinstance(block, Table) else ""


def test_a_model_that_costs_a_window_a_mutant_shows_one_strand(inputs, monkeypatch):
    def refuse(*arguments, **options):
        raise NotLocal("attention")

    monkeypatch.setattr("seqexp_tf.report.locus_results.local_graph", refuse)
    short = replace(
        inputs, loci=(Locus(region=Region("chrC", 300, 350), origin="asked for"),)
    )
    results = next(examine_loci(short))
    genome = read_slice(inputs.store, results.locus.region)
    more = "+-"[int((genome.expression & genome.valid).sum(axis=1).argmax())]
    assert [found.strand for found in results.maps] == [more]
    (missing,) = _missing(region_section(results, short))
    other = {"+": "-", "-": "+"}[more]
    assert f"--region chrC:301-350 --strand {other}" in missing.why


def test_a_long_region_has_no_map_and_says_so(inputs, monkeypatch):
    monkeypatch.setattr("seqexp_tf.report.locus_results.LONGEST_MAP", 40)
    short = replace(
        inputs, loci=(Locus(region=Region("chrC", 300, 350), origin="asked for"),)
    )
    (missing,) = _missing(region_section(next(examine_loci(short)), short))
    assert missing.what == "Mutagenesis maps"
    assert "regions of up to" in missing.why


def test_maps_can_be_left_out(inputs):
    short = replace(inputs, loci=inputs.loci[-1:], maps=False)
    results = next(examine_loci(short))
    assert results.maps == ()
    section = region_section(replace(results, nucleotides=()), short)
    assert "--no-maps" in _reasons(section)


def test_what_was_not_measured_is_named(inputs):
    # chrA:481-560 was not measured, and ten of its bases are N.
    hole = Locus(region=Region("chrA", 500, 510), origin="asked for")
    holed = replace(inputs, loci=(hole,), genes=None)
    section = region_section(next(examine_loci(holed)), holed)
    assert [block.what for block in _missing(section)] == [
        "Borders",
        "Mutagenesis maps",
        "Most certain stretches, plus strand",
        "Most certain stretches, minus strand",
    ]
    assert "no label of this region was measured" in _reasons(section)


@pytest.fixture
def one_locus(monkeypatch):
    """Leaves a report a single short region."""
    locus = Locus(region=Region("chrC", 300, 350), origin="asked for")
    monkeypatch.setattr(
        "seqexp_tf.report.collect.choose_loci", lambda *_, **__: [locus]
    )


@pytest.mark.parametrize(
    ("setting", "learnt", "absent"),
    [
        ("masking.sequence_fraction=0", "RNA", "DNA"),
        ("masking.expression_fraction=0", "DNA", "RNA"),
    ],
)
def test_what_a_run_never_learnt_is_named(
    run, store, one_locus, setting, learnt, absent
):
    other = replace(run, config=read_run_config(SMALL, [setting]))
    inputs = prepare_report(other, store)
    report = collect_report(inputs)
    results = results_section(report)
    assert {row[0][:3] for row in results.blocks[0].rows} == {learnt}
    assert f"{absent} scores" in [one.what for one in _missing(results)]
    region = region_section(next(examine_loci(inputs)), inputs)
    reasons = {block.what: block.why for block in _missing(region)}
    if absent == "DNA":
        assert set(reasons) == {"Sequence logos"}
        assert "never hid a base" in reasons["Sequence logos"]
    else:
        assert set(reasons) == {"Borders", "Mutagenesis maps"}
        assert all("never hid expression" in why for why in reasons.values())
        assert "never hid expression" in _reasons(dna_alone_section(report))


def test_a_split_that_cannot_be_scored_is_named(run, store, one_locus):
    recipe = {**store.manifest["recipe"]}
    recipe["masks"] = {**recipe["masks"], "expression_fraction": 0.0}
    bare = replace(store, manifest={**store.manifest, "recipe": recipe})
    report = collect_report(prepare_report(run, bare))
    for section in (results_section(report), calibration_section(report)):
        assert "masks.expression_fraction = 0" in _reasons(section)


# Which regions


def test_drawn_regions_have_a_border_and_come_from_the_split(store, monkeypatch):
    monkeypatch.setattr("seqexp_tf.report.loci._DRAWN", 2)
    loci = choose_loci(store, [], split="test")
    assert len(loci) == 2
    assert [locus.origin for locus in loci] == ["drawn, test split"] * 2
    assert loci == choose_loci(store, [], split="test")
    for locus in loci:
        assert locus.region.contig == "chrC"
        labels = read_slice(store, locus.region).expression
        assert (labels[:, 1:] != labels[:, :-1]).any()


def test_a_region_of_the_training_split_says_so(store):
    loci = choose_loci(store, ["chrA:1-100", "A:1-100"], split="test")
    assert [locus.origin for locus in loci[1:]] == ["asked for, train split"]


def test_the_example_loci_open_on_the_genome_they_are_of(store, monkeypatch):
    length = store.manifest["contigs"]["chrC"]
    examples = {"chrC:11-60": length, "chrB:11-60": length + 1}
    monkeypatch.setattr("seqexp_tf.report.loci.EXAMPLES", examples)
    loci = choose_loci(store, ["chrC:11-60"], split="test")
    assert [(locus.region, locus.origin) for locus in loci] == [
        (Region("chrC", 10, 60), "example locus, test split")
    ]
    assert [text.split(":")[0] for text in EXAMPLES] == ["chrIV", "chrIX"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrC:1-129", "more than the model's window of 128"),
        ("chrC", "more than the model's window of 128"),
        ("chrC:1,450-1,501", "chrC ends at 1,500"),
        ("chrC:40-20", "chrC:40-20"),
        ("chrC:x-y", "chrC:x-y"),
        ("chrD:1-20", "no contig 'chrD'"),
    ],
)
def test_a_wrong_region_is_refused_in_one_line(store, text, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        choose_loci(store, [text], split="test")
    assert "\n" not in str(caught.value)


# Results of other verbs


def _stored(run, store, tmp_path):
    """A copy of a run with results in it, as `evaluate` and `borders` leave them."""
    folder = shutil.copytree(run.folder, tmp_path / "run")
    for verb in (["evaluate", "--calibrate"], ["borders"]):
        done = CliRunner().invoke(cli, [verb[0], str(folder), *verb[1:]])
        assert done.exit_code == 0, done.output
    return Run.open(folder)


def test_stored_results_are_used_while_they_hold(
    run, store, report, one_locus, tmp_path
):
    def steps_of(run):
        steps = _Steps()
        collect_report(prepare_report(run, store), step=steps)
        return steps.seen

    kept = _stored(run, store, tmp_path)
    assert steps_of(kept) == []
    read = collect_report(prepare_report(kept, store))
    assert read.metrics["populations"] == report.metrics["populations"]
    for found, computed in zip(read.scaling[:2], report.scaling[:2], strict=True):
        assert found.scores() == computed.scores()
    found, computed = read.profiles, report.profiles
    assert repr(found.score("model")) == repr(computed.score("model"))
    np.testing.assert_allclose(
        found.curves["model"].precision, computed.curves["model"].precision
    )
    damaged = kept.folder / "metrics" / "test.json"
    damaged.write_text(damaged.read_text()[:-20])
    assert steps_of(kept) == ["Fitting temperatures", "Scoring test"]
    # Another model: whatever was found of the old one no longer holds.
    model = kept.folder / "model.keras"
    model.write_bytes(_fit(store, tmp_path / "other").model_path.read_bytes())
    assert len(steps_of(kept)) == 3


def test_stored_scores_beside_other_reading_frames_are_not_used(inputs, report):
    assert collect._same_frames(inputs, report.profiles)
    moved = inputs.frames.assign(start=inputs.frames.start + 3)
    other = replace(inputs, frames=moved)
    assert not collect._same_frames(other, report.profiles)
    without = replace(inputs, frames=None)
    assert collect._same_frames(without, report.profiles)


# The command


def _refusal(*arguments):
    error = CliRunner().invoke(cli, ["report", *map(str, arguments)]).exception
    assert isinstance(error, SeqExpError), error
    assert "\n" not in str(error)
    return error


@pytest.fixture(scope="module")
def written(path, arguments):
    """The page that the command writes."""
    done = CliRunner().invoke(cli, [*arguments, "--batch-size", "5"])
    assert done.exit_code == 0, done.output
    assert f"Written: {path}" in done.output
    return path


def test_the_command_writes_the_same_page_whatever_the_batch_size(written, page):
    texts = written.read_text(encoding="utf-8"), render(page)
    assert len({NUMBER.sub("#", text) for text in texts}) == 1
    # Some processors round the last digit of a batch of another size otherwise.
    ours, theirs = (np.array(NUMBER.findall(text), float) for text in texts)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)
    assert os.listdir(written.parent) == ["page.html"]
    assert written.stat().st_size < 8e6


def test_a_hostile_name_stays_a_name(written, run):
    text = written.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "&lt;script&gt;alert(" in text
    assert "report.html" not in os.listdir(run.folder)


def test_an_unfinished_run_is_refused(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    (folder / "model.keras").unlink()
    error = _refusal(folder)
    assert isinstance(error, RunError)
    assert "the fit has not finished" in str(error)
    assert "report.html" not in os.listdir(folder)


@pytest.mark.parametrize("text", ["chrC:1-300", "chrC:1,490-1,600", "chrC:5", "x:1-2"])
def test_the_command_refuses_a_wrong_region(run, text, tmp_path):
    error = _refusal(run.folder, "--region", text, "--out", tmp_path / "page.html")
    assert isinstance(error, InputError)
    assert os.listdir(tmp_path) == []


def test_an_annotation_of_another_genome_is_refused(run, tmp_path):
    genes = tmp_path / "genes.gff3"
    genes.write_text("chr9\tx\tgene\t1\t50\t.\t+\t.\tID=a\n")
    error = _refusal(run.folder, "--annotation", genes, "--out", tmp_path / "p.html")
    assert isinstance(error, InputError)
    assert str(genes) in str(error) and "chr9" in str(error)
    assert os.listdir(tmp_path) == ["genes.gff3"]


def test_a_place_that_cannot_be_written_is_refused_first(run, tmp_path):
    (tmp_path / "file").write_text("")
    error = _refusal(run.folder, "--out", tmp_path / "file" / "page.html")
    assert isinstance(error, RunError)
    assert "cannot make this folder" in str(error)
    error = _refusal(run.folder, "--out", "/proc/page.html")
    assert "cannot write a file here" in str(error)


def test_a_failure_leaves_the_old_page(run, tmp_path):
    folder = shutil.copytree(run.folder, tmp_path / "run")
    (folder / "report.html").write_text("old")
    (folder / "history.csv").write_text("epoch\n")
    assert isinstance(_refusal(folder), RunError)
    assert (folder / "report.html").read_text() == "old"


def test_a_missing_dataset_is_refused(run, tmp_path):
    assert isinstance(_refusal(run.folder, "--data", tmp_path), DatasetError)


# In a browser


@pytest.mark.parametrize("width", [390, 1440])
def test_the_page_works_in_a_browser(browser, written, width):
    browser.open(written, width=width)
    assert browser.driver.title.startswith(HOSTILE)
    assert browser.complaints() == []
    assert browser.overflow() == 0
    links = browser.driver.find_elements("css selector", ".tabs a")
    assert len(links) == 2
    for link in links:
        link.click()
        drawn = browser.ask(
            "return [...document.querySelectorAll('.region.active figure')].map(e => {"
            " const one = e.querySelector('img, svg');"
            " const box = one.getBoundingClientRect();"
            " return one.checkVisibility() && box.width > 300 && box.height > 50 &&"
            "  one.naturalWidth !== 0; })"
        )
        assert len(drawn) >= 3 and all(drawn)
        assert browser.overflow() == 0
    assert browser.ask("return location.hash") == "#chrC:301-400"
    assert browser.complaints() == []


def test_the_page_gives_the_command_for_another_region(browser, written):
    browser.open(written)
    box = browser.driver.find_element("id", "jump")
    box.send_keys("chrC:1,001-1,100\ue007")
    answer = browser.driver.find_element("id", "answer").text
    assert "--region chrC:301-400" in answer
    assert answer.endswith("--region chrC:1001-1100")
