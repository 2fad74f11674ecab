"""Writing the small files of an evaluation."""

import os
from pathlib import Path

from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import write_atomically


def require_writable(folder: Path) -> None:
    """Makes a folder for results; call it before anything is computed for it.

    Raises:
        RunError: it cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder}: cannot make this folder ({error.strerror}); choose "
            "another output folder"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RunError(f"{folder}: cannot write here; choose another output folder")


def write_file(path: Path, content: bytes) -> Path:
    """Writes ``path``, old or whole, making its folder, and returns it.

    Raises:
        RunError: the folder cannot be made.
        DatasetError: the file cannot be written.
    """
    require_writable(path.parent)
    write_atomically(path, content)
    return path
