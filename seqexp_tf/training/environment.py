"""The machine and the packages a run or a page was made with."""

import json
import os
import platform
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from seqexp_tf.doctor import check_versions
from seqexp_tf.errors import RunError
from seqexp_tf.records.tfrecord import write_atomically

ENVIRONMENT = "environment.json"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where something was computed.

    Attributes:
        versions: by package, Python included; "not installed" where it is missing.
        system: operating system and architecture.
        processor: its model and the cores this process may use.
        memory: bytes of the machine; None where unknown.
        accelerators: as the backend names them; empty on a CPU.
        backend: of Keras.
    """

    versions: dict[str, str]
    system: str
    processor: str
    memory: int | None
    accelerators: tuple[str, ...]
    backend: str


def describe_environment() -> Environment:
    """Returns the environment of this process."""
    import keras

    from seqexp_tf.training import hardware

    cores = len(os.sched_getaffinity(0))
    return Environment(
        versions={finding.name: finding.value for finding in check_versions()},
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=f"{_processor()}, {cores} core{'s' if cores > 1 else ''} used",
        memory=_memory(),
        accelerators=tuple(_accelerator(name) for name in hardware.gpus()),
        backend=keras.backend.backend(),
    )


def record_environment(folder: Path, *, step: int) -> None:
    """Writes down in a run folder that training goes on here.

    What was trained elsewhere after that step is lost, and so is its environment. One
    that is the same as the last is not written again.

    Args:
        folder: the run folder.
        step: the last one taken elsewhere; 0 where the fit begins.

    Raises:
        RunError: what is written there is damaged.
    """
    here = describe_environment()
    recorded = read_environments(folder) if step else ()
    kept = [(after, found) for after, found in recorded if after < step]
    if not kept or kept[-1][1] != here:
        kept.append((step, here))
    entries = [{"after_step": after} | asdict(found) for after, found in kept]
    text = json.dumps(entries, indent=1) + "\n"
    write_atomically(folder / ENVIRONMENT, text.encode())


def read_environments(folder: Path) -> tuple[tuple[int, Environment], ...]:
    """Returns where a run was trained: from after which step on, and the environment.

    Empty where it was not written down.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / ENVIRONMENT
    if not path.is_file():
        return ()
    names = [field.name for field in fields(Environment)]
    try:
        return tuple(
            (
                int(entry["after_step"]),
                Environment(
                    **{name: entry[name] for name in names}
                    | {"accelerators": tuple(entry["accelerators"])}
                ),
            )
            for entry in json.loads(path.read_text(encoding="utf-8"))
        )
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: damaged ({type(error).__name__}: {error}); remove it"
        ) from None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1).strip() if found else platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _accelerator(name: str) -> str:
    """Adds the model of a GPU where TensorFlow knows it."""
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        if device.name == name:
            details = tf.config.experimental.get_device_details(device)
            model = details.get("device_name", "unknown model")
            return f"{name.removeprefix('/physical_device:')}: {model}"
    return name
