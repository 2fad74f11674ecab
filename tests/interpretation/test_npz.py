"""Arrays written row by row: round trips, and what a failure leaves behind."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from seqexp_tf.errors import RunError
from seqexp_tf.interpretation.npz import NpzStream

LAYOUT = {"map": (np.float32, (5,)), "base": (np.uint8, (2, 3))}


def _write(path, *, batches=(3, 1, 4), extra=None):
    rng = np.random.default_rng(0)
    parts = {name: [] for name in LAYOUT}
    with NpzStream(path, LAYOUT) as stream:
        for count in batches:
            for name, (kind, row) in LAYOUT.items():
                rows = (100 * rng.random((count, *row))).astype(kind)
                stream.append(name, rows)
                parts[name].append(rows)
        stream.put("contig", np.array("chrIV"))
        if extra is not None:
            extra()
    return {name: np.concatenate(rows) for name, rows in parts.items()}


def test_numpy_reads_it_back(tmp_path):
    wanted = _write(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as found:
        assert set(found.files) == {"map", "base", "contig"}
        assert str(found["contig"]) == "chrIV"
        for name, array in wanted.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_no_rows_at_all(tmp_path):
    _write(tmp_path / "a.npz", batches=(0,))
    with np.load(tmp_path / "a.npz") as found:
        assert found["map"].shape == (0, 5)
        assert found["base"].shape == (0, 2, 3)


def test_equal_arrays_are_equal_bytes(tmp_path):
    for name in "ab":
        _write(tmp_path / f"{name}.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_an_array_not_contiguous_in_memory(tmp_path):
    rows = np.arange(30, dtype=np.float32).reshape(3, 10)[:, ::-2]
    with NpzStream(tmp_path / "a.npz", {"map": (np.float32, (5,))}) as stream:
        stream.append("map", rows)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npz")["map"], rows)


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 5)), np.zeros((2, 4), np.float32), np.zeros(5, np.float32)]
)
def test_rows_of_another_kind_are_refused(tmp_path, rows):
    with pytest.raises(ValueError, match="map"):
        with NpzStream(tmp_path / "a.npz", LAYOUT) as stream:
            stream.append("map", rows)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file(tmp_path, kind):
    (tmp_path / "a.npz").write_bytes(b"old")

    def stop():
        raise kind

    with pytest.raises(kind):
        _write(tmp_path / "a.npz", extra=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    assert (tmp_path / "a.npz").read_bytes() == b"old"


def test_a_kill_leaves_nothing(tmp_path):
    code = (
        "import os, signal, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from seqexp_tf.interpretation.npz import NpzStream\n"
        "layout = {'map': (np.float32, (1000,))}\n"
        "with NpzStream(Path(sys.argv[1]), layout) as stream:\n"
        "    stream.append('map', np.zeros((5000, 1000), np.float32))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.npz")])
    assert run.returncode == -signal.SIGKILL
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="cannot write: .*; free space or choose"):
        _write(tmp_path / "none" / "a.npz")

    def full(*arguments):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="a.npz: cannot write: No space left") as caught:
        _write(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
