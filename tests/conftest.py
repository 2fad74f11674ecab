"""Fixtures shared by every test."""

import gc
import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # As quiet.load_tensorflow.
# Two workers share two cores: threads of their own would only get in the way.
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# Tracing leaves millions of objects: looking through them again and again takes a tenth
# of the time.
gc.set_threshold(200_000, 20, 100)
# No test fails for a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = (
    "fixtures.genes",
    "fixtures.joint",
    "fixtures.processes",
    "fixtures.tiny_genes",
)

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("SEQEXP_DATA", REPOSITORY.parent / "shared" / "data"))


def pytest_collection_finish() -> None:
    """Saves time on graphs that run a few times and on objects that stay.

    TensorFlow spends a fifth of a small fit on rewriting graphs to run faster; fits in
    processes of their own, as users start them, do so here, too. What importing left is
    not garbage: a look through it takes half a second each time.
    """
    if tensorflow := sys.modules.get("tensorflow"):
        tensorflow.config.optimizer.set_experimental_options(
            {"disable_meta_optimizer": True}
        )
    gc.freeze()


def _real_data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} (set SEQEXP_DATA)")
    return folder


@pytest.fixture(scope="session")
def yeast() -> Path:
    """The real S. cerevisiae data folder."""
    return _real_data("yeast")


@pytest.fixture(scope="session")
def k562() -> Path:
    """The real, partial human K562 data folder (hg38)."""
    return _real_data("k562")
