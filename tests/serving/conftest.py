"""A SavedModel used as a server uses it."""

import subprocess
import sys
from collections.abc import Callable, Mapping

import numpy as np
import pytest

_CLIENT = """
import sys
sys.modules["seqexp_tf"] = None
import numpy as np, tensorflow as tf
arrays = np.load(sys.argv[2])
serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
outputs = serve(**{name: tf.constant(arrays[name]) for name in arrays.files})
np.savez(sys.argv[3], **{name: value.numpy() for name, value in outputs.items()})
"""


@pytest.fixture
def served(tmp_path) -> Callable[..., dict[str, np.ndarray]]:
    """Returns a function: what an export answers in a process without the package."""

    def answer(version, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        paths = [tmp_path / "inputs.npz", tmp_path / "outputs.npz"]
        np.savez(paths[0], **inputs)
        subprocess.run(
            [sys.executable, "-c", _CLIENT, version, *paths],
            check=True,
            capture_output=True,
        )
        return dict(np.load(paths[1]))

    return answer
