"""Fixtures shared by every test."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("SEQEXP_DATA", REPOSITORY.parent / "shared" / "data"))


def _real_data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} (set SEQEXP_DATA)")
    return folder


@pytest.fixture(scope="session")
def yeast() -> Path:
    """The real S. cerevisiae data folder."""
    return _real_data("yeast")
