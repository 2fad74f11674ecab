"""Precision, compilation and distribution as the machine decides them."""

import keras
import pytest
import tensorflow as tf

from seqexp_tf.errors import RunError
from seqexp_tf.training import hardware

GPU = "/physical_device:GPU:0"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Pretends a number of GPUs and the flags of the CPU."""

    def pretend(*, gpus=0, flags="fpu sse avx2"):
        cpuinfo = tmp_path / "cpuinfo"
        if flags is not None:
            cpuinfo.write_text(f"model name\t: A CPU\nflags\t\t: {flags}\n")
        monkeypatch.setattr(hardware, "gpus", lambda: [GPU] * gpus)
        monkeypatch.setattr(hardware, "Path", lambda path: cpuinfo)

    return pretend


@pytest.mark.parametrize(
    ("gpus", "flags", "policy"),
    [
        (0, "fpu sse avx2", "float32"),
        (0, "avx512f avx512_bf16", "mixed_bfloat16"),
        (0, "avx512f amx_bf16 amx_tile", "mixed_bfloat16"),
        (0, None, "float32"),
        (1, "fpu sse avx2", "mixed_bfloat16"),
        (2, None, "mixed_bfloat16"),
    ],
)
def test_auto_precision_follows_the_hardware(machine, gpus, flags, policy):
    machine(gpus=gpus, flags=flags)
    assert hardware.compute_policy("auto") == policy


@pytest.mark.parametrize("gpus", [0, 1])
def test_a_named_precision_is_kept(machine, gpus):
    machine(gpus=gpus, flags="avx512_bf16")
    assert hardware.compute_policy("float32") == "float32"
    machine(gpus=gpus)
    assert hardware.compute_policy("bfloat16") == "mixed_bfloat16"


def test_every_policy_is_one_that_keras_knows(machine):
    for precision in ("float32", "bfloat16"):
        policy = keras.DTypePolicy(hardware.compute_policy(precision))
        assert policy.compute_dtype == precision
        assert policy.variable_dtype == "float32"


def test_gpus_are_those_tensorflow_lists():
    listed = [device.name for device in tf.config.list_physical_devices("GPU")]
    assert hardware.gpus() == listed


@pytest.mark.parametrize(
    ("backend", "gpus", "expected"),
    [
        ("tensorflow", 0, False),
        ("tensorflow", 1, True),
        ("jax", 0, True),
        ("jax", 1, True),
    ],
)
def test_xla_compiles_on_gpus_and_always_under_jax(
    monkeypatch, machine, backend, gpus, expected
):
    machine(gpus=gpus)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    assert hardware.compiles() is expected


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_gpu_asked_for_and_absent(monkeypatch, machine, backend):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    machine()
    with pytest.raises(RunError, match=f"--require-gpu: {backend} sees no GPU") as none:
        hardware.require_gpu()
    assert "seqexp-tf doctor" in str(none.value)
    assert "\n" not in str(none.value)
    machine(gpus=1)
    hardware.require_gpu()


def test_description_names_backend_and_devices(machine):
    machine()
    assert hardware.describe() == f"{keras.backend.backend()} on CPU"
    machine(gpus=2)
    assert hardware.describe() == f"{keras.backend.backend()} on {GPU}, {GPU}"
