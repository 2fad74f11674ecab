"""Fixtures of remote stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from seqexp_tf.records import remote


@pytest.fixture
def cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty cache of remote files, in a process that has seen none."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv(remote.CACHE, str(folder))
    monkeypatch.setattr(remote, "_COPIES", {})
    return folder


@pytest.fixture
def memory(cache) -> Iterator:
    """An object store in memory, ``memory://``."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    yield store
    store.rm("/", recursive=True)
