"""The elements of many genes, and how well their masks rank known ones, in one pass."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from seqexp_tf.errors import InputError, RunError
from seqexp_tf.evaluation.element_scores import (
    MOST_SCORES,
    ElementScores,
    RankingScorer,
)
from seqexp_tf.evaluation.gene_masks import GeneMask, GeneWindow
from seqexp_tf.evaluation.links import Links
from seqexp_tf.evaluation.rankings import Rankings
from seqexp_tf.interpretation.element_files import gene_row, join_elements
from seqexp_tf.interpretation.elements import Selection, element_table


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """What masks are held against.

    Attributes:
        links: known elements.
        rankings: what bases are ranked by.
        excluded: bases around the TSS that are left out.
        every: of so many bases one counts for the pooled figures, see ``thinning``.
        block: see ``RankingScorer.result``.
    """

    links: Links
    rankings: Rankings
    excluded: int = 0
    every: int = 1
    block: int = 0


@dataclass(frozen=True, kw_only=True)
class LearntElements:
    """Everything found in a pass over genes.

    Attributes:
        elements: of every gene, in genome order; see ``element_table``.
        genes: a row a gene; see ``GENE_COLUMNS``.
        empty: genes whose mask is zero everywhere outside the kept promoter.
        scores: of bases and, where links name genes, of pairs; empty without links.
    """

    elements: pd.DataFrame
    genes: pd.DataFrame
    empty: tuple[str, ...]
    scores: tuple[ElementScores, ...]


def thinning(bases: int, methods: int) -> int:
    """Returns of how many bases one is kept, so that all scores fit in memory."""
    return max(-(-bases * methods // MOST_SCORES), 1)


def learnt_elements(
    genes: Iterable[GeneMask],
    selection: Selection,
    *,
    sizes: dict[str, int],
    scoring: Scoring | None = None,
    each: Callable[[GeneMask, pd.DataFrame], None] = lambda gene, elements: None,
) -> LearntElements:
    """Selects the elements of each gene and scores its mask.

    Args:
        genes: with masks, and with signals where they are scored.
        selection: which bases are elements.
        sizes: contig -> length, in the order the elements are to have.
        scoring: what masks are held against; None for nothing.
        each: called with every gene and its elements.

    Raises:
        RunError: every mask is zero outside the promoter.
        InputError: none of the known elements lies in a window.
    """
    tables, rows, empty = [], [], []
    bases = pairs = None
    if scoring is not None:
        bases = RankingScorer("bases", every=scoring.every)
        pairs = RankingScorer("pairs") if scoring.links.by_gene else None
    promoter = selection.promoter
    for gene in genes:
        if not gene.mask[~gene.window.promoter(promoter)].any():
            empty.append(gene.window.gene)
        elements = element_table(gene, selection)
        tables.append(elements)
        rows.append(gene_row(gene, elements))
        if scoring is not None:
            _score(gene, scoring, bases, pairs)
        each(gene, elements)
    if rows and len(empty) == len(rows):
        outside = " outside the promoter that is always kept" if promoter else ""
        raise RunError(
            f"the mask of every gene (first: {empty[0]}) is zero{outside}: the model "
            "selects nothing; a learnt mask wants longer training or a lower "
            "model.mask.kl_weight, one of kind 'given' a channel with intervals here"
        )
    return LearntElements(
        elements=join_elements(tables, sizes),
        genes=pd.DataFrame(rows),
        empty=tuple(empty),
        scores=() if scoring is None else _results(scoring, bases, pairs, len(rows)),
    )


def _score(
    gene: GeneMask,
    scoring: Scoring,
    bases: RankingScorer,
    pairs: RankingScorer | None,
) -> None:
    window = gene.window
    scores = scoring.rankings.of(gene)
    free = ~window.promoter(scoring.excluded)
    positive = scoring.links.positives(window)
    bases.add(
        window,
        {name: values[free] for name, values in scores.items()},
        positive[free],
    )
    if pairs is None:
        return
    candidates = scoring.links.candidates(window)
    middle = (candidates.start + candidates.end) // 2 - window.start
    candidates = candidates[free[middle.to_numpy()]]
    if len(candidates):
        means = {
            name: _means(values, candidates, window) for name, values in scores.items()
        }
        pairs.add(window, means, candidates.positive.to_numpy())


def _means(
    values: np.ndarray, candidates: pd.DataFrame, window: GeneWindow
) -> np.ndarray:
    """Returns the mean of a score in each candidate."""
    starts = candidates.start.to_numpy() - window.start
    ends = candidates.end.to_numpy() - window.start
    return np.array(
        [
            values[start:end].mean(dtype=np.float64)
            for start, end in zip(starts, ends, strict=True)
        ]
    )


def _results(
    scoring: Scoring, bases: RankingScorer, pairs: RankingScorer | None, genes: int
) -> tuple[ElementScores, ...]:
    if not bases.positives:
        outside = f" outside {scoring.excluded:,} bp around it" * bool(scoring.excluded)
        raise InputError(
            f"{scoring.links.path}: none of its elements lies in the window of its "
            f"gene{outside}, for any of the {genes:,} genes; is it of the same "
            "assembly and of these genes?"
        )
    found = [bases]
    if pairs is not None and pairs.positives:
        found.append(pairs)
    return tuple(scorer.result(block=scoring.block) for scorer in found)
