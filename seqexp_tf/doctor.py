"""Checks of the installation: what is there, whether it agrees, how fast it is.

Every check yields ``Finding``s: a line to read and, where something is wrong, a
one-line problem that ends with its remedy.
"""

import functools
import importlib
import operator
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from seqexp_tf.quiet import BACKENDS

_DISTRIBUTION = "seqexp-tf"
_PACKAGES = (
    "tensorflow",
    "keras",
    "tensorflow-probability",
    "tf-keras",
    "numpy",
    "pandas",
    "pyarrow",
    "pyBigWig",
    "logomaker",
)
_IMPORTED = ("numpy", "pandas", "pyarrow", "pyBigWig", "logomaker")
_GPU_EXTRA = f'pip install "{_DISTRIBUTION}[gpu]"'
_MEMORY_NEEDED = 2e9
_DISK_NEEDED = 1e9
_BATCH = 8
_TIMED_STEPS = 3


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: what was looked at.
        value: what was found.
        problem: what is wrong and its remedy, in one line; None if all is well.
    """

    name: str
    value: str
    problem: str | None = None


def check_versions() -> Iterator[Finding]:
    """Yields the version of every package that matters, and of Python."""
    yield Finding(_DISTRIBUTION, metadata.version(_DISTRIBUTION))
    yield Finding("Python", platform.python_version())
    for package in _PACKAGES:
        yield Finding(package, _version(package) or "not installed")


def check_requirements(distribution: str = _DISTRIBUTION) -> Iterator[Finding]:
    """Yields each package that a requirement, or a requirement of one, rules out."""
    pending: list[tuple[str, frozenset[str]]] = [(distribution, frozenset())]
    seen = set(pending)
    unmet: dict[str, dict[str, SpecifierSet]] = {}
    for parent, extras in pending:
        for text in metadata.requires(parent) or ():
            requirement = Requirement(text)
            if not _applies(requirement, extras):
                continue
            found = _version(requirement.name)
            if found is None or not requirement.specifier.contains(found, True):
                unmet.setdefault(requirement.name, {})[parent] = requirement.specifier
                continue
            child = (requirement.name, frozenset(requirement.extras))
            if child not in seen:
                seen.add(child)
                pending.append(child)
    for name, asked in unmet.items():
        found = _version(name)
        needs = " and ".join(f"{who} needs {name}{what}" for who, what in asked.items())
        wanted = f"{name}{functools.reduce(operator.and_, asked.values())}"
        yield Finding(
            name,
            found or "not installed",
            f'{needs}, found {found or "none"}; pip install "{wanted}"',
        )
    if not unmet:
        count = len({name for name, _ in seen}) - 1
        yield Finding("requirements", f"{count} packages agree")


def check_imports() -> Iterator[Finding]:
    """Yields each installed package that cannot be imported."""
    for package in filter(_version, _IMPORTED):
        try:
            importlib.import_module(package)
        except Exception as error:
            yield Finding(
                package,
                "broken",
                f"{package} is installed but cannot be imported: {_first_line(error)}; "
                f"pip install --force-reinstall --no-deps {package}",
            )


def check_frameworks(load_tensorflow: Callable[[], None]) -> Iterator[Finding]:
    """Yields whether TensorFlow, Keras and TensorFlow Probability work together.

    Args:
        load_tensorflow: imports TensorFlow.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in BACKENDS:
        yield Finding(
            "Keras backend",
            backend,
            f"KERAS_BACKEND is {backend!r}, on which this does not run; "
            "export KERAS_BACKEND=tensorflow",
        )
        return
    yield _attempt(
        "TensorFlow",
        lambda: load_tensorflow() or "imports",
        _reinstall("tensorflow"),
    )
    yield _attempt("Keras backend", _keras_backend, "export KERAS_BACKEND=tensorflow")
    yield _attempt(
        "Beta gradient",
        _beta_gradient,
        _reinstall("tensorflow-probability"),
    )


def check_devices() -> Iterator[Finding]:
    """Yields CPU and GPUs, and any GPU that TensorFlow does not see."""
    import tensorflow as tf

    from seqexp_tf.training import hardware

    policy = hardware.compute_policy("auto")
    cores = len(os.sched_getaffinity(0))
    yield Finding("CPU", f"{platform.machine()}, {cores} cores")
    seen = tf.config.list_physical_devices("GPU")
    for gpu in seen:
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability", ())
        bfloat16 = "bfloat16" if capability >= (8, 0) else "no bfloat16"
        name = details.get("device_name", "unknown model")
        yield Finding(gpu.name.removeprefix("/physical_device:"), f"{name}, {bfloat16}")
    yield _compare_gpus(len(seen))
    yield Finding("precision", f"auto is {policy}")


def check_space(folder: Path) -> Iterator[Finding]:
    """Yields free memory, and free disk at ``folder``."""
    memory = _free_memory()
    if memory is not None:
        yield Finding(
            "free memory",
            f"{memory / 1e9:.1f} GB",
            f"{memory / 1e9:.1f} GB of memory is free, training needs about "
            f"{_MEMORY_NEEDED / 1e9:.0f}; end other programs"
            if memory < _MEMORY_NEEDED
            else None,
        )
    disk = shutil.disk_usage(folder).free
    yield Finding(
        "free disk",
        f"{disk / 1e9:.1f} GB in {folder}",
        f"{folder}: {disk / 1e9:.1f} GB is free, a dataset and a run need about "
        f"{_DISK_NEEDED / 1e9:.0f}; free space or use --out on another disk"
        if disk < _DISK_NEEDED
        else None,
    )


