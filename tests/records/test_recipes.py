"""Every recipe of the repository reads; the simulated one converts."""

from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import read_recipe
from seqexp_tf.records.store import RecordStore
from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

RECIPES = Path(__file__).resolve().parents[2] / "tfrecords"
ALL = sorted(RECIPES.glob("*.toml"))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_recipes_read(path):
    recipe = read_recipe(path)
    assert recipe.name == path.stem
    assert recipe.kind == ("joint" if "joint" in path.stem else "expression")


def test_every_recipe_is_in_the_readme():
    text = (RECIPES / "README.md").read_text()
    assert [path.name for path in ALL if f"`{path.name}`" not in text] == []


def test_the_recipes_of_the_study():
    k562, gm12878 = (
        read_recipe(RECIPES / f"{cell}_cage.toml") for cell in ("k562", "gm12878")
    )
    for recipe, files in (
        (k562, ("ENCFF465GBD", "ENCFF414OGC", "4DNFITUOMFUQ", "CNhs11250")),
        (gm12878, ("ENCFF798KYP", "ENCFF960FMM", "4DNFI1UEG1HD", "CNhs12333")),
    ):
        assert recipe.windows.size == 200_000 and not recipe.windows.oriented
        assert recipe.splits.validation == ("chr3", "chr21")
        assert recipe.splits.test == ("chr22", "chrX")
        assert (recipe.target.width, recipe.target.transform) == (384, "log10p1")
        paths = [
            *(signal.path for signal in recipe.signals.values()),
            recipe.contact.path,
            recipe.target.coverage_plus,
        ]
        for path, accession in zip(paths, files, strict=True):
            assert accession in path
    # They differ in the files they read, and in nothing else.
    alike = ("kind", "channels", "features", "windows", "splits", "output")
    assert all(getattr(k562, key) == getattr(gm12878, key) for key in alike)
    assert k562.contact.values == gm12878.contact.values


def test_the_simulated_genes(tmp_path):
    pytest.importorskip("cooler")
    small = SimulationConfig(contig_length=24_000)
    simulation = simulate(small)
    write_simulation(simulation, tmp_path / "sim")
    path = RECIPES / "simulated_expression.toml"
    recipe = read_recipe(path, [f"source.root={tmp_path / 'sim'}"])
    summary = convert(recipe, tmp_path / "out")
    assert sum(summary.written.values()) == len(simulation.genes)
    store = RecordStore.open(tmp_path / "out")
    assert store.schema.by_name["signals"].tracks == ("accessibility", "h3k27ac")
    windows = store.windows("test")
    assert set(windows.contig) == {"chr5"}
    genes = simulation.genes.set_index("gene")
    for number in (0, len(windows) - 1):
        record, gene = store.read("test", number), genes.loc[windows.gene[number]]
        expected = np.log1p(gene.expression)
        assert record["target"] == pytest.approx(expected, rel=1e-5)
        base = simulation.sequence["chr5"][gene.tss]
        found = record["sequence"][20_000]
        assert found == (base if gene.strand == "+" else 3 - base)
        open_here = simulation.accessibility["chr5"][gene.tss]
        assert record["signals"][0, 20_000] == pytest.approx(np.log1p(open_here))


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
