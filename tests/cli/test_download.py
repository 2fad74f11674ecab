"""``seqexp-tf download``: the command line over a local server."""

import functools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tomli_w

from seqexp_tf.download.config import read_downloads
from seqexp_tf.download.transfer import Patience
from seqexp_tf.records.recipe import read_recipe

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def url(tmp_path):
    """A server of tmp_path/remote."""
    (tmp_path / "remote" / "reference").mkdir(parents=True)
    (tmp_path / "remote" / "a.bed").write_text("chr1\t0\t9\n")
    (tmp_path / "remote" / "reference" / "b.txt").write_text("b" * 5000)
    handler = functools.partial(_Quiet, directory=tmp_path / "remote")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def recipe(tmp_path, url):
    files = {
        "peaks": {"url": f"{url}/a.bed"},
        "other": {"url": f"{url}/reference/b.txt", "path": "reference/b.txt"},
    }
    path = tmp_path / "recipe.toml"
    tables = {"source": {"root": str(tmp_path / "data")}, "download": files}
    path.write_text(tomli_w.dumps(tables))
    return path


def test_downloads_then_verifies(call, recipe, tmp_path):
    code, out, err = call("download", recipe)
    assert code == 0, err
    data = tmp_path / "data"
    assert (data / "a.bed").read_text() == "chr1\t0\t9\n"
    assert (data / "reference" / "b.txt").read_text() == "b" * 5000
    assert f"{data / 'a.bed'}, 0.0 MB, downloaded in" in err
    assert out.startswith("2 files, 0.00 GB, 2 of them downloaded now; sizes and")
    assert str(data / "download.lock.json") in out
    code, out, err = call("download", recipe)
    assert (code, err.count("already there, verified")) == (0, 2)
    assert "0 of them downloaded now" in out


def test_one_file_into_another_folder_from_a_mirror(call, recipe, url, tmp_path):
    into = tmp_path / "elsewhere"
    code, out, err = call(
        "download", recipe, "--only", "other", "--into", into, "--mirror", url,
        "--set", "download.other.url=http://127.0.0.1:9/gone.txt",
    )  # fmt: skip
    assert code == 0, err
    assert (into / "reference" / "b.txt").is_file() and not (into / "a.bed").exists()
    assert out.startswith("1 file, ")


def test_a_dry_run_lists_and_touches_nothing(call, recipe, url, tmp_path):
    code, out, _ = call("download", recipe, "--dry-run")
    assert code == 0
    first, second = out.splitlines()
    assert first == f"peaks: {tmp_path / 'data' / 'a.bed'} from {url}/a.bed"
    assert second.startswith("other: ")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "peak"], 'no table [download.peak]; did you mean "peaks"?'),
        (["--mirror", "somewhere"], "--mirror: 'somewhere' is not an address"),
        (["--set", "download.peaks.path=/a"], "must name a file inside the folder"),
        (["--set", "download.peaks.url=http://127.0.0.1:9/x"], "cannot connect"),
    ],
)
def test_an_error_is_one_line(call, recipe, monkeypatch, arguments, message):
    once = functools.partial(Patience, attempts=1)
    monkeypatch.setattr("seqexp_tf.download.fetch.Patience", once)
    code, _, err = call("download", recipe, *arguments)
    assert code == 1
    (line,) = [line for line in err.splitlines() if line.startswith("Error: ")]
    assert message in line


@pytest.mark.parametrize("name", ["k562_cage", "gm12878_cage"])
def test_the_studys_recipes_say_where_their_files_are(name):
    path = RECIPES / f"{name}.toml"
    recipe = read_recipe(path)
    files = read_downloads(path).files
    assert recipe.download == files
    places = {file.place for file in files.values()}
    # Made out of others: the first line by `seqexp-tf peaks`, the rest by
    # tools/prepare_cage.py.
    made = {recipe.channels["peaks"]}
    made |= {recipe.source.genes, recipe.target.coverage_plus}
    made.add(recipe.target.coverage_minus)
    needed = {given for given in recipe.inputs().values() if given} - made
    assert needed <= places
    assert all(file.sha256 is None for file in files.values())
    for file in files.values():
        accession = file.place.rpartition("/")[2].partition(".")[0]
        if accession.startswith(("ENCFF", "4DNF", "CNhs")):
            assert file.url.count(accession) >= 1
