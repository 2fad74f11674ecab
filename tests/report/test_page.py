"""The page of a report: what is in it, and how it behaves in a browser."""

import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from seqexp_tf.evaluation import style
from seqexp_tf.records.regions import Region
from seqexp_tf.report.page import (
    Cell,
    Facts,
    Heading,
    Headline,
    Listing,
    Missing,
    Page,
    Picture,
    RegionSection,
    Section,
    Table,
    render,
)

HOSTILE = "<script>document.title = 'taken'</script>\"'&"


def _draw(kind, title="A title"):
    with style.context():
        figure = style.new_figure(width=8, height=2)
        ax = figure.subplots()
        ax.plot([0, 1], [1, 0], marker="o")
        ax.set_title(title)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=150)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def page():
    svg = Picture(
        content=_draw("svg", "a<b & c"), alt="a line", caption="A line.", wide=True
    )
    png = Picture(content=_draw("png"), alt='an "x"', caption="Dots.", wide=True)
    table = Table(
        caption="Scores",
        heading=("Metric", "Uniform random", "Stratified random", "Model"),
        rows=(
            ("Accuracy", "0.5", "0.5", Cell(text="0.95", detail="0.94 – 0.96")),
            ("Loss", "1.0", "0.7", Cell(text="0.12", strong=True)),
        ),
        note="Of 100 positions.",
        worded=True,
    )
    facts = Facts(caption="Dataset", items=(("Fingerprint", "e41e6c9d" * 8),))

    def region(contig, start, end):
        return RegionSection(
            region=Region(contig, start, end),
            origin="asked for",
            blocks=(svg, png),
            genes=("UBP7",) if contig == "chrIX" else (),
        )

    return Page(
        title="cnn",
        subtitle="A run",
        headlines=(Headline(label="Accuracy", value="0.95", detail="random 0.5"),),
        results=(
            Section(
                id="results", title="Results", lead="Scores.", blocks=(table, svg, png)
            ),
        ),
        regions=(
            region("chrIV", 1468899, 1469900),
            region("chrIX", 47249, 48250),
            region("odd|name%41", 9, 500),
        ),
        regions_lead="Regions.",
        background=(
            Section(
                id="run",
                title="Run",
                lead="Facts.",
                blocks=(
                    facts,
                    Listing(caption="Configuration", text="x = 1\n" + "y" * 200),
                    Missing(what="Logos", why="the model has no DNA head"),
                ),
            ),
        ),
        command=("seqexp-tf", "report", "runs/my cnn"),
        window=2048,
        contigs={"chrIV": 1_531_933, "chrIX": 439_888, "odd|name%41": 900},
    )


