"""Files by which a model server finds models and forms batches.

All are text protos. Beside the model folders lie ``models.config`` (ModelServerConfig)
and ``batching.config`` (BatchingParameters) for all models; in each version
``batching_params.pbtxt`` (BatchingParameters) for that one.
"""

import json
from pathlib import Path

from seqexp_tf.errors import RunError
from seqexp_tf.genome.files import atomic_path
from seqexp_tf.serving.card import read_card

MODELS, BATCHING = "models.config", "batching.config"
OWN_BATCHING = "batching_params.pbtxt"
"""In a version folder; read with ``--enable_per_model_batching_parameters``."""

MOUNT = "/models"
"""Where a container sees the folder of all models."""

_HEADER = (
    "# Written by `seqexp-tf export`, which keeps it up to date; delete this line to "
    "keep your own.\n"
)
_BASES_AT_ONCE = 1 << 17
_LARGEST_REQUEST = 64
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


def batching_parameters(window: int) -> str:
    """Returns how batches of a model are formed, as a text proto.

    A request may have 64 rows; no more than 131,072 bases, or one row, are computed
    at once, in parts where a request has more.

    Args:
        window: bases of a row at most.
    """
    at_once = min(max(_BASES_AT_ONCE // window, 1), _LARGEST_REQUEST)
    values = {
        "max_batch_size": _LARGEST_REQUEST,
        "enable_large_batch_splitting": "true",
        "max_execution_batch_size": at_once,
        "batch_timeout_micros": _TIMEOUT_MICROS,
        "max_enqueued_batches": _QUEUE,
    }
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in values.items())


def _batching(folder: Path, models: list[str]) -> str:
    """Returns the parameters that suit the model of the longest window."""
    windows = [1]
    for name in models:
        try:
            card = read_card(folder / name / str(versions(folder / name)[-1]))
        except RunError:
            continue  # A model of another program.
        windows.append(card.window)
    threads = f"num_batch_threads {{ value: {_THREADS} }}\n"
    return batching_parameters(max(windows)) + threads


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
