"""The reader that tfrecords/README.md shows, run as it stands there."""

import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.records.convert import convert
from seqexp_tf.records.store import RecordStore

README = Path(__file__).resolve().parents[2] / "tfrecords" / "README.md"


@pytest.fixture(params=["joint", "expression"])
def inputs(request):
    """The inputs of each kind of dataset."""
    kinds = {"joint": "tiny_genome", "expression": "tiny_genes"}
    return request.getfixturevalue(kinds[request.param])


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_plain_tensorflow_reads_a_dataset(inputs, tmp_path, compression):
    pytest.importorskip("tensorflow")
    output = {"compression": compression}
    recipe = inputs.recipe(output=output, channels={"peaks": "peaks.bed"})
    convert(recipe, tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "seqexp_tf" not in code
    names: dict = {}
    exec(code.replace('"DATASET"', repr(str(tmp_path))), names)

    store = RecordStore.open(tmp_path)
    found = list(names["dataset"].as_numpy_iterator())
    assert len(found) == store.count("train")
    for index in (0, 1, len(found) - 1):
        expected = store.read("train", index)
        assert found[index]["contig"].decode() == expected["contig"]
        assert found[index]["start"] == expected["start"]
        for feature in store.schema.of_split("train"):
            name = feature.name
            np.testing.assert_array_equal(found[index][name], expected[name])


def test_the_readme_names_every_field(inputs, tmp_path):
    convert(inputs.recipe(channels={"peaks": "peaks.bed"}), tmp_path)
    store = RecordStore.open(tmp_path)
    text = README.read_text()
    fields = [
        *store.manifest,
        *store.manifest["splits"]["train"],
        *store.statistics("train"),
        *store.manifest["inputs"][0],
        *store.schema.by_name,
        *store.windows().columns,
    ]
    if store.schema.expression is not None:
        details = asdict(store.schema.expression)
        fields += [*details, *details["target"]]
        fields += [*details["signals"][0], *details["features"][0]]
    assert [name for name in fields if f"`{name}`" not in text] == []