class _Elements(HTMLParser):
    """Every start tag with its attributes, and the text outside of tags."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_nothing_is_fetched_from_elsewhere(page):
    html = render(page)
    elements = _Elements(html)
    sources = [
        attributes[key]
        for tag, attributes in elements.tags
        for key in ("src", "href", "xlink:href", "srcset", "action")
        if key in attributes
    ]
    assert sources
    assert all(source.startswith(("#", "data:")) for source in sources)
    assert "@import" not in html
    assert set(re.findall(r"url\((.)", html)) <= {"#"}
    assert not elements.all("link")[1:]
    policy = next(a["content"] for a in elements.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")


def test_ids_are_unique_and_every_reference_has_its_own(page):
    elements = _Elements(render(page))
    ids = [a["id"] for _, a in elements.tags if "id" in a]
    assert len(ids) == len(set(ids))
    used = [a["xlink:href"][1:] for a in elements.all("use")]
    assert len(used) > 20
    assert set(used) <= set(ids)
    assert not elements.all("style")[1:]


def test_every_figure_has_a_text_and_a_caption(page):
    elements = _Elements(render(page))
    assert {a["alt"] for a in elements.all("img")} == {'an "x"'}
    assert {a["aria-label"] for a in elements.all("svg")} == {"a line"}
    assert len(elements.all("figcaption")) == len(elements.all("figure")) == 8
    assert "a<b & c" in elements.text


def test_classes_are_those_of_the_style_sheet(page):
    elements = _Elements(render(page))
    assert elements.all("table") == [{"class": "worded"}]
    assert {a["class"] for a in elements.all("figure")} == {"card wide"}


def test_the_same_page_gives_the_same_text(page):
    assert render(page) == render(page)


@pytest.fixture(scope="module")
def hostile(page):
    """A page all of whose words are an attack."""
    content = _draw("svg", HOSTILE)
    blocks = (
        Picture(content=content, alt=HOSTILE, caption=HOSTILE),
        Picture(content=_draw("png"), alt=HOSTILE, caption=HOSTILE),
        Table(
            caption=HOSTILE,
            heading=(HOSTILE, HOSTILE),
            rows=((HOSTILE, Cell(text=HOSTILE, detail=HOSTILE)),),
            note=HOSTILE,
        ),
        Facts(caption=HOSTILE, items=((HOSTILE, HOSTILE),)),
        Listing(caption=HOSTILE, text=HOSTILE),
        Heading(text=HOSTILE),
        Missing(what=HOSTILE, why=HOSTILE),
    )
    return replace(
        page,
        title=HOSTILE,
        subtitle=HOSTILE,
        headlines=(Headline(label=HOSTILE, value=HOSTILE, detail=HOSTILE),),
        results=(Section(id=HOSTILE, title=HOSTILE, lead=HOSTILE, blocks=blocks),),
        regions=(
            RegionSection(
                region=Region(HOSTILE, 0, 9),
                origin=HOSTILE,
                blocks=blocks,
                genes=(HOSTILE,),
            ),
        ),
        regions_lead=HOSTILE,
        background=(),
        command=("seqexp-tf", "report", HOSTILE),
        contigs={HOSTILE: 1000},
    )


def test_hostile_words_stay_words(page, hostile):
    elements = _Elements(render(hostile))
    assert len(elements.all("script")) == len(_Elements(render(page)).all("script"))
    assert {a["alt"] for a in elements.all("img")} == {HOSTILE}
    assert elements.all("article")[0]["data-contig"] == HOSTILE


# In a browser


@pytest.fixture(scope="module")
def path(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(page), encoding="utf-8")
    return path


def _active(browser):
    return browser.ask(
        "return [...document.querySelectorAll('.region')]"
        ".filter(e => e.checkVisibility()).map(e => e.id)"
    )


def _type(browser, text):
    box = browser.driver.find_element("id", "jump")
    box.clear()
    box.send_keys(text, "\ue007")
    return browser.driver.find_element("id", "answer").text


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_it_fits_the_width_and_says_nothing_on_the_console(browser, path, width):
    browser.open(path, width=width)
    assert browser.overflow() == 0
    outside = browser.ask(
        "return [...document.querySelectorAll('main *')].filter(e => {"
        " if (e.closest('.scroll, pre, .tabs') && !e.matches('.scroll, pre, .tabs'))"
        "  return false;"
        " const box = e.getBoundingClientRect();"
        " return box.width && box.right > innerWidth + .5; }).map(e => e.outerHTML)"
    )
    assert outside == []
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [390, 1440])
def test_figures_are_drawn(browser, path, width):
    browser.open(path, width=width)
    figures = browser.ask(
        "return [...document.querySelectorAll('main img, main svg[role=img]')]"
        ".filter(e => !e.closest('.region:not(.active)')).map(e => {"
        " const box = e.getBoundingClientRect();"
        " return [e.tagName === 'IMG' ? e.naturalWidth : 1,"
        "  box.width, box.height, e.checkVisibility()]; })"
    )
    assert len(figures) == 4
    for natural, shown, height, visible in figures:
        assert natural > 0 and shown >= 300 and height >= 50 and visible


def test_a_link_a_hash_and_the_keyboard_show_a_region(browser, path):
    browser.open(path)
    assert _active(browser) == ["chrIV:1468900-1469900"]
    links = browser.driver.find_elements("css selector", ".tabs a")
    links[1].click()
    assert _active(browser) == ["chrIX:47250-48250"]
    assert browser.ask("return location.hash") == "#chrIX:47250-48250"
    assert links[1].get_attribute("aria-current") == "true"
    links[1].send_keys("\ue014", "")  # arrow right
    browser.driver.switch_to.active_element.send_keys("\ue007")
    assert _active(browser) == ["odd|name%41:10-500"]
    browser.driver.back()
    assert _active(browser) == ["chrIX:47250-48250"]
    browser.open(path, fragment="#chrIX:47250-48250")
    assert _active(browser) == ["chrIX:47250-48250"]
    browser.open(path, fragment="#odd%7Cname%2541:10-500")
    assert _active(browser) == ["odd|name%41:10-500"]
    assert browser.complaints() == []


@pytest.mark.parametrize(
    ("typed", "shown", "answer"),
    [
        ("chrIX:47,250-48,250", 1, "lies in chrIX:47,250-48,250"),
        ("chrIX:48,000", 1, "chrIX:48,000 lies in"),
        ("IX:48000..48100", 1, "chrIX:48,000-48,100 lies in"),
        ("odd|name%41:10-20", 2, "lies in odd|name%41:10-500"),
        ("chrIX:48,200-48,300", 0, "'runs/my cnn' --region chrIX:48200-48300"),
        ("chrIV:100", 0, "report 'runs/my cnn' --region chrIV:1-600"),
        ("odd|name%41:600-700", 0, "--region 'odd|name%41:600-700'"),
        ("chrIX:1-9,000", 0, "up to 2,048"),
        ("chrIX:439,889", 0, "chrIX ends at 439,888"),
        ("chrM:5-9", 0, "no contig “chrM”"),
        ("chrIX:9-5", 0, "the start comes first"),
        ("chrIX:0-5", 0, "count from 1"),
        ("ubp7", 1, "UBP7 lies in chrIX:47,250-48,250"),
        ("SMT3", 0, "“SMT3” is neither a region nor a gene of this page"),
        ("<img src=x onerror=alert(1)>:1-2", 0, "no contig “<img"),
    ],
)
def test_the_box_jumps_or_says_why_not(browser, path, typed, shown, answer):
    browser.open(path)
    assert answer in _type(browser, typed)
    ids = ["chrIV:1468900-1469900", "chrIX:47250-48250", "odd|name%41:10-500"]
    assert _active(browser) == [ids[shown]]
    assert browser.complaints() == []


def test_a_position_in_the_address_finds_its_region(browser, path):
    browser.open(path, fragment="#chrIX:48,000")
    assert _active(browser) == ["chrIX:47250-48250"]
    browser.open(path, fragment="#chrIX:5")
    assert "does not hold" in browser.driver.find_element("id", "answer").text


def test_a_dense_figure_opens_to_its_full_size(browser, path):
    browser.open(path, width=390)
    image, button = (
        browser.driver.find_element("css selector", f".active figure:has(img) {what}")
        for what in ("img", ".zoom")
    )
    before = image.size["width"]
    button.click()
    assert image.size["width"] != before
    assert image.size["width"] == browser.ask("return arguments[0].naturalWidth", image)
    assert browser.overflow() == 0


def test_without_scripts_every_region_is_there(browser, path):
    browser.driver.execute_cdp_cmd(
        "Emulation.setScriptExecutionDisabled", {"value": True}
    )
    try:
        browser.open(path)
        shown = browser.driver.find_elements("css selector", ".region")
        assert [one.is_displayed() for one in shown] == [True] * 3
        assert not browser.driver.find_element("id", "jump").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd(
            "Emulation.setScriptExecutionDisabled", {"value": False}
        )


def test_hostile_words_do_nothing(browser, hostile, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render(hostile), encoding="utf-8")
    browser.open(path)
    assert browser.driver.title.startswith("<script>")
    assert browser.complaints() == []
    _type(browser, f"{HOSTILE}:20-30")
    assert browser.driver.title.startswith("<script>")
    assert len(browser.driver.find_elements("tag name", "script")) == 1
