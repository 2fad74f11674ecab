"""Steps along the first axis: what is carried, and shapes a graph knows in part."""

import numpy as np
import pytest
import tensorflow as tf

from seqexp_tf.layers.backend import scan


def _sums(values, carry):
    def step(carry, slices):
        # As of a tensor that another function gave back: of any number of rows.
        total = tf.compat.v1.placeholder_with_default(
            carry[0] + slices[0], [None, *carry[0].shape[1:]]
        )
        return (total,), (total,)

    (last,), (given,) = scan(step, (carry,), (values,), outputs=1)
    return last, given


@pytest.mark.parametrize("rows", [1, None])
def test_a_step_may_know_less_of_a_shape(rows):
    values = np.arange(12, dtype=np.float32).reshape(4, 1, 3)
    spec = [tf.TensorSpec([4, rows, 3]), tf.TensorSpec([rows, 3])]
    graph = tf.function(_sums, input_signature=spec, autograph=False)
    last, given = graph(values, np.zeros((1, 3), np.float32))
    np.testing.assert_array_equal(given, np.cumsum(values, axis=0))
    np.testing.assert_array_equal(last, values.sum(axis=0))
