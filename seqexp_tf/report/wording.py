"""Numbers and names as a reader wants them."""

import math
from collections.abc import Sequence


def number(value: float | None, digits: int = 4) -> str:
    """Returns a score with fixed digits, or a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def listing(names: Sequence[str], most: int = 20) -> str:
    """Returns names in a row, at most so many of them."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