def check_training_step() -> Iterator[Finding]:
    """Yields the speed of a training step of the CNN on each device."""
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    for device in devices:
        if device.device_type not in ("CPU", "GPU"):
            continue
        name = f"{device.device_type}:{device.name.rpartition(':')[2]}"
        gpu = device.device_type == "GPU"
        yield _attempt(
            f"training step, {name}",
            lambda device=device: _time_step(device.name),
            _GPU_EXTRA if gpu else _reinstall("tensorflow"),
        )


def _time_step(device: str) -> str:
    import numpy as np
    import tensorflow as tf

    from seqexp_tf.training import hardware, trainer
    from seqexp_tf.training.config import read_preset, read_run_config

    config = read_run_config(read_preset("cnn"), [f"training.batch_size={_BATCH}"])
    policy = hardware.compute_policy("auto")
    window, rng = 2048, np.random.default_rng(0)
    bases = rng.integers(0, 4, (_BATCH, window))
    labels = rng.integers(0, 2, (_BATCH, window)).astype("float32")
    inputs = {"sequence": np.eye(5, dtype="float32")[bases], "expression": labels}
    targets = {"expression_logits": labels, "sequence_logits": bases.astype("int32")}
    weights = {name: np.ones((_BATCH, window), "float32") for name in targets}
    with tf.device(device):
        model = trainer.build_model(config, policy)
        trainer.compile_model(model, config.training, 1)

        def step() -> float:
            began = time.perf_counter()
            losses = model.train_on_batch(inputs, targets, weights)
            if not np.isfinite(losses[0]):
                raise ArithmeticError(f"the loss is {losses[0]}")
            return time.perf_counter() - began

        first = step()
        seconds = min(step() for _ in range(_TIMED_STEPS))
    return (
        f"{_BATCH / seconds:,.0f} windows/s (cnn, {_BATCH} x {window:,} bp, {policy}; "
        f"{seconds:.3f} s a step, the first {first:.1f})"
    )


def _keras_backend() -> str:
    import keras

    backend = keras.backend.backend()
    if backend not in BACKENDS:
        raise ImportError(f"backend {backend} is not supported")
    total = float(keras.ops.sum(keras.ops.ones((3,))))
    if total != 3:
        raise ArithmeticError(f"1 + 1 + 1 is {total}")
    return backend


def _beta_gradient() -> str:
    """Checks d/da of the mean of Beta(a, b) draws: b / (a + b)^2 = 1/8 at (2, 2)."""
    import tensorflow as tf
    import tensorflow_probability as tfp

    a = tf.constant(2.0)
    with tf.GradientTape() as tape:
        tape.watch(a)
        draws = tfp.distributions.Beta(a, 2.0).sample(4096, seed=(1, 2))
        mean = tf.reduce_mean(draws)
    gradient = tape.gradient(mean, a)
    if gradient is None or not abs(float(gradient) - 0.125) < 0.02:
        found = None if gradient is None else round(float(gradient), 4)
        raise ArithmeticError(f"gradient of a Beta mean is {found}, not 0.125")
    return f"{float(gradient):.3f} by reparameterised draws, 0.125 in theory"


def _compare_gpus(seen: int) -> Finding:
    present = _gpus_of_the_machine()
    value = f"{seen} seen by TensorFlow, {present} in the machine"
    if present and "CUDA_VISIBLE_DEVICES" in os.environ:
        hidden = os.environ["CUDA_VISIBLE_DEVICES"]
        return Finding("GPUs", f"{value} (CUDA_VISIBLE_DEVICES={hidden})")
    if seen >= present:
        return Finding("GPUs", value)
    return Finding(
        "GPUs", value, f"TensorFlow sees {seen} of {present} GPUs; {_GPU_EXTRA}"
    )


def _gpus_of_the_machine() -> int:
    """Counts NVIDIA GPUs by nvidia-smi, else by their device files."""
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return len(_device_files())
    if listed.returncode:
        return len(_device_files())
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def _device_files() -> list[Path]:
    return list(Path("/dev").glob("nvidia[0-9]*"))


def _free_memory() -> int | None:
    """Returns bytes that programs can still get, or None where that is unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024


def _attempt(name: str, check: Callable[[], str], remedy: str) -> Finding:
    try:
        return Finding(name, check())
    except Exception as error:
        # Whatever breaks here is what the doctor was called for.
        return Finding(name, "failed", f"{name}: {_first_line(error)}; {remedy}")


def _reinstall(package: str) -> str:
    """Returns the command that installs a requirement again, as setup asks for it."""
    wanted = [
        text
        for text in metadata.requires(_DISTRIBUTION) or ()
        if (requirement := Requirement(text)).name == package
        and _applies(requirement, frozenset())
    ]
    return f'pip install --force-reinstall "{(wanted or [package])[0]}"'


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": e}) for e in extras or {""})


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
