"""Matplotlib figures as pictures of a page."""

import io
from typing import TYPE_CHECKING

from seqexp_tf.evaluation import style
from seqexp_tf.report.page import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def light(figure: "Figure", *, alt: str, caption: str, wide: bool = False) -> Picture:
    """Returns a figure of few shapes as SVG; see ``Picture``."""
    undated = {"Date": None, "Creator": None}
    content = _content(figure, format="svg", metadata=undated)
    return Picture(content=content, alt=alt, caption=caption, wide=wide)


def dense(figure: "Figure", *, alt: str, caption: str, wide: bool = True) -> Picture:
    """Returns a figure of thousands of shapes as PNG; see ``Picture``.

    200 dpi and 256 colours, which nobody tells from more, at a third of the bytes.
    """
    from PIL import Image

    full = Image.open(io.BytesIO(_content(figure, format="png"))).convert("RGB")
    few = full.quantize(256, dither=Image.Dither.NONE)
    buffer = io.BytesIO()
    few.save(buffer, format="png", optimize=True)
    return Picture(content=buffer.getvalue(), alt=alt, caption=caption, wide=wide)


def _content(figure: "Figure", **options: object) -> bytes:
    buffer = io.BytesIO()
    with style.context():
        figure.savefig(buffer, **options)
    return buffer.getvalue()
