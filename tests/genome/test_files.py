"""Opening and atomic writing."""

import gzip
import os
import stat

import pytest

from seqexp_tf.errors import InputError
from seqexp_tf.genome.files import _BGZIP_END, atomic_path, open_bytes, text_lines

# A bgzip block is a gzip member with an extra field BC; its content does not matter.
BGZIP_HEAD = bytes.fromhex("1f8b08040000000000ff0600424302001b00")


def test_compression_is_told_by_content(tmp_path):
    plain, packed = tmp_path / "plain.txt", tmp_path / "packed.txt"
    plain.write_bytes(b"one\r\ntwo")
    packed.write_bytes(
        gzip.compress(b"one\n", mtime=0) + gzip.compress(b"two\n", mtime=0)
    )
    assert list(text_lines(plain)) == [(1, "one"), (2, "two")]
    assert list(text_lines(packed)) == [(1, "one"), (2, "two")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.gz", b"plain text", "the content is not gzip"),
        (
            "x.gz",
            gzip.compress(b"ACGT" * 1000, mtime=0)[:-9],
            "truncated or damaged gzip",
        ),
        (
            "x.gz",
            gzip.compress(b"ACGT", mtime=0) + b"rubbish",
            "truncated or damaged gzip",
        ),
        (
            "x.gz",
            BGZIP_HEAD + gzip.compress(b"A", mtime=0)[10:],
            "end-of-file block is missing",
        ),
        ("x.txt", b"good\n\xff\xfe\n", "line 2: not UTF-8 text (byte 0xff"),
    ],
    ids=["plain", "cut", "rubbish", "no-end-block", "not-utf8"],
)
def test_damaged_files(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(text_lines(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_deflate_stream(tmp_path):
    raw = bytearray(gzip.compress(os.urandom(5000), mtime=0))
    raw[2000:2040] = bytes(40)
    (tmp_path / "x.gz").write_bytes(raw)
    with (
        pytest.raises(InputError, match="truncated or damaged"),
        open_bytes(tmp_path / "x.gz") as stream,
    ):
        stream.read()


def test_whole_bgzip_is_read(tmp_path):
    # A gzip member with the BC field, then the end block.
    body = gzip.compress(b"ACGT\n", mtime=0)
    block = body[:3] + b"\x04" + body[4:10] + b"\x06\x00BC\x02\x00\x1b\x00" + body[10:]
    (tmp_path / "x").write_bytes(block + _BGZIP_END)
    assert list(text_lines(tmp_path / "x")) == [(1, "ACGT")]


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        list(text_lines(tmp_path / "absent"))
    with pytest.raises(InputError, match="cannot be read"):
        list(text_lines(tmp_path))


def test_atomic_path_keeps_the_old_file_on_failure(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_path_writes_with_ordinary_rights(tmp_path):
    reference = tmp_path / "reference"
    reference.write_text("")
    with atomic_path(tmp_path / "new" / "x") as temporary:
        temporary.write_text("whole")
    written = tmp_path / "new" / "x"
    assert written.read_text() == "whole"
    assert stat.S_IMODE(written.stat().st_mode) == stat.S_IMODE(
        reference.stat().st_mode
    )
