"""Devices, precision and distribution, decided once and said aloud."""

from pathlib import Path
from typing import Literal

import keras

from seqexp_tf.errors import RunError


def compute_policy(precision: Literal["auto", "float32", "bfloat16"]) -> str:
    """Returns the Keras dtype policy of a precision.

    ``auto`` is mixed bfloat16 where the hardware computes in it (NVIDIA GPUs of
    compute capability 8 and above, TPUs, CPUs with the instructions), and float32
    elsewhere, where bfloat16 is emulated and slower.
    """
    if precision == "auto":
        fast = _gpus_have_bfloat16() if gpus() else _cpu_has_bfloat16()
        precision = "bfloat16" if fast else "float32"
    return {"float32": "float32", "bfloat16": "mixed_bfloat16"}[precision]


def gpus() -> list[str]:
    """Returns the accelerators the backend sees."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return [device.name for device in tf.config.list_physical_devices("GPU")]
    import jax

    return [str(device) for device in jax.devices() if device.platform != "cpu"]


def compiles() -> bool:
    """Returns whether XLA compiles the steps: always under JAX, else on one GPU.

    It cannot compile what replicas on several devices do together. On a CPU,
    TensorFlow's own convolutions (oneDNN) are the faster ones.
    """
    if keras.backend.backend() == "jax":
        return True
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync == 1 and bool(gpus())


def require_gpu() -> None:
    """Raises RunError where the backend sees no GPU."""
    if not gpus():
        raise RunError(
            f"--require-gpu: {keras.backend.backend()} sees no GPU; `seqexp-tf doctor` "
            "says what is missing (driver, CUDA libraries, CUDA_VISIBLE_DEVICES)"
        )


def describe() -> str:
    """Returns the devices in one line for the log."""
    backend = keras.backend.backend()
    found = gpus()
    return f"{backend} on {', '.join(found) if found else 'CPU'}"


def _gpus_have_bfloat16() -> bool:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        capabilities = [
            tf.config.experimental.get_device_details(gpu).get("compute_capability")
            for gpu in tf.config.list_physical_devices("GPU")
        ]
        # Without a capability it is no NVIDIA GPU; stay on the safe side.
        return all(found is not None and found >= (8, 0) for found in capabilities)
    import jax

    return all(
        device.platform == "tpu" or float(getattr(device, "compute_capability", 0)) >= 8
        for device in jax.devices()
    )


def _cpu_has_bfloat16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
