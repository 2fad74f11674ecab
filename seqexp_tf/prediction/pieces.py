"""Long series in pieces that fit into memory."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yields items in lists of ``size``; the last may be shorter."""
    piece: list[T] = []
    for item in items:
        piece.append(item)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece
