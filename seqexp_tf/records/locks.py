"""One process at a time in a folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seqexp_tf.errors import DatasetError

_LOCK = ".lock"


@contextmanager
def locked(
    folder: Path, *, task: str = "conversion", option: str = "--out"
) -> Iterator[None]:
    """Makes ``folder`` and keeps other processes of the same task out of it.

    Args:
        folder: the folder.
        task: what is done there, for the message.
        option: of the command line that names another folder.

    Raises:
        DatasetError: the folder cannot be written, or is in use.
    """
    path = folder / _LOCK
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise DatasetError(
            f"{folder}: cannot write there: {error.strerror}; choose another {option}"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have removed the file after it was opened here.
            held = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except OSError:
            held = False
        if not held:
            raise DatasetError(
                f"{folder}: another {task} is writing here; wait for it or "
                f"choose another {option}"
            )
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            if made and not any(folder.iterdir()):
                folder.rmdir()
