"""Whether a layer lets XLA compile what it computes."""

import contextlib
import contextvars
import weakref
from collections.abc import Iterator

import keras

from seqexp_tf.layers.backend import current_graph

_EVERYWHERE = contextvars.ContextVar("compiled_everywhere", default=False)


@contextlib.contextmanager
def compiled_layers() -> Iterator[None]:
    """Has layers compiled at inference too, in what is traced within the context.

    Predictions of state-space models are several times faster so. A graph that is to
    be exported must be traced outside, because servers have no compiler.

    Example:

    ```python
    with compiled_layers():
        model.predict(windows)
    ```
    """
    token = _EVERYWHERE.set(True)
    try:
        yield
    finally:
        _EVERYWHERE.reset(token)


class CompiledLayer(keras.layers.Layer):
    """A layer that is compiled in training, and of plain operations otherwise."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._trained_in = _nowhere

    def compiles(self, training: bool | None) -> bool:
        """Returns whether to compile this call, whose argument ``training`` is this."""
        graph = current_graph() or self
        if training is None:
            # Where activations are computed again in the backward pass, Keras does not
            # say that it is training; the graph is the one of the forward pass.
            training = self._trained_in() is graph
        elif training:
            self._trained_in = weakref.ref(graph)
        return bool(training) or _EVERYWHERE.get()


def _nowhere() -> None:
    return None
