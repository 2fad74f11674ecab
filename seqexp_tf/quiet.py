"""TensorFlow and Keras without notices about the machine, on their fastest kernels."""

import contextlib
import os
import sys
from collections.abc import Iterator

from seqexp_tf.errors import ConfigError

BACKENDS = ("tensorflow", "jax")
"""Backends of Keras that this package runs on."""


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras silently; of TensorFlow's own log, errors of Python
    alone are left.

    It also turns on the kernels of oneDNN, which TensorFlow uses by itself only on CPUs
    with instructions for neural networks (such as AVX512_VNNI); results differ by
    rounding. Call it before Keras or TensorFlow is imported. What the environment sets
    (``TF_CPP_MIN_LOG_LEVEL``, ``GRPC_VERBOSITY``, ``TF_ENABLE_ONEDNN_OPTS``) is kept.

    Raises:
        ConfigError: ``KERAS_BACKEND`` is one on which this package does not run.
    """
    backend = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if backend not in BACKENDS:
        raise ConfigError(
            f"KERAS_BACKEND is {backend!r}, on which this does not run; "
            f"export KERAS_BACKEND={BACKENDS[0]}"
        )
    # C++ reads these once, with its first message.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # Keras' wrappers, which nothing here uses, take a second to load it.
    with _silenced_stderr(), _hidden("sklearn"):
        import keras  # noqa: F401
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Makes importing a package fail as if it were not installed."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]


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
