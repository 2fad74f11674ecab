"""Fixtures shared by every test."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.config import build, dump
from seqexp_tf.genome.alphabet import UNKNOWN
from seqexp_tf.genome.archive import write_archive
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.genome.tracks import write_bigwig
from seqexp_tf.genome.windows import overlaps, tile
from seqexp_tf.records.convert import convert
from seqexp_tf.records.expression_recipe import ExpressionRecipe
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
def k562() -> Path:
    """The real, partial human K562 data folder (hg38)."""
    return _real_data("k562")


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


@pytest.fixture(scope="session")
def gene_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset of kind ``expression``: 128-bp windows of 148 genes.

    The target is a linear function of the signal ``open`` at the TSS and of the
    feature ``half_life``, so that a model can learn it; contig chrB is validation,
    chrC and chrD are test. Treat it as read-only.
    """
    rng = np.random.default_rng(3)
    folder = tmp_path_factory.mktemp("genes")
    lengths = {"chrA": 18_000, "chrB": 4_500, "chrC": 2_700, "chrD": 2_100}
    sequence = {c: rng.integers(0, 4, n).astype(np.uint8) for c, n in lengths.items()}
    coverage = {c: np.zeros(n, dtype="f4") for c, n in lengths.items()}
    blacklist, rows = [], []
    for contig, length in lengths.items():
        for tss in range(130, length - 130, 180):
            height = rng.gamma(2.0)
            coverage[contig][tss - 30 : tss + 30] = height
            blacklist.append(f"{contig}\t{tss + 50}\t{tss + 55}")
            half_life = rng.normal()
            rows.append(
                {
                    "gene": f"G{len(rows):03d}",
                    "symbol": f"gene {len(rows)}",
                    "contig": contig,
                    "tss": tss,
                    "strand": "+-"[len(rows) % 2],
                    "half_life": half_life,
                    "expression": np.log1p(height) + 0.1 * half_life,
                }
            )
    write_fasta(folder / "genome.fa", sequence)
    write_bigwig(folder / "open.bw", lengths, coverage)
    (folder / "blacklist.bed").write_text("\n".join(blacklist) + "\n")
    pd.DataFrame(rows).to_csv(folder / "genes.tsv", sep="\t", index=False)
    recipe = build(
        ExpressionRecipe,
        {
            "kind": "expression",
            "name": "genes",
            "source": {
                "root": str(folder),
                "fasta": "genome.fa",
                "genes": "genes.tsv",
                "columns": {"name": "symbol"},
            },
            "target": {"column": "expression", "unit": "a.u."},
            "signals": {"open": {"path": "open.bw", "transform": ["log1p"]}},
            "channels": {"blacklist": "blacklist.bed"},
            "features": {"columns": ["half_life"]},
            "windows": {"size": 128},
            "splits": {"validation": ["chrB"], "test": ["chrC", "chrD"]},
            "output": {"min_shards": 4},
        },
        origin="test",
    )
    convert(recipe, folder / "dataset")
    return folder / "dataset"


@pytest.fixture
def gene_store(gene_folder: Path) -> RecordStore:
    """The small dataset of genes, opened."""
    return RecordStore.open(gene_folder)


