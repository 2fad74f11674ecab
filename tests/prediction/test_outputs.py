"""Files of predictions appear whole or not at all."""

import resource

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from seqexp_tf.errors import ConfigError, RunError
from seqexp_tf.prediction.outputs import (
    NUMBER,
    NUMBERS,
    TEXT,
    WHOLE,
    output_format,
    table_writer,
)

COLUMNS = {"name": TEXT, "place": WHOLE, "p": NUMBER, "mask": NUMBERS}


def _rows(first, count):
    place = np.arange(first, first + count)
    p = place / 7
    masks = [np.full(3, value, np.float32) for value in p]
    frame = pd.DataFrame({"place": place, "name": "x", "p": p, "else": 0})
    return frame.assign(mask=masks)


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_rows_are_kept_until_there_are_enough(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    with table_writer(path, COLUMNS, rows_at_once=10) as table:
        for first in range(0, 25, 5):
            table.write(_rows(first, 5))
        assert table.rows == 25 and not path.exists()
    expected = _rows(0, 25)
    if suffix == "parquet":
        groups = pq.ParquetFile(path).metadata
        assert [groups.row_group(i).num_rows for i in range(3)] == [10, 10, 5]
        found = pd.read_parquet(path)
        assert list(found.columns) == list(COLUMNS)
        np.testing.assert_array_equal(
            np.stack(found["mask"]), np.stack(expected["mask"])
        )
    else:
        found = pd.read_csv(path, sep="\t")
        assert list(found.columns) == ["name", "place", "p"]
        assert path.read_text().splitlines()[2] == "x\t1\t0.14285715"
    # Text has every digit of a float32, too.
    wanted = expected.p.astype(np.float32)
    np.testing.assert_array_equal(found.p.astype(np.float32), wanted)
    assert found.place.tolist() == list(range(25))


def test_nothing_is_a_table_without_rows(tmp_path):
    with table_writer(tmp_path / "t.parquet", COLUMNS):
        pass
    assert pd.read_parquet(tmp_path / "t.parquet").shape == (0, 4)


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_a_failure_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"t.{suffix}"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        with table_writer(path, COLUMNS, rows_at_once=1) as table:
            table.write(_rows(0, 5))
            table.write(_rows(1 // 0, 5))
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", ["parquet", "tsv"])
def test_a_full_disk_is_one_line(tmp_path, suffix):
    """A limit on the size of files stands for the disk."""
    path = tmp_path / f"t.{suffix}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(RunError, match=f"^{path}: cannot write: .*; free space or"):
            with table_writer(path, COLUMNS, rows_at_once=1000) as table:
                for first in range(0, 50_000, 1000):
                    table.write(_rows(first, 1000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_suffixes(tmp_path):
    assert output_format(tmp_path / "a.BW") == "bigwig"
    with pytest.raises(ConfigError, match="unknown suffix '.gz'; choose one of .parq"):
        output_format(tmp_path / "a.tsv.gz")
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(ConfigError, match="is a folder; give a file"):
        output_format(tmp_path / "folder.tsv")
