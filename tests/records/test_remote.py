"""Inputs, outputs and datasets at remote addresses."""

import http.server
import json
import os
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.errors import DatasetError, InputError
from seqexp_tf.records import remote, tasks
from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import verify

OUT = "memory://out/tiny"


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _objects(store, folder: str) -> dict[str, bytes]:
    """Every object of a folder, those in folders inside it too."""
    return {
        path.removeprefix(f"/{folder}/"): store.cat_file(path)
        for path in store.find(folder)
    }


def _put(store, folder: Path, target: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            store.pipe_file(f"{target}/{path.relative_to(folder)}", path.read_bytes())


def _recipe(tiny, root: str, route: str = "raw", **changes):
    source = {**tiny.tables(route)["source"], "root": root}
    return tiny.recipe(route, source=source, **changes)


@pytest.fixture
def at_home(tiny_genome, tmp_path):
    folder = tmp_path / "home"
    convert(tiny_genome.recipe("raw"), folder)
    return _files(folder)


def _assert_same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    """Equal bytes; the manifest but for where the inputs were."""
    assert found.keys() == expected.keys()
    manifests = [json.loads(files["manifest.json"]) for files in (found, expected)]
    for content in manifests:
        content["recipe"]["source"]["root"] = content["notes"] = ""
    assert manifests[0] == manifests[1]
    for name in expected.keys() - {"manifest.json"}:
        assert found[name] == expected[name], name


def test_remote_inputs_and_output(tiny_genome, memory, cache, at_home):
    _put(memory, tiny_genome.folder, "/in")
    said = []
    summary = convert(_recipe(tiny_genome, "memory://in"), OUT, progress=said.append)
    assert summary.folder == OUT
    found = _objects(memory, "out/tiny")
    _assert_same(found, at_home)
    notes = json.loads(found["manifest.json"])["notes"]
    assert notes[0].startswith("memory://in/genome.fa: ")
    assert "fetching memory://in/plus.bw" in said
    assert not any(str(cache) in text for text in (*said, *notes))
    assert not list((cache / "conversions").rglob("*.u8"))


def test_expression(tiny_genes, memory, tmp_path):
    _put(memory, tiny_genes.folder, "/in")
    source = tiny_genes.source(root="memory://in")
    convert(tiny_genes.recipe(source=source), OUT)
    convert(tiny_genes.recipe(), tmp_path / "home")
    _assert_same(_objects(memory, "out/tiny"), _files(tmp_path / "home"))


def test_single_remote_file(tiny_genome, memory, tmp_path):
    memory.pipe_file("/a/peaks.bed", (tiny_genome.folder / "peaks.bed").read_bytes())
    recipe = tiny_genome.recipe(channels={"peaks": "memory://a/peaks.bed"})
    convert(recipe, tmp_path / "out")
    inputs = RecordStore.open(tmp_path / "out").manifest["inputs"]
    assert inputs[-1]["path"] == "memory://a/peaks.bed"
    assert inputs[0]["path"] == "archive/data.npz"


def test_a_changed_object_is_fetched_again(tiny_genome, memory, tmp_path):
    recipe = tiny_genome.recipe(channels={"peaks": "memory://a/peaks.bed"})
    marks = set()
    for text in ("chrI\t0\t10\n", "chrI\t0\t20\n"):
        memory.pipe_file("/a/peaks.bed", text.encode())
        convert(recipe, tmp_path / "out", overwrite=True)
        marks.add(RecordStore.open(tmp_path / "out").fingerprint)
    assert len(marks) == 2


def test_resume(tiny_genome, memory, at_home, monkeypatch):
    recipe, write, count = tiny_genome.recipe("raw"), tasks.write_task, 0

    def failing(*arguments):
        nonlocal count
        count += 1
        if count > 5:
            raise KeyboardInterrupt
        return write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "write_task", failing)
        with pytest.raises(KeyboardInterrupt):
            convert(recipe, OUT)
    assert "manifest.json" not in _objects(memory, "out/tiny")
    with pytest.raises(DatasetError, match="the conversion has not finished"):
        RecordStore.open(OUT)
    with pytest.raises(DatasetError, match="unfinished conversion of other inputs"):
        convert(tiny_genome.recipe("raw", seed=3), OUT)
    cut = memory.find("out/tiny")
    cut = next(path for path in cut if path.endswith("of-00003.tfrecord.gz"))
    memory.pipe_file(cut, memory.cat_file(cut)[:-1])
    assert convert(recipe, OUT).reused == 4
    assert _objects(memory, "out/tiny") == at_home


