"""``seqexp-tf report`` of a model of genes."""

import json
import re

import pandas as pd
import pytest

from seqexp_tf.records.store import RecordStore
from seqexp_tf.report.gene_collect import collect_gene_report, prepare_gene_report
from seqexp_tf.report.gene_compose import make_gene_page
from seqexp_tf.report.page import Missing, Picture, Table, render
from seqexp_tf.training.run import Run

HISTORY = """validation,step,epoch,loss,mse,pearson,val_loss,val_mse,val_pearson
1,10,1,0.9,0.8,0.2,0.9,0.9,0.1
2,20,2,0.7,0.6,0.4,0.8,0.7,0.3
"""


@pytest.fixture(scope="module")
def store(expression_folder):
    return RecordStore.open(expression_folder)


@pytest.fixture
def one_shown(monkeypatch):
    """Which genes are shown has its own test; one takes less time than three."""
    shown = (("highest", 1.0),)
    monkeypatch.setattr("seqexp_tf.report.gene_collect._SHOWN", shown)


@pytest.fixture
def write(store, write_gene_run, tmp_path):
    """Writes a run with a history."""

    def make(**options):
        folder = write_gene_run(tmp_path / "run", store, **options)
        (folder / "history.csv").write_text(HISTORY)
        return folder

    return make


def _page(folder, store, **options):
    inputs = prepare_gene_report(Run.open(folder), store, **options)
    return make_gene_page(inputs, command=["seqexp-tf", "report", str(folder)])


def _blocks(page, section, kind):
    (found,) = [part for part in page.results if part.id == section]
    return [block for block in found.blocks if isinstance(block, kind)]


def test_page_of_a_masked_model(write, store, tiny_genes):
    page = _page(
        write(), store, genes=["NIg3"], annotation=tiny_genes.folder / "genes.gff3"
    )
    assert [section.id for section in page.results] == ["results", "elements", "curves"]
    assert page.adds == "--gene" and page.regions_title == "Loci"
    table = _blocks(page, "results", Table)[0]
    assert [row[0] for row in table.rows] == [
        "Model",
        "Mean of training genes",
        "Ridge on features",
    ]
    missing = _blocks(page, "elements", Missing)
    assert "elements RUN --links" in missing[0].why
    # Highest, median and lowest target of the test split, then the one asked for.
    target = store.windows("test").set_index("name").target
    names = [region.name for region in page.regions]
    assert names[0] == target.idxmax() and names[2] == target.idxmin()
    assert names[3] == "NIg3"
    assert page.regions[3].origin.endswith("asked for, train split")
    assert page.regions[3].genes == ("NIg3", "Ig3")
    # The picture, and a table of elements or why there is none.
    kinds = [[type(block) for block in region.blocks] for region in page.regions]
    assert all(of in ([Picture, Table], [Picture, Missing]) for of in kinds)
    assert [Picture, Table] in kinds
    labels = [headline.label for headline in page.headlines]
    assert labels == ["Pearson, test genes", "MSE", "Mask ratio"]
    html = render(page)
    assert 'data-adds="--gene"' in html and "<h2>Loci</h2>" in html
    assert not re.search(r'(src|href)="https?:', html)


def test_scores_against_known_elements_are_shown_where_they_were_left(
    write, store, call_elements, one_shown
):
    folder = write()
    call_elements(folder)
    page = _page(folder, store)
    tables = _blocks(page, "elements", Table)
    captions = [table.caption for table in tables]
    assert captions == [
        "Bases ranked for known elements",
        "Element-gene pairs ranked for known elements",
    ]
    assert "learnt mask" in [row[0] for row in tables[0].rows]
    assert len(_blocks(page, "elements", Picture)) == 3
    assert page.headlines[-1].label == "Average precision of the mask"
    table = next(b for b in page.regions[0].blocks if isinstance(b, Table))
    assert table.heading[-1] == "Known"
    # Of another model they say nothing.
    path = folder / "elements" / "test.scores.json"
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "model_sha256": "0" * 64}))
    assert len(_blocks(_page(folder, store), "elements", Table)) == 0


