"""A mutagenesis map base by base: the most influential, named by genes."""

import numpy as np
import pandas as pd

from seqexp_tf.genome.alphabet import ALPHABET, BASES
from seqexp_tf.genome.neighbours import locate
from seqexp_tf.interpretation.mutation_map import MEASURES, Measure, MutationMap


def influence_table(
    found: MutationMap, *, genes: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Returns a row for each mutated base, from left to right.

    Columns: contig, position (1-based), strand (of the expression), base (plus
    strand, as all bases); for each measure its mean and maximum over the recorded
    bases, and of the maximum the base mutated to and the position changed most
    (``log_odds_mean``, ``log_odds_max``, ``log_odds_to``, ``log_odds_at`` and so
    on); ``effect_A`` to ``effect_T``, summed signed differences of log-odds; with
    ``genes`` the columns of ``locate``. What is undefined, as all of an N, is
    missing.

    Args:
        found: a map.
        genes: as ``gene_table`` returns them; None leaves their columns out.
    """
    positions = np.arange(found.region.start, found.region.end)
    columns = {
        "contig": found.region.contig,
        "position": positions + 1,
        "strand": found.strand,
        "base": [ALPHABET[base] for base in found.sequence],
    }
    for measure in MEASURES:
        columns |= _columns(found, measure)
    for index, base in enumerate(BASES):
        columns[f"effect_{base}"] = found.effect[:, index]
    table = pd.DataFrame(columns)
    if genes is None:
        return table
    return table.join(locate(genes, found.region.contig, positions))


def most_influential(
    table: pd.DataFrame, count: int, *, measure: Measure = "log_odds"
) -> pd.DataFrame:
    """Returns the rows of largest mean influence, the largest first.

    Args:
        table: what ``influence_table`` returned.
        count: rows at most; bases without any influence are left out.
        measure: whose influence.
    """
    ordered = table.sort_values(f"{measure}_mean", ascending=False, kind="stable")
    return ordered[ordered[f"{measure}_mean"] > 0].head(count).reset_index(drop=True)


def _columns(found: MutationMap, measure: Measure) -> dict[str, object]:
    values = found.values(measure)
    bases = getattr(found, f"{measure}_base")
    highest = np.nan_to_num(values, nan=-1).argmax(axis=1)
    to = bases[np.arange(len(bases)), highest]
    changed = pd.Series(to < len(BASES))
    return {
        f"{measure}_mean": found.mean_influence(measure),
        f"{measure}_max": found.max_influence(measure),
        f"{measure}_to": pd.Series([ALPHABET[base] for base in to]).where(changed),
        f"{measure}_at": pd.Series(
            found.recorded.start + highest + 1, dtype="Int64"
        ).where(changed),
    }