def test_what_is_there_is_respected(tiny_genome, memory, at_home):
    recipe = tiny_genome.recipe("raw")
    convert(recipe, OUT)
    with pytest.raises(DatasetError, match=f"{OUT}: already holds this dataset"):
        convert(recipe, OUT)
    other = tiny_genome.recipe("raw", seed=3, output={"min_shards": 2})
    with pytest.raises(DatasetError, match="already holds another dataset"):
        convert(other, OUT)
    convert(other, OUT, overwrite=True)
    assert len(_objects(memory, "out/tiny")) == 6 + 3
    convert(recipe, OUT, overwrite=True)
    assert _objects(memory, "out/tiny") == at_home
    memory.pipe_file("/lost/train-00000-of-00002.tfrecord", b"precious")
    with pytest.raises(DatasetError, match="lost/train-00000.*not part of this"):
        convert(recipe, "memory://lost")


def test_a_remote_dataset_is_read(tiny_genome, memory, cache, tmp_path):
    convert(tiny_genome.recipe(), OUT)
    convert(tiny_genome.recipe(), tmp_path / "home")
    far, near = RecordStore.open(OUT), RecordStore.open(tmp_path / "home")
    found, expected = far.read("test", 7), near.read("test", 7)
    np.testing.assert_array_equal(found["sequence"], expected["sequence"])
    assert verify(OUT, full=True).problems == ()
    copies = {path: path.stat().st_mtime_ns for path in cache.rglob("*.tfrecord*")}
    assert len(copies) == 9
    RecordStore.open(OUT)
    assert copies == {path: path.stat().st_mtime_ns for path in copies}


def test_a_damaged_remote_dataset(tiny_genome, memory, cache):
    convert(tiny_genome.recipe(), OUT)
    name = "out/tiny/test-00001-of-00003.tfrecord.gz"
    whole = memory.cat_file(name)
    for content, message in (
        (whole[:-1], "the manifest says"),
        (whole[:50] + b"\0" + whole[51:], "content differs from the manifest's sha256"),
    ):
        memory.pipe_file(name, content)
        with pytest.raises(DatasetError, match=f"memory://{name}: .*{message}"):
            RecordStore.open(OUT)
    memory.rm_file(name)
    with pytest.raises(DatasetError, match=f"memory://{name}: missing"):
        RecordStore.open(OUT)
    with pytest.raises(DatasetError, match="memory://nothing: not a dataset"):
        RecordStore.open("memory://nothing")
    memory.pipe_file(name, whole)
    assert RecordStore.open(OUT).count("test") == 46


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        if "secret" in self.path:
            self.send_error(403)
        elif "cut" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"chrI\t0\t10\n")
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if "cut" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
        else:
            super().do_HEAD()

    def log_message(self, *arguments) -> None:
        pass


