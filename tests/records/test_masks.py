"""Fixed evaluation masks: what they hide, and what they depend on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqexp_tf.errors import ConfigError
from seqexp_tf.genome.alphabet import MASKED, UNKNOWN
from seqexp_tf.records.masks import MaskingConfig, draw_masks

EXPRESSION_MASK = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0]
SEQUENCE_MASKED = [0, 1, 2, 5, 0, 1, 2, 3, 0, 1, 2, 3, 5, 1, 2, 3]
PLACE = {"seed": 1, "contig": "chrI", "start": 1024, "strand": "+"}


def _sequence(length=2048, seed=0):
    return np.random.default_rng(seed).integers(0, 5, length).astype(np.uint8)


@settings(max_examples=60)
@given(
    length=st.integers(1, 400),
    fraction=st.floats(0, 1),
    spans=st.integers(1, 6),
    start=st.integers(0, 10**9),
)
def test_spans_hide_exactly_their_fraction(length, fraction, spans, start):
    config = MaskingConfig(expression_fraction=fraction, expression_spans=spans)
    masks = draw_masks(
        _sequence(length), config, seed=3, contig="c", start=start, strand="-"
    )
    hidden = masks.expression_mask
    assert hidden.dtype == np.uint8 and hidden.shape == (length,)
    assert hidden.sum() == round(fraction * length)
    runs = np.count_nonzero(np.diff(hidden, prepend=0) == 1)
    assert runs <= spans


def test_nucleotides_as_in_bert():
    sequence = _sequence(200_000)
    masks = draw_masks(sequence, MaskingConfig(), **PLACE)
    selected = masks.sequence_mask == 1
    assert not selected[sequence == UNKNOWN].any()
    known = sequence != UNKNOWN
    assert selected[known].mean() == pytest.approx(0.15, abs=0.005)
    seen = masks.sequence_masked
    np.testing.assert_array_equal(seen[~selected], sequence[~selected])
    token = seen[selected] == MASKED
    assert token.mean() == pytest.approx(0.8, abs=0.01)
    # A random base is the base itself in one case of four: 0.1 + 0.1 / 4 stay.
    same = seen[selected] == sequence[selected]
    assert same.mean() == pytest.approx(0.125, abs=0.01)
    assert seen.max() == MASKED and seen.dtype == np.uint8


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"contig": "chrII"}, {"start": 1025}, {"strand": "-"}],
)
def test_masks_depend_on_seed_and_coordinates_alone(change):
    first = draw_masks(_sequence(), MaskingConfig(), **PLACE)
    again = draw_masks(_sequence(), MaskingConfig(), **PLACE)
    other = draw_masks(_sequence(), MaskingConfig(), **{**PLACE, **change})
    names = ("expression_mask", "sequence_mask", "sequence_masked")
    for name in names:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert any(
        not np.array_equal(getattr(first, name), getattr(other, name)) for name in names
    )


def test_the_sequence_does_not_move_the_spans():
    first = draw_masks(_sequence(seed=0), MaskingConfig(), **PLACE)
    other = draw_masks(_sequence(seed=1), MaskingConfig(), **PLACE)
    np.testing.assert_array_equal(first.expression_mask, other.expression_mask)


def test_the_draw_is_the_same_for_ever():
    # A changed draw would silently change every stored evaluation mask.
    masks = draw_masks(np.arange(16, dtype=np.uint8) % 4, MaskingConfig(), **PLACE)
    assert masks.expression_mask.tolist() == EXPRESSION_MASK
    assert masks.sequence_masked.tolist() == SEQUENCE_MASKED


@pytest.mark.parametrize(
    "values, message",
    [
        ({"expression_fraction": 1.5}, "expression_fraction is 1.5; it must be from"),
        ({"sequence_fraction": -0.1}, "sequence_fraction is -0.1"),
        ({"token_probability": 0.95, "random_probability": 0.1}, "is over 1"),
        ({"expression_spans": 0}, "expression_spans is 0"),
        ({"expression_fraction_max": 0.2}, "expression_fraction_max is 0.2"),
    ],
)
def test_configurations_that_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        MaskingConfig(**values)


def test_what_a_configuration_hides():
    assert MaskingConfig().hides_expression and MaskingConfig().hides_sequence
    nothing = MaskingConfig(expression_fraction=0.0, sequence_fraction=0.0)
    assert not nothing.hides_expression and not nothing.hides_sequence
    varied = MaskingConfig(expression_fraction=0.0, expression_fraction_max=0.5)
    assert varied.hides_expression
