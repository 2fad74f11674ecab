"""DNA strings in a graph: the same bases as everywhere else, and clear refusals."""

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.genome.alphabet import encode
from seqexp_tf.serving.dna import LETTERS, place


def test_letters_are_read_as_from_a_fasta():
    text = LETTERS + LETTERS.lower()
    placed = place(tf.constant([text]), len(text))
    np.testing.assert_array_equal(placed.bases[0], encode(text))
    assert placed.inside.numpy().all()


@pytest.mark.parametrize("length", [1, 2, 5, 7, 8])
def test_the_middle_base_lies_in_the_middle(length):
    placed = place(tf.constant(["T" * length]), 8)
    left = 4 - length // 2
    wanted = np.full(8, -1)
    wanted[left : left + length] = 3
    np.testing.assert_array_equal(placed.bases[0], wanted)
    np.testing.assert_array_equal(placed.inside[0], wanted == 3)


def test_there_and_back():
    placed = place(tf.constant(["ACG", "ACGTA"]), 8)
    values = tf.constant([[1.0, 2, 3, 9, 9], [1, 2, 3, 4, 5]])
    there = placed.from_string(values, 0.5)
    np.testing.assert_array_equal(
        there, [[0.5, 0.5, 0.5, 1, 2, 3, 0.5, 0.5], [0.5, 0.5, 1, 2, 3, 4, 5, 0.5]]
    )
    nan = np.nan
    back = [[1, 2, 3, nan, nan], [1, 2, 3, 4, 5]]
    np.testing.assert_array_equal(placed.to_string(there, 5), back)
    deep = placed.to_string(tf.stack([there, there], axis=-1), 5)
    np.testing.assert_array_equal(deep[..., 1], back)
    assert np.isnan(placed.or_nan(there)).sum() == 8


@pytest.mark.parametrize(
    ("dna", "message"),
    [
        (["ACGT", "AC*T"], r"dna\[1\] has the byte 42 at position 2"),
        (["AC T"], r"dna\[0\] has the byte 32 at position 2"),
        ([b"A\x00GT"], r"dna\[0\] has the byte 0 at position 1"),
        (["ACGT\n"], r"byte 10 at position 4"),
        (["MEFTLK"], r"byte 69 at position 1 .* nucleotide codes of IUPAC"),
        ([b"\xc3\x85"], r"byte 195"),
        (["ACG", ""], r"dna\[1\] is empty; expected 1 to 8 bases"),
        (["A", "ACGTACGTA"], r"dna\[1\] has 9 bases; expected 1 to 8"),
    ],
)
def test_what_is_no_dna_is_refused(dna, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        place(tf.constant(dna), 8)