@pytest.fixture
def web(tmp_path, cache):
    """A web server without ranges; its address and its folder."""
    pytest.importorskip("aiohttp")
    folder = tmp_path / "web"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Handler, directory=folder)
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_over_http(tiny_genome, web, tmp_path, at_home):
    address, folder = web
    (folder / "in").symlink_to(tiny_genome.folder)
    recipe = _recipe(tiny_genome, f"{address}/in")
    convert(recipe, folder / "dataset")
    _assert_same(_files(folder / "dataset"), at_home)
    assert RecordStore.open(f"{address}/dataset").read("test", 3)["contig"] == "chrIII"
    with pytest.raises(DatasetError, match="cannot be written over HTTP"):
        convert(recipe, f"{address}/elsewhere")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.bed", "absent.bed: no such object"),
        ("secret.bed", "secret.bed: access refused"),
        ("cut.bed", "cut.bed: (came as 10 bytes of 100|cannot be reached)"),
    ],
)
def test_bad_web_inputs(tiny_genome, web, tmp_path, cache, name, message):
    (web[1] / "secret.bed").touch()
    recipe = tiny_genome.recipe(channels={"peaks": f"{web[0]}/{name}"})
    with pytest.raises(InputError, match=message) as raised:
        convert(recipe, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()
    assert not [path for path in cache.rglob("*.bed*")]


def test_a_server_that_is_down(tiny_genome, cache, tmp_path):
    pytest.importorskip("aiohttp")
    recipe = tiny_genome.recipe(channels={"peaks": "http://127.0.0.1:9/peaks.bed"})
    with pytest.raises(InputError, match="peaks.bed: cannot be reached"):
        convert(recipe, tmp_path / "out")


def test_the_package_is_not_installed(tiny_genome, cache, monkeypatch):
    for missing, address in (("fsspec", "memory://out"), ("gcsfs", "gs://bucket/out")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(DatasetError, match="pip install .seqexp-tf.remote.."):
                convert(tiny_genome.recipe(), address)


def test_addresses_that_cannot_be(tiny_genome, memory, tmp_path):
    with pytest.raises(DatasetError, match="floppy://out: no such protocol"):
        convert(tiny_genome.recipe(), "floppy://out")
    _put(memory, tiny_genome.folder, "/in")
    recipe = _recipe(tiny_genome, "memory://in", channels={"peaks": "/data/peaks.bed"})
    with pytest.raises(InputError, match="/data/peaks.bed: a path of this machine"):
        convert(recipe, tmp_path / "out")


def test_an_output_over_a_full_or_forbidden_cache(tiny_genome, memory, cache):
    memory.pipe_file("/a/peaks.bed", b"chrI\t0\t10\n")
    (cache / "files").touch()
    recipe = tiny_genome.recipe(channels={"peaks": "memory://a/peaks.bed"})
    with pytest.raises(DatasetError, match=f"set {remote.CACHE} to a folder"):
        convert(recipe, OUT)


@pytest.fixture(scope="module")
def bucket():
    """Addresses of a bucket of a local S3 server."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    keys = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        import s3fs

        store = s3fs.S3FileSystem(skip_instance_cache=True)
        store.mkdir("bucket")
        yield store
    server.stop()


def test_s3(tiny_genome, bucket, cache, at_home):
    _put(bucket, tiny_genome.folder, "bucket/in")
    recipe = _recipe(tiny_genome, "s3://bucket/in")
    convert(recipe, "s3://bucket/out", workers=2)
    found = {
        path.removeprefix("bucket/out/"): bucket.cat_file(path)
        for path in bucket.find("bucket/out")
    }
    _assert_same(found, at_home)
    assert RecordStore.open("s3://bucket/out").count("train") == 112


def test_s3_refusals(tiny_genome, bucket, cache, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="s3://bucket/no/genome.fa: no such object"):
        convert(_recipe(tiny_genome, "s3://bucket/no"), tmp_path / "out")
    with pytest.raises(DatasetError, match="s3://absent/out: no such object"):
        convert(tiny_genome.recipe(), "s3://absent/out")
    import s3fs

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match="access refused .* AWS_PROFILE") as raised:
        convert(_recipe(tiny_genome, "s3://bucket/in"), tmp_path / "out")
    assert "\n" not in str(raised.value)
    with pytest.raises(DatasetError, match="s3://bucket/out: access refused"):
        convert(tiny_genome.recipe(), "s3://bucket/out")
    s3fs.S3FileSystem.clear_instance_cache()
