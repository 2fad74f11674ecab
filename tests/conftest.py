"""Fixtures shared by every test."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.config import build
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.genome.windows import overlaps, tile
from seqexp_tf.records.convert import convert
from seqexp_tf.records.recipe import JointRecipe
from seqexp_tf.records.store import RecordStore

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two workers share two cores: threads of their own would only get in the way.
for _name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("SEQEXP_DATA", REPOSITORY.parent / "shared" / "data"))


def _real_data(name: str) -> Path:
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"real data not found: {folder} (set SEQEXP_DATA)")
    return folder


@pytest.fixture(scope="session")
def yeast() -> Path:
    """The real S. cerevisiae data folder."""
    return _real_data("yeast")


@pytest.fixture(scope="session")
def joint_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of kind ``joint``: 128-bp windows of three contigs.

    Expression is a function of the DNA (runs where A and T prevail), so that a
    model can learn something from it. Treat it as read-only.
    """
    rng = np.random.default_rng(7)
    folder = tmp_path_factory.mktemp("joint")
    sequence, plus, minus, valid = {}, {}, {}, {}
    for contig, length in (("chrA", 6000), ("chrB", 1500), ("chrC", 1500)):
        rich = np.repeat(rng.integers(0, 2, length // 100 + 1), 100)[:length]
        weak = rng.random(length) < np.where(rich, 0.9, 0.1)
        sequence[contig] = np.where(
            weak, rng.choice([0, 3], length), rng.choice([1, 2], length)
        ).astype(np.uint8)
        plus[contig] = rich.astype(np.uint8)
        minus[contig] = np.roll(rich, 50).astype(np.uint8)
        valid[contig] = np.ones(length, dtype=np.uint8)
    sequence["chrA"][500:510] = UNKNOWN
    valid["chrA"][480:560] = 0
    sizes = {name: array.size for name, array in sequence.items()}
    write_archive(
        folder / "archive",
        sequence=sequence,
        expressed_plus=plus,
        expressed_minus=minus,
        valid=valid,
        regions=tile(sizes, window=128, stride=64),
    )
    recipe = build(
        JointRecipe,
        {
            "kind": "joint",
            "name": "small",
            "source": {
                "root": str(folder),
                "archive": {
                    "data": "archive/data.npz",
                    "regions": "archive/regions.parquet",
                    "meta": "archive/data_meta.json",
                },
            },
            "windows": {"size": 128},
            "splits": {"validation": ["chrB"], "test": ["chrC"]},
            "output": {"min_shards": 4},
        },
        origin="test",
    )
    convert(recipe, folder / "dataset")
    return folder / "dataset"


@pytest.fixture
def joint_store(joint_folder: Path) -> RecordStore:
    """The small dataset, opened."""
    return RecordStore.open(joint_folder)


@dataclass(frozen=True)
class TinyGenome:
    """Three contigs as the files of both conversion routes.

    The FASTA says ``I, II, III``, every other file ``chrI, chrII, chrIII``. Windows
    are 100 bp, stride 50, on both strands, none touching chrI:1,001-1,100, where
    nothing was measured. A base is expressed where coverage is over 2.

    Attributes:
        folder: holds genome.fa, plus.bw, minus.bw, genes.gff3, peaks.bed, archive/.
        sequence: contig -> indices.
        expressed: strand -> contig -> bool.
    """

    folder: Path
    sequence: dict[str, np.ndarray]
    expressed: dict[str, dict[str, np.ndarray]]

    def tables(self, route: str, **changes: Any) -> dict[str, Any]:
        """The recipe of a route; ``changes`` replace or extend its tables."""
        archive = {
            "data": "archive/data.npz",
            "regions": "archive/regions.parquet",
            "meta": "archive/data_meta.json",
        }
        genome = {
            "fasta": "genome.fa",
            "coverage_plus": "plus.bw",
            "coverage_minus": "minus.bw",
            "threshold": 2.0,
            "exclude": ["chrI:1,001-1,100"],
            "naming": "coverage",
        }
        source = {"archive": archive} if route == "archive" else {"genome": genome}
        return {
            "kind": "joint",
            "name": "tiny",
            "source": {"root": str(self.folder), **source},
            "windows": {"size": 100, "stride": 50},
            "splits": {"validation": ["chrII"], "test": ["chrIII"]},
            "output": {"min_shards": 3},
            **changes,
        }

    def recipe(self, route: str = "archive", **changes: Any) -> JointRecipe:
        """The checked recipe of a route."""
        return build(JointRecipe, self.tables(route, **changes), origin="tiny.toml")


@pytest.fixture(scope="session")
def tiny_genome(tmp_path_factory: pytest.TempPathFactory) -> TinyGenome:
    """Inputs of both conversion routes. Treat the files as read-only."""
    rng = np.random.default_rng(11)
    folder = tmp_path_factory.mktemp("tiny")
    sizes = {"chrI": 3000, "chrII": 1510, "chrIII": 1230}
    sequence = {
        name: rng.integers(0, 4, size).astype(np.uint8) for name, size in sizes.items()
    }
    write_fasta(
        folder / "genome.fa", {name[3:]: array for name, array in sequence.items()}
    )
    expressed: dict[str, dict[str, np.ndarray]] = {}
    for strand, name in (("+", "plus"), ("-", "minus")):
        coverage = {
            contig: np.repeat(rng.choice([0, 1, 2, 3, 9], size // 10), 10).astype("f4")
            for contig, size in sizes.items()
        }
        coverage["chrI"][1000:1100] = np.nan
        write_bigwig(folder / f"{name}.bw", sizes, coverage)
        expressed[strand] = {contig: v > 2 for contig, v in coverage.items()}
    valid = {name: np.ones(size, np.uint8) for name, size in sizes.items()}
    valid["chrI"][1000:1100] = 0
    windows = tile(sizes, window=100, stride=50)
    hole = pd.DataFrame({"contig": ["chrI"], "start": [1000], "end": [1100]})
    write_archive(
        folder / "archive",
        sequence=sequence,
        expressed_plus=expressed["+"],
        expressed_minus=expressed["-"],
        valid=valid,
        regions=windows[~overlaps(windows, hole)],
    )
    (folder / "genes.gff3").write_text(
        "##gff-version 3\n"
        "chrI\tx\tmRNA\t101\t300\t.\t+\t.\tID=a\n"
        "chrI\tx\tmRNA\t251\t400\t.\t-\t.\tID=b\n"
        "chrII\tx\tmRNA\t1\t50\t.\t+\t.\tID=c\n"
        "chrIII\tx\tmRNA\t1\t1230\t.\t-\t.\tID=d\n"
    )
    (folder / "peaks.bed").write_text(
        "chrI\t110\t130\nchrII\t0\t10\nscaffold_9\t0\t5\n"
    )
    return TinyGenome(folder, sequence, expressed)
