"""Downloads over a bad network: the right bytes, or one line that says why not."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pooch
import pytest

from seqexp_tf.download import fetch as module
from seqexp_tf.download.config import DownloadFile
from seqexp_tf.download.fetch import PARTS, fetch
from seqexp_tf.download.lock import LOCK, DownloadLock
from seqexp_tf.download.transfer import Patience, ResumingDownloader
from seqexp_tf.errors import ConfigError, DatasetError, InputError

CONTENT = np.random.default_rng(7).bytes(300_000)
OTHER = np.random.default_rng(8).bytes(300_000)
SOON = Patience(attempts=3, pause=0.01, connect=5, read=0.3)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _fetch(folder: Path, *urls: str, said: list | None = None, **options):
    """Fetches one file, named ``a``; further addresses are its mirrors."""
    keys = {key: options.pop(key) for key in ("sha256", "path") if key in options}
    file = DownloadFile(urls[0], mirrors=tuple(urls[1:]), **keys)
    say = (said if said is not None else []).append
    return fetch({"a": file}, folder, patience=SOON, say=say, **options)[0]


def _refused(*arguments, **options) -> str:
    with pytest.raises(InputError) as error:
        _fetch(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_first_download_records_and_the_second_verifies(server, tmp_path):
    server.add("a.bw", CONTENT, modified="Wed, 21 Oct 2015 07:28:00 GMT")
    first = _fetch(tmp_path, f"{server.url}/a.bw", path="signals/a.bw")
    assert first.how == "downloaded"
    assert first.path.read_bytes() == CONTENT
    entry = DownloadLock(tmp_path).get("signals/a.bw")
    assert (entry.bytes, entry.sha256) == (len(CONTENT), _sha(CONTENT))
    assert entry.etag == '"1"' and entry.last_modified.startswith("Wed")
    assert sorted(os.listdir(tmp_path)) == [LOCK, "signals"]

    before = (tmp_path / LOCK).read_bytes()
    again = _fetch(tmp_path, f"{server.url}/a.bw", path="signals/a.bw")
    assert again.how == "verified"
    assert len(server.requests) == 1
    assert (tmp_path / LOCK).read_bytes() == before


def test_a_broken_connection_goes_on_where_it_was(server, tmp_path):
    server.add("a", CONTENT, faults=[("cut", 100_000), ("cut", 50_000)])
    said = []
    _fetch(tmp_path, f"{server.url}/a", said=said)
    assert (tmp_path / "a").read_bytes() == CONTENT
    starts = [0 if r is None else int(r[6:-1]) for _, r in server.requests]
    assert starts == [0, 100_000, 150_000]
    assert sum("trying again" in line for line in said) == 2


def test_another_process_goes_on(server, tmp_path):
    served = server.add("a", CONTENT, faults=[("cut", 90_000), 503, 503])
    message = _refused(tmp_path, f"{server.url}/a")
    assert "HTTP 503" in message and "3 times in a row" in message
    assert (tmp_path / PARTS / "a.part").stat().st_size == 90_000
    assert not (tmp_path / "a").exists()
    assert served.faults == []
    _fetch(tmp_path, f"{server.url}/a")
    assert server.requests[-1] == ("/a", "bytes=90000-")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert not (tmp_path / PARTS).exists()


def test_a_part_that_was_whole_already(server, tmp_path):
    server.add("a", CONTENT)
    server.files["/a"].faults = [("cut", len(CONTENT) - 1), 503, 503]
    _refused(tmp_path, f"{server.url}/a")
    with (tmp_path / PARTS / "a.part").open("ab") as part:
        part.write(CONTENT[-1:])
    _fetch(tmp_path, f"{server.url}/a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert DownloadLock(tmp_path).get("a").etag == '"1"'


def test_a_server_without_ranges_sends_all_again(server, tmp_path):
    server.add("a", CONTENT, ranges=False, faults=[("cut", 100_000)])
    _fetch(tmp_path, f"{server.url}/a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.requests[1] == ("/a", "bytes=100000-")


@pytest.mark.parametrize("strict", [True, False], ids=["if-range", "no if-range"])
def test_a_file_that_changes_between_tries_is_not_joined(server, tmp_path, strict):
    served = server.add("a", CONTENT, strict=strict, faults=[("cut", 100_000), 503])
    served.faults += [503]
    _refused(tmp_path, f"{server.url}/a")
    served.content, served.etag = OTHER, '"2"'
    _fetch(tmp_path, f"{server.url}/a")
    assert (tmp_path / "a").read_bytes() == OTHER


def test_without_validators_nothing_is_joined(server, tmp_path):
    server.add("a", CONTENT, etag=None, faults=[("cut", 100_000)])
    _fetch(tmp_path, f"{server.url}/a")
    assert [wanted for _, wanted in server.requests] == [None, None]
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_without_validators_a_pinned_hash_allows_it(server, tmp_path):
    server.add("a", CONTENT, etag=None, faults=[("cut", 100_000)])
    _fetch(tmp_path, f"{server.url}/a", sha256=_sha(CONTENT))
    assert server.requests[1] == ("/a", "bytes=100000-")


def test_parts_that_do_not_fit_together_are_dropped(server, tmp_path):
    served = server.add("a", OTHER, etag=None, faults=[("cut", 100_000), 503, 503])
    pinned = {"sha256": _sha(CONTENT)}
    _refused(tmp_path, f"{server.url}/a", **pinned)
    served.content = CONTENT
    said = []
    _fetch(tmp_path, f"{server.url}/a", said=said, **pinned)
    assert any("do not fit together" in line for line in said)
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_weak_tag_is_no_condition(server, tmp_path):
    server.add("a", CONTENT, etag='W/"1"', modified="then", faults=[("cut", 9_000)])
    _fetch(tmp_path, f"{server.url}/a")
    assert server.requests[1] == ("/a", "bytes=9000-")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_short_read_without_a_size_is_checked_by_the_hash(server, tmp_path):
    server.add("a", CONTENT[:-5], sized=False, etag=None)
    message = _refused(tmp_path, f"{server.url}/a", sha256=_sha(CONTENT))
    assert _sha(CONTENT) in message and _sha(CONTENT[:-5]) in message


def test_silence_is_a_timeout(server, tmp_path):
    server.add("a", CONTENT, faults=[("hang", 80_000)])
    said = []
    _fetch(tmp_path, f"{server.url}/a", said=said)
    assert "nothing more came after 65,536 bytes" in said[0]
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_changed_upstream_names_both_hashes(server, tmp_path):
    server.add("a", CONTENT)
    _fetch(tmp_path, f"{server.url}/a")
    (tmp_path / "a").unlink()
    server.add("a", OTHER, etag='"2"')
    message = _refused(tmp_path, f"{server.url}/a")
    assert _sha(CONTENT) in message and _sha(OTHER) in message
    assert f"delete the entry 'a' of {tmp_path / LOCK}" in message
    assert not (tmp_path / "a").exists()

    content = json.loads((tmp_path / LOCK).read_text())
    del content["files"]["a"]
    (tmp_path / LOCK).write_text(json.dumps(content))
    _fetch(tmp_path, f"{server.url}/a")
    assert DownloadLock(tmp_path).get("a").sha256 == _sha(OTHER)


def test_another_size_is_refused_before_it_is_read(server, tmp_path):
    server.add("a", CONTENT)
    _fetch(tmp_path, f"{server.url}/a")
    (tmp_path / "a").unlink()
    server.add("a", CONTENT * 2)
    message = _refused(tmp_path, f"{server.url}/a")
    assert "it has 600,000 bytes, not 300,000" in message
    assert _sha(CONTENT) in message and "delete the entry 'a'" in message


def test_a_mirror_has_the_old_file(server, tmp_path):
    server.add("a", CONTENT)
    server.add("copy/a", CONTENT)
    _fetch(tmp_path, f"{server.url}/a")
    (tmp_path / "a").unlink()
    server.add("a", OTHER)
    _fetch(tmp_path, f"{server.url}/a", f"{server.url}/copy/a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_pinned_hash_that_is_wrong(server, tmp_path):
    server.add("a", CONTENT)
    message = _refused(tmp_path, f"{server.url}/a", sha256=_sha(OTHER))
    assert f"sha256 is {_sha(CONTENT)}, not {_sha(OTHER)}" in message
    assert "correct download.a.sha256 in the recipe" in message
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, 3), (429, 3)])
def test_what_is_tried_again(server, tmp_path, status, asked):
    server.add("a", CONTENT, faults=[status] * 9)
    message = _refused(tmp_path, f"{server.url}/a")
    assert f"{server.url}/a: HTTP {status}" in message
    assert "--mirror" in message
    assert len(server.requests) == asked


def test_the_pause_a_server_asks_for(server, tmp_path):
    server.add("a", CONTENT, faults=[503], headers={"Retry-After": "1"})
    said = []
    _fetch(tmp_path, f"{server.url}/a", said=said)
    assert "trying again in 1 s" in said[0]


def test_an_address_without_a_server(tmp_path):
    message = _refused(tmp_path, "http://127.0.0.1:9/a")
    assert "cannot connect (" in message and "object at" not in message


def test_a_web_page_is_no_file(server, tmp_path):
    server.add("a", b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})
    assert "a web page instead of the file" in _refused(tmp_path, f"{server.url}/a")


def test_gzip_on_the_way_is_kept_as_it_is(server, tmp_path):
    server.add("a.gz", CONTENT, headers={"Content-Encoding": "gzip"})
    _fetch(tmp_path, f"{server.url}/a.gz")
    assert (tmp_path / "a.gz").read_bytes() == CONTENT


def test_mirrors_are_tried_in_order(server, tmp_path):
    server.add("second/a", CONTENT)
    _fetch(
        tmp_path,
        f"{server.url}/first/a",
        f"{server.url}/second/a",
        mirrors=[f"{server.url}/copy/"],
        path="x y/a",
    )
    asked = [path for path, _ in server.requests]
    assert asked == ["/copy/x%20y/a", "/first/a", "/second/a"]
    assert DownloadLock(tmp_path).get("x y/a").url == f"{server.url}/first/a"


def test_the_part_of_one_mirror_serves_another_if_the_hash_is_known(server, tmp_path):
    server.add("a", CONTENT, faults=[("cut", 100_000), 404])
    server.add("copy/a", CONTENT, etag='"elsewhere"')
    _fetch(tmp_path, f"{server.url}/a", f"{server.url}/copy/a", sha256=_sha(CONTENT))
    assert server.requests[-1] == ("/copy/a", "bytes=100000-")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_a_file_that_is_there_but_unknown_is_recorded(server, tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    said = []
    assert _fetch(tmp_path, f"{server.url}/a", said=said).how == "recorded"
    assert "already there" in said[0]
    assert server.requests == []
    assert DownloadLock(tmp_path).get("a").sha256 == _sha(CONTENT)


def test_a_file_that_was_changed_here(server, tmp_path):
    server.add("a", CONTENT)
    _fetch(tmp_path, f"{server.url}/a")
    (tmp_path / "a").write_bytes(OTHER)
    message = _refused(tmp_path, f"{server.url}/a")
    assert _sha(CONTENT) in message and _sha(OTHER) in message
    assert "move it away" in message
    assert (tmp_path / "a").read_bytes() == OTHER


def test_a_recipe_that_pins_other_than_was_recorded(server, tmp_path):
    server.add("a", CONTENT)
    _fetch(tmp_path, f"{server.url}/a")
    with pytest.raises(ConfigError, match="but the recipe pins"):
        _fetch(tmp_path, f"{server.url}/a", sha256=_sha(OTHER))
    with pytest.raises(ConfigError, match="but the recipe names"):
        _fetch(tmp_path, f"{server.url}/b", path="a")
    assert _fetch(tmp_path, f"{server.url}/b", path="a", sha256=_sha(CONTENT)).how == (
        "verified"
    )


def test_the_other_files_are_brought_all_the_same(server, tmp_path):
    files = {}
    for name in ("one", "two", "three", "four", "five"):
        files[name] = DownloadFile(f"{server.url}/{name}")
        if name not in ("two", "four"):
            server.add(name, CONTENT)
    said = []
    with pytest.raises(InputError, match="2 of 5 files could not be had: two, four"):
        fetch(files, tmp_path, patience=SOON, say=said.append)
    assert sum(line.startswith("Error: ") for line in said) == 2
    for name in ("one", "three", "five"):
        assert (tmp_path / name).read_bytes() == CONTENT
    server.add("two", CONTENT), server.add("four", CONTENT)
    found = fetch(files, tmp_path, patience=SOON)
    assert [file.how for file in found] == [
        "verified", "downloaded", "verified", "downloaded", "verified",
    ]  # fmt: skip
    assert [file.name for file in found] == list(files)


def test_no_room_is_said_before_anything_is_read(server, tmp_path, monkeypatch):
    server.add("a", CONTENT)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(9, 9, 1000))
    message = _refused(tmp_path, f"{server.url}/a", f"{server.url}/mirror")
    assert "free space or choose another --into" in message
    assert len(server.requests) == 1


def test_a_disk_that_fills_up_keeps_the_part(server, tmp_path):
    # The limit of a file's size fails as a full disk does, with less effort.
    import resource

    server.add("a", CONTENT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        message = _refused(tmp_path, f"{server.url}/a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "cannot write: File too large; free space" in message
    _fetch(tmp_path, f"{server.url}/a")
    assert server.requests[-1] == ("/a", "bytes=100000-")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_one_download_at_a_time(server, tmp_path):
    server.add("a", CONTENT)
    (tmp_path / PARTS).mkdir()
    with (tmp_path / PARTS / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DatasetError, match="another download is writing here"):
            _fetch(tmp_path, f"{server.url}/a")


def test_after_a_kill(server, tmp_path):
    server.add("a", CONTENT, faults=[("hang", 150_000)])
    code = (
        "import sys; from pathlib import Path\n"
        "from seqexp_tf.download.config import DownloadFile\n"
        "from seqexp_tf.download.fetch import fetch\n"
        "fetch({'a': DownloadFile(sys.argv[1])}, Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, f"{server.url}/a", str(tmp_path)]
    part = tmp_path / PARTS / "a.part"
    with subprocess.Popen(command) as killed:
        for _ in range(3000):
            if part.exists() and part.stat().st_size >= 131_072:
                break
            time.sleep(0.01)
        killed.kill()
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    _fetch(tmp_path, f"{server.url}/a")
    assert server.requests[-1] == ("/a", "bytes=131072-")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert sorted(os.listdir(tmp_path)) == ["a", LOCK]


def test_interrupted_by_the_user(server, tmp_path, monkeypatch):
    server.add("a", CONTENT, faults=[("hang", 70_000)])

    def interrupt(tasks):
        for _ in range(500):
            if server.requests:
                break
            threading.Event().wait(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "as_completed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _fetch(tmp_path, f"{server.url}/a")
    assert not (tmp_path / "a").exists()
    monkeypatch.undo()
    _fetch(tmp_path, f"{server.url}/a")
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_the_downloader_serves_pooch_alone(server, tmp_path):
    server.add("a", CONTENT, faults=[("cut", 100_000)])
    downloader = ResumingDownloader(tmp_path / "part", label="a", patience=SOON)
    path = pooch.retrieve(
        f"{server.url}/a", _sha(CONTENT), path=tmp_path, downloader=downloader
    )
    assert Path(path).read_bytes() == CONTENT
    assert downloader.resumed
