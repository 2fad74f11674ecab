"""Every recipe of the repository reads; the simulated one converts."""

from pathlib import Path

import pytest

from seqexp_tf.config import read_toml
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"
JOINT = [p for p in sorted(RECIPES.glob("*.toml")) if read_toml(p)["kind"] == "joint"]


@pytest.mark.parametrize("path", JOINT, ids=lambda path: path.stem)
def test_recipes_read(path):
    assert read_recipe(path).name == path.stem


def test_the_yeast_recipes_differ_in_their_source_only():
    archive, raw = (
        read_recipe(RECIPES / f"{name}.toml")
        for name in ("yeast_joint", "yeast_joint_raw")
    )
    for part in ("kind", "seed", "windows", "splits", "masks", "channels", "output"):
        assert getattr(archive, part) == getattr(raw, part)


def test_the_simulated_genome_by_both_routes(tmp_path):
    small = SimulationConfig(contig_length=24_000)
    write_simulation(simulate(small), tmp_path / "sim", contacts=False)
    text = (RECIPES / "simulated_joint.toml").read_text()
    # The alternative that the recipe's comment gives.
    head, _, rest = text.partition("[source.archive]")
    lines = rest.partition("[windows]")[0].splitlines()
    start = lines.index("# [source.genome]")
    genome = "\n".join(line.removeprefix("# ") for line in lines[start:])
    raw = f"{head}{genome}\n[windows]{rest.partition('[windows]')[2]}"
    (tmp_path / "raw.toml").write_text(raw)

    stores = {}
    for name, path in (
        ("archive", RECIPES / "simulated_joint.toml"),
        ("raw", tmp_path / "raw.toml"),
    ):
        recipe = read_recipe(path, [f"source.root={tmp_path / 'sim'}"])
        convert(recipe, tmp_path / name)
        stores[name] = RecordStore.open(tmp_path / name)
    for split, contig in (("test", "chr5"), ("validation", "chr6")):
        windows = stores["archive"].windows(split)
        assert set(windows.contig) == {contig}
        others = stores["raw"].windows(split)
        assert set(windows.id) <= set(others.id)
        record = stores["archive"].read(split, 3)
        place = int(others.index[others.id == windows.id[3]][0])
        same = stores["raw"].read(split, place)
        assert all((record[key] == same[key]).all() for key in ("sequence", "valid"))
        assert (record["expression"] == same["expression"]).all()
