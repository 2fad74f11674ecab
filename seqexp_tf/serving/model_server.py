"""Files by which a model server finds models and forms batches.

Both are text protos beside the model folders: ``models.config`` (ModelServerConfig)
and ``batching.config`` (BatchingParameters).
"""

import json
from pathlib import Path

from seqexp_tf.errors import RunError
from seqexp_tf.genome.files import atomic_path
from seqexp_tf.serving.card import read_card

MODELS, BATCHING = "models.config", "batching.config"

MOUNT = "/models"
"""Where a container sees the folder of all models."""

_HEADER = (
    "# Written by `seqexp-tf export`, which keeps it up to date; delete this line to "
    "keep your own.\n"
)
_BASES_AT_ONCE = 1 << 17
_TIMEOUT_MICROS = 2000
_QUEUE = 100
_THREADS = 2


def versions(folder: Path) -> list[int]:
    """Returns the versions in a model folder, in ascending order."""
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def write_server_files(folder: Path) -> list[Path]:
    """Writes both files for all models beside each other in a folder.

    A file without the header of this function belongs to the user and stays.

    Returns:
        Files that are the user's.

    Raises:
        RunError: a file cannot be written.
    """
    models = None
    kept: list[Path] = []
    # Another export may have added a model meanwhile.
    while models != (found := _models(folder)):
        models = found
        texts = {MODELS: _model_list(models), BATCHING: _batching(folder, models)}
        kept = [
            folder / name
            for name, text in texts.items()
            if not _write(folder / name, _HEADER + text)
        ]
    return kept


def _models(folder: Path) -> list[str]:
    return sorted(
        path.parent.parent.name
        for path in folder.glob("*/*/saved_model.pb")
        if path.parent.name == str(max(versions(path.parent.parent), default=0))
    )


def _model_list(models: list[str]) -> str:
    entries = "".join(
        "  config {\n"
        f"    name: {json.dumps(name)}\n"
        f"    base_path: {json.dumps(f'{MOUNT}/{name}')}\n"
        '    model_platform: "tensorflow"\n'
        "  }\n"
        for name in models
    )
    return f"model_config_list {{\n{entries}}}\n"


def _batching(folder: Path, models: list[str]) -> str:
    windows = []
    for name in models:
        try:
            card = read_card(folder / name / str(versions(folder / name)[-1]))
        except RunError:
            continue  # A model of another program.
        windows.append(card.window)
    largest = max(_BASES_AT_ONCE // max(windows, default=1), 1)
    values = {
        "max_batch_size": min(largest, 64),
        "batch_timeout_micros": _TIMEOUT_MICROS,
        "max_enqueued_batches": _QUEUE,
        "num_batch_threads": _THREADS,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items())


def _write(path: Path, text: str) -> bool:
    """Writes a file unless it is the user's, and returns whether."""
    try:
        if path.exists() and not path.read_text().startswith(_HEADER):
            return False
        with atomic_path(path) as temporary:
            temporary.write_text(text)
    except OSError as error:
        raise RunError(
            f"{path}: cannot write: {error.strerror}; choose another --out"
        ) from None
    return True
