"""A reading error deep in tf.data becomes the name of the damaged shard."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf

from seqexp_tf.errors import DatasetError
from seqexp_tf.records.store import RecordStore
from seqexp_tf.records.verify import verify


@contextlib.contextmanager
def damage_named(store: RecordStore) -> Iterator[None]:
    """Turns a TensorFlow reading error into a DatasetError naming the shard."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        problems = verify(store.folder, full=True).problems
        if not problems:
            raise
        raise DatasetError(problems[0]) from error
