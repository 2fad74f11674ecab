"""A genome in memory and models with closed-form answers."""

from pathlib import Path

import numpy as np
import pytest

from seqexp_tf.genome.alphabet import ALPHABET, encode
from seqexp_tf.genome.fasta import write_fasta
from seqexp_tf.prediction.model import PredictionModel
from seqexp_tf.prediction.reference import Reference, open_reference

WINDOW = 40

_LEVELS = dict(zip(ALPHABET.encode(), (0.1, 0.25, 0.5, 0.8, 0.4), strict=True))


@pytest.fixture(scope="session")
def contigs() -> dict[str, str]:
    """Contig -> sequence."""
    rng = np.random.default_rng(3)
    lengths = {"chr1": 400, "chr2": 61, "chr10": 30}
    return {
        name: "".join(rng.choice(list("ACGT"), length))
        for name, length in lengths.items()
    }


@pytest.fixture(scope="session")
def reference(contigs, tmp_path_factory) -> Reference:
    """The same as a FASTA."""
    folder = tmp_path_factory.mktemp("genome")
    write_fasta(folder / "genome.fa", {k: encode(v) for k, v in contigs.items()})
    with open_reference(folder / "genome.fa", scratch=folder) as opened:
        yield opened


@pytest.fixture
def base_model() -> PredictionModel:
    """p(expressed) is a function of the base itself, read along the strand."""

    def answer(inputs, outputs):
        longest = inputs["expression"].shape[1]
        assert (inputs["expression"] == 0.5).all()
        rows = [
            [_LEVELS[byte] for byte in dna] + [np.nan] * (longest - len(dna))
            for dna in inputs["dna"]
        ]
        return {"expression": np.array(rows, dtype=np.float32)}

    return PredictionModel(
        path=Path("model"),
        task="joint",
        window=WINDOW,
        inputs=("dna", "expression"),
        outputs=("expression",),
        answer=answer,
    )


@pytest.fixture(scope="session")
def level():
    """p(expressed) of the bases of a text under ``base_model``."""
    return lambda text: np.array([_LEVELS[byte] for byte in text.encode()])
