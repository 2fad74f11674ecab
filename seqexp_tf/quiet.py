"""TensorFlow without the notices its libraries print about the machine."""

import contextlib
import os
from collections.abc import Iterator


def load_tensorflow() -> None:
    """Imports TensorFlow silently; of its own log, errors of Python alone are left.

    Call it before Keras or TensorFlow is imported. Log levels that the environment
    sets (``TF_CPP_MIN_LOG_LEVEL``, ``GRPC_VERBOSITY``) are kept.
    """
    # C++ reads these once, with its first message.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    with _silenced_stderr():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    # Some notices come from C++ before any setting is read.
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
