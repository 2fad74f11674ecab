"""Calls of expressed regions that do not flicker where p(expressed) is near 0.5."""

import math

import numpy as np

from seqexp_tf.evaluation.borders import find_borders
from seqexp_tf.records.regions import STRANDS, read_slice
from seqexp_tf.records.spans import blocks, stored_spans
from seqexp_tf.records.store import RecordStore

_BLOCK = 1 << 19
_ENOUGH = 1 << 24  # bases; more would not change the logarithm of a rate


def segment(log_odds: np.ndarray, *, switch_cost: float) -> np.ndarray:
    """Returns the calls of lowest total cost.

    The cost of a sequence of calls is the sum of -ln p(call) over its bases and
    ``switch_cost`` for every change from one base to the next (the Potts
    functional). It is found exactly, in one pass (Viterbi). Without a cost the
    calls are those of p > 0.5; a base of p = 0.5 goes with a neighbour.

    Args:
        log_odds: of p(expressed), ``(n,)``, finite.
        switch_cost: in nats, 0 or more; see ``measured_switch_cost``.

    Returns:
        bool ``(n,)``, True where expressed.
    """
    # lead: how much cheaper the best calls that end expressed are. Beyond the cost
    # of a switch, both ways to go on come from the same call before, kept here.
    lead = 0.0
    before = np.zeros(log_odds.size, dtype=np.int8)
    for first in range(0, log_odds.size, _BLOCK):
        kept = []
        for gain in log_odds[first : first + _BLOCK].tolist():
            call = 0
            if lead > switch_cost:
                lead, call = switch_cost, 1
            elif lead < -switch_cost:
                lead, call = -switch_cost, -1
            lead += gain
            kept.append(call)
        before[first : first + _BLOCK] = kept
    if not before.size:
        return before.astype(bool)
    # A base has the call kept by the next base that keeps one, the last its own.
    calls = np.append(before[1:], 1 if lead > 0 else -1)
    index = np.where(calls != 0, np.arange(calls.size), calls.size - 1)
    return calls[np.minimum.accumulate(index[::-1])[::-1]] > 0


def measured_switch_cost(store: RecordStore) -> float:
    """Returns -ln of the share of neighbours that differ in the training split.

    It is the switch cost under which a change of call is as surprising as it was in
    training. Of a long genome the first 16 million bases are read.
    """
    borders = pairs = bases = 0
    for span in stored_spans(store, "train"):
        for part in blocks(span, _BLOCK):
            if bases >= _ENOUGH:
                break
            genome = read_slice(store, part)
            bases += len(part)
            pairs += 2 * int((genome.valid[1:] & genome.valid[:-1]).sum())
            for strand, labels in zip(STRANDS, genome.expression, strict=True):
                found = find_borders(labels.astype(bool), genome.valid, strand=strand)
                borders += found.starts.size + found.ends.size
    return math.log(max(pairs, 1) / max(borders, 1))
