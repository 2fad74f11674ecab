"""The [download.NAME] tables: places, and one-line refusals."""

from pathlib import Path

import pytest
import tomli_w

from seqexp_tf.download.config import DownloadFile, read_downloads
from seqexp_tf.errors import ConfigError
from seqexp_tf.records.recipe import read_recipe

URL = "https://host.test/folder/hg38.fa.gz"


def _recipe(folder: Path, **download) -> Path:
    path = folder / "recipe.toml"
    tables = {"kind": "any", "source": {"root": "data"}, "download": download}
    path.write_text(tomli_w.dumps(tables))
    return path


def test_files_by_name_and_the_root(tmp_path):
    path = _recipe(
        tmp_path,
        genome={"url": URL},
        signal={"url": URL, "path": "signals/a.bw", "mirrors": ["http://other/a"]},
    )
    found = read_downloads(path)
    assert found.root == Path("data")
    assert found.files["genome"].place == "hg38.fa.gz"
    assert found.files["signal"] == DownloadFile(
        URL, mirrors=("http://other/a",), path="signals/a.bw"
    )


def test_values_can_be_overridden(tmp_path):
    path = _recipe(tmp_path, genome={"url": URL})
    found = read_downloads(
        path, ["source.root=elsewhere", 'download.genome.mirrors=["https://m/x"]']
    )
    assert found.root == Path("elsewhere")
    assert found.files["genome"].mirrors == ("https://m/x",)


def test_a_name_is_decoded_once():
    file = DownloadFile("https://host.test/a/K562%20rep1%252c.bw?download=1")
    assert file.place == "K562 rep1%2c.bw"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, '"download.genome.url" is missing'),
        ({"url": "ftp://host/a"}, "download.genome.url: 'ftp://host/a' is not an"),
        ({"url": "hg38.fa"}, "must begin with https://"),
        ({"url": URL, "mirrors": ["x"]}, "download.genome.mirrors: 'x'"),
        ({"url": URL, "sha256": "AB"}, "64 hexadecimal digits"),
        ({"url": URL, "path": "../up"}, "'../up'; it must name a file inside"),
        ({"url": URL, "path": "/etc/x"}, "'/etc/x'; it must name a file inside"),
        ({"url": URL, "path": ""}, "it must name a file inside"),
        ({"url": "https://host.test/"}, "does not end in a file name"),
        ({"url": URL, "sha": "x"}, 'unknown key "download.genome.sha"'),
    ],
)
def test_refusals(tmp_path, table, message):
    path = _recipe(tmp_path, genome=table)
    with pytest.raises(ConfigError) as error:
        read_downloads(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_two_tables_for_one_path(tmp_path):
    path = _recipe(tmp_path, a={"url": URL}, b={"url": f"{URL}?2"})
    with pytest.raises(ConfigError, match=r"download\.a and download\.b both go to"):
        read_downloads(path)


def test_a_table_name_names_a_file(tmp_path):
    path = _recipe(tmp_path, **{"a/b": {"url": URL}})
    with pytest.raises(ConfigError, match="'a/b' must be letters"):
        read_downloads(path)


def test_nothing_to_download(tmp_path):
    with pytest.raises(ConfigError, match=r"no \[download.NAME\] table"):
        read_downloads(_recipe(tmp_path))


def test_convert_reads_the_same_recipe(tiny_genome, tmp_path):
    path = tmp_path / "tiny.toml"
    tables = tiny_genome.tables("archive", download={"genome": {"url": URL}})
    path.write_text(tomli_w.dumps(tables))
    assert read_recipe(path).download == {"genome": DownloadFile(URL)}
    path.write_text(
        tomli_w.dumps(tiny_genome.tables("archive", download={"genome": {"ur": 1}}))
    )
    with pytest.raises(ConfigError, match=r'unknown key "download\.genome\.ur"'):
        read_recipe(path)
