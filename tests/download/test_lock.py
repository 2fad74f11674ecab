"""The lock file: a round trip, and files that are none."""

import json

import pytest

from seqexp_tf.download.lock import LOCK, DownloadLock, LockedFile
from seqexp_tf.errors import InputError

ENTRY = LockedFile("https://h/a", 12, "0" * 64, "2026-01-31", etag='"x"')


def test_entries_survive(tmp_path):
    DownloadLock(tmp_path).record("signals/a.bw", ENTRY)
    again = DownloadLock(tmp_path)
    assert again.get("signals/a.bw") == ENTRY
    assert again.get("b") is None
    again.record("b", ENTRY)
    content = json.loads((tmp_path / LOCK).read_text())
    assert list(content["files"]) == ["b", "signals/a.bw"]
    assert "last_modified" not in content["files"]["b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "version is None"),
        ('{"version": 2, "files": {}}', "version is 2"),
        ('{"version": 1}', "not a lock of downloads"),
        ('{"version": 1, "files": {"a": {"url": "u"}}}', "files.a"),
        ('{"version": 1, "files": 3}', "not a lock of downloads"),
    ],
)
def test_a_damaged_lock_is_refused(tmp_path, content, message):
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(InputError) as error:
        DownloadLock(tmp_path)
    assert message in str(error.value)
    assert str(tmp_path / LOCK) in str(error.value)
    assert "\n" not in str(error.value)