@pytest.fixture
def call_elements(store, tiny_genes, tmp_path):
    """Runs the verb ``elements`` with links of every test gene."""
    from click.testing import CliRunner

    from seqexp_tf.cli.main import cli

    def run(folder):
        links = tmp_path / "links.tsv"
        rows = [
            f"{row.contig}\t{max(row.tss - 60, 0)}\t{row.tss - 20}\t{row.gene}"
            for row in store.windows("test").itertuples()
            if row.tss > 60
        ]
        links.write_text("\n".join(["contig\tstart\tend\tgene", *rows]) + "\n")
        result = CliRunner().invoke(
            cli, ["elements", str(folder), "--links", str(links)]
        )
        assert result.exit_code == 0, result.output

    return run


def test_stored_scores_and_elements_are_read_not_computed(
    write, store, call_elements, call_verb, monkeypatch
):
    folder = write()
    inputs = prepare_gene_report(Run.open(folder), store)
    computed = collect_gene_report(inputs)
    call_elements(folder)
    assert call_verb("evaluate", folder).exit_code == 0
    monkeypatch.setattr(
        "seqexp_tf.report.gene_collect.evaluate_expression", _not_to_be_called
    )
    monkeypatch.setattr(
        "seqexp_tf.report.gene_collect.learnt_elements", _not_to_be_called
    )
    stored = collect_gene_report(inputs)
    for name, value in computed.evaluation.model.metrics.items():
        assert stored.evaluation.model.metrics[name] == pytest.approx(value)
    assert stored.found.summary == pytest.approx(computed.found.summary, rel=1e-5)
    assert stored.found.selection == (
        "the 10 % of each window outside the promoter whose mask is highest, joined "
        "over gaps of up to 10 bp, of 10 bp or more"
    )
    # Elements of a version that did not tell them from promoters are found anew.
    path = folder / "elements" / "test.elements.tsv"
    pd.read_csv(path, sep="\t").drop(columns="kind").to_csv(path, sep="\t")
    with pytest.raises(AssertionError, match="computed anew"):
        collect_gene_report(inputs)


def _not_to_be_called(*arguments, **options):
    raise AssertionError("computed anew")


def test_a_model_without_a_mask_says_so(write, store, one_shown):
    page = _page(write(mask={"kind": "none"}), store)
    (missing,) = _blocks(page, "elements", Missing)
    assert "selects no bases" in missing.why
    for region in page.regions:
        assert [type(block) for block in region.blocks] == [Picture, Missing]
    render(page)


def test_the_verb(write, call_verb, tmp_path, one_shown):
    folder = write()
    out = tmp_path / "page.html"
    result = call_verb("report", folder, "--gene", "Ig2", "--out", out)
    assert result.exit_code == 0, result.output
    html = out.read_text()
    assert "--gene Ig2" in html and "NIg2" in html
    for wrong in (["--region", "chrI:1-100"], ["--no-maps"]):
        assert call_verb("report", folder, *wrong).exit_code == 2
    unknown = call_verb("report", folder, "--gene", "Ig99")
    assert "has no such gene" in str(unknown.exception)


@pytest.fixture
def call_verb():
    from click.testing import CliRunner

    from seqexp_tf.cli.main import cli

    return lambda *arguments: CliRunner().invoke(cli, list(map(str, arguments)))


def test_a_reader_finds_genes_by_name(write, store, browser, tmp_path, one_shown):
    path = tmp_path / "page.html"
    path.write_text(render(_page(write(), store, genes=["Ig3"])))
    browser.open(path)

    def go(text):
        browser.ask(
            "const box = document.getElementById('jump');"
            "box.value = arguments[0]; box.form.requestSubmit()",
            text,
        )
        return browser.ask("return document.getElementById('answer').textContent")

    assert "lies in chrI:" in go("nig3")
    shown = browser.ask("return document.querySelector('.region.active h3').innerText")
    assert shown.startswith("NIg3")
    assert go("MYC").endswith("--gene MYC")
    assert "--gene NAME" in go("chrII:1-100")
    assert browser.overflow() == 0
    assert browser.complaints() == []
    browser.open(path, width=390)
    assert browser.overflow() == 0
