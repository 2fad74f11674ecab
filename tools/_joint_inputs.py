"""The joint recipes that the conversion tools run: real yeast or a simulation."""

import os
from pathlib import Path

from seqexp_tf.config import build
from seqexp_tf.records.recipe import JointRecipe, read_recipe
from seqexp_tf.simulate import SimulationConfig, simulate, write_simulation

_REPOSITORY = Path(__file__).resolve().parents[1]
_RECIPES = _REPOSITORY / "tfrecords"
_DATA = Path(os.environ.get("SEQEXP_DATA", _REPOSITORY.parent / "shared" / "data"))

YEAST = _DATA / "yeast"
"""Where real yeast is looked for unless a folder is given."""


def recipes_by_route(
    data: Path | None, scratch: Path, *, compression: str = "gzip"
) -> tuple[str, dict[str, JointRecipe]]:
    """Returns what is converted, in words, and the recipe of each route.

    Args:
        data: folder of the yeast data; the usual place if None, and a simulated
            genome where that is absent.
        scratch: where a simulation is written.
        compression: of the shards.
    """
    options = [f"output.compression={compression}"]
    folder = data or YEAST
    if data is not None or folder.is_dir():
        options.append(f"source.root={folder}")
        return f"yeast, {folder}", {
            "archive": read_recipe(_RECIPES / "yeast_joint.toml", options),
            "raw": read_recipe(_RECIPES / "yeast_joint_raw.toml", options),
        }
    write_simulation(simulate(SimulationConfig()), scratch / "sim", contacts=False)
    options.append(f"source.root={scratch / 'sim'}")
    archive = read_recipe(_RECIPES / "simulated_joint.toml", options)
    genome = {
        "fasta": "genome.fa.gz",
        "coverage_plus": "rna.plus.bw",
        "coverage_minus": "rna.minus.bw",
        "threshold": 2.0,
        "unit": "reads per million",
    }
    raw = build(
        JointRecipe,
        {
            "kind": "joint",
            "name": "simulated_joint_raw",
            "source": {"root": archive.source.root, "genome": genome},
            "splits": {"test": ["chr5"], "validation": ["chr6"]},
            "output": {"min_shards": 4, "compression": compression},
        },
        origin="simulation",
    )
    return "a simulated genome", {"archive": archive, "raw": raw}
