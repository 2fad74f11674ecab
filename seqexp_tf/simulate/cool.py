"""Writes the simulated contacts as a single-resolution ``.cool`` file."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from seqexp_tf.errors import ConfigError
from seqexp_tf.simulate.build import Simulation
from seqexp_tf.simulate.effects import BIN

# As long as the time cooler writes, so that it is replaced in place.
_DATE = "2000-01-01T00:00:00.000001"


def require_cooler() -> None:
    """Raises `ConfigError` where the optional dependency cooler is missing."""
    if find_spec("cooler") is None:
        raise ConfigError(
            "contacts.cool cannot be written without cooler: pip install "
            "'seqexp-tf[hic]', or leave contacts out (contacts=False, --no-contacts)"
        )


def write_cool(path: str | Path, simulation: Simulation) -> None:
    """Writes raw counts and the balancing ``weight`` of every contig, 2-kb bins.

    There are no contacts between contigs. The creation date is a fixed one, so that
    the same simulation gives the same bytes.

    Reference:
        Abdennur & Mirny, Bioinformatics 2020, doi:10.1093/bioinformatics/btz540.
    """
    import cooler
    import h5py

    bins, pixels = [], []
    first = 0
    for contig, counts in simulation.contacts.items():
        starts = np.arange(len(counts)) * BIN
        bins.append(
            pd.DataFrame(
                {
                    "chrom": contig,
                    "start": starts,
                    "end": np.minimum(starts + BIN, simulation.sizes[contig]),
                    "weight": simulation.weights[contig],
                }
            )
        )
        low, high = np.nonzero(np.triu(counts))
        pixels.append(
            pd.DataFrame(
                {
                    "bin1_id": low + first,
                    "bin2_id": high + first,
                    "count": counts[low, high],
                }
            )
        )
        first += len(counts)
    cooler.create_cooler(
        str(path),
        pd.concat(bins, ignore_index=True),
        pd.concat(pixels, ignore_index=True),
        ordered=True,
        symmetric_upper=True,
        assembly="simulation",
    )
    with h5py.File(path, "r+") as stored:
        stored.attrs.modify("creation-date", _DATE)
