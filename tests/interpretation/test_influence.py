"""The table of a map, base by base."""

import numpy as np
import pandas as pd
import pytest

from seqexp_tf.interpretation.influence import influence_table, most_influential
from seqexp_tf.interpretation.mutation_map import MutationMap
from seqexp_tf.records.regions import Region

GENES = pd.DataFrame(
    [("chrI", 101, 102, "+", "ABC1"), ("chrI", 500, 600, "-", "XYZ9")],
    columns=["contig", "start", "end", "strand", "label"],
)


@pytest.fixture
def found():
    """Bases A, N, T, G; the second has no map, the last changes nothing."""
    log_odds = np.array(
        [[0.1, 0.4, 0.1], [np.nan] * 3, [2.0, 0.0, 1.0], [0.0] * 3], np.float32
    )
    bases = np.array([[1, 2, 1], [4, 4, 4], [0, 4, 1], [4, 4, 4]], np.uint8)
    return MutationMap(
        region=Region("chrI", 100, 104),
        recorded=Region("chrI", 98, 101),
        window=Region("chrI", 0, 200),
        hidden=Region("chrI", 50, 150),
        target=Region("chrI", 98, 101),
        strand="-",
        sequence=np.array([0, 4, 3, 2], np.uint8),
        reference=np.zeros(3, np.float32),
        expressed=np.array([1, 0, 0], np.uint8),
        measured=np.ones(3, bool),
        log_odds=log_odds,
        log_ratio=log_odds / 2,
        log_odds_base=bases,
        log_ratio_base=bases,
        effect=np.array(
            [[0, 1, -2, 3], [np.nan] * 4, [1, 2, 3, 0], [0] * 4], np.float32
        ),
    )


def test_a_row_a_base(found):
    table = influence_table(found)
    assert table.position.tolist() == [101, 102, 103, 104]
    assert table.base.tolist() == ["A", "N", "T", "G"]
    assert set(table.strand) == {"-"} and set(table.contig) == {"chrI"}
    np.testing.assert_allclose(table.log_odds_mean, [0.2, np.nan, 1.0, 0.0])
    np.testing.assert_allclose(table.log_odds_max, [0.4, np.nan, 2.0, 0.0])
    np.testing.assert_allclose(table.log_ratio_max, [0.2, np.nan, 1.0, 0.0])
    # Base 101 (1-based) changes 100 most; nothing is said where nothing changes.
    assert table.log_odds_at.tolist() == [100, pd.NA, 99, pd.NA]
    assert table.log_odds_to.fillna("-").tolist() == ["G", "-", "A", "-"]
    np.testing.assert_allclose(table.effect_T, [3, np.nan, 0, 0])
    assert "place" not in table


def test_genes_name_the_rows(found):
    table = influence_table(found, genes=GENES)
    assert table.genes.tolist() == [None, "ABC1", None, None]
    assert table.place[0] == "1 bp upstream of ABC1"
    text = table.to_csv(sep="\t", index=False)
    assert len(text.splitlines()) == 5


def test_the_most_influential_come_first(found):
    table = influence_table(found)
    assert most_influential(table, 10).position.tolist() == [103, 101]
    assert most_influential(table, 1).position.tolist() == [103]
    assert most_influential(table, 9, measure="log_ratio").position.tolist() == [
        103,
        101,
    ]