@pytest.fixture
def gene_batch() -> Callable:
    """Draws inputs for a model of genes."""

    def draw(model, genes: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        one_hot = np.eye(4, dtype=np.float32)
        values = {
            "sequence": lambda shape: one_hot[rng.integers(0, 4, shape[:2])],
            "signals": lambda shape: rng.gamma(1.0, 1.0, shape),
            "features": lambda shape: rng.normal(size=shape),
            "blocked": lambda shape: rng.random(shape) < 0.2,
            "given": lambda shape: rng.random(shape) < 0.3,
        }
        return {
            x.name: values[x.name]((genes, *x.shape[1:])).astype(np.float32)
            for x in model.inputs
        }

    return draw


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

    def tables(self, route: str = "archive", **changes: Any) -> dict[str, Any]:
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


@dataclass(frozen=True)
class TinyGenes:
    """Inputs of kind ``expression``: 30 genes on the contigs of ``TinyGenome``.

    The FASTA says ``I, II, III``, the matrix ``1, 2, 3``, every other file ``chrI,
    chrII, chrIII``. Windows are 200 bp; some hang over a contig's end.

    Attributes:
        folder: holds genome.fa, genes.tsv, dnase.bw, k27ac.bw, plus.bw, minus.bw,
            peaks.bed, genes.gff3 and contacts.cool (bins of 90 bp).
        sequence: contig -> indices.
        signals: bigWig (without ``.bw``) -> contig -> float32, NaN where no data.
        contacts: contig -> balanced contacts, NaN where unmeasured.
        genes: the table.
    """

    folder: Path
    sequence: dict[str, np.ndarray]
    signals: dict[str, dict[str, np.ndarray]]
    contacts: dict[str, np.ndarray]
    genes: pd.DataFrame

    BIN = 90

    def tables(self, **changes: Any) -> dict[str, Any]:
        """The recipe; ``changes`` replace or extend its tables."""
        columns = {"gene": "gene_id", "name": "symbol", "contig": "chrom"}
        return {
            "kind": "expression",
            "name": "tiny_genes",
            "source": {
                "root": str(self.folder),
                "fasta": "genome.fa",
                "genes": "genes.tsv",
                "naming": "signals",
                "columns": columns,
            },
            "signals": {"dnase": {"path": "dnase.bw"}, "k27ac": {"path": "k27ac.bw"}},
            "contact": {"path": "contacts.cool"},
            "channels": {"peaks": "peaks.bed"},
            "target": {"column": "level", "transform": "log1p"},
            "features": {"columns": ["gc"]},
            "windows": {"size": 200},
            "splits": {"validation": ["chrII"], "test": ["chrIII"]},
            "output": {"min_shards": 3},
            **changes,
        }

    def recipe(self, **changes: Any) -> ExpressionRecipe:
        """The checked recipe."""
        return build(ExpressionRecipe, self.tables(**changes), origin="tiny.toml")

    def source(self, **changes: Any) -> dict[str, Any]:
        """The table ``source`` with some keys changed."""
        return {**self.tables()["source"], **changes}


@pytest.fixture(scope="session")
def tiny_genes(tiny_genome: TinyGenome, tmp_path_factory) -> TinyGenes:
    """Inputs of kind ``expression``. Treat the files as read-only."""
    cooler = pytest.importorskip("cooler")
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("genes")
    for name in ("genome.fa", "plus.bw", "minus.bw", "peaks.bed"):
        (folder / name).write_bytes((tiny_genome.folder / name).read_bytes())
    sizes = {name: array.size for name, array in tiny_genome.sequence.items()}
    signals: dict[str, dict[str, np.ndarray]] = {}
    for name in ("dnase", "k27ac"):
        signals[name] = {
            contig: np.repeat(rng.gamma(1.0, 2.0, size // 5), 5).astype("f4")
            for contig, size in sizes.items()
        }
        signals[name]["chrI"][700:760] = np.nan
        write_bigwig(folder / f"{name}.bw", sizes, signals[name])
    bins, pixels, contacts, first = [], [], {}, 0
    for number, (contig, size) in enumerate(sizes.items(), start=1):
        starts = np.arange(0, size, TinyGenes.BIN)
        counts = np.triu(rng.poisson(3.0, (starts.size, starts.size)))
        weights = rng.uniform(0.1, 0.3, starts.size)
        weights[4] = np.nan
        ends = np.minimum(starts + TinyGenes.BIN, size)
        bins.append(
            pd.DataFrame(
                {"chrom": str(number), "start": starts, "end": ends, "weight": weights}
            )
        )
        low, high = np.nonzero(counts)
        pixels.append(
            pd.DataFrame(
                {
                    "bin1_id": low + first,
                    "bin2_id": high + first,
                    "count": counts[low, high],
                }
            )
        )
        whole = np.maximum(counts, counts.T)
        contacts[contig] = whole * weights[:, None] * weights[None]
        first += starts.size
    cooler.create_cooler(
        str(folder / "contacts.cool"),
        pd.concat(bins, ignore_index=True),
        pd.concat(pixels, ignore_index=True),
        symmetric_upper=True,
    )
    rows, lines = [], ["##gff-version 3"]
    for contig, size in sizes.items():
        places = np.sort(rng.choice(np.arange(120, size - 120), 8, replace=False))
        for number, tss in enumerate([3, *places, size - 2]):
            strand = "+-"[number % 2]
            gene = f"{contig[3:]}g{number}"
            rows.append((gene, f"N{gene}", contig, tss, strand))
            length = 60 + 6 * number
            start = tss if strand == "+" else tss + 1 - length
            end = start + length
            start, end = max(start, 0), min(end, size)
            place = f"{start + 1}\t{end}\t.\t{strand}"
            for kind, phase, attributes in (
                ("gene", ".", f"ID={gene};Name=N{gene};biotype=protein_coding"),
                ("mRNA", ".", f"ID={gene}.t;Parent={gene}"),
                ("CDS", "0", f"ID={gene}.c;Parent={gene}.t"),
            ):
                lines.append(f"{contig}\tx\t{kind}\t{place}\t{phase}\t{attributes}")
    genes = pd.DataFrame(rows, columns=["gene_id", "symbol", "chrom", "tss", "strand"])
    genes["level"] = rng.gamma(1.0, 30.0, len(genes)).round(4)
    genes["gc"] = rng.random(len(genes)).round(4)
    # The order of the table is not that of the genome.
    order = rng.permutation(len(genes))
    genes.iloc[order].to_csv(folder / "genes.tsv", sep="\t", index=False)
    (folder / "genes.gff3").write_text("\n".join(lines) + "\n")
    return TinyGenes(folder, tiny_genome.sequence, signals, contacts, genes)


@pytest.fixture(scope="session")
def expression_folder(tiny_genes: TinyGenes, tmp_path_factory) -> Path:
    """A small dataset of kind ``expression``. Treat it as read-only."""
    folder = tmp_path_factory.mktemp("expression")
    convert(tiny_genes.recipe(), folder)
    return folder


@pytest.fixture
def expression_store(expression_folder: Path) -> RecordStore:
    """The small dataset of genes, opened."""
    return RecordStore.open(expression_folder)


@pytest.fixture(scope="session")
def write_gene_run() -> Callable[..., Path]:
    """Writes a run folder of a small model of genes that was never trained.

    ``model`` and ``mask`` replace options of it and its mask, ``tables`` tables of its
    configuration; it computes under the dtype policy ``policy``.
    """
    import keras

    from seqexp_tf.training.config import model_config, read_run_config
    from seqexp_tf.training.run import CONFIG, DATASET, MODEL, SCHEMA, describe_dataset

    def write(
        folder: Path,
        store: RecordStore,
        *,
        model: dict[str, Any] | None = None,
        mask: dict[str, Any] | None = None,
        policy: str = "float32",
        **tables: Any,
    ) -> Path:
        from seqexp_tf.models import registry
        from seqexp_tf.models.shape import expression_shape

        encoder = {"encoder": "cnn", "dilations": [1]}
        model = {
            "architecture": "seq2exp",
            "width": 4,
            "center": 16,
            "head": [4],
            "generator": encoder,
            "predictor": encoder,
            "mask": {"promoter": 20, **(mask or {})},
            **(model or {}),
        }
        values = {"model": model, "training": {"epochs": 1}, **tables}
        config = read_run_config(values, origin="test")
        folder.mkdir()
        (folder / CONFIG).write_text(dump(config))
        (folder / SCHEMA).write_text(store.schema.to_json())
        (folder / DATASET).write_text(json.dumps(describe_dataset(store)))
        shape = expression_shape(store.schema, config.pipeline.window)
        keras.config.set_dtype_policy(policy)
        try:
            built = registry.build("seq2exp", model_config(config), shape=shape)
        finally:
            keras.config.set_dtype_policy("float32")
        built.save(folder / MODEL)
        return folder

    return write
