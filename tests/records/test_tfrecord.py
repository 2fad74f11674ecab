"""TFRecord framing against TensorFlow, and shards that are whole or absent."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import DatasetError
from seqexp_tf.records import tfrecord
from seqexp_tf.records.tfrecord import (
    frame,
    hash_file,
    read_shard,
    write_atomically,
    write_shard,
)

tf = pytest.importorskip("tensorflow")

RECORDS = [b"", b"a", bytes(range(256)) * 40, b"last"]
TF_NAMES = {"none": "", "gzip": "GZIP"}
both = pytest.mark.parametrize("compression", ["none", "gzip"])


def test_framing_of_the_format_description():
    # Length 3, its masked CRC-32C, the record, its masked CRC-32C; as TensorFlow
    # writes them.
    assert frame(b"abc").hex() == "0300000000000000b099490e6162636e57f121"


@both
def test_tensorflow_reads_our_shards(tmp_path, compression):
    path = tmp_path / "x.tfrecord"
    written = write_shard(path, RECORDS, compression=compression)
    dataset = tf.data.TFRecordDataset(str(path), TF_NAMES[compression])
    assert list(dataset.as_numpy_iterator()) == RECORDS
    assert (written.records, written.bytes) == (4, path.stat().st_size)
    assert written.sha256 == hash_file(path)
    assert os.listdir(tmp_path) == ["x.tfrecord"]


@both
def test_we_read_tensorflow_shards(tmp_path, compression):
    path = tmp_path / "x.tfrecord"
    with tf.io.TFRecordWriter(str(path), TF_NAMES[compression]) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(read_shard(path, compression=compression)) == RECORDS


@both
def test_same_records_same_bytes(tmp_path, compression):
    first = write_shard(tmp_path / "a", RECORDS, compression=compression)
    second = write_shard(tmp_path / "b", iter(RECORDS), compression=compression)
    assert first == second


@settings(max_examples=60)
@given(records=st.lists(st.binary(max_size=60), min_size=1, max_size=6), data=st.data())
def test_any_flipped_bit_is_noticed(records, data, tmp_path_factory):
    path = tmp_path_factory.mktemp("flip") / "x"
    write_shard(path, records, compression="none")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="corrupted or cut short"):
        list(read_shard(path, compression="none"))


@both
def test_a_cut_shard_names_file_and_record(tmp_path, compression):
    path = tmp_path / "x.tfrecord"
    records = [os.urandom(500) for _ in range(3)]
    write_shard(path, records, compression=compression)
    path.write_bytes(path.read_bytes()[:-200])
    found = []
    with pytest.raises(DatasetError, match=rf"{path}: .*record [12]\b"):
        found += read_shard(path, compression=compression)


def test_a_shard_that_is_missing_or_no_gzip(tmp_path):
    with pytest.raises(DatasetError, match="shard is missing"):
        list(read_shard(tmp_path / "none", compression="none"))
    (tmp_path / "x").write_bytes(b"plain text")
    with pytest.raises(DatasetError, match="cannot be read past record 0"):
        list(read_shard(tmp_path / "x", compression="gzip"))


def _full_disk(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tfrecord.os, "fsync", _full_disk)
    with pytest.raises(DatasetError, match=r"x\.tfrecord: cannot write: No space left"):
        write_shard(tmp_path / "x.tfrecord", RECORDS, compression="gzip")
    with pytest.raises(DatasetError, match="cannot write: No space left"):
        write_atomically(tmp_path / "manifest.json", b"{}")
    assert os.listdir(tmp_path) == []


def test_a_failing_source_of_records_leaves_nothing(tmp_path):
    def records():
        yield b"one"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shard(tmp_path / "x", records(), compression="none")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write: Not a directory"):
        write_shard(tmp_path / "file" / "x", RECORDS, compression="none")
    with pytest.raises(DatasetError, match="cannot write: Not a directory"):
        write_atomically(tmp_path / "file" / "x", b"")


def test_an_atomic_write_keeps_the_old_file_until_the_new_is_whole(
    tmp_path, monkeypatch
):
    path = tmp_path / "manifest.json"
    write_atomically(path, b"old")
    monkeypatch.setattr(tfrecord.os, "fsync", _full_disk)
    with pytest.raises(DatasetError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
