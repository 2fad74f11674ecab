"""A report as one self-contained HTML page: blocks in, text out.

The page needs no network: style and script are in it, figures too. Its Content
Security Policy forbids every request and every script but its own.
"""

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal
from urllib.parse import quote

from seqexp_tf.records.regions import Region


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure with what it shows.

    Attributes:
        content: a PNG, or an SVG without anything but shapes and text.
        alt: what a reader who cannot see it should know.
        caption: what is seen and how it was computed.
        wide: keeps a readable width on a phone, where its card scrolls.
    """

    content: bytes
    alt: str
    caption: str
    wide: bool = False

    @property
    def is_svg(self) -> bool:
        """Whether the content is an SVG."""
        return not self.content.startswith(b"\x89PNG")

    @property
    def uri(self) -> str:
        """The PNG as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: its value.
        detail: smaller text under it, such as a confidence interval.
        strong: whether it stands out.
    """

    text: str
    detail: str = ""
    strong: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table whose first column names the row.

    Attributes:
        caption: what it holds.
        heading: of every column.
        rows: of plain text or ``Cell``.
        note: small print under it.
        wide: takes the whole width of the page.
        worded: the last column holds words, which begin at the left.
    """

    caption: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    note: str = ""
    wide: bool = False
    worded: bool = False


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Names with values.

    Attributes:
        caption: what they are about.
        items: name and value.
    """

    caption: str
    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Text shown as it is, folded away under its caption."""

    caption: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Heading:
    """Begins a part of a long section."""

    text: str


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Says why something a reader looks for is not there."""

    what: str
    why: str


Block = Picture | Table | Facts | Listing | Heading | Missing


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        id: its anchor.
        title: its heading.
        lead: what it answers, in a sentence or two.
        blocks: in order.
    """

    id: str
    title: str
    lead: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class RegionSection:
    """One region, shown alone among the regions of the page.

    Attributes:
        region: where it lies.
        origin: why it is on the page.
        blocks: in order.
        genes: names of the genes on it, by which a reader finds it too.
        name: what to call it; its place if empty.
    """

    region: Region
    origin: str
    blocks: tuple[Block, ...]
    genes: tuple[str, ...] = ()
    name: str = ""

    @property
    def title(self) -> str:
        """Its name, or its place, such as ``chrIV:1,468,900-1,469,900``."""
        return self.name or str(self.region)

    @property
    def id(self) -> str:
        """Its anchor, such as ``chrIV:1468900-1469900``."""
        return f"{self.region.contig}:{self.region.start + 1}-{self.region.end}"

    @property
    def href(self) -> str:
        """A link to its anchor."""
        return "#" + quote(self.id, safe=":")


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A number at the top of the page.

    Attributes:
        label: what it is.
        value: the number.
        detail: what to compare it with.
    """

    label: str
    value: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """Everything on the page.

    Attributes:
        title: name of the run.
        subtitle: one line under it.
        headlines: the numbers at the top.
        results: sections before the regions.
        regions: in order; the first is shown first.
        regions_lead: what the regions show.
        background: sections after the regions.
        command: arguments of the command that makes this page again.
        window: bases of a model's window, the longest region the page takes.
        contigs: lengths by name, to check what a reader types; empty for no check.
        regions_title: heading above the regions.
        adds: option of the command that adds a region: by its place, or by its gene.
    """

    title: str
    subtitle: str
    headlines: tuple[Headline, ...]
    results: tuple[Section, ...]
    regions: tuple[RegionSection, ...]
    regions_lead: str
    background: tuple[Section, ...]
    command: tuple[str, ...]
    window: int
    contigs: Mapping[str, int]
    regions_title: str = "Regions"
    adds: Literal["--region", "--gene"] = "--region"


def render(page: Page) -> str:
    """Returns the page as HTML; the same page gives the same text."""
    from jinja2 import DictLoader, Environment, StrictUndefined

    names = ("report.html", "report.css", "report.js")
    folder = resources.files("seqexp_tf.report") / "templates"
    files = {name: (folder / name).read_text(encoding="utf-8") for name in names}
    environment = Environment(
        loader=DictLoader(files),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests |= {
        kind.__name__.lower(): lambda block, kind=kind: isinstance(block, kind)
        for kind in (Picture, Table, Facts, Listing, Heading, Missing, Cell)
    }
    script = files["report.js"].strip()
    digest = hashlib.sha256(script.encode()).digest()
    context: dict[str, Any] = {
        "page": page,
        "command": shlex.join(page.command),
        "style": _trusted(files["report.css"].strip()),
        "script": _trusted(script),
        "script_hash": base64.b64encode(digest).decode(),
        "inline_svg": _Numbered(),
    }
    return environment.get_template("report.html").render(context)


class _Numbered:
    """Makes SVGs fit to stand in one page: the ids of each get a prefix of its own."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, content: bytes, alt: str) -> Any:
        from markupsafe import escape

        self._count += 1
        text = content.decode("utf-8")
        text = text[text.index("<svg") :].strip()
        for pattern, replacement in _SVG_CHANGES:
            text = pattern.sub(replacement.format(number=self._count), text)
        text = text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
        return _trusted(text)


# A style element in an inline SVG would hold for the whole page; ids of several
# figures made with one hash salt are the same.
_SVG_CHANGES = (
    (re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL), ""),
    (re.compile(r"<style[^>]*>.*?</style>\s*", re.DOTALL), ""),
    (re.compile(r"<!--.*?-->\s*", re.DOTALL), ""),
    (re.compile(r'\bid="([^"]+)"'), r'id="f{number}-\1"'),
    (re.compile(r'href="#([^"]+)"'), r'href="#f{number}-\1"'),
    (re.compile(r"url\(#([^)]+)\)"), r"url(#f{number}-\1)"),
)


def _trusted(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)
